"""Methods for which an unknown entry counts as negative."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Trainer
from labelwise.methods.spec import Departure


class NegativeByAssumption(Method):
    """One stage over the rows whose unknown entries count as negative.

    They do so from the closed-form start on.

    These are all rows where no negative is known, and otherwise those with a known entry.
    """

    def start_labels(self) -> np.ndarray:
        """Return the labels with unknown as negative in these rows."""
        return self.problem.assumed_negative


def constant_rate(recipe: str) -> Departure:
    """Return the departure of a loss whose released recipe is a one-cycle schedule."""
    return Departure(
        f"A whole network trains at a constant rate on mirrored pictures; the released recipe has {recipe}.",
        "It is the budget of all methods that assume negatives, so that losses compare.",
    )


LONG_CYCLE = constant_rate(
    "one cycle of 80 epochs, stopped at 30, decay, averaged weights, RandAugment and cutout"
)
"""A departure of Hill and SPLC."""


DEPARTURES = (
    Departure(
        "The coefficient, and that the head's weights alone are penalised, are ours.",
        "A baseline without released code or coefficient.",
        option="weight",
    ),
)
"""The departures of the family."""


class PenalisedHead(NegativeByAssumption):
    """Assumed negatives with a penalty on the head's weights.

    ``weight`` times a norm of the head's weights (K, D); biases are free.
    """

    takes_terms = True

    @abstractmethod
    def norm(self, weight: Tensor) -> Tensor:
        """Return the norm (a scalar) of the head's weights."""

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.assume_negative``, without the penalty."""
        return self.mean(losses.assume_negative(batch.scores, batch.labels), batch)

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take a step on the loss and the penalty."""
        trainer.forward(batch)
        weight: Tensor = trainer.network.head.weight  # type: ignore[assignment]
        loss: Tensor = self.with_terms(self.loss(batch), batch) + self.hp.weight * self.norm(weight)
        trainer.backward(loss)
        trainer.update()
        return loss.detach()
