"""MAT: pseudo-labels above the thresholds of highest F-beta (ECCV 2024)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from labelwise import targets
from labelwise._random import generator
from labelwise.methods.base import Batch, Pool, Stage
from labelwise.methods.families.semi_supervised import EARLY_STOP, SCHEDULE, SHARED, SelfTraining
from labelwise.methods.problem import Problem
from labelwise.methods.spec import MEAN_OF_ENTRIES, Budget, Departure, Hyperparameter, MethodSpec

_TAUGHT, _HELD = "taught", "held"
_Value = TypeVar("_Value")


class MetricAdaptiveThresholds(SelfTraining):
    """Self-training on pseudo-labels above each label's threshold of highest F-beta.

    Warm up on the known entries of fair rows; then, before every epoch, the averaged network scores all rows, each
    label gets the threshold of highest F-beta on the known entries of held-out fair rows, and every unknown entry is
    taken for relevant from there up and for irrelevant below. The held-out rows, ``held_share`` of the fair ones, train
    nothing: scores of rows that were trained on are over-confident. A label without a positive among them takes its
    threshold from all fair rows, and without any gets no pseudo-positive. Loss: asymmetric, on strong views.

    For whole networks (``--tune all``): published gains are theirs.
    """

    spec = MethodSpec(
        id="mat",
        title="Metric-adaptive thresholds (MAT)",
        paper="Xiao et al., Semi-Supervised Multi-Label Learning with Dual-decoupling Learning and Metric-adaptive "
        "Thresholding, ECCV 2024",
        assumption="known negatives; scores mean the same among unlabelled items, and enough of each label's positives "
        "are known for a threshold",
        settings=frozenset({"partial", "semi_supervised"}),
        passes=4,
        hyperparameters={
            "warm_up": SHARED["warm_up"],
            "beta": Hyperparameter(
                0.5, "weight of recall beside precision", low=0.0, high=10.0, source="released recipe: .5"
            ),
            "held_share": Hyperparameter(
                0.2, "share of the fair rows that are held out for the thresholds", low=0.0, high=0.5
            ),
            "unlabelled_weight": SHARED["unlabelled_weight"],
            "labelled_share": SHARED["labelled_share"],
            "gamma_negative": Hyperparameter(
                4.0, "focusing of negatives", low=0.0, high=10.0, source="as cap"
            ),
            "gamma_positive": Hyperparameter(
                0.0, "focusing of positives", low=0.0, high=10.0, source="as cap"
            ),
            "clip": Hyperparameter(
                0.05, "probability margin of negatives", low=0.0, high=0.5, source="as cap"
            ),
            **{name: SHARED[name] for name in ("ema_decay", "cycle_epochs", "warm_up_batch", "second_start")},
        },
        head_budget=Budget(20, 64, 1e-4),
        full_budget=Budget(40, 64, 1e-3),
        departures=(
            MEAN_OF_ENTRIES,
            *SCHEDULE,
            EARLY_STOP,
            Departure(
                "Thresholds come from rows that are held out of training; the released code takes the very rows that "
                "it trains on.",
                "Scores of learnt rows are too high, and the thresholds with them.",
                option="held_share=0",
            ),
            Departure(
                "F-beta has beta^2; the released code has beta in the denominator.",
                "An oversight there; the two are equal for beta 0 and 1.",
            ),
            Departure(
                "A label without a known positive gets no pseudo-positive; in the released code its threshold stays 0, "
                "and every unknown entry becomes relevant.",
                "An oversight there.",
            ),
            Departure(
                "The threshold is exact, by sorting; the released code tries the hundredths from 0 to .99.",
                "Rare labels' scores lie close together near 0.",
            ),
            Departure(
                "The half of the paper that cuts pictures in patches, for a network of four heads, is left out.",
                "The thresholds serve any items.",
            ),
        ),
    )

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        fair = problem.groups["fair"]
        count = min(round(self.hp.held_share * len(fair)), max(len(fair) - 1, 0))
        held = np.sort(generator(problem.seed, "held out").permutation(fair)[:count])
        groups = {_TAUGHT: np.setdiff1d(fair, held), _HELD: held}
        self.problem = replace(problem, more_groups={**problem.more_groups, **groups})

    def plan(self) -> list[Stage]:
        """Return the two stages, without the rows that are held out."""
        return [
            replace(stage, mixture=_without_held(stage.mixture), views=_without_held(stage.views))
            for stage in super().plan()
        ]

    def start_labels(self) -> np.ndarray:
        """Return the labels of the warm-up's rows, none of those held out."""
        labels = super().start_labels().copy()
        labels[self.problem.groups[_HELD]] = -1
        # A closed form needs a positive, which the held-out rows may have had alone.
        return labels if (labels == 1).any() else super().start_labels()

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Set the targets of unknown entries by the present thresholds.

        Known entries keep theirs.
        """
        pool, labels = pools("averaged"), self.problem.labels
        at = self.thresholds(pool)
        target = labels.copy()
        for rows, scores in pool.scores():
            unknown = labels[rows] == -1
            target[rows][unknown] = (scores.double().numpy() >= at)[unknown]
        pool.state.write("target", target)

    def thresholds(self, pool: Pool) -> np.ndarray:
        """Return each label's threshold (K,) of the head's outputs."""
        groups, labels = self.problem.groups, self.problem.labels
        fair = groups["fair"] if len(groups["fair"]) else groups["labelled"]
        held = groups[_HELD]
        scores = np.empty((len(fair), labels.shape[1]))
        for rows, part in pool.scores():
            inside = (fair >= rows.start) & (fair < rows.stop)
            scores[inside] = part.double().numpy()[fair[inside] - rows.start]
        beta = float(self.hp.beta)
        of_all = targets.metric_adaptive_thresholds(scores, labels[fair], beta)
        if not len(held):
            return of_all
        apart = np.isin(fair, held)
        of_held = targets.metric_adaptive_thresholds(scores[apart], labels[fair][apart], beta)
        return np.where(np.isfinite(of_held), of_held, of_all)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean asymmetric loss; only in the warm-up are entries without a target."""
        return self.asymmetric_loss(batch)


def _without_held(by_group: Mapping[str, _Value]) -> dict[str, _Value]:
    """Name the rows that train where a stage names all fair ones."""
    return {_TAUGHT if group == "fair" else group: value for group, value in by_group.items()}
