"""Optimisers, learning-rate schedules, and the moving average of weights."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from labelwise.methods import Optimiser


def has_parameter(spec: Optimiser, name: str) -> bool:
    """Whether an optimiser holds the parameter of this name."""
    return not spec.parameters or name.startswith(tuple(spec.parameters))


def build_optimiser(spec: Optimiser, named: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimiser, without weight decay on biases and gains."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        if has_parameter(spec, name):
            factor = next((f for prefix, f in spec.rates.items() if name.startswith(prefix)), 1.0)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise ValueError(
            f"no parameter's name begins with {' or '.join(spec.parameters)}: {', '.join(named)}"
        )
    members: list[dict[str, Any]] = [
        {
            "params": parameters,
            "lr": spec.learning_rate * factor,
            "weight_decay": spec.weight_decay if decayed else 0.0,
        }
        for (factor, decayed), parameters in groups.items()
    ]
    kinds: dict[str, type[torch.optim.Optimizer]] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "adamax": torch.optim.Adamax,
    }
    # One kernel instead of ten: a step of a small head costs what its kernels cost to start.
    on_cuda = all(p.device.type == "cuda" for group in members for p in group["params"])
    fused: dict[str, Any] = {"fused": True} if on_cuda and spec.name != "adamax" else {}
    return kinds[spec.name](members, **fused)


def build_schedule(
    spec: Optimiser, optimiser: torch.optim.Optimizer, updates: int
) -> torch.optim.lr_scheduler.OneCycleLR | None:
    """Build a stage's one-cycle schedule; None for a constant rate.

    Its peaks are the groups' rates. A rise of no more than one update becomes one of two, and fewer than four updates
    get a constant rate: nothing else fits.
    """
    if spec.schedule == "constant" or updates < 4:
        return None
    peaks = [float(group["lr"]) for group in optimiser.param_groups]
    rise = spec.warm_up if spec.warm_up * updates > 1 else 2 / updates
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=updates, pct_start=rise)


class Averaged:
    """Exponential moving average of a network's weights and buffers.

    Each floating entry of the state follows the raw one: a <- d a + (1 - d) w. The decay of update t is min(decay, (1
    + t) / (10 + t)), so that a short run averages too.
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
        # Counters are copied: a mean of them is none. The rest moves in one call, not one for each tensor.
        moving, target = [], []
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                moving.append(value)
                target.append(raw[name])
            else:
                value.copy_(raw[name])
        if moving:
            torch._foreach_lerp_(moving, target, 1 - decay)
