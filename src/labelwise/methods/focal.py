"""Focal loss on assumed negatives: entries that are already right weigh less."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec


class Focal(NegativeByAssumption):
    """Focal loss with unknown entries as negative.

    It is -(1 - p)^gamma log p on relevant entries, -p^gamma log(1 - p) on all others, unknown included.

    The original's class weight (its alpha) is off, as in the comparisons on missing labels.
    """

    spec = MethodSpec(
        id="focal",
        title="Focal loss, unknown as negative",
        paper="Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; baseline of Zhou et al., ECCV 2022",
        assumption="nearly every unknown entry of a labelled row is irrelevant, and most entries are easy",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "gamma": Hyperparameter(
                2.0, "focusing exponent; 0 is binary cross-entropy", low=0.0, high=10.0, source="paper: 2"
            )
        },
        departures=(
            Departure(
                "The original's class weight (its alpha) is left out.",
                "So it is in the comparisons on missing labels.",
            ),
            Departure(
                "The mean over entries; the original divides by the number of positives.",
                "One reduction for all methods; under Adam the learning rate does not change with it.",
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.focal``."""
        return self.mean(losses.focal(batch.scores, batch.labels, gamma=self.hp.gamma), batch)
