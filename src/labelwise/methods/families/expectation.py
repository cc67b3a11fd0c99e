"""The family that knows how many labels an item has on average."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelwise.methods.base import Method
from labelwise.methods.plan import Stage
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
    """One stage over all items, labelled or not: the number of positives that is expected needs no label."""

    def plan(self) -> list[Stage]:
        """Return the one stage."""
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    def start_labels(self) -> np.ndarray:
        """Return the labels, with unknown as negative where no negative is known: a start needs both signs."""
        known = self.problem.teaching_group == "labelled"
        return self.problem.labels if known else self.problem.assumed_negative

    @cached_property
    def expected(self) -> float:
        """kappa: the expected number of positives of an item, the sum of the labels' priors."""
        assert self.problem.prior is not None
        return float(self.problem.prior.sum())

    def balance(self, logits: Tensor) -> Tensor:
        """Return R = (mean_i sum_k p_ik - kappa)^2 / K^2: ``losses.expected_positives`` over all ranks."""
        value: Tensor = _Balance.apply(logits, self.expected)  # type: ignore[no-untyped-call]
        return value


def excess(probabilities: Tensor, expected: float) -> float:
    """Return the batch's mean number of predicted positives minus ``expected``, over all ranks."""
    return float(batch_sum(probabilities)) / rows_of(probabilities) - expected


def rows_of(values: Tensor) -> float:
    """Return the number of rows of the whole batch."""
    return len(values) if ranks() == 1 else float(batch_sum(values.new_tensor(float(len(values)))))


class _Balance(torch.autograd.Function):
    """R of logits with its gradient in closed form, 2 (excess) p (1 - p) / (K^2 rows): half its parts' time.

    Gradients are averaged over ranks: with a rank's even share of the rows, that average is the gradient on the whole
    batch, whatever share each rank holds.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, expected: float) -> Tensor:
        p = torch.sigmoid(logits if logits.dtype == torch.float64 else logits.float())
        rows, labels = rows_of(p) / ranks(), p.shape[1]
        over = excess(p, expected)
        if ctx.needs_input_grad[0]:
            slope = torch.addcmul(p, p, p, value=-1).mul_(2 * over / (rows * labels**2))
            ctx.save_for_backward(slope)
            ctx.dtype = logits.dtype
        return torch.tensor((over / labels) ** 2, dtype=p.dtype, device=p.device)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (slope,) = ctx.saved_tensors
        return (slope * grad).to(ctx.dtype), None
