"""The family that knows how many labels an item has on average."""

from __future__ import annotations

from torch import Tensor

from labelwise.methods.base import Method, batch_sum
from labelwise.methods.plan import Stage

__all__ = ["ExpectedPositives"]


class ExpectedPositives(Method):
    """One stage over all items, labelled or not: the number of positives that is expected needs no label."""

    def plan(self) -> list[Stage]:
        """Return the one stage."""
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    @property
    def expected(self) -> float:
        """kappa: the expected number of positives of an item, the sum of the labels' priors."""
        assert self.problem.prior is not None
        return float(self.problem.prior.sum())

    def excess(self, probabilities: Tensor) -> Tensor:
        """Return the batch's mean number of predicted positives minus kappa, over all ranks."""
        rows = batch_sum(probabilities.new_full((1,), len(probabilities)))
        return batch_sum(probabilities) / rows - self.expected

    def balance(self, probabilities: Tensor) -> Tensor:
        """Return R = (mean_i sum_k p_ik - kappa)^2 / K^2: ``losses.expected_positives`` over all ranks."""
        return (self.excess(probabilities) / probabilities.shape[1]).square()
