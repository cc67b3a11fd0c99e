"""Angular losses: binary cross-entropy on scaled cosines with a margin."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any, Protocol

import torch
from torch import Tensor

from labelwise.losses.checks import check_choice, check_pair, mark_codes, parameter
from labelwise.losses.cross_entropy import cross_entropy, positives
from labelwise.losses.pointwise import Needs, blocks, by_blocks, pointwise, scalars


class Logits(Protocol):
    """Logits of a block of cosines, and their gradients."""

    def values(self) -> Tensor:
        """Return the logits."""

    def totals(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of scale and margin, summed over the block.

        h is the gradient in the logits.
        """

    def to_cosines(self, h: Tensor) -> None:
        """Turn the gradient h of the logits into that of the cosines.

        In place, and called last.
        """


def hyperspherical(
    cosines: Tensor,
    targets: Tensor,
    scale: float | Tensor = 20.0,
    margin: float | Tensor = 0.3,
    margin_on: str = "both",
) -> Tensor:
    """Hyperspherical loss (HML): cross-entropy with a margin added to the angle.

    Binary cross-entropy on logits s cos(theta + m).

    theta = arccos(cosines); the angle of an entry with target y grows by m y (``margin_on="positives"``), m
    (1 - y) ("negatives"), m ("both") or 0 ("none"). A target of -1 (unknown) counts as 0; weights of
    ``reduce`` leave such entries out. cos(theta + m) falls with theta up to theta = pi - m only. (Ke et al.,
    ECCV 2022.)

    Args:
        cosines: (B, K), floating-point; values beyond [-1, 1], as half precision gives, are read as the
            nearest end.
        targets: (B, K), values in [0, 1], or -1; constants, without a gradient.
        scale: s, a number or a tensor of one entry, which may require a gradient.
        margin: m in radians, likewise.
        margin_on: "none", "positives", "negatives" or "both".

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 cosines). At |cosine| = 1, where the slope of
        the angle is infinite, the slope is that of the least angle that the dtype of ``cosines`` resolves
        (sin theta = .001 for float32).

    Raises:
        UserError: shapes that differ, cosines that are not floating-point, targets that require a gradient, a
            scale or margin that is not one number, or another ``margin_on``.
    """
    check_choice("margin_on", margin_on, _MARGIN_ON)
    floor, whole = resolution(cosines.dtype), not targets.is_floating_point()

    def logits(c: Tensor, y: Tensor, s: Tensor, m: Tensor) -> Logits:
        return _ShiftedAngle(c, share(y, margin_on), s, m, floor, whole)

    return on_logits(logits, cosines, targets, scale, margin)


def hyperspherical_logits(
    cosines: Tensor, scale: float | Tensor = 20.0, margin: float | Tensor = 0.3
) -> Tensor:
    """Return the logits s cos(theta + m) of ``hyperspherical``.

    The margin is on both sides.

    Differentiable once in ``cosines``, ``scale`` and ``margin``, with the same safe slopes. (Ke et al., ECCV
    2022, equation for p at training and test.)

    Args:
        cosines: (B, K), floating-point, read as within [-1, 1].
        scale: s, a number or a tensor of one entry.
        margin: m in radians, likewise.

    Returns:
        (B, K) logits in [-s, s], float32 (float64 for float64 cosines).

    Raises:
        UserError: cosines that are not floating-point, or a scale or margin that is not one number.
    """
    floor = resolution(cosines.dtype)

    def logits(c: Tensor, _: None, s: Tensor, m: Tensor) -> Logits:
        return _ShiftedAngle(c, 1.0, s, m, floor)

    return on_logits(logits, cosines, None, scale, margin)


def hyperspherical_with_balance(
    cosines: Tensor, targets: Tensor, scale: Tensor, margin: Tensor
) -> tuple[Tensor, Tensor]:
    """Return HML's losses, and how many positives are missed, in one pass.

    The first are ``hyperspherical(cosines, targets, s, m)`` with scale and margin as constants; the second is the sum
    over entries of y - p, whose size is ``gradient_balance`` of the logits: scale and margin learn from it, and cosines
    do not. p = sigmoid(s cos(theta + m)).

    Args:
        cosines: (B, K), floating-point.
        targets: (B, K), values in {1, 0, -1}; -1 counts as 0.
        scale: s, a tensor of one entry.
        margin: m in radians, likewise.

    Returns:
        (B, K) losses and a scalar, float32 (float64 for float64 cosines).

    Raises:
        UserError: Shapes that differ, or cosines that are not floating-point.
    """
    check_pair(cosines, targets)
    both: tuple[Tensor, Tensor] = _WithBalance.apply(cosines, targets, scale, margin)  # type: ignore[no-untyped-call]
    return both


