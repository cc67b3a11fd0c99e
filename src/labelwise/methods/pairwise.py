"""Pairwise losses of rows and columns: two-way, ZLPR and LSEP in one."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method
from labelwise.methods.ranks import joined_rows, whole_batch
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec


class Pairwise(Method):
    """Relevant entries are to score above irrelevant ones, in each row and each column of a batch.

    Of a line with relevant entries P and irrelevant ones N it is softplus(Tn log sum_N e^(x / Tn) + Tp log sum_P e^(-x
    / Tp)); the mean over rows and that over columns are added. Lines without P or without N compare nothing and are
    left out. The defaults are the two-way loss. LSEP: ``over="items"`` and both temperatures 1. ZLPR: LSEP with
    ``zero=True``, by which a score of one half lies between both sides; without it scores rank, and a decision needs
    learnt thresholds or calibration.

    Columns are compared within a batch: large batches are better.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    spec = MethodSpec(
        id="pairwise",
        title="Pairwise losses (two-way, ZLPR, LSEP)",
        paper="Kobayashi, Two-way Multi-Label Loss, CVPR 2023; Su et al., ZLPR, 2022; Li et al., Improving Pairwise "
        "Ranking for Multi-label Image Classification, CVPR 2017",
        assumption="relevant entries score above the others of their row, and above those of their label",
        settings=frozenset(SETTINGS),
        passes=3,
        whole_batch=True,
        hyperparameters={
            "over": Hyperparameter(
                "both",
                "what is compared: rows, columns, or both",
                choices=("both", "items", "labels"),
                source="two-way: both; LSEP and ZLPR: items",
            ),
            "temperature_positive": Hyperparameter(
                4.0,
                "temperature of relevant entries",
                low=0.01,
                high=100.0,
                source="two-way: 4; LSEP and ZLPR: 1",
            ),
            "temperature_negative": Hyperparameter(
                1.0, "temperature of irrelevant entries", low=0.01, high=100.0, source="released codes: 1"
            ),
            "zero": Hyperparameter(
                False, "whether both sides are also ranked against a score of 0", source="ZLPR: true"
            ),
            "unknown": Hyperparameter(
                None,
                "what unknown entries are: negative, or in neither set; None: negative where no negative is known",
                choices=("negative", "ignored"),
                optional=True,
                source="two-way: ignored; single positives need irrelevant entries",
            ),
        },
        departures=(
            Departure(
                "Masked entries are exactly out of the sums, and a line without a relevant or an irrelevant entry out "
                "of the mean; the released two-way code masks with -100 and counts every line with a relevant entry.",
                "Large scores would let masked entries in, and a loss of about 0 would dilute the mean.",
            ),
            Departure(
                "Batches of 64 under Adam; the released two-way recipe: 512, SGD with momentum and a cosine schedule.",
                "One budget for all methods.",
                option="batch_size",
            ),
        ),
    )

    def start_labels(self) -> np.ndarray:
        """Return the labels with unknown as negative where the loss takes it so."""
        return self.problem.assumed_negative if self.unknown_is_negative else self.problem.labels

    @property
    def unknown_is_negative(self) -> bool:
        """Whether unknown entries stand among the irrelevant ones."""
        if self.hp.unknown is None:
            return self.problem.assumed_negative_group == "all"
        return bool(self.hp.unknown == "negative")

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over rows plus that over columns of ``losses.pairwise``."""
        scores, labels = joined_rows(batch.scores), whole_batch(batch.labels)
        if self.unknown_is_negative:
            labels = labels.clamp(min=0)
        kinds = ("items", "labels") if self.hp.over == "both" else (self.hp.over,)
        first, *rest = [self._mean_of_lines(scores, labels, over, batch.label_weights) for over in kinds]
        return first + rest[0] if rest else first

    def _mean_of_lines(self, scores: Tensor, labels: Tensor, over: str, weights: Tensor | None) -> Tensor:
        values = losses.pairwise(
            scores,
            labels,
            over,
            temperature_positive=self.hp.temperature_positive,
            temperature_negative=self.hp.temperature_negative,
            zero=self.hp.zero,
            weights=weights,
        )
        lines = losses.compared_lines(labels, over, zero=self.hp.zero)
        return losses.reduce(values, lines, how="weighted")
