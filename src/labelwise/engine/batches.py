"""Batches of items, shares of ranks, and views drawn ahead.

All of it is a function of (seed, stage, epoch) and the items alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
from torch import Tensor

from labelwise._random import generator
from labelwise.data import Capabilities, Source, views_of
from labelwise.errors import UserError
from labelwise.methods import Stage

Members = Mapping[str, np.ndarray]
"""Item numbers (b,) int64 by group, or by view."""


def make_batches(
    groups: Mapping[Any, np.ndarray], mixture: Mapping[Any, int], *, seed: int, stage: int, epoch: int
) -> list[dict[str, np.ndarray]]:
    """Return an epoch's batches, as item numbers (int64) by group.

    ``mixture`` gives the items of each group in a batch. The epoch is one pass over the last group that has
    items; the others are cycled, each cycle in a new order. Places of an empty group go to the others in
    proportion. The last batch may be smaller, in every group by the same share.

    Raises:
        UserError: When no group has an item.
    """
    present = {name: count for name, count in mixture.items() if len(groups[name])}
    if not present:
        named = " or ".join(mixture)
        raise UserError(f"no training item is {named}: this method has nothing to train on; see describe(Y)")
    total, filled = sum(mixture.values()), sum(present.values())
    sizes = {name: max(1, round(count * total / filled)) for name, count in present.items()}
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
        # The last batch keeps the mixture: a loss that weighs groups against each other must not see it shift.
        batch = {
            name: streams[name][start[name] : start[name] + max(1, round(share * sizes[name]))]
            for name in cycled
        }
        batch[pacer] = order[start[pacer] : start[pacer] + sizes[pacer]]
        batches.append(batch)
    return batches


def _cycle(items: np.ndarray, length: int, seed: int, stage: int, epoch: int, group: str) -> np.ndarray:
    """Return ``length`` items, in permutation after permutation of all.

    Each permutation is drawn from a key of its own.
    """
    cycles = -(-length // len(items))
    parts = [
        generator(seed, "order", stage, epoch, group, cycle).permutation(items) for cycle in range(cycles)
    ]
    return np.concatenate(parts)[:length].astype(np.int64, copy=False)


def merge_single_item_batch(
    batches: list[dict[str, np.ndarray]], stage: Stage
) -> list[dict[str, np.ndarray]]:
    """Merge a last batch with a single-item view into the previous.

    Batch norm has no variance of one item.
    """
    _, rows = rank_share(batches[-1], stage, rank=0, world=1)
    if len(batches) < 2 or all(span.stop - span.start > 1 for span in rows.values()):
        return batches
    *before, one, last = batches
    return [*before, {name: np.concatenate([one[name], last[name]]) for name in one}]


def rank_share(
    members: Members, stage: Stage, *, rank: int, world: int
) -> tuple[np.ndarray, dict[str, slice]]:
    """Return a rank's items of a batch, and each view's rows.

    The items (b,) int64 stand group after group. A rank takes every ``world``-th item of the whole batch, so that no
    two shares differ by more than one item.
    """
    if world == 1 and len(members) == 1:
        ((name, index),) = members.items()
        return index, {view: slice(0, len(index)) for view in stage.views.get(name, ("weak",))}
    parts, place = {}, 0
    for name, index in members.items():
        # Counted over the whole batch: counted within each group, rank 0 would get the odd item of every one.
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


class Prefetcher:
    """Views of batches, drawn one batch ahead.

    A thread draws ahead where the source reads files. The views depend on seed, epoch and item only, never on when
    they are drawn.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self._source, self._seed = source, seed
        self._next: tuple[Hashable, Future[dict[str, Tensor]]] | None = None
        reads_files = Capabilities(source).workers and len(source)
        self._thread = ThreadPoolExecutor(1, "labelwise-draw") if reads_files else None

    @property
    def looks_ahead(self) -> bool:
        """Whether the next batch can be drawn while the present one trains."""
        return self._thread is not None

    def take(self, place: Hashable, items: Members, epoch: int) -> dict[str, Tensor]:
        """Return inputs by view; ``place`` identifies the batch in the run."""
        begun, self._next = self._next, None
        if begun is not None and begun[0] == place:
            return begun[1].result()
        return views_of(self._source, items, seed=self._seed, epoch=epoch)

    def begin(self, place: Hashable, items: Members, epoch: int) -> None:
        """Begin to draw the batch that ``take`` will be asked for next."""
        if self._thread is not None:
            inputs = self._thread.submit(views_of, self._source, items, seed=self._seed, epoch=epoch)
            self._next = place, inputs

    def close(self) -> None:
        """Stop drawing."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)
            self._next = None


def share_of(batches: Sequence[Mapping[str, np.ndarray]], step: int, accumulate: int) -> float:
    """Return the share of a batch in the items of an update; 1 unless gradients are accumulated."""
    if accumulate == 1:
        return 1.0
    first = step - step % accumulate
    sizes = [sum(map(len, members.values())) for members in batches[first : first + accumulate]]
    return sizes[step - first] / sum(sizes)
