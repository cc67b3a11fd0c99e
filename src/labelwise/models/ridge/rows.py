"""Scaled rows as operators: sums and products without densifying sparse ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from labelwise.annotations import row_blocks
from labelwise.models.blocks import is_blocks
from labelwise.models.scaling import BlockScaling, FeatureMatrix, Scaling

Array: TypeAlias = npt.NDArray[Any]


_BLOCK = 1 << 22
_SMALL = 1 << 26  # a sparse matrix with fewer entries than this (256 MB of float32) is densified
_THIN, _DENSITY = 1 << 23, 0.02  # from so many entries on only if it stores at least this share of them


class Rows:
    """Scaled rows ``z = A - u m^T`` (n, D), as operator.

    Dense rows are A alone, without u and m.
    """

    def __init__(self, A: Any, u: Array | None = None, m: Array | None = None) -> None:
        self.A, self.u, self.m = A, u, m
        self.n, self.d = int(A.shape[0]), int(A.shape[1])
        self.sparse = u is not None

    def take(self, index: Array) -> Rows:
        """Return the rows of ``index``."""
        return Rows(self.A[index], None if self.u is None else self.u[index], self.m)

    def times(self, weight: float) -> Rows:
        """Return the rows times a number."""
        if self.u is None:
            return Rows(self.A * self.A.dtype.type(weight))
        return Rows(self.A * weight, self.u * weight, self.m)

    def single(self) -> Rows:
        """Return the rows in single precision, for products with float32."""
        if self.u is None or self.m is None:
            return Rows(self.A.astype(np.float32, copy=False))
        return Rows(self.A.astype(np.float32), self.u.astype(np.float32), self.m.astype(np.float32))

    def blocks(self) -> list[slice]:
        """Return slices of rows whose float64 copies stay small."""
        return list(row_blocks(self.n, self.d, _BLOCK))

    def dot(self, V: Array, rows: slice = slice(None)) -> Array:
        """Return ``Z[rows] V`` in the precision of V (D, c)."""
        if self.u is not None and self.m is not None:
            A = self.A if rows == slice(None) else self.A[rows]  # a slice of all would be a copy
            product = np.asarray(A @ V)
            product -= np.multiply.outer(self.u[rows], self.m @ V)
            return product
        if rows != slice(None):
            return np.asarray(self.A[rows].astype(V.dtype, copy=False) @ V)
        return np.concatenate([self.dot(V, block) for block in self.blocks()])

    def sum(self, weights: Array) -> Array:
        """Return ``Z^T weights`` in the precision of ``weights`` (n,) or (n, c)."""
        if self.u is not None and self.m is not None:
            return np.asarray(self.A.T @ weights - np.multiply.outer(self.m, self.u @ weights))
        total = np.zeros((self.d, *weights.shape[1:]), weights.dtype)
        for block in self.blocks():
            total += self.A[block].astype(weights.dtype, copy=False).T @ weights[block]
        return total

    def rounding(self, weights: Array, *, by_row: bool) -> Array:
        """Return a bound on what rounding adds to squares, float64.

        Of each column (D,), or of each row (n,).

        Dense rows were rounded when they were scaled, each entry relative to itself; sums over implicit ones cancel.
        """
        if self.u is not None and self.m is not None:
            squares = self.A.multiply(self.A)
            squared = np.asarray(squares.sum(axis=1)).ravel() + self.u**2 * (self.m @ self.m)
            if by_row:
                return np.asarray(weights * squared * 2.0**-46)
            return np.asarray((squares.T @ weights + (weights @ self.u**2) * self.m**2) * 2.0**-46)
        unit = float(np.finfo(self.A.dtype).eps) ** 2
        if by_row:
            parts = [np.square(self.A[block], dtype=np.float64).sum(axis=1) for block in self.blocks()]
            return np.asarray(weights * np.concatenate(parts) * unit)
        total = np.zeros(self.d)
        for block in self.blocks():
            total += weights[block] @ np.square(self.A[block], dtype=np.float64)
        return total * unit

    def mean_square(self) -> float:
        """Return the rows' mean squared norm about their mean.

        0 where it is lost in rounding.
        """
        ones = np.ones(self.n)
        centre = self.sum(ones) / max(self.n, 1)
        if self.u is not None and self.m is not None:
            squared = np.asarray(self.A.multiply(self.A).sum(axis=1)).ravel()
            total = float((squared - 2 * self.u * (self.A @ self.m) + self.u**2 * (self.m @ self.m)).sum())
            total -= self.n * float(centre @ centre)
        else:
            total = sum(
                float(np.square(self.A[block] - centre, dtype=np.float64).sum()) for block in self.blocks()
            )
        return total / max(self.n, 1) if total > self.rounding(ones, by_row=False).sum() else 0.0

    def dense(self, rows: slice) -> Array:
        """Return ``Z[rows]``, float64."""
        if self.u is not None and self.m is not None:
            return np.asarray(self.A[rows].toarray() - np.multiply.outer(self.u[rows], self.m))
        return np.asarray(self.A[rows], dtype=np.float64)

    def quadratic(self, scale: Array, centre: Array) -> Array:
        """Return ``sum_j scale_j (z_j - centre_j)^2`` of every row (n,); scale is (D,) >= 0."""
        if self.u is not None and self.m is not None:
            # z - centre = a - (m, centre) (u, 1)
            means, factors = np.stack([self.m, centre], axis=1), np.stack([self.u, np.ones(self.n)], axis=1)
            cross = ((self.A @ (scale[:, None] * means)) * factors).sum(axis=1)
            square = ((factors @ (means.T @ (scale[:, None] * means))) * factors).sum(axis=1)
            return np.asarray(self.A.multiply(self.A) @ scale - 2 * cross + square)
        parts = [np.square(self.dense(rows) - centre) @ scale for rows in self.blocks()]
        return np.concatenate(parts)

    def diagonal(self, centre: Array, weights: Array) -> Array:
        """Return the diagonal of ``covariance(centre, weights)``, (D,)."""
        if self.u is not None and self.m is not None:
            means, factors = np.stack([self.m, centre], axis=1), np.stack([self.u, np.ones(self.n)], axis=1)
            cross = ((self.A.T @ (weights[:, None] * factors)) * means).sum(axis=1)
            square = ((means @ (factors.T @ (weights[:, None] * factors))) * means).sum(axis=1)
            return np.asarray(self.A.multiply(self.A).T @ weights - 2 * cross + square)
        parts = [weights[rows] @ np.square(self.dense(rows) - centre) for rows in self.blocks()]
        return np.asarray(np.sum(parts, axis=0))

    def covariance(self, centre: Array, weights: Array) -> Array:
        """Return ``sum_i weights_i (z_i - centre)(z_i - centre)^T`` (D, D)."""
        if self.u is not None and self.m is not None:
            weighted = self.A.multiply(np.sqrt(weights)[:, None]).tocsr()
            # z - centre = a - (u m + centre) and the cross terms need only A^T of two vectors
            au, a1 = self.A.T @ (weights * self.u), self.A.T @ weights
            left = np.stack([self.m, centre], axis=1)
            cross = np.stack([au, a1], axis=1) @ left.T
            small = np.array(
                [[weights @ self.u**2, weights @ self.u], [weights @ self.u, weights.sum()]], dtype=np.float64
            )
            return np.asarray((weighted.T @ weighted).toarray() - cross - cross.T + left @ small @ left.T)
        total = np.zeros((self.d, self.d))
        for block in self.blocks():
            z = (self.A[block] - centre) * np.sqrt(weights[block])[:, None]
            total += z.T @ z
        return total

    def gram(self, centre: Array, weights: Array) -> Array:
        """Return the products ``sqrt(w_i w_j) (z_i - centre).(z_j - centre)`` (n, n)."""
        root = np.sqrt(weights)
        if self.u is not None and self.m is not None:
            left = np.stack([self.u, np.ones(self.n)], axis=1)
            right = np.stack([self.m, centre], axis=1)
            # half of the cross terms and of the square on each side: one product in place of four matrices
            half = (self.A @ right) - left @ (right.T @ right) / 2
            full = (self.A @ self.A.T).toarray()
            for rows in row_blocks(self.n, self.n, _BLOCK):
                full[rows] -= half[rows] @ left.T + left[rows] @ half.T
                full[rows] *= root[rows, None] * root
            return np.asarray(full)
        z = (self.A - centre) * root[:, None]
        return np.asarray(z @ z.T)


class BlockRows(Rows):
    """Scaled rows of several blocks side by side, each an operator of its own.

    Sums, Gram and covariance matrices are put together from those of the blocks, so that sparse blocks stay sparse
    beside dense ones.
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = tuple(parts)
        stops = np.cumsum([part.d for part in parts]).tolist()
        self.slices = [slice(a, b) for a, b in zip([0, *stops[:-1]], stops, strict=True)]
        self.n, self.d = parts[0].n, int(stops[-1])
        self.sparse = any(part.sparse for part in parts)

    def take(self, index: Array) -> BlockRows:
        """Return the rows of ``index``."""
        return BlockRows([part.take(index) for part in self.parts])

    def times(self, weight: float) -> BlockRows:
        """Return the rows times a number."""
        return BlockRows([part.times(weight) for part in self.parts])

    def single(self) -> BlockRows:
        """Return the rows in single precision."""
        return BlockRows([part.single() for part in self.parts])

    def dot(self, V: Array, rows: slice = slice(None)) -> Array:
        """Return ``Z[rows] V`` in the precision of V (D, c)."""
        products = [part.dot(V[own], rows) for part, own in zip(self.parts, self.slices, strict=True)]
        return np.asarray(np.sum(products, axis=0))

    def sum(self, weights: Array) -> Array:
        """Return ``Z^T weights`` in the precision of ``weights`` (n,) or (n, c)."""
        return np.concatenate([part.sum(weights) for part in self.parts])

    def rounding(self, weights: Array, *, by_row: bool) -> Array:
        """Return a bound on what rounding adds to squares, of columns (D,) or rows (n,)."""
        bounds = [part.rounding(weights, by_row=by_row) for part in self.parts]
        return np.asarray(np.sum(bounds, axis=0) if by_row else np.concatenate(bounds))

    def mean_square(self) -> float:
        """Return the rows' mean squared norm about their mean."""
        return sum(part.mean_square() for part in self.parts)

    def dense(self, rows: slice) -> Array:
        """Return ``Z[rows]``, float64."""
        return np.concatenate([part.dense(rows) for part in self.parts], axis=1)

    def quadratic(self, scale: Array, centre: Array) -> Array:
        """Return ``sum_j scale_j (z_j - centre_j)^2`` of every row (n,)."""
        parts = zip(self.parts, self.slices, strict=True)
        return np.asarray(np.sum([part.quadratic(scale[own], centre[own]) for part, own in parts], axis=0))

    def diagonal(self, centre: Array, weights: Array) -> Array:
        """Return the diagonal of ``covariance(centre, weights)``, (D,)."""
        parts = zip(self.parts, self.slices, strict=True)
        return np.concatenate([part.diagonal(centre[own], weights) for part, own in parts])

    def covariance(self, centre: Array, weights: Array) -> Array:
        """Return ``sum_i weights_i (z_i - centre)(z_i - centre)^T`` (D, D)."""
        whole = np.empty((self.d, self.d))
        for number, (part, own) in enumerate(zip(self.parts, self.slices, strict=True)):
            whole[own, own] = part.covariance(centre[own], weights)
            for other, its in zip(self.parts[:number], self.slices[:number], strict=True):
                whole[its, own] = _cross(other, part, centre[its], weights)
                whole[own, its] = whole[its, own].T
        return whole

    def gram(self, centre: Array, weights: Array) -> Array:
        """Return the products ``sqrt(w_i w_j) (z_i - centre).(z_j - centre)`` (n, n)."""
        total = self.parts[0].gram(centre[self.slices[0]], weights)
        for part, own in zip(self.parts[1:], self.slices[1:], strict=True):
            total += part.gram(centre[own], weights)
        return total


