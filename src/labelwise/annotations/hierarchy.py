"""Hierarchies of labels: what a known entry says of labels above and below."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.annotations.matrix import Annotations, as_matrix, check_label_names
from labelwise.annotations.readers import Matrix
from labelwise.errors import UserError, listed, near, shown

Edges: TypeAlias = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]

_TOLD = 5


@dataclass(frozen=True)
class Closing:
    """Labels with all that a hierarchy says of them.

    Attributes:
        matrix: (n, K) int8, the labels with entries filled; contradictory entries stay as they were given.
        relevant: Number of unknown entries that became relevant.
        irrelevant: Number of unknown entries that became irrelevant.
        unknown: Number of entries that had been unknown.
        contradictions: (c, 3) int64, each a row, a relevant label and an irrelevant label above it.
    """

    matrix: Matrix
    relevant: int
    irrelevant: int
    unknown: int
    contradictions: npt.NDArray[np.int64]

    @property
    def words(self) -> str:
        """The counts in a sentence."""
        filled = self.relevant + self.irrelevant
        if not filled:
            return f"the hierarchy filled none of {self.unknown:,} unknown entries"
        return (
            f"the hierarchy filled {filled:,} of {self.unknown:,} unknown entries ({filled / self.unknown:.1%}):"
            f" {self.relevant:,} are relevant, {self.irrelevant:,} irrelevant"
        )


@dataclass(frozen=True)
class Hierarchy:
    """Directed acyclic graph over labels, from each to those above it.

    Whatever has a label has all labels above it.

    Attributes:
        label_names: The K names.
        parents: For each label the places of its parents, ascending.
    """

    label_names: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, given: Mapping[str, Any], label_names: Sequence[str]) -> Self:
        """Read ``{child: parent}``, or ``{child: [parents]}``, over these labels.

        Raises:
            UserError: A name that is no label, a value that is no name, or a cycle, which is named.
        """
        names = check_label_names(label_names)
        if not isinstance(given, Mapping):
            raise UserError(
                f"hierarchy={shown(given)}: give a dict from each child to its parent, or to a list"
            )
        place = {name: number for number, name in enumerate(names)}
        parents: list[set[int]] = [set() for _ in names]
        for child, value in given.items():
            above = [value] if isinstance(value, str) else value
            if not isinstance(above, list | tuple | set | frozenset):
                raise UserError(
                    f"hierarchy of {shown(child)} is {shown(value)}: give a parent's name, or a list"
                )
            for name in (child, *above):
                if not isinstance(name, str) or name not in place:
                    raise UserError(f"hierarchy names no label {shown(name)}: {near(str(name), names)}")
            parents[place[child]].update(place[name] for name in above)
        hierarchy = cls(names, tuple(tuple(sorted(one)) for one in parents))
        if cycle := hierarchy._cycle():
            raise UserError(
                f"hierarchy has a cycle: {' > '.join(repr(names[k]) for k in cycle)}: take one of these parents out"
            )
        return hierarchy

    def to_dict(self) -> dict[str, list[str]]:
        """Return ``{child: [parents]}``, fit for JSON; ``of`` reads it back."""
        names = self.label_names
        return {names[k]: [names[p] for p in above] for k, above in enumerate(self.parents) if above}

    @cached_property
    def heights(self) -> tuple[int, ...]:
        """Each label's longest way down (K,); 0 of a label that is nobody's parent."""
        heights = [0] * len(self.parents)
        # One pass a level: a way down is at most as long as there are labels.
        changed = True
        while changed:
            changed = False
            for child, above in enumerate(self.parents):
                for parent in above:
                    if heights[parent] <= heights[child]:
                        heights[parent], changed = heights[child] + 1, True
        return tuple(heights)

    @cached_property
    def levels(self) -> tuple[Edges, ...]:
        """Edges (children, parents) by the height of the child, lowest first.

        Whoever takes the levels in their order finds each label finished before it is read.
        """
        edges = [(child, parent) for child, above in enumerate(self.parents) for parent in above]
        by_height: dict[int, list[tuple[int, int]]] = {}
        for child, parent in edges:
            by_height.setdefault(self.heights[child], []).append((child, parent))
        pairs = [np.array(by_height[height], dtype=np.int64) for height in sorted(by_height)]
        return tuple((pair[:, 0], pair[:, 1]) for pair in pairs)

    @cached_property
    def ancestors(self) -> tuple[frozenset[int], ...]:
        """All labels above each label, itself left out."""
        above: list[set[int]] = [set() for _ in self.parents]
        for child in sorted(range(len(self.parents)), key=lambda k: -self.heights[k]):
            for parent in self.parents[child]:
                above[child] |= {parent} | above[parent]
        return tuple(map(frozenset, above))

    def coherent(self, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return scores (n, K) in which no label is below one that it stands above.

        Each is the maximum over itself and its descendants. It is MCM of C-HMCNN (Giunchiglia and Lukasiewicz, NeurIPS
        2020), by levels, without an array (n, K, K).
        """
        out = np.array(scores)
        for child, parent in self._upward():
            np.maximum(out[..., parent], out[..., child], out=out[..., parent])
        return out

    def coherent_thresholds(self, thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return thresholds (K,) in which no label's is above that of one below it.

        By them a coherent score that predicts a label predicts all labels above it. A label that is never predicted,
        by a threshold of infinity, asks nothing of others.
        """
        return -self.coherent(-np.asarray(thresholds, dtype=np.float64))

    def close(self, Y: Any) -> Closing:
        """Fill unknown entries of ``Y`` (n, K) with what the known ones say.

        A relevant label makes all labels above it relevant, an irrelevant one all below it irrelevant.
        """
        labels = as_matrix(Y)
        if labels.shape[1] != len(self.label_names):
            raise UserError(
                f"Y has {labels.shape[1]} labels, and the hierarchy is of {len(self.label_names)}"
            )
        relevant, irrelevant = labels == 1, labels == 0
        for child, parent in self._upward():
            relevant[:, parent] |= relevant[:, child]
        for child, parent in reversed(list(self._upward())):
            irrelevant[:, child] |= irrelevant[:, parent]
        both = relevant & irrelevant
        unknown = labels == -1
        positive, negative = unknown & relevant & ~both, unknown & irrelevant & ~both
        closed = labels
        if positive.any() or negative.any():
            closed = np.where(positive, np.int8(1), np.where(negative, np.int8(0), labels))
        rows = np.flatnonzero(both.any(axis=1))
        found = [triple for row in rows for triple in self._contradictions(int(row), labels[row])]
        return Closing(
            closed,
            int(positive.sum()),
            int(negative.sum()),
            int(unknown.sum()),
            np.array(found, dtype=np.int64).reshape(-1, 3),
        )

    def closed(self, labels: Annotations, argument: str = "Y") -> Annotations:
        """Return annotations with their gaps filled, and a note of how many were.

        Raises:
            UserError: Where a relevant label stands below an irrelevant one; rows and labels are listed.
        """
        if labels.label_names != self.label_names:
            raise UserError(f"{argument} has other labels than the hierarchy: {listed(labels.label_names)}")
        closing = self.close(labels)
        if len(closing.contradictions):
            rows = len(np.unique(closing.contradictions[:, 0]))
            raise UserError(
                f"{argument} contradicts the hierarchy in {rows:,} rows (counted from 0):"
                f" {self.told(closing)}; mend them, or the hierarchy"
            )
        if closing.matrix is labels.matrix:
            return labels
        return Annotations(closing.matrix, labels.label_names, (*labels.notes, closing.words))

    def told(self, closing: Closing, most: int = _TOLD) -> str:
        """Return the first contradictions in words."""
        names = self.label_names
        first = closing.contradictions[:most].tolist()
        words = [f"row {row}: {names[c]!r} is relevant and {names[a]!r} above it not" for row, c, a in first]
        more = len(closing.contradictions) - len(first)
        return "; ".join(words) + (f"; and {more:,} more" if more else "")

    def _contradictions(self, row: int, states: Matrix) -> Iterator[tuple[int, int, int]]:
        for child in np.flatnonzero(states == 1).tolist():
            for above in sorted(self.ancestors[child]):
                if states[above] == 0:
                    yield row, child, above

    def _upward(self) -> Iterator[tuple[int, int]]:
        """Yield (child, parent), each child after all edges that end in it."""
        for children, parents in self.levels:
            yield from zip(children.tolist(), parents.tolist(), strict=True)

    def _cycle(self) -> list[int]:
        """Return the labels along a cycle, the first one again at the end; none without one."""
        done: set[int] = set()
        for start in range(len(self.parents)):
            path, ways = [start], [iter(self.parents[start])]
            while path:
                above = next(ways[-1], None)
                if above is None:
                    done.add(path.pop())
                    ways.pop()
                elif above in path:
                    return [*islice(path, path.index(above), None), above]
                elif above not in done:
                    path.append(above)
                    ways.append(iter(self.parents[above]))
        return []
