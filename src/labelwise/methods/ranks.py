"""Sums, means and rankings over a batch that processes share.

Each process of a distributed run holds some rows.

Row j of a batch lies with process j mod W. Data-parallel training averages gradients over the W processes: here each
process gets W times its own part's gradient, so that the average is the gradient on the undivided batch.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def ranks() -> int:
    """Return the number of processes W that share a batch."""
    parallel = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if parallel else 1


def batch_sum(values: Tensor, dim: int | None = None) -> Tensor:
    """Sum over the whole batch.

    That is over the entries here (along ``dim``) and, in a distributed run, over all ranks.

    The gradient of a function of this sum, averaged over ranks as data-parallel training does, equals the gradient
    on the undivided batch.
    """
    total = values.sum() if dim is None else values.sum(dim)
    if ranks() == 1:
        return total
    summed: Tensor = _SumOverRanks.apply(total)  # type: ignore[no-untyped-call]
    return summed


def batch_entries(values: Tensor) -> Tensor:
    """Return the number of entries of the whole batch.

    It is a scalar of the dtype of ``values`` (B, K).
    """
    return batch_sum(values.new_full((), float(values.numel())))


def batch_mean(values: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the weighted mean over the whole batch.

    It is sum(w l) / sum(w), 0 where all weights are 0; over all entries without weights.

    ``values`` l and ``weights`` w are (B, K) floating-point; a process may hold no row.
    """
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()  # a sum in half precision would overflow
    weights = torch.ones_like(values) if weights is None else weights.to(values).expand_as(values)
    weighted, count = values * weights, weights.sum()
    total, total_weight = batch_sum(torch.stack([weighted.sum(), count]).unsqueeze(0), 0)
    # No entry may have a weight: the mean is then 0, with a gradient of 0.
    mean: Tensor = total / total_weight.clamp(min=torch.finfo(values.dtype).tiny)
    return mean


def whole_batch(rows: Tensor) -> Tensor:
    """Return the rows of the undivided batch, without gradient.

    They are (B, ...) in the batch's order, given those here (b, ...).
    """
    rows, world = rows.detach(), ranks()
    if world == 1:
        return rows
    counts = [rows.new_zeros((), dtype=torch.int64) for _ in range(world)]
    torch.distributed.all_gather(counts, rows.new_tensor(len(rows), dtype=torch.int64))
    sizes = [int(count) for count in counts]
    # Processes exchange equal shapes alone, and their parts may differ by a row.
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(world)]
    torch.distributed.all_gather(parts, padded)
    whole = rows.new_empty(sum(sizes), *rows.shape[1:])
    for rank, (part, size) in enumerate(zip(parts, sizes, strict=True)):
        whole[rank::world] = part[:size]
    return whole


def joined_rows(rows: Tensor) -> Tensor:
    """Return the rows of the undivided batch, with the gradient of those here.

    As ``whole_batch``, for losses that no sum over rows makes: every process computes the loss of the whole batch. Each
    process's gradient is W times that in its own rows, so that their average is the gradient on the undivided batch.
    """
    if ranks() == 1:
        return rows
    joined: Tensor = _JoinRows.apply(rows)  # type: ignore[no-untyped-call]
    return joined


def own_rows(whole: Tensor) -> Tensor:
    """Return this process's rows of a batch that ``whole_batch`` put together."""
    world = ranks()
    return whole if world == 1 else whole[torch.distributed.get_rank() :: world]


class _SumOverRanks(torch.autograd.Function):
    """Sum over all processes.

    Its gradient is W times that of its own part.
    """

    @staticmethod
    def forward(ctx: Any, total: Tensor) -> Tensor:
        whole = total.clone()
        torch.distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # Data-parallel training divides the sum of gradients by W.
        return grad * ranks()


class _JoinRows(torch.autograd.Function):
    """Join the rows of all processes.

    The gradient is W times that of the rows here.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        return whole_batch(rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        # Data-parallel training divides the sum of gradients by W.
        return own_rows(grad) * ranks()