def binary_angular_margin(
    cosines: Tensor,
    targets: Tensor,
    scale: float | Tensor = 20.0,
    margin: float | Tensor = 0.4,
    margin_on: str = "positives",
) -> Tensor:
    """Binary angular margin loss (BAM): cross-entropy with a margin off the cosine.

    Binary cross-entropy on logits s (cos theta - m y).

    The margin is taken from the cosine: m y (``margin_on="positives"``, the released code), m (1 - y)
    ("negatives"), m ("both", the paper's slides) or nothing ("none"). A target of -1 (unknown) counts as 0;
    weights of ``reduce`` leave such entries out. (Li et al., NeurIPS 2024; images s = 20, m = .4; text s =
    10, m = .2.)

    Args:
        cosines: (B, K), floating-point.
        targets: (B, K), values in [0, 1], or -1; constants, without a gradient.
        scale: s, a number or a tensor of one entry, which may require a gradient.
        margin: m, in units of the cosine, likewise.
        margin_on: "none", "positives", "negatives" or "both".

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 cosines).

    Raises:
        UserError: shapes that differ, cosines that are not floating-point, targets that require a gradient, a
            scale or margin that is not one number, or another ``margin_on``.
    """
    check_choice("margin_on", margin_on, _MARGIN_ON)

    def logits(c: Tensor, y: Tensor, s: Tensor, m: Tensor) -> Logits:
        return SubtractedMargin(c, share(y, margin_on), s, m)

    return on_logits(logits, cosines, targets, scale, margin)


