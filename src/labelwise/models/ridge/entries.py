"""From annotations to ridge targets and entry weights, and criteria over known entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.errors import UserError

Array: TypeAlias = npt.NDArray[Any]

CRITERIA = ("average_precision", "squared_error")


@dataclass(frozen=True)
class Entries:
    """What the labels teach: the rows used, 0/1 targets, and entry weights in groups of labels.

    ``rows`` (m,) indices into X; ``targets`` (m, K) float64; ``patterns`` (G, m) distinct columns of weights;
    ``group`` (K,) the pattern of each label.
    """

    rows: Array
    targets: Array
    patterns: Array
    group: Array

    def weights(self, labels: Array) -> Array:
        """Return the entry weights (m, len(labels))."""
        return np.asarray(self.patterns[self.group[labels]].T)


def entries_of(Y: Array, weights: Array | None, unknown_weight: float) -> Entries:
    """Return the entries of ``Y`` (n, K) in {1, 0, -1}.

    Rows that are wholly unknown teach nothing. Where no entry at all is a known negative, an unknown entry of
    the other rows counts as absent with weight ``unknown_weight``; otherwise it is left out (weight 0).
    """
    Y = np.asarray(Y)
    rows = np.flatnonzero((Y != -1).any(axis=1))
    if weights is not None:
        rows = rows[weights[rows] > 0]
    known = Y[rows]
    if not (known == 1).any():
        raise UserError("Y has no known positive entry; give at least one entry that is 1")
    s = np.ones(len(rows)) if weights is None else weights[rows]
    fill = unknown_weight if not (known == 0).any() else 0.0
    unknown = known == -1
    masks, group = np.unique(np.packbits(unknown, axis=0), axis=1, return_inverse=True)
    if fill == 1.0:
        masks, group = masks[:, :1], np.zeros_like(group)
        patterns = s[None, :]
    else:
        hidden = np.unpackbits(masks, axis=0, count=len(rows)).T.astype(bool)
        patterns = np.where(hidden, fill, 1.0) * s
    return Entries(rows, (known == 1).astype(np.float64), patterns, np.asarray(group).ravel())


def count_thresholds(scores: Array, entries: Entries) -> Array:
    """Return thresholds (K,) above which each label has as many scores (m, K) as known positives; 1/2 without any.

    A threshold lies halfway between the two scores that it parts.
    """
    weights = entries.weights(np.arange(entries.targets.shape[1]))
    found = np.full(weights.shape[1], 0.5)
    for label, column in enumerate(np.where(weights > 0, scores, -np.inf).T):
        n_known = int((weights[:, label] > 0).sum())
        n_positive = int((entries.targets[:, label] * (weights[:, label] > 0)).sum())
        if n_positive:
            last = len(column) - n_positive
            lowest = np.partition(column, last)[last]
            below = column[np.argpartition(column, last)[:last]].max() if n_positive < n_known else lowest
            found[label] = (lowest + below) / 2
    return found


def criterion_values(scores: Array, targets: Array, weights: Array, criterion: str) -> Array:
    """Return each label's criterion (K,) over entries of positive weight: higher is better, NaN is undefined.

    ``average_precision`` needs a positive and a negative, and takes equal scores together: their order is that of the
    rows, which must not count; ``squared_error`` is minus the weighted mean square.
    """
    known = weights > 0
    if criterion == "squared_error":
        total = weights.sum(axis=0)
        error = -(weights * (scores - targets) ** 2).sum(axis=0)
        return np.asarray(np.divide(error, total, out=np.full(len(total), np.nan), where=total > 0))
    # labels first: sorts and sums then run along memory
    keys = np.ascontiguousarray(np.where(known, -scores, np.inf).T)
    order = np.argsort(keys, axis=1, kind="stable")
    ranked = np.take_along_axis(keys, order, axis=1)
    hits = np.take_along_axis(np.ascontiguousarray((targets * known).T), order, axis=1)
    positives, total = hits.sum(axis=1), known.sum(axis=0)
    last = np.ones(hits.shape, dtype=bool)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    ends, found = np.flatnonzero(last), np.flatnonzero(hits)
    ends = ends[np.searchsorted(ends, found)]
    precision = np.cumsum(hits, axis=1).ravel()[ends] / (ends % hits.shape[1] + 1)
    area = np.bincount(found // hits.shape[1], precision, minlength=len(hits))
    both = (positives > 0) & (positives < total)
    return np.asarray(np.divide(area, positives, out=np.full(len(total), np.nan), where=both))
