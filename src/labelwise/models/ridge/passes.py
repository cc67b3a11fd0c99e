"""Passes over a stream of rows: labels counted, columns summed, products summed, by however many processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from labelwise.annotations import LabelCounts, ListedStates, States, known_rows, stack_states
from labelwise.errors import UserError
from labelwise.models.ridge.equal_rows import EqualRows
from labelwise.models.ridge.fragments import FragmentTree
from labelwise.models.ridge.moments import ColumnSums, LabelGroups, RidgeMoments
from labelwise.models.ridge.sampling import sample_order
from labelwise.models.scaling import FeatureMatrix, Scaling

Array: TypeAlias = npt.NDArray[Any]
Result = TypeVar("Result")

_LEAST_JUDGED = 16_384  # rows that are judged though there are many labels, of which fewer then count
_MOMENTS = 1 << 30  # bytes of the matrices of all groups of labels


class RowStream(Protocol):
    """Rows and labels that can be read again and again, fragment by fragment."""

    @property
    def n_features(self) -> int:
        """Number D of features."""

    @property
    def n_labels(self) -> int:
        """Number K of labels."""

    def labels(self) -> Iterator[tuple[int, States]]:
        """Yield each fragment's number and its states (b, K)."""

    def rows(self) -> Iterator[tuple[int, FeatureMatrix, States]]:
        """Yield each fragment's number, its rows (b, D) float32, dense or sparse, and its states (b, K)."""

    def over(self, work: Callable[[RowStream], Result]) -> Iterator[Result]:
        """Yield what ``work`` makes of streams of consecutive fragments, in their order, with all of them in the end.

        Several processes may read them; here one stream is all.
        """
        yield work(self)


@dataclass(frozen=True, eq=False)
class Facts:
    """What a pass over the labels tells.

    Attributes:
        counts: Of the labels of all rows.
        groups: Labels by their known rows.
        sizes: Numbers of rows, and of those with a known entry, of each fragment.
    """

    counts: LabelCounts
    groups: LabelGroups
    sizes: dict[int, tuple[int, int]]

    @classmethod
    def of(cls, stream: RowStream) -> Facts:
        """Count the labels; group them by their masks where these differ."""
        counts = LabelCounts(stream.n_labels)
        masks: FragmentTree[Array] = FragmentTree(_joint_ranks)
        sizes: dict[int, tuple[int, int]] = {}
        for more, its_masks, its_sizes in stream.over(_count):
            counts.merge(more)
            masks.merge(its_masks)
            sizes |= its_sizes
        if not counts.states[0].any():
            raise UserError("no entry is known to be relevant; give at least one label")
        if not counts.negatives_known or not counts.partly:
            return cls(counts, LabelGroups.one(stream.n_labels), sizes)
        ranks = masks.fold()
        assert ranks is not None
        groups = LabelGroups(ranks, absent=False)
        if (size := groups.count * stream.n_features**2 * 8) > _MOMENTS:
            raise UserError(
                f"the labels have {groups.count} different masks of known entries, each with a matrix of its own"
                f" ({size / 1e9:.1f} GB of them): train on a table that fits in memory, or on fully labelled rows"
            )
        return cls(counts, groups, sizes)

    def starts(self) -> dict[int, tuple[int, int]]:
        """Return how many rows, and how many with a known entry, stand before each fragment."""
        before = seen = 0
        starts: dict[int, tuple[int, int]] = {}
        for number, (rows, known) in sorted(self.sizes.items()):
            starts[number] = (before, seen)
            before, seen = before + rows, seen + known
        return starts


def _count(stream: RowStream) -> tuple[LabelCounts, FragmentTree[Array], dict[int, tuple[int, int]]]:
    """Return the counts, masks and sizes of a stream's fragments."""
    counts = LabelCounts(stream.n_labels)
    masks: FragmentTree[Array] = FragmentTree(_joint_ranks)
    sizes: dict[int, tuple[int, int]] = {}
    for number, Y in stream.labels():
        counts.update(Y)
        masks.add(number, _masks(Y))
        sizes[number] = (Y.shape[0], int(known_rows(Y).sum()))
    return counts, masks, sizes


def _joint_ranks(one: Array, other: Array) -> Array:
    return _ranks(np.stack([one, other]))


