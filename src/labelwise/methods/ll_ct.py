"""LL-Ct: correct the largest losses of assumed negatives, for this step."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.large_loss import COUNT, DEPARTURES, LARGE_LOSS, PAPER, RATE, LargeLoss
from labelwise.methods.spec import MethodSpec


class LargeLossTemporaryCorrection(LargeLoss):
    """Assumed negatives; those of largest loss count as positive this step.

    In epoch e the share (e - 1) rate of a batch's unknown entries, those of largest loss, counts as positive.
    """

    spec = MethodSpec(
        id="ll_ct",
        title="Large loss correction, temporary (LL-Ct)",
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
        """Return the mean assumed-negative loss of the corrected labels."""
        corrected = self.largest(batch.scores, batch.labels == -1, self.share(batch.epoch))
        return self.mean(losses.assume_negative(batch.scores, batch.labels.masked_fill(corrected, 1)), batch)
