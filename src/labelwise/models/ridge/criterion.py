"""What a choice of scaling and lambda is judged by: a criterion of each label's scores."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]

CRITERIA = ("average_precision", "squared_error")
_FEW_ROWS = 200  # past them, to sort places takes longer than to go through labels one by one
_FEW_ENTRIES = 2**18  # past them, what is judged together takes memory for nothing


def are_few(rows: int, entries: int) -> bool:
    """Return whether all labels of so many rows, and so many entries, are ranked together."""
    return 0 < rows <= _FEW_ROWS and entries <= _FEW_ENTRIES


def criterion_values(scores: Array, targets: Array, weights: Array, criterion: str) -> Array:
    """Return each label's criterion (K,), higher is better.

    It is taken over entries of positive weight; NaN is undefined.

    ``average_precision`` needs a positive and a negative, and takes equal scores together: their order is that of the
    rows, which must not count; ``squared_error`` is minus the weighted mean square.
    """
    known = weights > 0
    if criterion == "squared_error":
        total = weights.sum(axis=0)
        error = -(weights * (scores - targets) ** 2).sum(axis=0)
        return np.asarray(np.divide(error, total, out=np.full(len(total), np.nan), where=total > 0))
    # labels first: sorts then run along memory
    keys = np.ascontiguousarray(np.where(known, -scores, np.inf).T)
    hits = np.ascontiguousarray((targets * known).T)
    positives, total = hits.sum(axis=1), known.sum(axis=0)
    area = _areas(keys, hits) if are_few(len(known), keys.size) else np.array(list(map(_area, keys, hits)))
    both = (positives > 0) & (positives < total)
    return np.asarray(np.divide(area, positives, out=np.full(len(total), np.nan), where=both))


def _area(keys: Array, hits: Array) -> float:
    """Return the sum of precisions at the hits, whose shares are ``hits`` (m,), by keys (m,) that ascend with rank."""
    at = hits > 0
    found, share = keys[at], hits[at]
    # The keys alone are sorted, many times faster than their places would be.
    ends = np.searchsorted(np.sort(keys), found, "right")
    order = np.argsort(found, kind="stable")
    up_to = np.cumsum(share[order])[np.searchsorted(found, found, "right", sorter=order) - 1]
    # One after the other: sums of pairs would be rounded otherwise.
    return float(np.cumsum((up_to / ends)[order])[-1]) if len(found) else 0.0


def _areas(keys: Array, hits: Array) -> Array:
    """Return ``_area`` of each row of ``keys`` and ``hits`` (labels, m), to the bit.

    Of few items it is many times faster for all labels together, although it sorts places.
    """
    order = np.argsort(keys, axis=1, kind="stable")
    keys, share = np.take_along_axis(keys, order, 1), np.take_along_axis(hits, order, 1)
    last = np.full(keys.shape, keys.shape[1] - 1)
    last[:, :-1] = np.where(keys[:, :-1] != keys[:, 1:], np.arange(keys.shape[1] - 1), last[:, :-1])
    # The last place of those with the same key.
    last = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    up_to = np.take_along_axis(np.cumsum(share, axis=1), last, 1)
    return np.asarray(np.cumsum(np.where(share > 0, up_to / (last + 1), 0.0), axis=1)[:, -1])
