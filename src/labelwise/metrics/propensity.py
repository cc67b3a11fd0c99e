"""Metrics of the highest labels of each item, also weighted by how likely a label is to be noted.

With very many labels a list misses more of the rare ones. Jain, Prabhu and Varma (KDD 2016) model the probability that
a relevant label l of N_l noted positives, in N items, is noted as ``p_l = 1 / (1 + C exp(-A log(N_l + B)))`` with
``C = (log N - 1) (B + 1)^A``, and divide each hit by it.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import ListedStates, as_matrix, positives_of
from labelwise.errors import UserError
from labelwise.metrics.item_metrics import DEPTHS

Floats: TypeAlias = NDArray[np.float64]

A, B = 0.55, 1.5
"""The constants of the paper, for sets other than Wikipedia's (.5, .4) and Amazon's (.6, 2.6)."""

_CSR: Any = sp.csr_array


def propensities(positives: ArrayLike, n_items: int, *, a: float = A, b: float = B) -> Floats:
    """Return the propensity of each label (K,), in (0, 1).

    Args:
        positives: (K,) counts of each label's noted positives in the training items.
        n_items: Number N of these, at least 3.
        a: A of the paper.
        b: B of the paper.

    Raises:
        UserError: For fewer than 3 items or a negative count.
    """
    counts = np.asarray(positives, dtype=np.float64)
    if n_items < 3 or counts.ndim != 1 or not (counts >= 0).all():
        raise UserError(
            "propensities take one count of 0 or more for each label, of at least 3 training items"
        )
    c = (np.log(n_items) - 1.0) * (b + 1.0) ** a
    return np.asarray(1.0 / (1.0 + c * np.exp(-a * np.log(counts + b))), dtype=np.float64)


def top_labels(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
    """Return the places of each row's ``k`` highest scores (n, K), from the highest down.

    Of equal ones the first comes first. There are as many as labels where these are fewer.
    """
    k = min(k, scores.shape[1])
    # The k-th score bounds a row, and of those equal to it the first are taken.
    bound = -np.partition(-scores, k - 1, axis=1)[:, k - 1 : k]
    above, level = scores > bound, scores == bound
    room = k - above.sum(axis=1, keepdims=True)
    places = np.nonzero(above | (level & (np.cumsum(level, axis=1) <= room)))[1].reshape(len(scores), k)
    order = np.argsort(-np.take_along_axis(scores, places, axis=1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(places, order, axis=1), dtype=np.int64)


def top_metrics(
    Y: ArrayLike | ListedStates, top: ArrayLike, propensity: ArrayLike | None = None
) -> dict[str, float]:
    """Return precision and nDCG of the highest 1, 3 and 5 labels, as far as ``top`` has so many.

    ``precision_at_k`` is the mean of (relevant among the first k) / k, ``ndcg_at_k`` that of
    ``sum_{r<=k} y_r / log2(r + 1)`` over its greatest value, 0 for an item without a relevant label. With propensities
    ``ps_precision_at_k`` and ``ps_ndcg_at_k`` too: the same sums of ``y_r / p_r`` over all items (those of nDCG divided
    by ``sum_{r<=min(k, relevant)} 1 / log2(r + 1)``), by what the best order of labels would reach.

    Args:
        Y: The states (n, K), dense, a sparse matrix of positives, or lists; what is not known to be relevant counts as
            irrelevant.
        top: (n, k) places of labels, the best first (``top_labels``).
        propensity: (K,) of each label.

    Raises:
        UserError: For shapes that differ, and labels that do not exist or stand twice in a row.
    """
    positives, places = _positives(Y), np.asarray(top)
    n, n_labels = positives.shape
    if places.ndim != 2 or len(places) != n or places.dtype.kind not in "iu" or not places.shape[1] or not n:
        raise UserError(f"top has shape {places.shape}: give the places of labels (n, k) of {n} items")
    if places.min() < 0 or places.max() >= n_labels or (np.diff(np.sort(places, axis=1), axis=1) == 0).any():
        raise UserError(f"top names a label twice in a row, or none of the {n_labels} labels")
    sums = TopSums(n_labels, places.shape[1], propensity)
    sums.update(positives, places)
    return sums.finalize()


class TopSums:
    """Sums over items behind ``top_metrics``; those of other items are added."""

    def __init__(self, n_labels: int, n_top: int, propensity: ArrayLike | None = None) -> None:
        """Begin sums of the highest ``n_top`` labels of each item, by depth.

        Raises:
            UserError: For propensities (K,) of another number of labels.
        """
        self.depths = [k for k in DEPTHS if k <= n_top]
        self.weighted = propensity is not None
        self.weights = np.ones(n_labels) if propensity is None else 1.0 / np.asarray(propensity, np.float64)
        if self.weights.shape != (n_labels,):
            raise UserError(
                f"propensity has shape {self.weights.shape}: give one number for each of {n_labels} labels"
            )
        self.n_items = 0
        # Of each depth: hits, their nDCG, gains and the greatest gains, both also discounted.
        self.sums = np.zeros((6, len(self.depths)))

    def update(self, positives: Any, places: NDArray[np.integer[Any]]) -> None:
        """Take in items, by their relevant labels (b, K) CSR and the places of their highest labels (b, k)."""
        width = max(self.depths)
        places = places[:, :width]
        hits, relevant = looked_up(positives, places), np.diff(positives.indptr)
        discount = 1.0 / np.log2(np.arange(2, width + 2))
        most = np.concatenate([[1.0], np.cumsum(discount)])
        gains, best = hits * self.weights[places], _best(positives, self.weights, width)
        self.n_items += len(places)
        for place, k in enumerate(self.depths):
            per_item = most[np.minimum(relevant, k)]
            self.sums[0, place] += hits[:, :k].sum()
            self.sums[2, place] += gains[:, :k].sum()
            self.sums[3, place] += best[:, :k].sum()
            for row, part in ((1, hits), (4, gains), (5, best)):
                self.sums[row, place] += (part[:, :k] @ discount[:k] / per_item).sum()

    def merge(self, other: TopSums) -> None:
        """Add the sums of other items."""
        self.n_items += other.n_items
        self.sums += other.sums

    def finalize(self) -> dict[str, float]:
        """Return the metrics by name."""
        found: dict[str, float] = {}
        n = self.n_items
        for k, (hits, ndcg, *_) in zip(self.depths, self.sums.T, strict=True):
            found[f"precision_at_{k}"], found[f"ndcg_at_{k}"] = float(hits / (n * k)), float(ndcg / n)
        if not self.weighted:
            return found
        for k, (_, _, gains, best, discounted, best_discounted) in zip(self.depths, self.sums.T, strict=True):
            found[f"ps_precision_at_{k}"] = _ratio(gains, best)
            found[f"ps_ndcg_at_{k}"] = _ratio(discounted, best_discounted)
        return found


def _ratio(one: float, other: float) -> float:
    return float(one / other) if other else float("nan")


def _positives(Y: ArrayLike | ListedStates) -> Any:
    if isinstance(Y, ListedStates):
        return Y.positives
    if sp.issparse(Y):
        matrix = _CSR(_CSR(Y) == 1, dtype=np.int8)
        matrix.eliminate_zeros()
        return matrix
    return positives_of(as_matrix(Y))


def looked_up(positives: Any, places: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return which of some labels are relevant, (n, k)."""
    n, n_labels = positives.shape
    rows = np.repeat(np.arange(n, dtype=np.int64), np.diff(positives.indptr))
    keys = np.sort(rows * n_labels + positives.indices)
    asked = np.arange(n, dtype=np.int64)[:, None] * n_labels + places
    if not len(keys):
        return np.zeros(places.shape)
    near = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.asarray(keys[near] == asked, dtype=np.float64)


def _best(positives: Any, weights: Floats, k: int) -> Floats:
    """Return the highest weights of each row's relevant labels (n, k), from the highest down, 0 beyond them."""
    n = positives.shape[0]
    counts = np.diff(positives.indptr)
    rows = np.repeat(np.arange(n), counts)
    values = weights[positives.indices]
    order = np.lexsort((-values, rows))
    rank = np.arange(len(values)) - np.repeat(positives.indptr[:-1], counts)
    out = np.zeros((n, k))
    kept = rank < k
    out[rows[kept], rank[kept]] = values[order][kept]
    return out
