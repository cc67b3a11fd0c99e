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
    places = {p.device.type for group in members for p in group["params"]}
    if spec.name == "adamax":
        return torch.optim.Adamax(members)
    if places == {"cpu"}:
        return (PlainAdam if spec.name == "adam" else PlainAdamW)(members)
    # One kernel instead of ten: a step of a small head costs what its kernels cost to start.
    fused: dict[str, Any] = {"fused": True} if places == {"cuda"} else {}
    return (torch.optim.Adam if spec.name == "adam" else torch.optim.AdamW)(members, **fused)


class PlainAdam(torch.optim.Adam):
    """torch's Adam on the CPU, equal to the bit, without its dispatch.

    That takes longer than the arithmetic of a small head. Hooks of steps are not called.
    """

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step every parameter that has a gradient."""
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self._move(parameter, parameter.grad, group)

    step.hooked = True  # type: ignore[attr-defined]  # torch would wrap it for its profiler

    def _move(self, parameter: torch.Tensor, grad: torch.Tensor, group: Mapping[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        rate, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        first, second, count = state["exp_avg"], state["exp_avg_sq"], state["step"]
        count += 1
        if decay and group["decoupled_weight_decay"]:
            parameter.mul_(1 - rate * decay)
        elif decay:
            grad = grad.add(parameter, alpha=decay)
        first.lerp_(grad, 1 - beta1)
        second.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        t = count.item()
        spread = second.sqrt().div_((1 - beta2**t) ** 0.5).add_(group["eps"])
        parameter.addcdiv_(first, spread, value=-(rate / (1 - beta1**t)))


class PlainAdamW(torch.optim.AdamW, PlainAdam):
    """As ``PlainAdam``, with decoupled weight decay."""


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
        places = _places(self.network, network)
        # Counters are copied: a mean of them is none.
        self._copied = [place for place in places if not place[0].is_floating_point()]
        moved = [place for place in places if place[0].is_floating_point()]
        self._moving, self._towards = [own for own, _, _ in moved], [place[1:] for place in moved]

    def update(self) -> None:
        """Move the average towards the network by one step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for own, tensors, name in self._copied:
                own.copy_(tensors[name])
            if self._moving:
                # In one call, not one for each tensor.
                torch._foreach_lerp_(self._moving, [of[name] for of, name in self._towards], 1 - decay)


_Tensors = Mapping[str, Any]


def _places(network: nn.Module, like: nn.Module) -> list[tuple[torch.Tensor, _Tensors, str]]:
    """Return the tensors of a network's state, each with where that of the other network lies, and its name there.

    A state dict is made anew at each call, which takes longer than to move a small head; the other's tensors may be
    exchanged, by layers that set their own.
    """
    raw, saved = dict(like.named_modules(remove_duplicate=False)), network.state_dict().keys()
    return [
        (tensors[name], getattr(raw[path], kind), name)
        for path, module in network.named_modules(remove_duplicate=False)
        for kind, tensors in (("_parameters", module._parameters), ("_buffers", module._buffers))
        for name in tensors
        if (f"{path}.{name}" if path else name) in saved
    ]
