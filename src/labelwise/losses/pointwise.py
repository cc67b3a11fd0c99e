"""Entrywise losses: value and slope together, block by block.

A loss is a rule on a block of rows that returns its values and their derivatives in closed form. Doing so on
blocks that stay in the processor's cache costs a third of the same formula through autograd, and half the
memory. What is kept for the backward pass is one tensor, also where parameters are learned: to write and read
another costs more than to compute ten cheap derivatives again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.checks import check_pair, mark_codes

Needs = tuple[bool, ...]
Rule = Callable[..., tuple[Tensor, Tensor | None]]
Pull = Callable[..., tuple[Tensor, ...]]

# Half a megabyte of float32 per thread and temporary: small enough for the cache, large enough that threads,
# which wait for each other after every operation, seldom do.
_ENTRIES_PER_THREAD = 2**17


def working_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype to compute in: float64 for float64, else float32.

    Autocast changes nothing.
    """
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def pointwise(
    rule: Rule, x: Tensor, y: Tensor | None, *parameters: Tensor, pull: Pull | None = None
) -> Tensor:
    """Return a rule's values on every entry, differentiable once.

    It is so in ``x`` and in the 0-d ``parameters``.

    ``rule(x, y, *parameters, needs)`` gets a block of rows of ``x`` (in the working dtype) and of ``y`` (as
    it is), and returns the values and, where ``needs`` asks for any derivative, the one in ``x``. Where a
    parameter needs one, the second is instead the derivative in any inner variable, and ``pull(h, x, y,
    *parameters)`` goes on from there: it gets h, the gradient in that variable, turns it in place into the
    gradient in ``x``, and returns the 0-d gradients of the parameters. Neither may change its other arguments
    in place. ``y`` is constant: it gets no gradient.
    """
    check_pair(x, y)
    if torch.compiler.is_exporting():
        # A traced graph takes batches of any size, and no blocks and derivatives of its own.
        return rule(x.to(working_dtype(x)), y, *scalars(x, parameters), (False,) * (1 + len(parameters)))[0]
    value: Tensor = _Pointwise.apply(rule, pull, y, x, *parameters)  # type: ignore[no-untyped-call]
    return value


def in_one_block(x: Tensor) -> bool:
    """Whether a rule's own tensors can be the result: rows in order, all of them in one block."""
    return x.is_contiguous() and (
        x.device.type != "cpu" or x.numel() <= _ENTRIES_PER_THREAD * torch.get_num_threads()
    )


def by_blocks(rule: Callable[..., tuple[Any, ...]], x: Tensor, *others: Tensor | None) -> tuple[Any, ...]:
    """Return a rule's tensors of all rows: of all of them at once where they fit the cache, else block by block.

    The rule gets rows of ``x`` in the working dtype, and the same rows of the others as they are.
    """
    dtype = working_dtype(x)
    if in_one_block(x):
        return rule(x.to(dtype), *others)
    whole: tuple[Tensor | None, ...] = ()
    for rows in blocks(x):
        parts = rule(x[rows].to(dtype), *(None if other is None else other[rows] for other in others))
        whole = whole or tuple(
            None if part is None else torch.empty(x.shape, dtype=dtype, device=x.device) for part in parts
        )
        for one, part in zip(whole, parts, strict=True):
            if one is not None:
                one[rows] = part
    return whole


def blocks(x: Tensor) -> Iterator[slice]:
    """Yield slices of rows that fit the cache.

    On an accelerator it is one slice.
    """
    rows = x.shape[0]
    entries = _ENTRIES_PER_THREAD * torch.get_num_threads()
    step = max(1, entries * rows // max(1, x.numel())) if x.device.type == "cpu" else max(1, rows)
    for start in range(0, rows, step):
        yield slice(start, start + step)


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, rule: Rule, pull: Pull | None, y: Tensor | None, x: Tensor, *parameters: Tensor
    ) -> Tensor:
        needs: Needs = tuple(ctx.needs_input_grad[3:])
        numbers = scalars(x, parameters)
        value: Tensor
        value, slope = by_blocks(lambda x, y: rule(x, y, *numbers, needs), x, y)
        mark_codes(value, y)
        ctx.pull = pull
        ctx.save_for_backward(slope, *((y, x, *parameters) if any(needs[1:]) else ()))
        ctx.dtype = x.dtype
        return value

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise UserError(
                "the losses are differentiable once: call backward or grad without create_graph=True"
            )
        slope, *inputs = ctx.saved_tensors
        if not inputs:
            unlearned = [None] * (len(ctx.needs_input_grad) - 4)
            return None, None, None, (grad * slope).to(ctx.dtype), *unlearned
        y, x, *parameters = inputs
        numbers = scalars(x, parameters)
        gradient, totals = torch.empty_like(slope), [torch.zeros_like(number) for number in numbers]
        for rows in blocks(x):
            h = torch.mul(grad[rows], slope[rows], out=gradient[rows])
            parts = ctx.pull(h, x[rows].to(slope.dtype), None if y is None else y[rows], *numbers)
            for total, part in zip(totals, parts, strict=True):
                total += part.view_as(total)
        learned = [total.to(like) for total, like in zip(totals, parameters, strict=True)]
        return None, None, None, gradient.to(x.dtype), *learned


def scalars(x: Tensor, parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters in the dtype and place of the rules."""
    dtype = working_dtype(x)
    # A number that is copied to an accelerator would wait for it; one that is filled in does not.
    return [
        torch.full((), float(value.detach()), device=x.device, dtype=dtype)
        if value.device.type == "cpu" and x.device.type != "cpu"
        else value.to(device=x.device, dtype=dtype)
        for value in parameters
    ]
