"""LL-Cp: correct the largest losses of assumed negatives, for good."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses, targets
from labelwise.methods.base import Batch
from labelwise.methods.families.large_loss import COUNT, DEPARTURES, LARGE_LOSS, PAPER, RATE, LargeLoss
from labelwise.methods.spec import Departure, MethodSpec


class LargeLossPermanentCorrection(LargeLoss):
    """Assumed negatives; those of largest loss turn positive for good.

    After the first epoch the share ``rate`` of a batch's unknown entries turns positive in every step.

    The entries of largest loss among those not yet turned; a known entry never turns.
    """

    spec = MethodSpec(
        id="ll_cp",
        title="Large loss correction, permanent (LL-Cp)",
        paper=PAPER,
        assumption="clean labels are learnt before wrong ones: an assumed negative of large loss is relevant",
        settings=LARGE_LOSS,
        passes=3,
        weighs_rows=True,
        whole_batch=True,
        hyperparameters={"rate": RATE, "count": COUNT},
        departures=(
            *DEPARTURES,
            Departure(
                "As many entries turn as are counted; the released comparison is strict, so that one "
                "fewer turns, and none where one is counted.",
                "An oversight there.",
                option='count="released"',
            ),
        ),
    )

    def slots(self) -> dict[str, targets.Slot]:
        """The entries that were turned positive."""
        return {"flipped": targets.Slot("bool")}

    def loss(self, batch: Batch) -> Tensor:
        """Turn entries of this batch, and return the loss.

        It is the mean over entries of the loss of the corrected labels.
        """
        flipped = batch.state["flipped"]
        if batch.epoch > 1:
            # Those turned before are no candidates, so that each step turns as many more.
            turning, fewer = (batch.labels == -1) & ~flipped, int(self._as_released)
            flipped = flipped | self.largest(batch.scores, turning, self.hp.rate, fewer)
            assert batch.write is not None
            batch.write("flipped", flipped)
        return self.mean(losses.assume_negative(batch.scores, batch.labels.masked_fill(flipped, 1)), batch)
