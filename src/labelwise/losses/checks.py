"""Checks of the arguments of all losses."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelwise.errors import UserError, near


def check_pair(x: Tensor, y: Tensor | None) -> None:
    """Refuse scores and labels that no loss can read.

    That is scores that are not floating-point; labels of another shape or that require a gradient; other codes.

    Codes are 1, 0 and -1, and the fractions between 0 and 1. On an accelerator, where looking at them would wait for
    everything before, ``mark_codes`` has the others give NaN.
    """
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
    if y.dtype.is_complex:
        raise UserError(f"labels or targets are {y.dtype}: give 1, 0 and -1, or fractions")
    if y.device.type == "cpu" and y.numel() and y.dtype != torch.bool:
        _check_codes(y)


def _check_codes(y: Tensor) -> None:
    low, high = (float(end) for end in torch.aminmax(y))
    if high <= 1 and (low >= 0 or (low >= -1 and not y.is_floating_point())):
        return
    wrong = _no_code(y)
    if bool(wrong.any()):
        place = [int(index) for index in wrong.nonzero()[0]]
        value = y[tuple(place)].item()
        raise UserError(
            f"labels or targets hold {value:g} at {place} (counted from 0): 1 is relevant, 0 irrelevant, -1 unknown,"
            " and a soft target lies between 0 and 1"
        )


def mark_codes(value: Tensor, y: Tensor | None) -> None:
    """Set the losses of entries without a valid code to NaN.

    ``value`` changes in place, without waiting for the device.
    """
    if y is not None and y.device.type != "cpu" and y.dtype != torch.bool:
        value.masked_fill_(_no_code(y), torch.nan)


def line_of_no_code(y: Tensor, dim: int) -> Tensor | None:
    """Mark the lines along ``dim`` that hold an entry without a valid code.

    None where ``check_pair`` has looked already.
    """
    return None if y.device.type == "cpu" or y.dtype == torch.bool else _no_code(y).any(dim)


def _no_code(y: Tensor) -> Tensor:
    """Mark entries of ``y`` that are neither -1 nor in [0, 1].

    NaN is one of them.
    """
    wrong = y.clamp(0, 1) != y
    # Without a sign there is no -1, and torch would take 255 for it.
    return wrong if y.dtype == torch.uint8 else wrong & (y != -1)


def check_label_weights(weights: Tensor, n_labels: int) -> None:
    """Refuse weights that are not one number a label."""
    if weights.shape != (n_labels,):
        raise UserError(
            f"weights have shape {tuple(weights.shape)}: they must be one number a label, ({n_labels},)"
        )


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
    """Return a scalar argument as a tensor that keeps its gradient.

    It has one entry.
    """
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise UserError(f"{name} must be one number, got a tensor of shape {tuple(value.shape)}")
        return value
    check_range(name, value, -math.inf)
    return torch.tensor(value, dtype=torch.float64)
