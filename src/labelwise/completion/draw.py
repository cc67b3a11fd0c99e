"""Entries to ask for an audit: strata by score and label, inclusion probabilities known."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.completion.entries import Integers, checked
from labelwise.completion.order import RandomOrder
from labelwise.errors import UserError, near

if TYPE_CHECKING:
    import pandas as pd

BY = ("score", "label")
_ABOVE, _BELOW, _BINS, _BLOCK = 2, 4, 2048, 1 << 21
_Z2, _C2 = 1.96**2, 1.5**2
_LEAST_SHARE = 0.002


@dataclass(frozen=True, eq=False)
class Strata:
    """The unknown entries of a table in strata that no answer changes.

    A stratum holds the unknown entries (of one label, by ``"label"``) that the rule predicts, or that it does not, and
    whose scores lie between two edges. Within each part the edges split the sum of sqrt(p (1 - p)) evenly.

    Attributes:
        scores: (n, K) in [0, 1].
        Y: (n, K) labels as given.
        items: n ids.
        label_names: K names.
        predicted: (n, K) what the rule says.
        by: ``"score"`` or ``"label"``.
        above: (G, A - 1) edges among predicted entries, a row for each group of labels.
        below: (G, B - 1) edges among the others.
        sizes: (S,) entries of each stratum.
        shares: (S,) mean score of each.
    """

    scores: NDArray[Any]
    Y: NDArray[np.int8]
    items: Sequence[str]
    label_names: tuple[str, ...]
    predicted: NDArray[np.bool_]
    by: str
    above: NDArray[np.float64]
    below: NDArray[np.float64]
    sizes: Integers
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        Y: Any,
        *,
        predicted: ArrayLike | None = None,
        by: str = "score",
        items: Sequence[Any] | None = None,
        label_names: Sequence[str] | None = None,
    ) -> Self:
        """Lay strata over the unknown entries of a table.

        Args:
            scores: (n, K) in [0, 1].
            Y: (n, K) annotations.
            predicted: (n, K) what the decision rule says of each entry; None: scores of one half or more.
            by: ``"score"``: the strata of all labels together, for what holds of the whole table; ``"label"``: those
                of each label, which takes some thirty answers a label.
            items: n ids; None: the row numbers from 0.
            label_names: K names.
        """
        if by not in BY:
            raise UserError(f"by is {by!r}: {near(str(by), BY)}")
        s, matrix, ids, names = checked(scores, Y, items, label_names)
        rule = s >= 0.5 if predicted is None else np.asarray(predicted).astype(bool)
        if rule.shape != s.shape:
            raise UserError(f"predicted has shape {rule.shape} but scores has {s.shape}: give one an entry")
        groups = len(names) if by == "label" else 1
        mass, counts = np.zeros((2, groups, _BINS)), np.zeros((2, groups, _BINS))
        for rows in blocks_of(s):
            part, group, cell = _cells(s[rows], matrix[rows], rule[rows], groups)
            flat = (part * groups + group) * _BINS + cell
            p = (cell + 0.5) / _BINS
            mass += np.bincount(flat, np.sqrt(p * (1 - p)), mass.size).reshape(mass.shape)
            counts += np.bincount(flat, minlength=mass.size).reshape(mass.shape)
        above, below = _edges(mass[1], _ABOVE), _edges(mass[0], _BELOW)
        strata = cls(s, matrix, ids, names, rule, by, above, below, np.zeros(0, np.int64), np.zeros(0))
        sizes, sums = np.zeros(groups * (_ABOVE + _BELOW), np.int64), np.zeros(groups * (_ABOVE + _BELOW))
        for rows in blocks_of(s):
            stratum, place = strata.at(rows)
            values = s[rows].reshape(-1)[place].astype(np.float64)
            sizes += np.bincount(stratum, minlength=len(sizes))
            sums += np.bincount(stratum, values, len(sizes))
        shares = np.divide(sums, sizes, out=np.zeros(len(sizes)), where=sizes > 0)
        return cls(s, matrix, ids, names, rule, by, above, below, sizes, shares)

    @property
    def groups(self) -> int:
        """The groups of labels: 1, or K."""
        return len(self.above)

    def is_predicted(self, stratum: Any) -> Any:
        """Return whether the rule predicts the entries of a stratum."""
        return stratum % (_ABOVE + _BELOW) < _ABOVE

    def at(self, rows: slice) -> tuple[Integers, Integers]:
        """Return the strata of the unknown entries in a block of rows, and their places in the block."""
        s, rule, width = self.scores[rows], self.predicted[rows].reshape(-1), self.scores.shape[1]
        place = np.flatnonzero((self.Y[rows] == -1) & ~np.isnan(s))
        values, group = s.reshape(-1)[place].astype(np.float64), _group(place % width, self.groups)
        on = rule[place]
        inside_above = (values[:, None] < self.above[group]).sum(axis=1)
        inside_below = (values[:, None] < self.below[group]).sum(axis=1)
        inside = np.where(on, inside_above, _ABOVE + inside_below)
        return group * (_ABOVE + _BELOW) + inside, place

    def first(self, numbers: Integers, seed: int) -> list[tuple[Integers, Integers]]:
        """Return the first entries of each stratum in random order, as many as ``numbers`` (S,) say.

        Returns:
            For each stratum (rows, columns), the first to ask first.
        """
        order = RandomOrder(self.items, self.label_names, f"{seed} audit")
        width, found = self.scores.shape[1], [(np.zeros(0), np.zeros(0, np.int64)) for _ in self.sizes]
        for rows in blocks_of(self.scores):
            stratum, place = self.at(rows)
            start = rows.start
            u = order.of(start + place // width, place % width)
            by_stratum = np.lexsort((u, stratum))
            ends = np.searchsorted(stratum[by_stratum], np.arange(len(self.sizes) + 1))
            for h in np.flatnonzero((np.diff(ends) > 0) & (numbers > 0)).tolist():
                chosen = by_stratum[ends[h] : ends[h + 1]][: numbers[h]]
                keys = np.concatenate([found[h][0], u[chosen]])
                places = np.concatenate([found[h][1], start * width + place[chosen]])
                best = np.argsort(keys, kind="stable")[: numbers[h]]
                found[h] = keys[best], places[best]
        return [(places // width, places % width) for _, places in found]

    def allocation(self, size: int) -> Integers:
        """Return how many entries of each stratum (S,) are asked for ``size`` answers.

        Each answer goes where it lowers most the sum over strata of A_h [z^2 p_h (1 - p_h) / n_h + (c / n_h)^2], the
        squared half-width of an exact interval, roughly; A_h is (N_h / T)^2 for the number of relevant entries T, and
        (N_h / N)^2 more for the precision of the rule, with N the entries that it predicts. A larger size only adds.
        """
        sizes, p = self.sizes, np.clip(self.shares, _LEAST_SHARE, 1 - _LEAST_SHARE)
        predicted = self.is_predicted(np.arange(len(sizes)))
        total, on = max(float(sizes @ p), 1.0), max(float(sizes[predicted].sum()), 1.0)
        weight = (sizes / total) ** 2 + np.where(predicted, sizes / on, 0.0) ** 2
        numbers = np.zeros(len(sizes), np.int64)

        def width(h: int, n: int) -> float:
            left = 1 - n / sizes[h]
            return (
                float(weight[h] * left * (_Z2 * p[h] * (1 - p[h]) / n + _C2 / n**2)) if n else 4 * weight[h]
            )

        heap = [(-(width(h, 0) - width(h, 1)), h) for h in np.flatnonzero(sizes).tolist()]
        heapq.heapify(heap)
        for _ in range(min(size, int(sizes.sum()))):
            _, h = heapq.heappop(heap)
            numbers[h] += 1
            if numbers[h] < sizes[h]:
                gain = width(h, int(numbers[h])) - width(h, int(numbers[h]) + 1)
                heapq.heappush(heap, (-gain, h))
        return numbers


def draw(
    scores: ArrayLike,
    Y: Any,
    size: int,
    seed: int = 0,
    *,
    predicted: ArrayLike | None = None,
    by: str = "score",
    items: Sequence[Any] | None = None,
    label_names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Draw unknown entries to ask, by which ``estimate`` says how good the table is.

    In each stratum they are the first in an order that depends on the seed and the entry alone: a simple random sample,
    with a known probability, of which a larger draw by the same scores and labels contains each smaller one.

    Args:
        scores: (n, K) in [0, 1], of models that did not see the row.
        Y: (n, K) labels as given, before any answer.
        size: Entries to ask.
        seed: Of the order.
        predicted: (n, K) what the decision rule says; None: scores of one half or more.
        by: ``"score"``, or ``"label"`` for intervals of each label.
        items: n ids; None: the row numbers from 0.
        label_names: K names.

    Returns:
        A frame with item, label, row, column, probability (of the entry in this draw) and stratum.
    """
    if size < 1:
        raise UserError(f"size is {size}: give at least 1")
    strata = Strata.of(scores, Y, predicted=predicted, by=by, items=items, label_names=label_names)
    return drawn(strata, strata.allocation(size), seed)


