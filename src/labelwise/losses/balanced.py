"""Balanced angular margin (BBAM): both signs' angles at one variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.angular import Logits, SubtractedMargin, on_logits, resolution, share
from labelwise.losses.checks import check_choice
from labelwise.losses.pointwise import Needs, pointwise, working_dtype


class AngleMoments(Protocol):
    """Mean and variance of each label's angles, for negatives and for positives.

    The angles are those to the label's prototype.

    Four (K,) tensors; ``labelwise.summaries.AngleStatistics`` is one.
    """

    @property
    def mean_negative(self) -> Tensor:
        """(K,) means of the negatives' angles, in [0, pi]."""

    @property
    def mean_positive(self) -> Tensor:
        """(K,) means of the positives' angles, in [0, pi]."""

    @property
    def variance_negative(self) -> Tensor:
        """(K,) variances of the negatives' angles, in radians squared."""

    @property
    def variance_positive(self) -> Tensor:
        """(K,) variances of the positives' angles, in radians squared."""


@dataclass(frozen=True, eq=False)
class BalancingLines:
    """Coefficients (K,) of the balancing lines psi = a theta + b.

    They are what the losses need of angle moments.

    Whoever calls a loss many times with the same moments makes them once, by ``balancing_lines``.
    """

    a_negative: Tensor
    b_negative: Tensor
    a_positive: Tensor
    b_positive: Tensor


def balancing_lines(angles: AngleMoments | BalancingLines, like: Tensor) -> BalancingLines:
    """Return both signs' balancing lines psi = a theta + b.

    They are in the device and dtype of ``like`` (B, K), which are cosines or angles.
    """
    if isinstance(angles, BalancingLines):
        return angles
    return BalancingLines(*_line(like, angles, "negative"), *_line(like, angles, "positive"))


def balanced_binary_angular_margin(
    cosines: Tensor,
    targets: Tensor,
    angles: AngleMoments | BalancingLines,
    scale: float | Tensor = 20.0,
    margin: float | Tensor = 0.4,
    margin_on: str = "positives",
) -> Tensor:
    """Balanced binary angular margin loss (BBAM).

    Binary cross-entropy on logits s (cos psi - m y), psi the angle of balanced variance.

    psi = y psi_p(theta) + (1 - y) psi_n(theta), with theta = arccos(cosines) and psi_p, psi_n of
    ``balanced_angles``; fractional targets mix the two psi before the cosine. The margin is that of
    ``binary_angular_margin``. A target of -1 (unknown) counts as 0; weights of ``reduce`` leave such entries
    out. (Li et al., NeurIPS 2024.)

    Args:
        cosines: (B, K), floating-point; values beyond [-1, 1], as half precision gives, are read as the
            nearest end.
        targets: (B, K), values in [0, 1], or -1; constants, without a gradient.
        angles: moments of each label's angles, constants, or their lines.
        scale: s, a number or a tensor of one entry, which may require a gradient.
        margin: m, in units of the cosine, likewise.
        margin_on: "none", "positives", "negatives" or "both".

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 cosines). At |cosine| = 1, where the slope of
        the angle is infinite, the slope is that of the least angle that the dtype of ``cosines`` resolves
        (sin theta = .001 for float32).

    Raises:
        UserError: shapes that differ, cosines that are not floating-point, targets that require a gradient,
            moments that are not (K,), a scale or margin that is not one number, or another ``margin_on``.
    """
    check_choice("margin_on", margin_on, ("none", "positives", "negatives", "both"))
    floor = resolution(cosines.dtype)
    lines = balancing_lines(angles, cosines)

    def logits(c: Tensor, y: Tensor, s: Tensor, m: Tensor) -> Logits:
        a = torch.lerp(lines.a_negative, lines.a_positive, y)
        b = torch.lerp(lines.b_negative, lines.b_positive, y)
        return _BalancedLogits(_Balanced(c, a, b, floor), share(y, margin_on), s, m)

    return on_logits(logits, cosines, targets, scale, margin)


