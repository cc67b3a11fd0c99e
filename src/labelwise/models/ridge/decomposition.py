"""Scaled rows, and one eigendecomposition for all lambdas and labels.

Weighted ridge with a free intercept: ``min_{w,b} sum_i s_i (y_i - w.z_i - b)^2 + lambda |w|^2``. With z
centred at its weighted mean and ``P`` the rows in principal coordinates, eigenvalues e: ``w = P^T s (y -
ybar) / (e + lambda)``, the leverage of row i is ``h_i = s_i / sum(s) + s_i sum_j P_ij^2 / (e_j + lambda)``,
and its prediction by the model fitted without it is ``(f_i - h_i y_i) / (1 - h_i)``, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh
from scipy.sparse import issparse

from labelwise.annotations import row_blocks
from labelwise.models.scaling import FeatureMatrix, InputScaling

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 22
_SMALL = 1 << 26  # a sparse matrix with fewer entries than this (256 MB of float32) is densified


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
    """Return scaled rows, implicit where sparse and too large to densify."""
    size = int(X.shape[0]) * int(X.shape[1])
    if size > _SMALL and issparse(X):
        return Rows(*scaling.sparse_parts(X))
    return Rows(scaling.transform(X))


@dataclass(frozen=True)
class Decomposition:
    """Weighted rows and the eigenvectors of their covariance or Gram matrix."""

    rows: Rows
    weights: Array  # (n,)
    centre: Array  # (D,)
    eigenvalues: Array  # (r,)
    basis: Array  # (D, r) eigenvectors of the covariance, or (n, r) of the Gram matrix
    dual: bool

    @property
    def mean_square(self) -> float:
        """Mean squared norm of the centred rows, the lambda grid's unit."""
        return float(self.eigenvalues.sum() / self.weights.sum())

    def _principal(self, rows: slice) -> Array:
        if self.dual:
            root = np.sqrt(self.weights[rows])[:, None]
            return np.asarray(self.basis[rows] * np.sqrt(self.eigenvalues) / root)
        return np.asarray(self.rows.dot(self.basis, rows) - self.centre @ self.basis)

    def _moments(self, Y: Array) -> tuple[Array, Array]:
        """Return weighted label means (K,) and ``P^T s(y - ybar)`` (r, K)."""
        mean = self.weights @ Y / self.weights.sum()
        weighted = self.weights[:, None] * (Y - mean)
        if self.dual:
            return mean, np.sqrt(self.eigenvalues)[:, None] * (
                self.basis.T @ (np.sqrt(self.weights)[:, None] * (Y - mean))
            )
        return mean, self.basis.T @ (
            self.rows.sum(weighted) - np.multiply.outer(self.centre, weighted.sum(axis=0))
        )

    def solve(self, Y: Array, shrink: Array) -> tuple[Array, Array]:
        """Return weights (K, D) and biases (K,).

        ``shrink`` (r,) holds the means over lambdas of 1 / (e + lambda).
        """
        mean, moment = self._moments(Y)
        coefficient = moment * shrink[:, None]
        if self.dual:
            alpha = self.basis @ (coefficient / np.sqrt(self.eigenvalues)[:, None])
            alpha *= np.sqrt(self.weights)[:, None]
            weight = self.rows.sum(alpha) - np.multiply.outer(self.centre, alpha.sum(axis=0))
        else:
            weight = self.basis @ coefficient
        return weight.T, mean - self.centre @ weight

    def leave_one_out(self, Y: Array, lambdas: Array, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return leave-one-out scores (L, n, K), by models without the row."""
        mean, moment = self._moments(Y)
        shrink = 1.0 / (self.eigenvalues[:, None] + lambdas)  # (r, L)
        out = np.empty((len(lambdas), self.rows.n, Y.shape[1]), dtype=dtype)
        for rows in self.rows.blocks():
            P, s, y = self._principal(rows), self.weights[rows, None], Y[rows]
            leverage = s / self.weights.sum() + s * (P**2 @ shrink)  # (b, L)
            for number in range(len(lambdas)):
                # A row alone in its direction has leverage 1, and no model without it.
                h = np.minimum(leverage[:, number, None], 1.0 - 1e-12)
                fitted = mean + P @ (moment * shrink[:, number, None])
                out[number, rows] = (fitted - h * y) / (1.0 - h)
        return out


def decompose(rows: Rows, weights: Array | None = None) -> Decomposition:
    """Decompose the smaller of the rows' covariance and Gram matrix.

    ``rows`` are (n, D), positive ``weights`` (n,).
    """
    s = np.ones(rows.n) if weights is None else np.asarray(weights, dtype=np.float64)
    centre = rows.sum(s) / s.sum()
    dual = rows.n < rows.d
    matrix = rows.gram(centre, s) if dual else rows.covariance(centre, s)
    e, basis = eigh(matrix, overwrite_a=True, check_finite=False, driver="evd")
    # the null space carries no information: its eigenvalues are rounding, of the sums or of the rows themselves
    informative = np.zeros(0, dtype=bool)
    if e.size:
        noise = np.square(basis).T @ rows.rounding(s, by_row=dual)
        informative = e > np.maximum(max(e[-1], 0.0) * 1e-13 * max(matrix.shape), noise)
    return Decomposition(rows, s, centre, e[informative], np.ascontiguousarray(basis[:, informative]), dual)
