"""Ridge for one lambda at a time, by a Cholesky factor.

A factor costs a ninth of an eigendecomposition, so that a few lambdas are cheaper than all of them. With z centred at
its weighted mean, r = sqrt(s) (y - ybar) and G the Gram matrix of the rows sqrt(s) z: ``alpha = (G + lambda)^-1 r``
and ``w = Z^T sqrt(s) alpha``. Row i keeps ``1 - h_i = lambda (G + lambda)^-1_ii - s_i / sum(s)``, so that its residual
by the model fitted without it is ``lambda alpha_i / (sqrt(s_i) (1 - h_i))``, exactly. With fewer columns than rows the
same comes from the covariance C: ``h_i = s_i / sum(s) + s_i z_i^T (C + lambda)^-1 z_i``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import lapack

from labelwise.errors import UserError
from labelwise.models.ridge.decomposition import Decomposition, decompose
from labelwise.models.ridge.rows import Rows

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Solved:
    """A ridge for one lambda: weights (K, D), biases (K,), leave-one-out scores (n, K)."""

    weight: Array
    bias: Array
    scores: npt.NDArray[np.float32]


def mean_of(solved: list[Solved]) -> Solved:
    """Return the mean of solutions, which is one linear model."""
    if len(solved) == 1:
        return solved[0]
    parts = zip(*((one.weight, one.bias, one.scores) for one in solved), strict=True)
    return Solved(*(np.mean(part, axis=0) for part in parts))


class OneLambda(Protocol):
    """A ridge on given rows and targets that is solved for one lambda at a time."""

    def at(self, lambda_: float) -> Solved:
        """Return the solution for ``lambda_``."""

    def near(self, lambda_: float) -> Solved | None:
        """Return a solution that tells which lambda is best, None where the solution itself is as cheap."""


@dataclass(frozen=True)
class ByDecomposition:
    """One lambda at a time from an eigendecomposition."""

    decomposition: Decomposition
    targets: Array  # (n, K)

    @classmethod
    def of(cls, rows: Rows, weights: Array, targets: Array) -> ByDecomposition:
        """Decompose rows (n, D) under positive weights (n,)."""
        decomposition = decompose(rows, weights)
        decomposition.keep_principal()
        return cls(decomposition, targets)

    def near(self, lambda_: float) -> None:
        """Return None: the solution itself is as cheap."""

    def at(self, lambda_: float) -> Solved:
        """Return the solution for ``lambda_``."""
        weight, bias = self.decomposition.solve(self.targets, 1 / (self.decomposition.eigenvalues + lambda_))
        scores = self.decomposition.leave_one_out(self.targets, np.array([lambda_]), np.float32)
        return Solved(weight, bias, scores[0])


@dataclass(frozen=True)
class ByCholesky:
    """One lambda at a time from a Cholesky factor of the smaller matrix."""

    rows: Rows
    weights: Array  # (n,)
    targets: Array  # (n, K)
    centre: Array  # (D,)
    matrix: Array  # Gram (n, n) or covariance (D, D)
    dual: bool

    @classmethod
    def of(cls, rows: Rows, weights: Array, targets: Array) -> ByCholesky:
        """Multiply rows (n, D) out under positive weights (n,)."""
        centre = rows.sum(weights) / weights.sum()
        dual = rows.n < rows.d
        matrix = rows.gram(centre, weights) if dual else rows.covariance(centre, weights)
        return cls(rows, weights, targets, centre, matrix, dual)

    def near(self, lambda_: float) -> None:
        """Return None: the solution itself is as cheap."""

    def at(self, lambda_: float) -> Solved:
        """Return the solution for ``lambda_``.

        Raises:
            UserError: Where lambda is lost in the matrix's rounding.
        """
        mean = self.weights @ self.targets / self.weights.sum()
        factor = _factor(self.matrix, lambda_)
        return self._dual(mean, factor, lambda_) if self.dual else self._primal(mean, factor)

    def _dual(self, mean: Array, factor: Array, lambda_: float) -> Solved:
        root = np.sqrt(self.weights)[:, None]
        alpha, _ = lapack.dpotrs(factor, root * (self.targets - mean), lower=1)
        inverse, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
        kept = lambda_ * np.einsum("ij,ij->j", inverse, inverse) - self.weights / self.weights.sum()
        scores = self.targets - lambda_ * alpha / (root * np.maximum(kept, 1e-12)[:, None])
        alpha *= root
        weight = self.rows.sum(alpha) - np.multiply.outer(self.centre, alpha.sum(axis=0))
        return Solved(weight.T, mean - self.centre @ weight, scores.astype(np.float32))

    def _primal(self, mean: Array, factor: Array) -> Solved:
        weighted = self.weights[:, None] * (self.targets - mean)
        moment = self.rows.sum(weighted) - np.multiply.outer(self.centre, weighted.sum(axis=0))
        weight, _ = lapack.dpotrs(factor, moment, lower=1)
        inverse, _ = lapack.dtrtri(factor, lower=1, overwrite_c=1)
        scores = np.empty(self.targets.shape, dtype=np.float32)
        for rows in self.rows.blocks():
            z, s, y = self.rows.dense(rows) - self.centre, self.weights[rows, None], self.targets[rows]
            leverage = s / self.weights.sum() + s * np.square(z @ inverse.T).sum(axis=1, keepdims=True)
            h = np.minimum(leverage, 1.0 - 1e-12)
            scores[rows] = (mean + z @ weight - h * y) / (1.0 - h)
        return Solved(weight.T, mean - self.centre @ weight, scores)


def _factor(matrix: Array, lambda_: float) -> Array:
    """Return the lower Cholesky factor of ``matrix + lambda_``."""
    shifted = np.array(matrix, order="F")
    shifted[np.diag_indices(len(shifted))] += lambda_
    factor, failed = lapack.dpotrf(shifted, lower=1, overwrite_a=1)
    if failed:
        raise UserError(f"lambda {lambda_:.3g} is too small for these features; give larger lambdas")
    return np.asarray(factor)
