"""Graph of nearest neighbours in a pool, and smoothing over it.

A row of the pool has other rows of the pool as neighbours; a new row is looked up among the pool's rows. So
what is fitted on smoothed rows of the pool can be applied to rows that nobody had seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._random import generator
from labelwise.ensemble.approximate import approximate_nearest, faiss_library

Matrix: TypeAlias = npt.NDArray[np.float32]

TEMPERATURE = 10.0
"""Factor of the cosines in the softmax that weighs a row's neighbours."""

_BLOCK, _NEAR = 1 << 25, 1 << 21  # cosines held at a time, at most, and such as stay in the processor's cache
_FEWEST = 256  # rows of a product, below which it slows down
_GROUPS = (8, 64)  # least and most columns of which one maximum is taken
EXACT_POOL = 200_000
"""The most rows of a pool that is always searched exactly."""

_MANY = 20_000  # rows to look up, below which exact search is no slower

RECALL_ROWS = 1_000
"""Rows whose neighbours are looked up exactly too, where the search is approximate."""


@dataclass(frozen=True)
class Neighbours:
    """Nearest rows of a pool for each of n rows, nearest first.

    Attributes:
        index: (n, k + spare) int32, rows of the pool; -1 where the pool has no more.
        cosine: (n, k + spare) float32, their cosines, -inf where there is none.
        k: Neighbours that a graph uses; the spare ones stand in for rows that are taken out of the pool.
        recall: Share of the true neighbours that an approximate search found for 1,000 keyed rows; None where the
            search was exact.
    """

    index: npt.NDArray[np.int32]
    cosine: Matrix
    k: int
    recall: float | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> Neighbours:
        """Return the neighbours of some of the n rows."""
        return Neighbours(self.index[rows], self.cosine[rows], self.k, self.recall)

    def without(
        self,
        pool_rows: npt.NDArray[np.bool_],
        queries: Matrix,
        pool: Matrix,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Neighbours:
        """Return the k nearest among the rest of the pool, numbered anew.

        Rows of which fewer than k are left among those looked up are looked up again.

        Args:
            pool_rows: (n_pool,) bool, rows that leave the pool.
            queries: (n, r) unit rows, those whose neighbours these are.
            pool: (n_pool, r) unit rows, the pool before anything left it. Where ``queries`` is this very
                matrix, no row is its own neighbour.
            groups: (n_pool,) numbers of rows that are no neighbours of each other, of ``queries`` that are the pool.
        """
        rest = np.flatnonzero(~pool_rows)
        number = np.append(np.cumsum(~pool_rows) - 1, -1).astype(np.int32)
        stays = np.append(~pool_rows, False)[self.index]
        # a stable sort moves what stays to the front and keeps its order
        order = np.argsort(~stays, axis=1, kind="stable")[:, : self.k]
        index = np.take_along_axis(np.where(stays, number[self.index], -1), order, axis=1).astype(np.int32)
        cosine = np.take_along_axis(np.where(stays, self.cosine, -np.inf), order, axis=1).astype(np.float32)
        short = np.flatnonzero((index < 0).any(axis=1) & (self.index >= 0).all(axis=1))
        if len(short):
            own = np.where(pool_rows[short], -1, number[short]) if queries is pool else None
            apart = None if groups is None else (groups[short], groups[rest])
            index[short], cosine[short] = _search(queries[short], pool[rest], index.shape[1], own, apart)
        return Neighbours(index, cosine, self.k, self.recall)


def neighbours(
    queries: Matrix,
    pool: Matrix,
    k: int,
    *,
    exclude_self: bool = False,
    spare: int = 0,
    groups: npt.NDArray[np.int64] | None = None,
) -> Neighbours:
    """Look up each row's nearest rows of the pool by cosine.

    The search is exact; that of 20,000 rows or more in a pool of more than 200,000 is approximate if
    ``faiss`` is installed (the extra ``neighbours``).

    Args:
        queries: (n, r) float32 unit rows; a row of zeros has cosine 0 with all.
        pool: (n_pool, r) float32 unit rows.
        k: Neighbours to use; all others where the pool has no more.
        exclude_self: Whether row i of ``queries`` is row i of the pool, and no neighbour of itself.
        spare: Neighbours to look up beyond k.
        groups: (n,) numbers, with ``exclude_self``: rows of one group are no neighbours of each other.
    """
    own = np.arange(len(queries)) if exclude_self else None
    most = min(k + spare, len(pool) - int(exclude_self))
    most = max(most, 0)
    faiss = faiss_library() if len(pool) > EXACT_POOL and len(queries) >= _MANY else None
    if faiss is not None:
        return _approximate(faiss, queries, pool, min(k, most), most, own, groups)
    index, cosine = _search(queries, pool, most, own, None if groups is None else (groups, groups))
    return Neighbours(index, cosine, min(k, most))


def _approximate(
    faiss: Any,
    queries: Matrix,
    pool: Matrix,
    k: int,
    most: int,
    own: npt.NDArray[np.int64] | None,
    groups: npt.NDArray[np.int64] | None = None,
) -> Neighbours:
    found, cosine = approximate_nearest(faiss, queries, pool, most + int(own is not None))
    gone = found < 0 if own is None else (found < 0) | (found == own[:, None])
    if groups is not None:
        gone |= groups[np.maximum(found, 0)] == groups[:, None]
    # a row comes first among its own neighbours or, beside equal rows, anywhere or not at all
    order = np.argsort(gone, axis=1, kind="stable")[:, :most]
    gone, found = np.take_along_axis(gone, order, axis=1), np.take_along_axis(found, order, axis=1)
    cosine = np.where(gone, -np.inf, np.take_along_axis(cosine, order, axis=1)).astype(np.float32)
    index = np.where(gone, -1, found).astype(np.int32)
    rows = generator(0, "recall of neighbours").permutation(len(queries))[:RECALL_ROWS]
    apart = None if groups is None else (groups[rows], groups)
    exact, _ = _search(queries[rows], pool, k, None if own is None else own[rows], apart)
    hits = (index[rows, :k, None] == exact[:, None, :]).any(axis=1)
    return Neighbours(index, cosine, k, float(hits.mean()) if hits.size else 1.0)


def _search(
    queries: Matrix,
    pool: Matrix,
    k: int,
    own: npt.NDArray[np.int64] | None,
    apart: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
) -> tuple[npt.NDArray[np.int32], Matrix]:
    """Return the k nearest; none that has a query's number in ``apart``, of the queries and of the pool."""
    index, cosine = np.full((len(queries), k), -1, np.int32), np.full((len(queries), k), -np.inf, np.float32)
    most, columns = min(k, len(pool)), max(1, len(pool))
    step = max(1, min(_BLOCK // columns, max(_FEWEST, _NEAR // columns)))
    for start in range(0, len(queries) if most else 0, step):
        rows = slice(start, start + step)
        cosines = queries[rows] @ pool.T
        if own is not None:
            at = np.flatnonzero(own[rows] >= 0)
            cosines[at, own[rows][at]] = -np.inf
        if apart is not None:
            cosines[apart[0][rows, None] == apart[1]] = -np.inf
        index[rows, :most], cosine[rows, :most] = _largest(cosines, most)
    index[~np.isfinite(cosine)] = -1
    return index, cosine


def _largest(values: Matrix, k: int) -> tuple[npt.NDArray[Any], Matrix]:
    """Return places and values of each row's k largest entries, falling."""
    n, columns = values.shape
    # groups and the columns within k of them are then about as many
    size = int(np.clip(2.0 ** np.round(np.log2(max(columns / k, 1.0)) / 2), *_GROUPS))
    parts = columns // size
    if parts < 2 * k:
        return _among(values, np.arange(columns), k)
    # The k largest lie in the k groups of the largest maxima: an entry outside has k others that are no smaller. So a
    # row is read once, where a partition would move all of it about.
    maxima = values[:, : parts * size].reshape(n, size, parts).max(axis=1)
    groups = np.argpartition(maxima, parts - k, axis=1)[:, parts - k :, None] + np.arange(size) * parts
    rest = np.broadcast_to(np.arange(parts * size, columns), (n, columns - parts * size))
    return _among(values, np.hstack([groups.reshape(n, -1), rest]), k)


def _among(values: Matrix, places: npt.NDArray[Any], k: int) -> tuple[npt.NDArray[Any], Matrix]:
    """Return the k largest of some places of each row.

    ``places`` is (n, p), or (p,) for all rows.
    """
    places = np.broadcast_to(places, (len(values), places.shape[-1]))
    found = _along(values, places)
    p = found.shape[1]
    best = np.argpartition(found, p - k, axis=1)[:, p - k :] if k < p else np.arange(k)[None, :]
    best = np.broadcast_to(best, (len(values), k))
    order = np.argsort(-_along(found, best), axis=1, kind="stable")
    best = _along(best, order)
    return _along(places, best), _along(found, best)


def _along(values: npt.NDArray[Any], places: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``np.take_along_axis(values, places, axis=1)``, by flat places, in half the time."""
    flat = places + (np.arange(len(values)) * values.shape[1])[:, None]
    return np.asarray(np.ascontiguousarray(values).take(flat, mode="clip"))


@dataclass(frozen=True)
class Graph:
    """Weights of each row's neighbours, softmax of ten times their cosines.

    Attributes:
        weights: (n, n_pool) CSR float32; the rows sum to 1, or to 0 where a row has no neighbour.
    """

    weights: sp.csr_array

    @classmethod
    def of(cls, found: Neighbours, n_pool: int) -> Graph:
        """Weigh the k nearest neighbours in a pool of ``n_pool`` rows."""
        index, cosine = found.index[:, : found.k], found.cosine[:, : found.k]
        there = index >= 0
        top = cosine.max(axis=1, keepdims=True, initial=-1.0)
        weight = np.where(there, np.exp(TEMPERATURE * (np.where(there, cosine, top) - top)), 0.0)
        weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-30)
        starts = np.arange(len(index) + 1) * index.shape[1]
        entries = (weight.ravel().astype(np.float32), np.maximum(index, 0).ravel(), starts)
        return cls(sp.csr_array(entries, shape=(len(index), n_pool)))

    def smooth(self, own: Matrix, pool: Matrix, keep: float = 0.5) -> Matrix:
        """Return ``keep own + (1 - keep) W pool`` (n, r), float32.

        A row without neighbours stays as it is.
        """
        mixed = np.asarray(self.weights @ pool, dtype=np.float32)
        mixed *= np.float32(1.0 - keep)
        alone = np.asarray(self.weights.sum(axis=1)).ravel() == 0
        mixed += np.where(alone, np.float32(1.0), np.float32(keep))[:, None] * own
        return mixed

    def diffuse(self, pool: Matrix, hops: int, keep: float) -> Matrix:
        """Return a pool's rows after several hops of smoothing.

        A hop is ``Z <- keep pool + (1 - keep) W Z``, the first from Z = pool.
        """
        smoothed = pool
        for _ in range(hops):
            smoothed = self.smooth(pool, smoothed, keep)
        return smoothed
