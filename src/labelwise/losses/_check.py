"""What every loss refuses: shapes that differ, whole-number scores, arguments out of their range.

Values of labels are not looked at: that is done once, where data come in.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelwise.errors import UserError, near

__all__ = ["check_choice", "check_pair", "check_range", "parameter"]


def check_pair(x: Tensor, y: Tensor | None) -> None:
    """Refuse scores that are not floating-point, and labels of another shape or that require a gradient."""
    if not torch.is_floating_point(x):
        raise UserError(
            f"logits or cosines must be floating-point, got {x.dtype}: convert them with .float()"
        )
    if x.ndim == 0:
        raise UserError("logits or cosines must have a batch dimension, shape (B, K), got a scalar")
    if y is None:
        return
    if y.shape != x.shape:
        shapes = f"{tuple(y.shape)} and logits or cosines {tuple(x.shape)}"
        raise UserError(f"labels or targets have shape {shapes}: both must be (B, K)")
    if y.requires_grad:
        raise UserError("targets are constants here and would get no gradient: pass targets.detach()")


def check_range(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Refuse a number outside [low, high], NaN and infinity included."""
    if not (math.isfinite(value) and low <= value <= high):
        limits = f"in [{low:g}, {high:g}]" if math.isfinite(high) else f"finite and at least {low:g}"
        raise UserError(f"{name} must be {limits}, got {value}")


def check_choice(name: str, value: str, options: tuple[str, ...]) -> None:
    """Refuse a word that is not among the options."""
    if value not in options:
        raise UserError(f"{name}={value!r} is not known: {near(value, options)}")


def parameter(name: str, value: float | Tensor) -> Tensor:
    """Return a scalar argument as a tensor of one entry that keeps its gradient."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise UserError(f"{name} must be one number, got a tensor of shape {tuple(value.shape)}")
        return value
    check_range(name, value, -math.inf)
    return torch.tensor(value, dtype=torch.float64)