def _cross(first: Rows, second: Rows, centre: Array, weights: Array) -> Array:
    """Return ``sum_i weights_i (x_i - centre) z_i^T`` of two blocks' rows x and z.

    The second block's centre drops out where ``centre`` is the weighted mean of the first.
    """
    if first.d > second.d and not second.sparse:
        mean = second.sum(weights) / weights.sum()
        return _cross(second, first, mean, weights).T
    out = np.empty((first.d, second.d))
    step = max(1, _BLOCK // first.n)
    identity = np.eye(first.d)
    for columns in (slice(start, start + step) for start in range(0, first.d, step)):
        centred = first.dot(identity[:, columns]) - centre[columns]
        out[columns] = second.sum(weights[:, None] * centred).T
    return out


def rows_of(X: FeatureMatrix, scaling: Scaling) -> Rows:
    """Return scaled rows, implicit where sparse and too large to densify."""
    if isinstance(scaling, BlockScaling):
        parts = zip(scaling.split(X), scaling.parts, scaling.weights, strict=True)
        return BlockRows([rows_of(block, part).times(weight) for block, part, weight in parts])
    if stays_sparse(X):
        return Rows(*scaling.sparse_parts(X))
    return Rows(scaling.transform(X))


def stays_sparse(X: FeatureMatrix) -> bool:
    """Return whether rows of ``X``, or of one of its blocks, are sparse and too large to densify."""
    if is_blocks(X):
        return any(map(stays_sparse, X.parts))
    if not issparse(X):
        return False
    rows: Any = X
    size, stored = int(rows.shape[0]) * int(rows.shape[1]), int(rows.nnz)
    return size > (_THIN if stored < _DENSITY * size else _SMALL)


def ridge_outputs(X: FeatureMatrix, scaling: Scaling, weight: Array, bias: Array) -> npt.NDArray[np.float32]:
    """Return ``scaling.transform(X) @ weight.T + bias`` (n, K), without making large sparse rows dense.

    ``weight`` is (K, D) float32, ``bias`` (K,).
    """
    if stays_sparse(X):
        across = np.ascontiguousarray(weight.T, np.float32)
        return np.asarray(rows_of(X, scaling).single().dot(across) + bias, np.float32)
    n, step = int(X.shape[0]), max(1, (1 << 23) // max(1, scaling.n_features))
    out = np.empty((n, len(bias)), dtype=np.float32)
    for start in range(0, n, step):
        out[start : start + step] = scaling.transform(X[start : start + step]) @ weight.T + bias
    return out
