"""Ridge's choices where rows belong to groups: whole groups are left out, in folds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from labelwise.annotations import split
from labelwise.models.ridge.decomposition import Decomposition, decompose
from labelwise.models.ridge.rows import Rows
from labelwise.models.ridge.tuning import (
    Entries,
    Group,
    LeftOut,
    groups_of,
    leave_out,
    solve_by_factors,
    solve_large,
)

Array: TypeAlias = npt.NDArray[Any]

FOLDS = 5


def folds_of_groups(labels: Array, groups: Array, twin: Array | None) -> Array | None:
    """Return a fold (m,) for each row, the same for all rows of a group.

    Equal rows of two groups bring these together. None where everything is one group.

    Args:
        labels: (m, K) in {1, 0, -1}; each label's positives are spread over the folds.
        groups: (m,) numbers.
        twin: (m,) a number for each row, the same for equal ones, or None.
    """
    groups = joined_groups(groups, twin)
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return None
    fold = np.empty(len(groups), dtype=np.int64)
    for number, rows in enumerate(split(labels, [1 / count] * count, groups=groups)):
        fold[rows] = number
    return fold


def joined_groups(groups: Array, twin: Array | None) -> Array:
    """Return a number for each row (m,), the same for rows of one of ``groups`` and for equal rows (``twin``)."""
    if twin is None:
        return groups
    g, t = (np.unique(one, return_inverse=True)[1].ravel() for one in (groups, twin))
    size = int(g.max() + t.max()) + 2
    edges = coo_array((np.ones(len(g)), (g, t + int(g.max()) + 1)), shape=(size, size))
    return np.asarray(connected_components(edges, directed=False)[1][g], np.int64)


def leave_groups_out(rows: Rows, entries: Entries, lambdas: Sequence[float] | Array | None) -> LeftOut:
    """Return scores over lambdas or the default grid, each row by the model of the other folds."""

    def scores_of(group: Group, _: Decomposition, grid: Array) -> Array:
        return _left_out(group, _fold_of(group, entries), grid)

    return leave_out(rows, entries, lambdas, scores_of)


def solve_grouped(rows: Rows, entries: Entries, lambdas: Array, *, exact: bool) -> tuple[Array, Array, Array]:
    """Return weights (K, D), biases (K,) and scores (m, K) of rows whose fold was left out."""
    if not exact:
        return solve_large(rows, entries, float(lambdas[0]))
    weight, bias, scores = solve_by_factors(rows, entries, lambdas)
    for group in groups_of(rows, entries):
        left_out = _left_out(group, _fold_of(group, entries), lambdas).mean(axis=0)
        scores[np.ix_(group.index, group.labels)] = group.spread(left_out)
    return weight, bias, scores


def _fold_of(group: Group, entries: Entries) -> Array:
    """Return the fold of each of a group's different rows."""
    assert entries.fold is not None
    fold = entries.fold[group.index]
    if group.place is None:
        return fold
    merged = np.empty(group.rows.n, dtype=np.int64)
    merged[group.place] = fold
    return merged


def _left_out(group: Group, fold: Array, grid: Array) -> npt.NDArray[np.float32]:
    """Return scores (L, g, k) of a group's rows, by models without their fold.

    They have the mean of all rows: a fold with many positives lowers the mean of the others, by which its own would
    rank below those of other folds.
    """
    mean = group.weights @ group.targets / group.weights.sum()
    scores = np.zeros((len(grid), group.rows.n, len(group.labels)), dtype=np.float32)
    for number in np.unique(fold):
        train, out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(train):
            continue
        part, held_out = decompose(group.rows.take(train), group.weights[train]), group.rows.take(out)
        part_mean = group.weights[train] @ group.targets[train] / group.weights[train].sum()
        for place, lambda_ in enumerate(grid):
            weight, bias = part.solve(group.targets[train], 1 / (part.eigenvalues + lambda_))
            scores[place, out] = held_out.dot(weight.T) + bias + (mean - part_mean)
    return scores
