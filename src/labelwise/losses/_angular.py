"""Angular losses: binary cross-entropy on scaled cosines with a margin."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ._check import check_choice, parameter
from ._cross_entropy import cross_entropy, positives
from ._pointwise import Needs, Rule, Slopes, pointwise

__all__ = [
    "LogitRule",
    "binary_angular_margin",
    "hyperspherical",
    "hyperspherical_logits",
    "on_logits",
    "resolution",
    "subtract_margin",
]

LogitRule = Callable[[Tensor, Tensor, Tensor, Tensor, Needs], tuple[Tensor, Slopes]]


def hyperspherical(
    cosines: Tensor,
    targets: Tensor,
    scale: float | Tensor = 20.0,
    margin: float | Tensor = 0.3,
    margin_on: str = "both",
) -> Tensor:
    """Binary cross-entropy on logits s cos(theta + m), the margin in the angle (HML).

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

    def logit(c: Tensor, y: Tensor, s: Tensor, m: Tensor, needs: Needs) -> tuple[Tensor, Slopes]:
        return _shift_angle(c, _share(y, margin_on), s, m, floor, needs, whole)

    return pointwise(
        on_logits(logit), cosines, targets, parameter("scale", scale), parameter("margin", margin)
    )


def hyperspherical_logits(
    cosines: Tensor, scale: float | Tensor = 20.0, margin: float | Tensor = 0.3
) -> Tensor:
    """Return the logits s cos(theta + m) of ``hyperspherical`` with the margin on both sides.

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

    def rule(c: Tensor, _: None, s: Tensor, m: Tensor, needs: Needs) -> tuple[Tensor, Slopes]:
        return _shift_angle(c, 1.0, s, m, floor, needs)

    return pointwise(rule, cosines, None, parameter("scale", scale), parameter("margin", margin))


def binary_angular_margin(
    cosines: Tensor,
    targets: Tensor,
    scale: float | Tensor = 20.0,
    margin: float | Tensor = 0.4,
    margin_on: str = "positives",
) -> Tensor:
    """Binary cross-entropy on logits s (cos theta - m y): the binary angular margin loss (BAM).

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

    def logit(c: Tensor, y: Tensor, s: Tensor, m: Tensor, needs: Needs) -> tuple[Tensor, Slopes]:
        return subtract_margin(c, None, y, s, m, margin_on, needs)

    return pointwise(
        on_logits(logit), cosines, targets, parameter("scale", scale), parameter("margin", margin)
    )


def on_logits(logit: LogitRule) -> Rule:
    """Return the rule of the cross-entropy on a rule for logits, by the chain rule."""

    def rule(c: Tensor, targets: Tensor, s: Tensor, m: Tensor, needs: Needs) -> tuple[Tensor, Slopes]:
        y = positives(targets, c.dtype)
        logits, slopes = logit(c, y, s, m, needs)
        value, residual = cross_entropy(logits, y, any(needs))
        if residual is None:
            return value, (None, None, None)
        return value, tuple(None if slope is None else residual * slope for slope in slopes)

    return rule


def subtract_margin(
    g: Tensor, slope: Tensor | None, y: Tensor, s: Tensor, m: Tensor, margin_on: str, needs: Needs
) -> tuple[Tensor, Slopes]:
    """Return s (g - m share) and its derivatives in the cosine (g has ``slope``; None is 1), s and m."""
    part = _share(y, margin_on)
    room = torch.addcmul(g, y, m, value=-1) if part is y else g - m * part
    by_cosine = s if slope is None else slope.mul_(s)
    return room * s, (by_cosine, room if needs[1] else None, -s * part if needs[2] else None)


def resolution(dtype: torch.dtype) -> float:
    """Return the least 1 - c^2 that cosines of a dtype can tell from 0: below it the slope is held.

    Through a normalised feature the true slope is multiplied by sin theta, so that a held slope can only be
    too small.
    """
    return max(1e-6, torch.finfo(dtype).eps / 2) if dtype.is_floating_point else 1e-6


_MARGIN_ON = ("none", "positives", "negatives", "both")


def _share(y: Tensor, margin_on: str) -> Tensor | float:
    """Return the share of the margin that each entry carries, for targets in [0, 1]."""
    if margin_on == "positives":
        return y
    return 1 - y if margin_on == "negatives" else float(margin_on == "both")


def _shift_angle(
    c: Tensor, part: Tensor | float, s: Tensor, m: Tensor, floor: float, needs: Needs, whole: bool = False
) -> tuple[Tensor, Slopes]:
    """Return s cos(theta + m part), arccos-free, and its slopes in c, s and m. ``whole``: shares are 0 or 1."""
    c = c.clamp(-1, 1)
    if whole and isinstance(part, Tensor):
        cos_m, sin_m = torch.ones_like(m).lerp(m.cos(), part), m.sin() * part
    else:
        cos_m, sin_m = (m * part).cos(), (m * part).sin()
    square = torch.rsub(c.square(), 1)
    sine = square.sqrt()
    g = torch.addcmul(c * cos_m, sine, sin_m, value=-1)
    by_cosine = by_margin = None
    if needs[2]:
        by_margin = torch.addcmul(c * sin_m, sine, cos_m).mul_(-s * part)
    if needs[0]:
        by_cosine = square.clamp_(min=floor).rsqrt_().mul_(c).mul_(sin_m).add_(cos_m).mul_(s)
    return g * s, (by_cosine, g if needs[1] else None, by_margin)
