"""S2ML2-BBAM: self-training with angles of one variance (Li et al., NeurIPS 2024).

Positives and negatives of a label get the same angular variance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from labelwise import losses, targets
from labelwise.errors import UserError
from labelwise.methods.bam import ANGULAR_DEPARTURES, ANGULAR_MARGIN, ANGULAR_SCALE, MARGIN_ON
from labelwise.methods.base import Batch, Pool, Stage
from labelwise.methods.families.semi_supervised import DEPARTURES, EARLY_STOP, SHARED, SelfTraining
from labelwise.methods.problem import Problem
from labelwise.methods.spec import SETTINGS, Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import CosineHead, Outputs
from labelwise.summaries import AngleStatistics

_SECOND_SPLIT = "second split"


class BalancedAngularMargin(SelfTraining):
    """Self-training on angles whose variance is the same for both signs.

    Warm up with the binary angular margin; then pseudo-label, balance the angles, and keep hard negatives.

    Before every epoch of the second stage, from one pass over the stored features: class-aware pseudo-labels of the
    unknown entries (by cosine, which no label chooses), prototypes, mean and variance of each label's angles to its
    prototype, and the ``negative_ratio`` N_k negatives nearest to it. Training brings the boundary angles of both signs
    to one variance before cosine and margin: psi = mu + a (theta - mu) with a = sqrt(v / v_sign), mu and v_sign of the
    entry's sign, v the mean of both variances. Scores mix both transforms half and half. ``leak_truth`` and
    ``warm_up_seed`` do what the released code does besides, and need the truth.
    """

    spec = MethodSpec(
        id="bbam",
        title="Balanced binary angular margin (S2ML2-BBAM)",
        paper="Li et al., Semi-supervised Multi-label Learning with Balanced Binary Angular Margin Loss, NeurIPS 2024",
        assumption="the share of positives of each label is known or estimated where both signs are known, and angles "
        "to a label's prototype are near normal for both signs",
        settings=frozenset(SETTINGS) - {"full"},
        passes=4,
        head="cosine",
        projection=True,
        needs=frozenset({"prior"}),
        hyperparameters={
            "scale": ANGULAR_SCALE,
            "margin": ANGULAR_MARGIN,
            "margin_on": MARGIN_ON,
            **SHARED,
            "balance": Hyperparameter(True, "transform the angles (off: the ablation 'w/o BBAM')"),
            "negative_ratio": Hyperparameter(
                5.0,
                "hard negatives kept for each positive of a label; 0 keeps all negatives",
                low=0.0,
                high=10000.0,
                source="released code: 5; 1 on AwA2",
            ),
            "momentum": Hyperparameter(
                0.01, "weight of the old angle statistics", low=0.0, high=0.99, source="released code"
            ),
            "variance_floor": Hyperparameter(
                1e-3, "least angle variance, in radians squared", low=1e-8, high=1.0
            ),
            "statistics_from": Hyperparameter(
                "averaged",
                "network whose features give prototypes and angles: one pass of the averaged one serves all; 'raw' is "
                "the released two-model form, with a second pass",
                choices=("averaged", "raw"),
            ),
            "labelled_negatives": Hyperparameter(
                "renewed",
                "negatives of complete rows that are trained on: the nearest, chosen anew before every epoch; those of "
                "the second stage's first epoch; or all of them",
                choices=("renewed", "frozen", "all"),
                source="released code: frozen for pictures, all for texts",
                later=True,
            ),
            "from_zero": Hyperparameter(
                False,
                "mix the first angle statistics with zeros, as if they were the old ones",
                source="released code: true",
                later=True,
            ),
            "leak_truth": Hyperparameter(
                False,
                "let the true labels of unlabelled items choose their transform when they are pseudo-labelled, to "
                "reproduce published numbers; needs true_labels",
                source="released code: true",
            ),
            "warm_up_seed": Hyperparameter(
                None,
                "warm up on as many other rows, the first of RandomState(seed).permutation, by their true labels, to "
                "reproduce published numbers; None: one split for both stages",
                low=0,
                high=2**32 - 1,
                optional=True,
                source="released code: 1000, and 1 afterwards",
            ),
        },
        head_budget=Budget(20, 64, 1e-5),
        full_budget=Budget(40, 64, 1e-3),
        departures=(
            *DEPARTURES,
            *ANGULAR_DEPARTURES,
            Departure(
                "Pseudo-labels come from plain cosines; the released code picks the transform of an "
                "unlabelled item by its true label.",
                "That is a leak.",
                option="leak_truth=True",
            ),
            Departure(
                "Both stages have one labelled split; the released code's have two seeds.",
                "The warm-up would know the labels of other rows.",
                option="warm_up_seed=1000",
            ),
            Departure(
                "The averaged network gives pseudo-labels, prototypes and angles; the released code "
                "measures the latter two with the raw one.",
                "One pass serves both.",
                option='statistics_from="raw"',
            ),
            Departure(
                "Fair rows take 1.25 times their share of a batch; the released code takes 16 and 32 "
                "of 64 at 15 and 20% labelled, and 32 of 128 on AwA2.",
                "One rule for every share; the specs of the published tables have the released mixtures.",
                option="labelled_share=0.25",
            ),
            Departure(
                "The negatives of labelled rows are chosen anew before every epoch; the released mask "
                "of theirs is frozen at the first epoch of the second stage.",
                "The nearest negatives change as the features do.",
                option='labelled_negatives="frozen"',
            ),
            Departure(
                "Labelled negatives of texts are sampled like all others; the released text code "
                "trains on all of them.",
                "One rule for pictures and texts.",
                option='labelled_negatives="all"',
            ),
            Departure(
                "Labelled and unlabelled entries are summed with weight 1, as in the released code; the paper's slides "
                "have a mean of each, the second times lambda.",
                "Published figures are the code's.",
                option="unlabelled_weight",
            ),
            Departure(
                "Angles of negatives are measured on all that are not masked, as in the released code; the paper's "
                "slides take the sampled ones alone.",
                "Published figures are the code's.",
            ),
            Departure(
                "The nearest negatives are kept, as in the released code; the paper's slides also draw among them.",
                "Published figures are the code's.",
            ),
            EARLY_STOP,
            Departure(
                "N_k counts positives; the released code sums a matrix in which masked entries are -1.",
                "An oversight there, which costs rare labels their negatives.",
            ),
            Departure(
                "The first statistics are taken as measured; the released code mixes them with zeros, "
                "1% too small.",
                "There is nothing old to mix with.",
                option="from_zero=True",
            ),
            Departure(
                "The variance of an angle is at least 1e-3, and a label with fewer than two positives "
                "is not transformed.",
                "The released code divides by what may be 0.",
                option="variance_floor",
            ),
            Departure(
                "On fixed features prototype angles leave out the constant coordinate that boundary "
                "angles have.",
                "Prototypes are means of features, of which the constant is none.",
            ),
        ),
    )

    mean_negative: Tensor
    mean_positive: Tensor
    variance_negative: Tensor
    variance_positive: Tensor
    refreshed: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        if self.hp.warm_up_seed is not None:
            order = np.random.RandomState(int(self.hp.warm_up_seed)).permutation(problem.n_items)
            rows = np.sort(order[: len(problem.groups["fair"])])
            self.problem = replace(problem, more_groups={_SECOND_SPLIT: rows})
        for name, values in AngleStatistics.identity(problem.n_labels).tensors().items():
            self.register_buffer(name, values.float())
        self.register_buffer("refreshed", torch.tensor(False))
        self._lines: tuple[tuple[object, ...], losses.BalancingLines] | None = None

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Set pseudo-labels, prototypes, angles and hard negatives, in this order.

        The first and the last give the targets; prototypes and angles the statistics.
        """
        scored = pools("averaged")
        measured = scored if self.hp.statistics_from == "averaged" else pools("raw")
        # Pseudo-labels come first: prototypes are the means of the positives that they name, angles and the nearest
        # negatives are by the cosines to these prototypes. Nothing here is of the epoch before but ``previous``.
        pseudo = self.pseudo_labels(scored)
        head = cast(CosineHead, measured.network.head)
        result = targets.balanced_refresh(
            measured.features,
            self.problem.labels,
            # Of fixed features: without the constant coordinate, of which prototypes have none.
            head.weight.detach()[:, : measured.features.shape[1]],
            cast(np.ndarray, self.problem.prior),
            pseudo=pseudo,
            negative_ratio=self.hp.negative_ratio,
            previous=self.angles if self.refreshed else None,
            momentum=self.hp.momentum,
            variance_floor=self.hp.variance_floor,
            from_zero=self.hp.from_zero and not self.refreshed,
        )
        used = result.keep if self.hp.negative_ratio else pseudo >= 0
        target = np.where(used, pseudo, np.int8(-1))
        self._keep_labelled_negatives(target, scored)
        scored.state.write("target", target)
        if self.hp.balance:
            new = result.angles.tensors()
            for name, values in self._statistics.items():
                values.copy_(new[name])
            self.refreshed.fill_(True)

    def _keep_labelled_negatives(self, target: np.ndarray, pool: Pool) -> None:
        """Set the targets of complete rows as ``labelled_negatives`` says, in place."""
        if self.hp.labelled_negatives == "renewed":
            return
        complete = self.problem.groups["complete"]
        if self.hp.labelled_negatives == "all":
            target[complete] = self.problem.labels[complete]
        elif pool.epoch > 1:
            # The choice of the first epoch stands in the item state, and with it in every checkpoint.
            target[complete] = pool.state["target"][complete]

    def loss(self, batch: Batch) -> Tensor:
        """Return mean CE(sigmoid(s (cos psi - m y)), y).

        psi = theta in the warm-up; entries not used count as 0.
        """
        margin = {"scale": self.hp.scale, "margin": self.hp.margin, "margin_on": self.hp.margin_on}
        if batch.stage == "warm-up":
            values = losses.binary_angular_margin(batch.scores, self.target(batch), **margin)
        else:
            lines = self.lines(batch.scores)
            values = losses.balanced_binary_angular_margin(batch.scores, self.target(batch), lines, **margin)
        return self.masked_mean(values, batch)

    def logits(self, outputs: Outputs) -> Tensor:
        """Return s (cos(psi_n / 2 + psi_p / 2) - m/2).

        The released code leaves s and m out.
        """
        # No label is known here: half of each transform, since the choice of one would need the sign.
        cosines = losses.balanced_cosine(outputs.scores, self.angles)
        logits: Tensor = self.hp.scale * (cosines - self.hp.margin / 2)
        return logits

    @property
    def angles(self) -> AngleStatistics:
        """Angle statistics in force; before the first refresh they change nothing."""
        return AngleStatistics(**self._statistics)

    @property
    def _statistics(self) -> dict[str, Tensor]:
        return {
            "mean_negative": self.mean_negative,
            "mean_positive": self.mean_positive,
            "variance_negative": self.variance_negative,
            "variance_positive": self.variance_positive,
        }

    def lines(self, cosines: Tensor) -> losses.BalancingLines:
        """Return psi = a theta + b of both signs.

        They are made anew only when the statistics were written to.
        """
        versions = [values._version for values in self._statistics.values()]
        key = (*versions, cosines.dtype, cosines.device)
        if self._lines is None or self._lines[0] != key:
            self._lines = key, losses.balancing_lines(self.angles, cosines)
        return self._lines[1]

    # What follows reads true labels, as the released code does: ``leak_truth`` and ``warm_up_seed`` alone.

    @property
    def reads_truth(self) -> bool:
        """Whether an option of the published protocol is on."""
        return bool(self.hp.leak_truth) or self.hp.warm_up_seed is not None

    def truth(self) -> np.ndarray:
        """Return the true labels, which only the published protocol's options read."""
        if self.problem.true_labels is None:
            raise UserError(
                "leak_truth and warm_up_seed of method 'bbam' reproduce published numbers from the true labels: give "
                "fit(X, Y, true_labels=...), or leave them out"
            )
        return super().truth()

    def plan(self) -> list[Stage]:
        """Return the two stages.

        The warm-up's is on the rows of a second split where ``warm_up_seed`` asks for it.
        """
        stages = super().plan()
        if self.hp.warm_up_seed is None or stages[0].name != "warm-up":
            return stages
        (size,) = stages[0].mixture.values()
        warm_up = replace(stages[0], mixture={_SECOND_SPLIT: size}, views={_SECOND_SPLIT: ("strong",)})
        return [warm_up, *stages[1:]]

    def start_labels(self) -> np.ndarray:
        """Return the labels of the warm-up's rows."""
        if self.hp.warm_up_seed is None:
            return super().start_labels()
        rows, labels = self.problem.groups[_SECOND_SPLIT], np.full_like(self.problem.labels, -1)
        labels[rows] = self.truth()[rows]
        return labels

    def target(self, batch: Batch) -> Tensor:
        """Return the targets of a batch.

        They are the true labels in the warm-up of a second split.
        """
        if self.hp.warm_up_seed is None or batch.stage != "warm-up":
            return super().target(batch)
        return torch.from_numpy(self.truth()[batch.index.cpu().numpy()]).to(batch.labels)

    def pseudo_scores(self, rows: slice, scores: Tensor) -> Tensor:
        """Return the cosines by which pseudo-labels are chosen.

        With ``leak_truth`` they are transformed by the true sign.
        """
        if not (self.hp.leak_truth and self.refreshed):
            return scores
        theta = scores.float().clamp(-1, 1).acos()
        positive, negative = (
            losses.balanced_angles(theta, self.angles, side) for side in ("positive", "negative")
        )
        true = torch.from_numpy(self.truth()[rows]).to(theta.device)
        return torch.where(true == 1, positive, negative).cos()
