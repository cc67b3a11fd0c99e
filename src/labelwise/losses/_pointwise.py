"""The one driver of the entrywise losses: value and slope together, block by block, at least in float32.

A loss is a rule on a block of rows that returns its values and their derivatives in closed form. Doing so on
blocks that stay in the processor's cache costs a third of the same formula through autograd, and half the
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from labelwise.errors import UserError

from ._check import check_pair

__all__ = ["Needs", "Rule", "Slopes", "pointwise", "working_dtype"]

Needs = tuple[bool, ...]
Slopes = tuple[Tensor | None, ...]
Rule = Callable[..., tuple[Tensor, Slopes]]

# Half a megabyte of float32 per thread and temporary: small enough for the cache, large enough that threads,
# which wait for each other after every operation, seldom do.
_ENTRIES_PER_THREAD = 2**17


def working_dtype(x: Tensor) -> torch.dtype:
    """Return float64 for float64 and float32 for everything narrower, whatever autocast says."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def pointwise(rule: Rule, x: Tensor, y: Tensor | None, *parameters: Tensor) -> Tensor:
    """Return the values of ``rule`` on every entry, differentiable once in ``x`` and the 0-d ``parameters``.

    ``rule(x, y, *parameters, needs)`` gets a block of rows of ``x`` (in the working dtype) and of ``y`` (as
    it is), and returns the values and, for ``x`` and each parameter, the derivatives where ``needs`` asks for
    them, else None. It must not change its arguments in place. ``y`` is constant: it gets no gradient.
    """
    check_pair(x, y)
    value: Tensor = _Pointwise.apply(rule, y, x, *parameters)  # type: ignore[no-untyped-call]
    return value


def _blocks(x: Tensor) -> Iterator[slice]:
    """Yield slices of rows small enough for the cache; on an accelerator, one slice."""
    rows = x.shape[0]
    entries = _ENTRIES_PER_THREAD * torch.get_num_threads()
    step = max(1, entries * rows // max(1, x.numel())) if x.device.type == "cpu" else max(1, rows)
    for start in range(0, rows, step):
        yield slice(start, start + step)


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, y: Tensor | None, x: Tensor, *parameters: Tensor) -> Tensor:
        needs: Needs = tuple(ctx.needs_input_grad[2:])
        dtype = working_dtype(x)
        scalars = [parameter.to(device=x.device, dtype=dtype) for parameter in parameters]
        value = torch.empty(x.shape, dtype=dtype, device=x.device)
        slopes = [torch.empty_like(value) if need else None for need in needs]
        for rows in _blocks(x):
            block, parts = rule(x[rows].to(dtype), None if y is None else y[rows], *scalars, needs)
            value[rows] = block
            for slope, part in zip(slopes, parts, strict=True):
                if slope is not None and part is not None:
                    slope[rows] = part
        ctx.save_for_backward(*slopes)
        ctx.like = [(given.dtype, given.shape, given.device) for given in (x, *parameters)]
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UserError(
                "the losses are differentiable once: call backward or grad without create_graph=True"
            )
        out: list[Tensor | None] = [None, None]
        for slope, (dtype, shape, device) in zip(ctx.saved_tensors, ctx.like, strict=True):
            if slope is None:
                out.append(None)
            elif slope.shape == shape:
                out.append((grad * slope).to(dtype))
            else:
                out.append(_inner(grad, slope).reshape(shape).to(device=device, dtype=dtype))
        return tuple(out)


def _inner(grad: Tensor, slope: Tensor) -> Tensor:
    """Return the sum of grad times slope, block by block, without the product as a temporary."""
    if slope.numel() and not any(grad.stride()):
        # The gradient of a mean or a sum is one number, expanded.
        return slope.sum() * grad.reshape(-1)[0]
    parts = [torch.dot(grad[rows].reshape(-1), slope[rows].reshape(-1)) for rows in _blocks(slope)]
    return sum(parts, slope.new_zeros(()))
