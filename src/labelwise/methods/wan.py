"""Weak assume negative: assumed negatives weigh as one positive.

Those of an item together.
"""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.spec import SETTINGS, Departure, MethodSpec


class WeakAssumeNegative(NegativeByAssumption):
    """Cross-entropy with weight 1/(K - 1) on unknown entries.

    An unknown entry counts as negative with that weight.

    The original has observed positives and unknown entries only. Ours: a known negative has weight 1, and with one
    label the weight is 1.
    """

    spec = MethodSpec(
        id="wan",
        title="Weak assume negative (WAN)",
        paper="Cole et al., Multi-Label Learning from Single Positive Labels, CVPR 2021 (named DW elsewhere)",
        assumption="an unknown entry is more often irrelevant than relevant",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        departures=(
            Departure(
                "A known negative has weight 1, and so has an assumed one where there is one label; "
                "the original has neither.",
                "It is written for observed positives and unknown entries of many labels.",
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.weak_assume_negative``."""
        values = losses.weak_assume_negative(batch.scores, batch.labels, self.problem.n_labels)
        return self.mean(values, batch)
