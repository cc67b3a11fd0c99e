"""LL-R: reject the largest losses of assumed negatives."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.large_loss import COUNT, DEPARTURES, LARGE_LOSS, PAPER, RATE, LargeLoss
from labelwise.methods.spec import MethodSpec


class LargeLossRejection(LargeLoss):
    """Assumed negatives without those of largest loss.

    In epoch e the share (e - 1) rate of a batch's unknown entries, those of largest loss, is left out.
    """

    spec = MethodSpec(
        id="ll_r",
        title="Large loss rejection (LL-R)",
        paper=PAPER,
        assumption="clean labels are learnt before wrong ones: an assumed negative of large loss is relevant",
        settings=LARGE_LOSS,
        passes=3,
        weighs_rows=True,
        whole_batch=True,
        hyperparameters={"rate": RATE, "count": COUNT},
        departures=DEPARTURES,
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean assumed-negative loss, rejected entries counted as 0.

        The mean is over all entries.
        """
        values = losses.assume_negative(batch.scores, batch.labels)
        rejected = self.largest(batch.scores, batch.labels == -1, self.share(batch.epoch))
        return self.mean(values.masked_fill(rejected, 0.0), batch)
