"""Scaled feature rows as an operator, dense or implicit (sparse minus a rank-one centre), in float64."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse

from labelwise.annotations import row_blocks
from labelwise.models.scaling import FeatureMatrix, InputScaling

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 22
_SMALL = 1 << 26  # a sparse matrix with fewer entries than this (256 MB of float32) is densified


class Rows:
    """Rows ``z = A - u m^T`` (n, D); for dense rows A holds them and u, m are absent."""

    def __init__(self, A: Any, u: Array | None = None, m: Array | None = None) -> None:
        self.A, self.u, self.m = A, u, m
        self.n, self.d = int(A.shape[0]), int(A.shape[1])
        self.sparse = u is not None

    def take(self, index: Array) -> Rows:
        """Return the rows of ``index``."""
        return Rows(self.A[index], None if self.u is None else self.u[index], self.m)

    def blocks(self) -> list[slice]:
        """Return slices of rows whose float64 copies stay small."""
        return list(row_blocks(self.n, self.d, _BLOCK))

    def dot(self, V: Array, rows: slice = slice(None)) -> Array:
        """Return ``Z[rows] V``, float64; V is (D, c)."""
        if self.u is not None and self.m is not None:
            return np.asarray(self.A[rows] @ V - np.multiply.outer(self.u[rows], self.m @ V))
        if rows != slice(None):
            return np.asarray(self.A[rows].astype(np.float64, copy=False) @ V)
        return np.concatenate([self.dot(V, block) for block in self.blocks()])

    def sum(self, weights: Array) -> Array:
        """Return ``Z^T weights``, float64; weights is (n,) or (n, c)."""
        if self.u is not None and self.m is not None:
            return np.asarray(self.A.T @ weights - np.multiply.outer(self.m, self.u @ weights))
        total = np.zeros((self.d, *weights.shape[1:]))
        for block in self.blocks():
            total += self.A[block].astype(np.float64, copy=False).T @ weights[block]
        return total

    def rounding(self, weights: Array, *, by_row: bool) -> Array:
        """Return what rounding adds to the squares of each column (D,), or of each row (n,), at most; float64.

        Dense rows were rounded when they were scaled, each entry relative to itself; sums over implicit ones cancel.
        """
        if self.u is not None and self.m is not None:
            squares = self.A.multiply(self.A)
            own = np.asarray(squares.sum(axis=1)).ravel() + self.u**2 * (self.m @ self.m)
            if by_row:
                return np.asarray(weights * own * 2.0**-46)
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
        """Return the mean squared norm of the rows about their mean, 0 where it is lost in rounding."""
        ones = np.ones(self.n)
        centre = self.sum(ones) / max(self.n, 1)
        if self.u is not None and self.m is not None:
            own = np.asarray(self.A.multiply(self.A).sum(axis=1)).ravel()
            total = float((own - 2 * self.u * (self.A @ self.m) + self.u**2 * (self.m @ self.m)).sum())
            total -= self.n * float(centre @ centre)
        else:
            total = sum(
                float(np.square(self.A[block] - centre, dtype=np.float64).sum()) for block in self.blocks()
            )
        return total / max(self.n, 1) if total > self.rounding(ones, by_row=False).sum() else 0.0

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
            cross = (self.A @ right) @ left.T
            full = (self.A @ self.A.T).toarray() - cross - cross.T + left @ (right.T @ right) @ left.T
            return np.asarray(root[:, None] * full * root)
        z = (self.A - centre) * root[:, None]
        return np.asarray(z @ z.T)


def rows_of(X: FeatureMatrix, scaling: InputScaling) -> Rows:
    """Return the scaled rows of ``X``, implicit when X is sparse and too large to densify."""
    size = int(X.shape[0]) * int(X.shape[1])
    if size > _SMALL and issparse(X):
        return Rows(*scaling.sparse_parts(X))
    return Rows(scaling.transform(X))
