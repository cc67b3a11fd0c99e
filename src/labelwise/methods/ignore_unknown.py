"""Ignore unknown: binary cross-entropy on the known entries only."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method
from labelwise.methods.spec import Departure, MethodSpec


class IgnoreUnknown(Method):
    """Mean binary cross-entropy over known entries.

    An unknown entry teaches nothing.
    """

    spec = MethodSpec(
        id="ignore_unknown",
        title="Ignore unknown (IU)",
        paper="Cole et al., CVPR 2021",
        assumption="known positives and known negatives, hidden without regard to their sign",
        settings=frozenset({"full", "partial", "semi_supervised"}),
        passes=3,
        pointwise=True,
        departures=(
            Departure(
                "The mean is over the known entries of a batch; the released code divides by all its "
                "entries.",
                "A batch with few known entries would otherwise take a smaller step.",
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over the known entries."""
        values = losses.ignore_unknown(batch.scores, batch.labels)
        return self.mean(values, batch, weights=(batch.labels >= 0).to(values.dtype), over="weights")
