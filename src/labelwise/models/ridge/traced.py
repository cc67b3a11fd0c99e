"""The logits of ridge's outputs in torch, for graphs that a model is exported to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labelwise.models.ridge.solver import TAIL


def traced_logits(raw: Tensor) -> Tensor:
    """Return ``logits`` of raw outputs, float64, in operations that can be traced."""
    near = torch.minimum(raw, 1.0 - raw)
    tail = math.log(TAIL) + (near - TAIL) / TAIL
    log_near = torch.where(near < TAIL, tail, near.clamp(min=TAIL).log())
    size = torch.log1p(-log_near.exp()) - log_near
    return torch.where(raw < 0.5, -size, size)
