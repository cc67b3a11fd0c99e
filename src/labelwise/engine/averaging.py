"""Exponential moving average of a network's weights and buffers."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Averaged:
    """A copy of ``network`` whose every floating state entry follows the raw one: a <- d a + (1 - d) w.

    The decay of update t is min(decay, (1 + t) / (10 + t)), so that a short run averages too.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move the average towards ``network`` by one step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        raw = network.state_dict()
        moving, target = [], []
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                moving.append(value)
                target.append(raw[name])
            else:
                value.copy_(raw[name])
        if moving:
            torch._foreach_lerp_(moving, target, 1 - decay)
