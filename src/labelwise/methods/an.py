"""Assume negative: "missing = no", what everybody does without noticing."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Stage
from labelwise.methods.spec import SETTINGS, MethodSpec


class AssumeNegative(Method):
    """Cross-entropy with every unknown entry as irrelevant, in unlabelled rows too."""

    spec = MethodSpec(
        id="an",
        title="Assume negative (AN)",
        paper="Cole et al., CVPR 2021",
        assumption="nearly every unknown entry is irrelevant",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        departures=(),
    )

    def plan(self) -> list[Stage]:
        """Return one stage over all items.

        A row without labels is read as a row without positives.
        """
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    def start_labels(self) -> np.ndarray:
        """Return the labels with every unknown entry as negative."""
        return np.asarray(np.maximum(self.problem.labels, 0))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.assume_negative``."""
        return self.mean(losses.assume_negative(batch.scores, batch.labels), batch)
