"""Variational positive-unlabelled loss, without a prior."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from labelwise.errors import UserError
from labelwise.losses.checks import (
    check_choice,
    check_label_weights,
    check_pair,
    check_range,
    line_of_no_code,
)
from labelwise.losses.pointwise import working_dtype


def variational_pu(
    logits: Tensor,
    labels: Tensor,
    gamma: float = 0.55,
    scale: float = 1.0,
    least_scale: float = 0.1,
    negatives: str = "plain",
    weights: Tensor | None = None,
) -> Tensor:
    """Variational positive-unlabelled loss of each label over a batch.

    With z = x / d, d = min(scale std(x), 1) of the label's logits and at least ``least_scale``: log(m) m^gamma - g, m
    the mean over all items of sigmoid(z) and g that over the relevant ones of log sigmoid(z), 0 where there is none. d
    and the power have no gradient. The relevant items are taken for a sample of those that should score high, and all
    items for the mixture of both: no prior is needed. Known negatives add the mean over them of -log(1 - sigmoid(x)),
    or nothing. (Chen et al., A Variational Approach for Learning from Positive and Unlabeled Data, NeurIPS 2020; for
    several labels Yuan et al., Positive Label Is All You Need, 2023, whose code has no floor under d and takes known
    negatives for unlabelled.)

    Args:
        logits: (B, K), floating-point, B at least 1.
        labels: (B, K), values in {1, 0, -1}; fractions count as unknown.
        gamma: power of the mean score, at least 0.
        scale: alpha, how many deviations of a label's logits are one, above 0.
        least_scale: the least d, above 0.
        negatives: ``"plain"`` or ``"unlabelled"``, what known negatives are.
        weights: (K,), what g counts, at least 0; 1 without.

    Returns:
        (K,) losses, which may be negative, float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not a floating-point (B, K) with a row, or an argument outside
            its range.
    """
    check_pair(logits, labels)
    for name, value, low in (
        ("gamma", gamma, 0.0),
        ("scale", scale, 1e-6),
        ("least_scale", least_scale, 1e-6),
    ):
        check_range(name, value, low)
    check_choice("negatives", negatives, ("plain", "unlabelled"))
    if logits.ndim != 2 or not len(logits):
        raise UserError(f"logits must be (B, K) with at least one row, got shape {tuple(logits.shape)}")
    if weights is not None:
        check_label_weights(weights, logits.shape[1])
    x = logits.to(working_dtype(logits))
    spread = x.detach().std(0, correction=0).mul(scale).clamp(max=1.0).clamp(min=least_scale)
    high = logsigmoid(x / spread)
    mean = high.logsumexp(0) - math.log(len(x))
    found = _mean_where(high, labels == 1)
    values = mean * (gamma * mean.detach()).exp() - (found if weights is None else found * weights.to(x))
    if negatives == "plain":
        values = values + _mean_where(softplus(x), labels == 0)
    wrong = line_of_no_code(labels, 0)
    return values if wrong is None else values.masked_fill(wrong, torch.nan)


def _mean_where(values: Tensor, members: Tensor) -> Tensor:
    """Return each label's mean (K,) over its members, 0 without any."""
    inside = values.masked_fill(~members, 0.0)
    return inside.sum(0) / members.sum(0).clamp(min=1)
