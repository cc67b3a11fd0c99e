"""Cross-entropy losses, by the meaning and weight of an unknown entry."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from labelwise.losses.checks import check_pair, check_range, mark_codes
from labelwise.losses.pointwise import Needs, Rule, by_blocks, pointwise

# On a CPU torch's exp2 takes a third of the time of its exp.
_LOG2_E = math.log2(math.e)


def cross_entropy(x: Tensor, y: Tensor, need: bool) -> tuple[Tensor, Tensor | None]:
    """Return the binary cross-entropy and, where needed, its slope p - y.

    It is -y log p - (1 - y) log(1 - p), with p = sigmoid(x).

    Written as relu(x) - xy + log(1 + e^-|x|), whose terms do not cancel: the loss of an entry that is nearly
    right keeps its relative precision.
    """
    tail = x.abs().mul_(-_LOG2_E).exp2_().log1p_()
    return torch.relu(x).addcmul_(x, y, value=-1).add_(tail), torch.sigmoid(x).sub_(y) if need else None


def positives(labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return labels as numbers in [0, 1], unknown (-1) as 0."""
    return labels.to(dtype, copy=True).clamp_(min=0)


def unknowns(labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 where an entry is unknown (-1), else 0.

    Numbers, to mix two sides with ``lerp``: as exact at 0 and 1 as ``torch.where``, and many times faster on
    a CPU.
    """
    return labels.to(dtype, copy=True).clamp_(max=0).neg_()


def assume_negative(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with unknown entries as irrelevant ("missing = no", AN).

    With p = sigmoid(logits): -log p where the label is 1, -log(1 - p) where it is 0 or unknown (-1). (Cole et
    al., CVPR 2021.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), any dtype, values in {1, 0, -1}.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, or logits that are not floating-point.
    """
    return pointwise(_assume_negative, logits, labels)


def _assume_negative(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
    return cross_entropy(x, positives(labels, x.dtype), needs[0])


def soft_targets(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy against soft targets.

    It is -t log p - (1 - t) log(1 - p), with p = sigmoid(logits) and t the target.

    A target of -1 (unknown) counts as 0; to leave such entries out, give them weight 0 in ``reduce``. The
    targets are constants: they get no gradient.

    Args:
        logits: (B, K), floating-point.
        targets: (B, K), values in [0, 1], or -1.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or targets that require a gradient.
    """
    return pointwise(_assume_negative, logits, targets)


def ignore_unknown(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy on the known entries, 0 on the unknown ones (IU).

    -log p where the label is 1, -log(1 - p) where it is 0, and 0, without a gradient, where it is unknown
    (-1). With no known negative the best answer is "everything is relevant". (Cole et al., CVPR 2021.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, or logits that are not floating-point.
    """
    return _weighted(logits, labels, 0.0)


def weak_assume_negative(logits: Tensor, labels: Tensor, n_labels: int | None = None) -> Tensor:
    """Assume negative, with weight 1/(K - 1) on the unknown entries (WAN).

    -log p where the label is 1, -log(1 - p) where it is 0, and -log(1 - p)/(K - 1) where it is unknown (-1):
    the one positive of an item weighs as much as all its assumed negatives. With K = 1 the weight is 1. (Cole
    et al., CVPR 2021.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        n_labels: K of the formula where ``logits`` are a block of the labels.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, or logits that are not floating-point.
    """
    count = logits.shape[-1] if logits.ndim and n_labels is None else n_labels or 1
    return _weighted(logits, labels, 1 / max(1, count - 1))


def _weighted(logits: Tensor, labels: Tensor, unknown_weight: float) -> Tensor:
    """Return the assumed-negative loss with one weight on the unknown entries."""

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        value, slope = cross_entropy(x, positives(labels, x.dtype), needs[0])
        unknown = unknowns(labels, x.dtype)
        weight = (1 - unknown).add_(unknown, alpha=unknown_weight)
        return value.mul_(weight), None if slope is None else slope.mul_(weight)

    return pointwise(rule, logits, labels)


def label_smoothing(
    logits: Tensor, labels: Tensor, positive: float = 0.1, negative: float = 0.1, unknown: float = 0.1
) -> Tensor:
    """Binary cross-entropy against smoothed labels (LS); ``positive=0`` smooths negatives only (N-LS).

    The targets are 1 - ``positive`` where the label is 1, ``negative`` where it is 0, and ``unknown`` where
    it is unknown (-1, assumed negative). Each argument is the whole mass moved, not half of it: with .1 a
    relevant entry costs -.9 log p - .1 log(1 - p). (Cole et al., CVPR 2021.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        positive: mass taken from relevant entries, in [0, 1].
        negative: mass given to irrelevant entries, in [0, 1].
        unknown: mass given to unknown entries, in [0, 1].

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or a mass outside [0, 1].
    """
    for name, mass in (("positive", positive), ("negative", negative), ("unknown", unknown)):
        check_range(name, mass, 0, 1)

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        # Filled in place: numbers that are copied to an accelerator would wait for it.
        relevant, irrelevant, missing = (x.new_full((), mass) for mass in (1 - positive, negative, unknown))
        targets = irrelevant.lerp(missing, unknowns(labels, x.dtype))
        targets = targets.lerp_(relevant, positives(labels, x.dtype))
        return cross_entropy(x, targets, needs[0])

    return pointwise(rule, logits, labels)


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


def entropy_maximization_with_soft(
    logits: Tensor, labels: Tensor, soft: Tensor, alpha: float = 0.2, beta: float = 0.2
) -> Tensor:
    """EM loss of entries without a soft label, weighted cross-entropy of the others (EM + APL), in one pass.

    ``entropy_maximization(logits, labels, alpha)`` where ``soft`` is NaN, and beta (-q log p - (1 - q) log(1 - p))
    where it is a number q. (Zhou et al., ECCV 2022.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        soft: (B, K), values in [0, 1], or NaN for an entry without a soft label.
        alpha: Weight of the entropy, finite.
        beta: Weight of entries with a soft label, finite.

    Returns:
        (B, K) losses, float32 (float64 for float64 logits).

    Raises:
        UserError: Shapes that differ, logits that are not floating-point, or a weight that is not finite.
    """
    check_range("beta", beta, -math.inf)
    given = torch.nan_to_num(soft)
    check_pair(logits, given)
    given.clamp_(min=0)
    check_pair(logits, labels)
    value: Tensor = _WithSoft.apply(logits, labels, soft, given, _entropy_rule(-alpha), beta)  # type: ignore[no-untyped-call]
    return value


class _WithSoft(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, labels: Tensor, soft: Tensor, given: Tensor, plain: Rule, beta: float
    ) -> Tensor:
        need = bool(ctx.needs_input_grad[0])
        frozen = torch.isnan(soft).logical_not_()

        def chosen(x: Tensor, labels: Tensor, given: Tensor, at: Tensor) -> tuple[Tensor, Tensor | None]:
            first, first_slope = plain(x, labels, (need,))
            second, second_slope = cross_entropy(x, given.to(x.dtype), need)
            value = torch.where(at, second.mul_(beta), first)
            if first_slope is None or second_slope is None:
                return value, None
            return value, torch.where(at, second_slope, first_slope)

        value: Tensor
        value, slope = by_blocks(chosen, logits, labels, given, frozen)
        mark_codes(value, labels)
        mark_codes(value, given)
        ctx.dtype, ctx.beta = logits.dtype, beta
        ctx.save_for_backward(slope, frozen)
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slope, frozen = ctx.saved_tensors
        # The weight before the slope, as a product of two losses has it: the order decides the last bit.
        weighed = torch.where(frozen, grad * ctx.beta, grad)
        return (weighed * slope).to(ctx.dtype), None, None, None, None, None


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
        (B, K) losses, in [0, inf) for an alpha of at least 0, float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an alpha that is not finite.
    """
    return _entropy(logits, labels, alpha)


def _entropy(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Return cross-entropy on known entries, weighted entropy on unknown ones."""
    return pointwise(_entropy_rule(weight), logits, labels)


def _entropy_rule(weight: float) -> Rule:
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

    return rule
