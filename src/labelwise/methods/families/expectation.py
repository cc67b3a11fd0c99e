"""Methods that know an item's mean number of labels."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Method, Stage
from labelwise.methods.ranks import batch_sum, ranks
from labelwise.methods.spec import Departure

DEPARTURES = (
    Departure(
        "A known negative has a cross-entropy of its own, and rows without labels take part; "
        "the original has observed positives only.",
        "What is known is used, and what is expected needs no label.",
    ),
    Departure(
        "kappa is the sum of the labels' priors; the paper prints one number for each of its sets.",
        "The prior is given or estimated anyway.",
        option="prior",
    ),
)
"""The departures of the family."""


class ExpectedPositives(Method):
    """One stage over all items, labelled or not.

    The number of positives that is expected needs no label.
    """

    def plan(self) -> list[Stage]:
        """Return the one stage."""
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    def start_labels(self) -> np.ndarray:
        """Return the labels for the closed-form start, of both signs.

        Unknown counts as negative where no negative is known: a start needs both signs.
        """
        return self.problem.labels_of_both_signs

    @cached_property
    def expected(self) -> float:
        """Expected number of positives of an item, kappa.

        It is the sum of the labels' priors.
        """
        assert self.problem.prior is not None
        return float(self.problem.prior.sum())

    def balance(self, logits: Tensor) -> Tensor:
        """Return R, the squared excess of predicted positives.

        R = (mean_i sum_k p_ik - kappa)^2 / K^2 over the whole batch.
        """
        return losses.expected_positives_with_logits(
            logits, self.expected, total=batch_sum, processes=ranks()
        )

    def excess(self, probabilities: Tensor) -> float | Tensor:
        """Return the mean number of predicted positives minus kappa.

        Both are per item of the whole batch.
        """
        return losses.excess_positives(probabilities, self.expected, total=batch_sum, processes=ranks())
