"""Losses that raise or lower the entropy of the unknown entries."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelwise.losses.checks import check_range
from labelwise.losses.cross_entropy import positives, unknowns
from labelwise.losses.pointwise import Needs, pointwise


def entropy_maximization(logits: Tensor, labels: Tensor, alpha: float = 0.2) -> Tensor:
    """Cross-entropy on known entries, -alpha H(p) on unknown ones: the EM loss.

    -log p where the label is 1, -log(1 - p) where it is 0, and -alpha H(p) where it is unknown (-1), with p =
    sigmoid(logits) and H(p) = -p log p - (1 - p) log(1 - p) in nats. Descent raises H, so it holds unknown
    entries near p = 1/2; the loss may be negative. (Zhou et al., ECCV 2022, whose code has log(p + 1e-5) in
    place of the exact logarithm.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        alpha: weight of the entropy, finite.

    Returns:
        (B, K) losses in [-alpha log 2, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an alpha that is not finite.
    """
    return _entropy(logits, labels, -alpha)


def entropy_minimization(logits: Tensor, labels: Tensor, alpha: float = 1.0) -> Tensor:
    """Cross-entropy on known entries, +alpha H(p) on unknown ones (EntMin).

    -log p where the label is 1, -log(1 - p) where it is 0, and alpha H(p) where it is unknown (-1), with p =
    sigmoid(logits) and H in nats. (Grandvalet and Bengio, NeurIPS 2004; a baseline of Zhou et al., ECCV 2022,
    where it collapses.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        alpha: weight of the entropy, finite.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an alpha that is not finite.
    """
    return _entropy(logits, labels, alpha)


def _entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return the cross-entropy on known entries and ``weight`` times the entropy on unknown ones."""
    check_range("alpha", weight, -math.inf)

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        # With q = sigmoid(-|x|): H = q |x| - log(1 - q), and dH/dx = -x q (1 - q). No term cancels another.
        y, unknown = positives(labels, x.dtype), unknowns(labels, x.dtype)
        size = x.abs()
        q = torch.sigmoid(-size)
        value = torch.relu(x).addcmul_(x, y, value=-1).lerp_(size.mul_(q), unknown)
        value.sub_(torch.log1p(-q)).mul_((1 - unknown).add_(unknown, alpha=weight))
        if not needs[0]:
            return value, None
        by_entropy = q.addcmul_(q, q, value=-1).mul_(x).mul_(-weight)
        return value, torch.sigmoid(x).sub_(y).lerp_(by_entropy, unknown)

    return pointwise(rule, logits, labels)
