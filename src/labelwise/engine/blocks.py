"""Steps on very many labels: head, loss and gradients by blocks of labels.

Scores (B, K) take part in a step as several tensors of floats: losses, slopes, weights, gradients. A loss that is one
value an entry (``spec.pointwise``) is a sum over labels, so that each block of them is scored, judged and sent back
alone. What is held of all labels is then the weights of the head, their gradients, and the states of the batch (int8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from labelwise.errors import UserError
from labelwise.methods import Batch, BlockSums, Method, Stage, pointwise_names
from labelwise.models import Network, Outputs

BLOCK_ENTRIES = 1 << 20
"""Scores of a batch that are held at once: 4 MB of float32 a tensor. Batches with fewer take one step as ever."""
_TENSORS = 8  # of a step whose loss reads all labels together
_FLOAT = 4  # bytes an entry


def splits(method: Method, network: Network) -> bool:
    """Return whether a step's loss is a sum over labels, and its head a row of weights for each."""
    whole = method.group_term is not None or method.problem.hierarchy is not None or network.reads_maps
    by_label = bool(getattr(network.head, "by_label", ()))
    return method.spec.pointwise and type(method).step is Method.step and by_label and not whole


def block_size(method: Method, network: Network, batch: Batch) -> int | None:
    """Return the number of labels of a block; None where all fit in one, or the loss reads all together."""
    rows = len(batch.index)
    if (
        rows * method.problem.n_labels <= BLOCK_ENTRIES
        or len(batch.inputs) > 1
        or not splits(method, network)
    ):
        return None
    return max(1, BLOCK_ENTRIES // rows)


def check_size(method: Method, network: Network, plan: Sequence[Stage], memory: int) -> None:
    """Refuse batches of more than ``BLOCK_ENTRIES`` scores that take more than ``memory`` bytes and cannot be split.

    Smaller ones are no matter of memory, however little of it is given for what grows with the items.

    Raises:
        UserError: Naming what to do.
    """
    n_labels = method.problem.n_labels
    rows = max((sum(stage.mixture.values()) for stage in plan if stage.epochs), default=0)
    size = rows * n_labels * _TENSORS * _FLOAT
    if rows * n_labels > BLOCK_ENTRIES and size > memory and not splits(method, network):
        raise UserError(
            f"a step of {rows:,} items x {n_labels:,} labels takes {size / 1e9:.0f} GB, since method"
            f" {method.spec.id!r} reads all labels of an item together: give a smaller batch_size, or a method that"
            f" does not ({', '.join(pointwise_names())})"
        )


def step_by_blocks(method: Method, batch: Batch, network: Network, size: int, share: float = 1.0) -> Tensor:
    """Add the gradients of a batch's loss to the parameters, and return the loss, detached.

    They are those of ``Method.step`` but for the order of sums.

    Args:
        size: Number of labels of a block.
        share: What the gradients are multiplied by.
    """
    ((view, inputs),) = batch.inputs.items()
    seen = network.seen(inputs)
    z = seen.detach().requires_grad_(seen.requires_grad)
    head, sums = network.head, BlockSums()
    whole = {name: parameter for name, parameter in head.named_parameters() if parameter.requires_grad}
    gradients = {name: torch.empty_like(parameter) for name, parameter in whole.items()}
    common = [parameter for parameter in method.parameters() if parameter.requires_grad]
    others = [torch.zeros_like(leaf) for leaf in (z, *common)]
    total = torch.zeros((), dtype=z.dtype, device=z.device)
    for start in range(0, method.problem.n_labels, size):
        columns = slice(start, start + size)
        # Leaves of their own: the gradient of a slice of a parameter would fill a tensor of the parameter's size.
        rows = {
            name: p.detach()[columns].requires_grad_(p.requires_grad) for name, p in head.named_parameters()
        }
        scores = functional_call(head, rows, (z,))
        loss = method.loss(_columns(batch, columns, {view: Outputs(z, scores)}, sums))
        names = list(gradients)
        leaves = [*(rows[name] for name in names), *([z] if z.requires_grad else []), *common]
        found: Any = torch.autograd.grad(loss, leaves, allow_unused=True)
        for name, gradient in zip(names, found, strict=False):
            gradients[name][columns] = 0 if gradient is None else gradient
        rest = found[len(names) :] if z.requires_grad else (None, *found[len(names) :])
        for one, gradient in zip(others, rest, strict=True):
            if gradient is not None:
                one += gradient
        total += loss.detach()
    divisor = sums.divisor
    if total.device.type == "cpu" and not math.isfinite(total / divisor):
        raise FloatingPointError("the loss is not a number")
    scale = share / divisor
    pairs = [*((whole[name], gradients[name]) for name in gradients), *zip(common, others[1:], strict=True)]
    for parameter, gradient in pairs:
        gradient *= scale
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
    if seen.requires_grad:
        seen.backward(others[0] * scale)  # type: ignore[no-untyped-call]
    return total / divisor


def _columns(batch: Batch, columns: slice, outputs: dict[str, Outputs], sums: BlockSums) -> Batch:
    """Return a batch's block of labels."""
    n_labels = batch.labels.shape[1]
    return replace(
        batch,
        labels=batch.labels[:, columns].contiguous(),
        state={
            name: value[:, columns] if value.ndim == 2 and value.shape[1] == n_labels else value
            for name, value in batch.state.items()
        },
        label_weights=None if batch.label_weights is None else batch.label_weights[columns],
        outputs=outputs,
        columns=columns,
        sums=sums,
    )
