"""One eigendecomposition of scaled rows for all lambdas and labels.

Weighted ridge with a free intercept: ``min_{w,b} sum_i s_i (y_i - w.z_i - b)^2 + lambda |w|^2``. With z
centred at its weighted mean and ``P`` the rows in principal coordinates, eigenvalues e: ``w = P^T s (y -
ybar) / (e + lambda)``, the leverage of row i is ``h_i = s_i / sum(s) + s_i sum_j P_ij^2 / (e_j + lambda)``,
and its prediction by the model fitted without it is ``(f_i - h_i y_i) / (1 - h_i)``, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from labelwise.models.ridge.rows import Rows

Array: TypeAlias = npt.NDArray[Any]

_KEPT = 1 << 28  # most bytes of principal coordinates that are kept between two calls


@dataclass(frozen=True)
class Decomposition:
    """Weighted rows and the eigenvectors of their covariance or Gram matrix."""

    rows: Rows
    weights: Array  # (n,)
    centre: Array  # (D,)
    eigenvalues: Array  # (r,)
    basis: Array  # (D, r) eigenvectors of the covariance, or (n, r) of the Gram matrix
    dual: bool
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def mean_square(self) -> float:
        """Mean squared norm of the centred rows, the lambda grid's unit."""
        return float(self.eigenvalues.sum() / self.weights.sum())

    def _principal(self, rows: slice) -> Array:
        if self.dual:
            root = np.sqrt(self.weights[rows])[:, None]
            return np.asarray(self.basis[rows] * np.sqrt(self.eigenvalues) / root)
        return np.asarray(self.rows.dot(self.basis, rows) - self.centre @ self.basis)

    def keep_principal(self) -> None:
        """Keep the rows' principal coordinates where they are small: more than one lambda will be asked for."""
        if self.rows.n * len(self.eigenvalues) * 8 <= _KEPT:
            self._memo["principal"] = {}

    def _coordinates(self, rows: slice) -> Array:
        kept = self._memo.get("principal")
        if kept is None:
            return self._principal(rows)
        if rows.start not in kept:
            kept[rows.start] = self._principal(rows)
        return np.asarray(kept[rows.start])

    def _moments(self, Y: Array) -> tuple[Array, Array]:
        """Return weighted label means (K,) and ``P^T s(y - ybar)`` (r, K), those of the same labels once."""
        last = self._memo.get("moments")
        if last is None or last[0] is not Y:
            last = self._memo["moments"] = (Y, self._moments_of(Y))
        mean, moment = last[1]
        return mean, moment

    def _moments_of(self, Y: Array) -> tuple[Array, Array]:
        mean = self.weights @ Y / self.weights.sum()
        weighted = self.weights[:, None] * (Y - mean)
        if self.dual:
            return mean, np.sqrt(self.eigenvalues)[:, None] * (
                self.basis.T @ (np.sqrt(self.weights)[:, None] * (Y - mean))
            )
        return mean, self.basis.T @ (
            self.rows.sum(weighted) - np.multiply.outer(self.centre, weighted.sum(axis=0))
        )

    def shrink(self, lambdas: Array) -> Array:
        """Return the means over lambdas of 1 / (e + lambda), (r,)."""
        return np.asarray(np.mean([1 / (self.eigenvalues + lambda_) for lambda_ in lambdas], axis=0))

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
            P, s, y = self._coordinates(rows), self.weights[rows, None], Y[rows]
            leverage = s / self.weights.sum() + s * (P**2 @ shrink)  # (b, L)
            for number in range(len(lambdas)):
                # A row alone in its direction has leverage 1, and no model without it.
                h = np.minimum(leverage[:, number, None], 1.0 - 1e-12)
                fitted = P @ (moment * shrink[:, number, None])
                fitted += mean
                fitted -= h * y
                np.divide(fitted, 1.0 - h, out=out[number, rows], casting="same_kind")
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
