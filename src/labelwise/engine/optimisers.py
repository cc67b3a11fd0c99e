"""Optimisers and schedules as a plan describes them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from labelwise.methods import Optimiser


def held_by(spec: Optimiser, name: str) -> bool:
    """Whether an optimiser holds the parameter of this name."""
    return not spec.parameters or name.startswith(tuple(spec.parameters))


def build_optimiser(spec: Optimiser, named: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """Build an optimiser whose groups share a learning rate; biases and gains are not decayed."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in named.items():
        if held_by(spec, name):
            factor = next((f for prefix, f in spec.rates.items() if name.startswith(prefix)), 1.0)
            groups.setdefault((factor, parameter.ndim > 1), []).append(parameter)
    if not groups:
        raise ValueError(
            f"no parameter's name begins with {' or '.join(spec.parameters)}: {', '.join(named)}"
        )
    members = [
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
    return kinds[spec.name](members)  # type: ignore[call-arg]


def build_schedule(
    spec: Optimiser, optimiser: torch.optim.Optimizer, updates: int
) -> torch.optim.lr_scheduler.OneCycleLR | None:
    """Build the one-cycle schedule over a stage's updates, whose peaks are the groups' rates; None for constant.

    A rise of no more than one update becomes one of two, and fewer than four updates get a constant rate: nothing
    else fits.
    """
    if spec.schedule == "constant" or updates < 4:
        return None
    peaks = [float(group["lr"]) for group in optimiser.param_groups]
    rise = spec.warm_up if spec.warm_up * updates > 1 else 2 / updates
    return torch.optim.lr_scheduler.OneCycleLR(optimiser, peaks, total_steps=updates, pct_start=rise)