def _masks(Y: States) -> Array:
    """Return the rank of each label's mask of unknown entries (K,), over rows with a known one."""
    if isinstance(Y, ListedStates):
        # Rows of listed entries alone know each label on rows of its own; all other rows know all labels or none.
        alone = (Y.silent == -1) & (Y.counts > 0)
        return np.arange(Y.shape[1]) if alone.any() else np.zeros(Y.shape[1], np.int64)
    return _ranks(np.packbits(Y[known_rows(Y)] == -1, axis=0))


def _ranks(columns: Array) -> Array:
    """Return the place of each column among the different ones, in the order of their rows."""
    return np.unique(columns, axis=1, return_inverse=True)[1].ravel().astype(np.int64)


@dataclass(frozen=True, eq=False)
class Sample:
    """Which rows and labels are judged.

    Attributes:
        order: Keyed order of the rows with a known entry.
        rows: (j,) places of the judged rows among those, ascending.
        index: (j,) their places among all rows, known after the pass that reads them.
        kept: (i,) those of the judged rows whose scores of all labels are kept.
        labels: (l,) the labels that are judged.
    """

    order: Array
    rows: Array
    index: Array
    kept: Array
    labels: Array

    @classmethod
    def of(cls, counts: LabelCounts, n_labels: int, most: int) -> Sample:
        """Return a keyed sample of at most ``most`` entries, where there are many rows or labels."""
        m = counts.known
        order = sample_order(m)
        j = min(m, max(_LEAST_JUDGED, most // n_labels))
        rows = np.sort(order[:j])
        few = min(j, max(1, most // n_labels))
        kept = np.searchsorted(rows, np.sort(order[:few]))
        labels = np.arange(n_labels)
        if j * n_labels > most:
            # Labels with a positive and a negative, in a keyed order: a mean over them is one over all such.
            shuffled = sample_order(n_labels)
            both = (counts.states[0] > 0) & (counts.states[0] < m)
            labels = np.sort(shuffled[both[shuffled]][: max(1, most // j)])
        return cls(order, rows, np.empty(j, np.int64), kept, labels)

    def first(self, count: int) -> Array:
        """Return the places, among the judged rows, of the first ``count`` of the order."""
        return np.searchsorted(self.rows, np.sort(self.order[:count]))


def first_rows(
    stream: RowStream, sample: Sample, starts: dict[int, tuple[int, int]]
) -> tuple[ColumnSums, Array, States]:
    """Return the sums of all columns, and the judged rows and their states."""
    tree: FragmentTree[ColumnSums] = FragmentTree(ColumnSums.join)
    X = np.empty((len(sample.rows), stream.n_features), np.float32)
    states: list[States] = []
    done = 0
    for sums, parts in stream.over(partial(_sum_columns, sample.rows, starts)):
        tree.merge(sums)
        for rows, index, Y in parts:
            stop = done + len(index)
            X[done:stop], sample.index[done:stop] = rows, index
            states.append(Y)
            done = stop
    total = tree.fold()
    if total is None or done != len(sample.rows):
        raise UserError("the rows changed between two passes: train on files that stay as they are")
    return total, X, stack_states(states)


def _sum_columns(
    judged: Array, starts: dict[int, tuple[int, int]], stream: RowStream
) -> tuple[FragmentTree[ColumnSums], list[tuple[Array, Array, States]]]:
    """Return the sums of a stream's columns, and the judged rows, their places and their states, by fragments."""
    tree: FragmentTree[ColumnSums] = FragmentTree(ColumnSums.join)
    parts: list[tuple[Array, Array, States]] = []
    for number, rows, Y in stream.rows():
        tree.add(number, ColumnSums.of(rows))
        before, seen = starts[number]
        known = np.flatnonzero(known_rows(Y))
        first, stop = np.searchsorted(judged, [seen, seen + len(known)])
        chosen = known[judged[first:stop] - seen]
        if len(chosen):
            part = rows[chosen]
            parts.append((part.toarray() if hasattr(part, "toarray") else part, before + chosen, Y[chosen]))
    return tree, parts


def sum_products(
    scalings: Sequence[Scaling], groups: LabelGroups, equal: EqualRows, stream: RowStream
) -> tuple[list[RidgeMoments], tuple[Array, Any]]:
    """Return the moments of a stream's rows under each scaling, and what equals of judged rows say."""
    shape = stream.n_features, stream.n_labels
    moments = [RidgeMoments(*shape, scaling=scaling, groups=groups) for scaling in scalings]
    equal = equal.empty()
    for number, X, Y in stream.rows():
        for one in moments:
            one.update(X, Y, number)
        equal.update(X, Y)
    return moments, equal.found()
