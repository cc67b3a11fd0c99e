"""Oracle of the single-positive tables: observed positives and true negatives."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Stage
from labelwise.methods.spec import SETTINGS, Departure, MethodSpec


class TrueNegatives(Method):
    """Cross-entropy of observed positives and all true negatives.

    The known entries and every truly irrelevant one have their cross-entropy; unknown positives cost nothing.

    It asks what the unknown positives alone would be worth, and needs the true labels for it: it is no method for use.
    The released code compares the truth with a code that its files do not hold, so that its negative term is empty;
    here it is what the paper says.
    """

    spec = MethodSpec(
        id="bce_single_positive_all_negatives",
        title="Observed positives and all true negatives (IUN), an oracle",
        paper="Cole et al., Multi-Label Learning from Single Positive Labels, CVPR 2021",
        assumption="the true labels are there: an upper reference, not a method",
        settings=frozenset(SETTINGS) - {"full"},
        passes=3,
        weighs_rows=True,
        needs=frozenset({"true_labels"}),
        departures=(
            Departure(
                "True negatives cost their cross-entropy, as the paper says; the released code "
                "compares with a code that its files do not hold, and has none.",
                "An oversight there.",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """Return one stage over all items: negatives are known in each."""
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    @cached_property
    def train_labels(self) -> np.ndarray:
        """Labels (n, K) int8 with the true negatives.

        They are 1 where observed, 0 where irrelevant, otherwise -1.
        """
        truth = self.problem.truth(self.spec.id)
        return np.where((self.problem.labels == -1) & (truth == 0), np.int8(0), self.problem.labels)

    def start_labels(self) -> np.ndarray:
        """Return the labels that training reads."""
        return self.train_labels

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over all entries of ``losses.ignore_unknown`` of these labels."""
        labels = torch.from_numpy(self.train_labels[batch.index.cpu().numpy()]).to(batch.labels.device)
        return self.mean(losses.ignore_unknown(batch.scores, labels), batch)
