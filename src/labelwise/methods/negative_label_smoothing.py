"""Assume negative, smoothing only the labels that are assumed."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.label_smoothing import EPSILON
from labelwise.methods.spec import SETTINGS, Departure, MethodSpec


class NegativeLabelSmoothing(NegativeByAssumption):
    """Cross-entropy with only the assumed negatives smoothed.

    The target is 1 for known positives, 0 for known negatives and epsilon for unknown entries.

    A baseline whose code was not released; epsilon is that of label smoothing. Ours: a known negative is not
    smoothed, since nothing is assumed of it. Found on small problems: probabilities nearer to the truth than those of
    ``an``, and no better ranking.
    """

    spec = MethodSpec(
        id="negative_label_smoothing",
        title="Assume negative with negative label smoothing (N-LS)",
        paper="baseline of Zhou et al., Acknowledging the Unknown, ECCV 2022",
        assumption="a share epsilon of the unknown entries is relevant; known labels are right",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={"epsilon": EPSILON},
        departures=(
            Departure(
                "The mass moved, .1, is ours.",
                "A baseline without released code or coefficient.",
                option="epsilon",
            ),
            Departure(
                "A known negative is not smoothed; the original's labels are positive or unknown.",
                "Nothing is assumed of it.",
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean ``losses.label_smoothing`` with unknown entries alone smoothed."""
        values = losses.label_smoothing(
            batch.scores, batch.labels, positive=0.0, negative=0.0, unknown=self.hp.epsilon
        )
        return self.mean(values, batch)