def drawn(strata: Strata, numbers: Integers, seed: int) -> pd.DataFrame:
    """Return the frame of ``draw`` for so many entries of each stratum."""
    import pandas as pd

    parts = strata.first(numbers, seed)
    rows, columns = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    stratum = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return pd.DataFrame(
        {
            "item": np.array([strata.items[row] for row in rows.tolist()], dtype=object),
            "label": np.array([strata.label_names[k] for k in columns.tolist()], dtype=object),
            "row": rows,
            "column": columns,
            "probability": (numbers / np.maximum(strata.sizes, 1))[stratum],
            "stratum": stratum,
        }
    )


def blocks_of(scores: NDArray[Any]) -> list[slice]:
    """Return slices of rows of a few million entries each."""
    step = max(1, _BLOCK // max(scores.shape[1], 1))
    return [slice(start, min(start + step, len(scores))) for start in range(0, len(scores), step)]


def _group(columns: Integers, groups: int) -> Integers:
    return columns if groups > 1 else np.zeros_like(columns)


def _cells(
    s: NDArray[Any], Y: NDArray[np.int8], rule: NDArray[np.bool_], groups: int
) -> tuple[Integers, Integers, Integers]:
    """Return part (1: predicted), group and cell of the score's histogram of each unknown entry."""
    place = np.flatnonzero((Y == -1) & ~np.isnan(s))
    values = s.reshape(-1)[place].astype(np.float64)
    cell = np.minimum((values * _BINS).astype(np.int64), _BINS - 1)
    return rule.reshape(-1)[place].astype(np.int64), _group(place % s.shape[1], groups), cell


def _edges(mass: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Return edges (G, parts - 1), falling, that split each row's mass evenly."""
    edges = np.zeros((len(mass), parts - 1))
    for g, row in enumerate(mass):
        rising = np.cumsum(row)
        for j in range(1, parts):
            cell = int(np.searchsorted(rising, rising[-1] * (1 - j / parts)))
            edges[g, j - 1] = (cell + 1) / _BINS
    return edges
