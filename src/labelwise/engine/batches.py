"""Which items stand in which batch, a function of (seed, stage, epoch) and nothing else; and which views they get."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from labelwise._random import generator
from labelwise.errors import UserError
from labelwise.methods import Stage


def compose(
    groups: Mapping[Any, np.ndarray], mixture: Mapping[Any, int], *, seed: int, stage: int, epoch: int
) -> list[dict[str, np.ndarray]]:
    """Return an epoch's batches, each a mapping from group to item indices (int64).

    ``mixture`` gives the items of each group in a batch. The epoch is one pass over the last group that has
    items; the others are cycled, each cycle in a new order. Places of an empty group go to the others in
    proportion. The last batch may be smaller, in every group by the same share. Raises ``UserError`` when no group
    has an item.
    """
    present = {name: count for name, count in mixture.items() if len(groups[name])}
    if not present:
        named = " or ".join(mixture)
        raise UserError(f"no training item is {named}: this method has nothing to train on; see describe(Y)")
    whole, kept = sum(mixture.values()), sum(present.values())
    sizes = {name: max(1, round(count * whole / kept)) for name, count in present.items()}
    *cycled, pacer = sizes
    order = _cycle(groups[pacer], len(groups[pacer]), seed, stage, epoch, pacer)
    n_batches = -(-len(order) // sizes[pacer])
    shares = [min(1.0, (len(order) - b * sizes[pacer]) / sizes[pacer]) for b in range(n_batches)]
    streams = {
        name: _cycle(groups[name], n_batches * sizes[name], seed, stage, epoch, name) for name in cycled
    }
    batches = []
    for b, share in enumerate(shares):
        start = {name: b * sizes[name] for name in sizes}
        batch = {
            name: streams[name][start[name] : start[name] + max(1, round(share * sizes[name]))]
            for name in cycled
        }
        batch[pacer] = order[start[pacer] : start[pacer] + sizes[pacer]]
        batches.append(batch)
    return batches


def _cycle(items: np.ndarray, length: int, seed: int, stage: int, epoch: int, group: str) -> np.ndarray:
    """Return ``length`` items: permutation after permutation of ``items``, each drawn from its own key."""
    cycles = -(-length // len(items))
    parts = [
        generator(seed, "order", stage, epoch, group, cycle).permutation(items) for cycle in range(cycles)
    ]
    return np.concatenate(parts)[:length].astype(np.int64, copy=False)


def join_lone(batches: list[dict[str, np.ndarray]], stage: Stage) -> list[dict[str, np.ndarray]]:
    """Join the last batch to the one before where a view of it is one item, of which batch norm has no variance."""
    _, rows = lay_out(batches[-1], stage, rank=0, world=1)
    if len(batches) < 2 or all(span.stop - span.start > 1 for span in rows.values()):
        return batches
    *before, one, last = batches
    return [*before, {name: np.concatenate([one[name], last[name]]) for name in one}]


def lay_out(
    members: Mapping[str, np.ndarray], stage: Stage, *, rank: int, world: int
) -> tuple[np.ndarray, dict[str, slice]]:
    """Return a rank's share of a batch: its items (b,) int64, group after group, and the rows that each view covers.

    A rank takes every ``world``-th item of the whole batch, so that no two shares differ by more than one item.
    """
    parts, place = {}, 0
    for name, index in members.items():
        parts[name] = index[(rank - place) % world :: world]
        place += len(index)
    views: dict[str, list[tuple[int, int]]] = {}
    start = 0
    for name, part in parts.items():
        for view in stage.views.get(name, ("weak",)):
            views.setdefault(view, []).append((start, start + len(part)))
        start += len(part)
    for view, spans in views.items():
        if any(before[1] != after[0] for before, after in pairwise(spans)):
            raise ValueError(f"stage {stage.name!r}: groups of view {view!r} must stand next to each other")
    rows = {view: slice(spans[0][0], spans[-1][1]) for view, spans in views.items()}
    return np.concatenate(list(parts.values())), rows
