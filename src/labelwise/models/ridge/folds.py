"""Outputs of rows whose fold was left out of a ridge, from products that all folds share.

With Z the rows about the mean of all, S the rows of the fit and G those left out: the covariance of S is that of all
less what G adds to it, and the Gram matrix of S is a part of that of all. So a fold costs one Cholesky factor of the
smaller of the two, in place of its own products of wide rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, cholesky

from labelwise.models.ridge.rows import Rows, rows_of
from labelwise.models.scaling import FeatureMatrix, Scaling

Array: TypeAlias = npt.NDArray[Any]

_JITTER = 1e-9  # share of the mean square: the Gram matrix of centred rows is singular


@dataclass(frozen=True, eq=False)
class FoldedRidge:
    """Ridge with a free intercept on scaled rows, each time without some of them.

    Attributes:
        rows: (m, D).
        MOST: Largest order of a matrix that should be factorised.
    """

    rows: Rows
    MOST: ClassVar[int] = 10_000

    @classmethod
    def of(cls, X: FeatureMatrix, scaling: Scaling) -> FoldedRidge:
        """Return the ridge on the rows of ``X`` (m, D), which stay sparse where they are large."""
        return cls(rows_of(X, scaling))

    @property
    def order(self) -> int:
        """The order of the matrices that it factorises."""
        return min(self.rows.n, self.rows.d)

    def outputs(self, targets: Array, lambda_: float, out: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Return outputs (g, K) of the rows ``out`` (m,) by a fit to the others' targets.

        Args:
            targets: (m, K).
            lambda_: Absolute, above 0.
            out: Some of the rows, not all.
        """
        y = targets[~out].astype(np.float64)
        return np.asarray((self._dual if self._by_rows else self._primal)(y, lambda_, out), np.float32)

    @cached_property
    def roots(self) -> npt.NDArray[np.float32]:
        """Rows (m, m) with the products of the centred rows; the scaled rows (m, D) where these are shorter."""
        if not self._by_rows:
            return np.asarray(self.rows.dense(slice(None)), np.float32)
        gram = self._gram.copy()
        gram[np.diag_indices_from(gram)] += _JITTER * max(np.trace(gram) / len(gram), 1e-300)
        return np.asarray(cholesky(gram, lower=True, overwrite_a=True, check_finite=False), np.float32)

    @property
    def _by_rows(self) -> bool:
        return self.rows.n < self.rows.d

    @cached_property
    def _centre(self) -> Array:
        return np.asarray(self.rows.sum(np.ones(self.rows.n)) / max(self.rows.n, 1))

    @cached_property
    def _gram(self) -> Array:
        return self.rows.gram(self._centre, np.ones(self.rows.n)).astype(np.float64, copy=False)

    @cached_property
    def _covariance(self) -> Array:
        return self.rows.covariance(self._centre, np.ones(self.rows.n))

    def _dual(self, y: Array, lambda_: float, out: npt.NDArray[np.bool_]) -> Array:
        """With A the Gram matrix of S plus lambda: ``alpha = A^-1 (y - b)``, where alpha sums to 0."""
        inside, outside = np.flatnonzero(~out), np.flatnonzero(out)
        gram = self._gram[np.ix_(inside, inside)]
        gram[np.diag_indices_from(gram)] += lambda_
        factor = cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve(factor, np.column_stack([np.ones(len(y)), y]), check_finite=False)
        ones, alpha = solved[:, 0], solved[:, 1:]
        bias = alpha.sum(axis=0) / ones.sum()
        return np.asarray(self._gram[np.ix_(outside, inside)] @ (alpha - ones[:, None] * bias) + bias)

    def _primal(self, y: Array, lambda_: float, out: npt.NDArray[np.bool_]) -> Array:
        outside, count, mean = np.flatnonzero(out), len(y), y.mean(axis=0)
        left = self.rows.take(outside).dense(slice(None)) - self._centre
        shift = -left.sum(axis=0) / count  # the mean of S
        moments = self._covariance - left.T @ left - count * np.multiply.outer(shift, shift)
        moments[np.diag_indices_from(moments)] += lambda_
        deviation = y - mean
        products = self.rows.take(np.flatnonzero(~out)).sum(deviation)
        weight = cho_solve(
            cho_factor(moments, lower=True, overwrite_a=True, check_finite=False),
            products,
            check_finite=False,
        )
        return np.asarray((left - shift) @ weight + mean)