def on_logits(
    logits: Callable[..., Logits],
    cosines: Tensor,
    targets: Tensor | None,
    scale: float | Tensor,
    margin: float | Tensor,
) -> Tensor:
    """Return the cross-entropy on given logits of cosines.

    The gradient goes by the chain rule.

    ``logits(c, y, s, m)`` makes them of a block. Without targets the logits themselves are returned.
    """

    def start(c: Tensor, y: Tensor | None, s: Tensor, m: Tensor) -> tuple[Logits, Tensor | None]:
        y = None if y is None else positives(y, c.dtype)
        return logits(c, y, s, m), y

    def rule(c: Tensor, y: Tensor | None, s: Tensor, m: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        inner, y = start(c, y, s, m)
        value = inner.values()
        if y is not None:
            value, slope = cross_entropy(value, y, any(needs))
        else:
            slope = torch.ones_like(value) if any(needs) else None
        if slope is not None and not any(needs[1:]):
            # Where scale or margin learn, ``pull`` goes on from the gradient in the logits.
            inner.to_cosines(slope)
        return value, slope

    def pull(h: Tensor, c: Tensor, y: Tensor | None, s: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        inner, _ = start(c, y, s, m)
        totals = inner.totals(h)
        inner.to_cosines(h)
        return totals

    scalars = parameter("scale", scale), parameter("margin", margin)
    return pointwise(rule, cosines, targets, *scalars, pull=pull)


def resolution(dtype: torch.dtype) -> float:
    """Return the least resolvable 1 - c^2 of a dtype.

    Below it the slope of the angle is held.

    It is the least that cosines of a dtype can tell from 0.

    Through a normalised feature the true slope is multiplied by sin theta, so that a held slope can only be
    too small.
    """
    return max(1e-6, torch.finfo(dtype).eps / 2) if dtype.is_floating_point else 1e-6


_MARGIN_ON = ("none", "positives", "negatives", "both")


def share(y: Tensor, margin_on: str) -> Tensor | float:
    """Return the share of the margin that each entry carries.

    ``y`` are targets in [0, 1].
    """
    if margin_on == "positives":
        return y
    return 1 - y if margin_on == "negatives" else float(margin_on == "both")


class SubtractedMargin:
    """Logits s (g - m part); the cosines g are only read."""

    def __init__(self, g: Tensor, part: Tensor | float, s: Tensor, m: Tensor) -> None:
        self.g, self.part, self.s, self.m = g, part, s, m

    def values(self) -> Tensor:
        """Return the logits ``scale * (cosine - margin * share)``."""
        if isinstance(self.part, Tensor):
            return torch.addcmul(self.g, self.part, self.m, value=-1).mul_(self.s)
        return (self.g - self.m * self.part).mul_(self.s)

    def totals(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients of scale and margin, given that of the logits."""
        carried = _dot(h, self.part) if isinstance(self.part, Tensor) else h.sum() * self.part
        return _dot(h, self.g) - self.m * carried, -self.s * carried

    def to_cosines(self, h: Tensor) -> None:
        """Turn the logits' gradient into the cosines', in place."""
        h.mul_(self.s)


class _ShiftedAngle:
    """Logits s cos(theta + m part), without arccos.

    ``whole``: the shares are 0 or 1.
    """

    def __init__(
        self, c: Tensor, part: Tensor | float, s: Tensor, m: Tensor, floor: float, whole: bool = False
    ) -> None:
        self.c, self.part, self.s, self.floor = c.clamp(-1, 1), part, s, math.sqrt(floor)
        # cos(theta + m) = cos theta cos m - sin theta sin m: no arccos, whose slope is infinite at 1.
        self.sine = torch.addcmul(c.new_ones(()), self.c, self.c, value=-1).sqrt_()
        if whole and isinstance(part, Tensor):
            # Between no shift and m a lerp is exact at shares of 0 and 1, and needs no cosine an entry.
            self.cos_m, self.sin_m = torch.ones_like(m).lerp(m.cos(), part), m.sin() * part
        else:
            self.cos_m, self.sin_m = (m * part).cos(), (m * part).sin()

    def values(self) -> Tensor:
        return (self.c * self.cos_m).addcmul_(self.sine, self.sin_m, value=-1).mul_(self.s)

    def totals(self, h: Tensor) -> tuple[Tensor, Tensor]:
        if isinstance(self.part, Tensor):
            along, across = h * self.c, h * self.sine
        else:
            # All entries are shifted alike: the two sums are enough.
            along, across = _dot(h, self.c), _dot(h, self.sine)
        by_margin = (along * self.sin_m + across * self.cos_m) * self.part
        return (along * self.cos_m - across * self.sin_m).sum(), -self.s * by_margin.sum()

    def to_cosines(self, h: Tensor) -> None:
        ratio = self.c.div_(self.sine.clamp_(min=self.floor))
        h.mul_(ratio.mul_(self.sin_m).add_(self.cos_m).mul_(self.s))


class _WithBalance(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, cosines: Tensor, targets: Tensor, scale: Tensor, margin: Tensor
    ) -> tuple[Tensor, Tensor]:
        floor = resolution(cosines.dtype)
        s, m = scalars(cosines, (scale, margin))
        missed: list[Tensor] = []

        def computed(c: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            y, angle = positives(targets, c.dtype), _ShiftedAngle(c, 1.0, s, m, floor)
            x = angle.values()
            p = torch.sigmoid(x)
            missed.append((y - p).sum())
            value, slope = cross_entropy(x, y, need=True)
            assert slope is not None
            angle.to_cosines(slope)
            return value, slope, p

        value, slope, p = by_blocks(computed, cosines, targets)
        mark_codes(value, targets)
        ctx.save_for_backward(slope, p, cosines, scale, margin)
        return value, reduce(torch.add, missed)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, by_missed: Tensor) -> tuple[Tensor | None, ...]:
        slope, p, cosines, scale, margin = ctx.saved_tensors
        s, m = scalars(cosines, (scale, margin))
        floor, total = resolution(cosines.dtype), [torch.zeros_like(s), torch.zeros_like(m)]
        for rows in blocks(cosines) if any(ctx.needs_input_grad[2:]) else ():
            angle = _ShiftedAngle(cosines[rows].to(slope.dtype), 1.0, s, m, floor)
            h = torch.ops.aten.sigmoid_backward((-by_missed).expand_as(p[rows]), p[rows])
            for one, part in zip(total, angle.totals(h), strict=True):
                one += part
        learned = [one.to(like).view_as(like) for one, like in zip(total, (scale, margin), strict=True)]
        return (grad * slope).to(cosines.dtype), None, *learned


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of a times b, without a temporary product."""
    return torch.dot(a.reshape(-1), b.reshape(-1))