def balanced_cosine(cosines: Tensor, angles: AngleMoments | BalancingLines) -> Tensor:
    """Return BBAM's score where no label is known.

    It is cos(psi_n(theta)/2 + psi_p(theta)/2).

    theta = arccos(cosines). It needs no label; as training uses psi_p or psi_n by the target, scores chosen
    by true labels would leak them. Differentiable once, with the safe slopes of
    ``balanced_binary_angular_margin``.

    Args:
        cosines: (B, K), floating-point, read as within [-1, 1].
        angles: moments of each label's angles, constants.

    Returns:
        (B, K) in [-1, 1], float32 (float64 for float64 cosines).

    Raises:
        UserError: cosines that are not floating-point, or moments that are not (K,).
    """
    floor = resolution(cosines.dtype)
    lines = balancing_lines(angles, cosines)
    a, b = (lines.a_negative + lines.a_positive) / 2, (lines.b_negative + lines.b_positive) / 2

    def rule(c: Tensor, _: None, needs: Needs) -> tuple[Tensor, Tensor | None]:
        angle = _Balanced(c, a, b, floor)
        return angle.cosine(), angle.slope() if needs[0] else None

    return pointwise(rule, cosines, None)


def balanced_angles(theta: Tensor, angles: AngleMoments, side: str) -> Tensor:
    """Return the angles psi of one sign at the variance of both.

    psi = mu + sqrt(v / v_side) (theta - mu) maps a side's angles N(mu, v_side) to N(mu, v).

    v = (variance_negative + variance_positive)/2 is the label's mean variance and mu the side's mean. A label
    whose moments are not finite, or whose variances are not positive, keeps its angles. (Li et al., NeurIPS
    2024.)

    Args:
        theta: (B, K) angles in radians, floating-point.
        angles: moments of each label's angles.
        side: "negative" or "positive".

    Returns:
        (B, K) angles in radians, not bounded to [0, pi], float32 (float64 for float64 angles).

    Raises:
        UserError: another ``side``, angles that are not floating-point, or moments that are not (K,).
    """
    check_choice("side", side, ("negative", "positive"))
    a, b = _line(theta, angles, side)
    return theta.to(a.dtype) * a + b


def _line(like: Tensor, angles: AngleMoments, side: str) -> tuple[Tensor, Tensor]:
    """Return a and b (K,) of one side's line.

    They are in the dtype in which the cosines are kept.
    """
    dtype = working_dtype(like)

    def read(name: str) -> Tensor:
        moment = torch.as_tensor(getattr(angles, name)).detach().to(device=like.device, dtype=dtype)
        if moment.shape != like.shape[-1:]:
            shapes = f"{tuple(moment.shape)} and cosines {tuple(like.shape)}"
            raise UserError(f"angles.{name} has shape {shapes}: it must be (K,)")
        return moment

    negative, positive = read("variance_negative"), read("variance_positive")
    means = {"negative": read("mean_negative"), "positive": read("mean_positive")}
    mean, variance = means[side], positive if side == "positive" else negative
    a = ((negative + positive) / 2 / variance).sqrt()
    valid = (negative > 0) & (positive > 0) & torch.isfinite(negative + positive + sum(means.values()))
    # A label without usable moments keeps its angles: a = 1 and b = 0.
    a = torch.where(valid, a, 1.0)
    return a, torch.where(valid, (1 - a) * mean, 0.0)


class _Balanced:
    """Angle psi = a theta + b of a block of cosines."""

    def __init__(self, c: Tensor, a: Tensor, b: Tensor, floor: float) -> None:
        self.c, self.a, self.floor = c.clamp(-1, 1), a, floor
        self.psi = torch.addcmul(b, self.c.acos(), a)

    def cosine(self) -> Tensor:
        """Return cos psi."""
        return self.psi.cos()

    def slope(self) -> Tensor:
        """Return a sin psi / sin theta, the slope of cos psi."""
        inverse_sine = (
            torch.addcmul(self.c.new_ones(()), self.c, self.c, value=-1).clamp_(min=self.floor).rsqrt_()
        )
        return self.psi.sin().mul_(inverse_sine).mul_(self.a)


class _BalancedLogits(SubtractedMargin):
    """Logits s (cos psi - m part)."""

    def __init__(self, angle: _Balanced, part: Tensor | float, s: Tensor, m: Tensor) -> None:
        super().__init__(angle.cosine(), part, s, m)
        self.angle = angle

    def to_cosines(self, h: Tensor) -> None:
        super().to_cosines(h)
        h.mul_(self.angle.slope())
