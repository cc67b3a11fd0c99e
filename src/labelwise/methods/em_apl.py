"""EM loss + APL: entropy, then soft negatives (Zhou et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from labelwise import losses, targets
from labelwise.methods.base import Batch, Method, Pool, Stage
from labelwise.methods.em import ALPHA, DEPARTURES
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec


class EntropyMaximizationWithNegatives(Method):
    """EM loss; later the least likely unknown entries become soft negatives.

    From ``warm_up`` on, before every epoch the least likely unknown entries of each label are frozen.

    The EM loss is the cross-entropy of known entries and -alpha H(p) of unknown ones. A frozen entry keeps its
    probability q as a soft negative label for good, and its loss is beta (-q log p - (1 - q) log(1 - p)). In the last
    epoch ``negative_share`` of each label's unknowns are frozen. No entry is ever taken for positive (asymmetric
    tolerance).
    """

    spec = MethodSpec(
        id="em_apl",
        title="EM loss + APL",
        paper="Zhou et al., Acknowledging the Unknown, ECCV 2022",
        assumption="positives observed at random given the label; most unknown entries are irrelevant",
        settings=frozenset(SETTINGS) - {"full"},
        passes=4,
        pointwise=True,
        hyperparameters={
            "alpha": ALPHA,
            "beta": Hyperparameter(
                0.2,
                "weight of soft negatives",
                low=0.0,
                high=10.0,
                source="paper: VOC .02, COCO .9, NUS .2, CUB .4",
            ),
            "negative_share": Hyperparameter(
                0.9, "share of each label's unknowns frozen by the end", low=0.0, high=1.0, source="paper"
            ),
            "warm_up": Hyperparameter(
                0.5,
                "share of the epochs before the first soft negatives",
                low=0.0,
                high=1.0,
                source="paper: 5 of 10 epochs on VOC and COCO",
            ),
        },
        departures=(
            *DEPARTURES,
            Departure(
                "Soft labels are taken from plain views; the released code scores the views of "
                "training, mirrored at random.",
                "A score that is kept for good should not hang on one draw.",
            ),
            Departure(
                "An epoch of one batch gives soft labels like any other; the released code gives none.",
                "Its way of joining batches needs two of them.",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """Return one stage with a refresh before every epoch."""
        return [self.stage("train", self.budget.epochs, refresh=True)]

    def slots(self) -> dict[str, targets.Slot]:
        """Soft negative labels, NaN where there is none.

        A probability of exactly 0 is a label like any other.
        """
        return {"soft": targets.Slot("float32", fill=float("nan"))}

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Freeze this epoch's share of each label's unknown entries.

        It is ``negative_share`` U_k / rounds of the U_k unknown entries of label k, the least likely first.
        """
        pool = pools("raw")
        rounds = self.budget.epochs - self.warm_epochs
        if not self.warm_epochs < pool.epoch <= self.budget.epochs:
            return
        y = self.problem.labels
        # A wholly unknown row that does not train must not use up the share of those that do: 0 is no unknown entry.
        if self.problem.assumed_negative_group == "labelled":
            y = np.where((y == -1).all(1, keepdims=True), np.int8(0), y)
        soft = targets.self_paced_negatives(
            lambda: ((rows, torch.sigmoid(scores).numpy()) for rows, scores in pool.scores()),
            pool.state["soft"],
            y,
            proportion=self.hp.negative_share,
            rounds=rounds,
        )
        pool.state.write("soft", soft)

    @property
    def warm_epochs(self) -> int:
        """Number of epochs before the first soft negatives.

        At least 1, so that the scores mean something.
        """
        return max(1, round(float(self.hp.warm_up) * self.budget.epochs))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean of the EM loss and of the soft negatives'.

        The latter is beta (-q log p - (1 - q) log(1 - p)) of a frozen entry.
        """
        # Frozen is what has a number: q = 0 is a soft label like any other.
        values = losses.entropy_maximization_with_soft(
            batch.scores, batch.labels, batch.state["soft"], alpha=self.hp.alpha, beta=self.hp.beta
        )
        return self.mean(values, batch)
