"""Binary cross-entropy on full labels: the ceiling of every comparison."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method
from labelwise.methods.spec import MethodSpec


class BinaryCrossEntropy(Method):
    """Mean binary cross-entropy; rows without labels are left out.

    It is the mean over entries of -log p where relevant and -log(1 - p) where irrelevant.
    """

    spec = MethodSpec(
        id="bce",
        title="Binary cross-entropy",
        paper="standard; Cole et al., CVPR 2021, upper reference",
        assumption="every entry of a labelled row is known",
        settings=frozenset({"full", "semi_supervised"}),
        passes=3,
        pointwise=True,
        departures=(),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean of ``losses.ignore_unknown``.

        A labelled row has no unknown entry here.
        """
        return self.mean(losses.ignore_unknown(batch.scores, batch.labels), batch)
