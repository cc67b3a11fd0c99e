"""Ridge on very many rows and features, by conjugate gradients and a low-rank factor.

The covariance C of the centred rows is approximated as ``M = diag(d) + V diag(e) V^T``: V are the r leading
eigenvectors by a randomised subspace iteration (Halko, Martinsson and Tropp 2011), d what they leave of C's diagonal.
``M + lambda`` is inverted in closed form (Woodbury), which serves twice:

- It preconditions conjugate gradients for ``(C + lambda) w = Z^T s (y - ybar)``. The solution is exact to the relative
  residual ``TOLERANCE``, whatever the rank.
- It gives leverages, and with them leave-one-out scores. C holds the row itself, whose leverage is ``g / (1 + g)`` with
  ``g = s z^T (C' + lambda)^-1 z``, C' without the row. M in the place of C' underestimates g where a row's features
  are correlated outside V. So ``log g = a + b log(s z^T (M + lambda)^-1 z)``, where a and b are fitted to 64 keyed
  rows whose leverages are solved for exactly beside the labels. Scores are therefore approximate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, eigh, qr, solve_triangular

from labelwise._random import generator
from labelwise.models.ridge.direct import Solved
from labelwise.models.ridge.masked import tell_residual
from labelwise.models.ridge.rows import Rows

Array: TypeAlias = npt.NDArray[Any]

RANK = 256
TOLERANCE = 1e-6
"""Relative residual at which conjugate gradients end."""

_PASSES = 3  # subspace iterations: what each adds is the square of the spectrum's decay
_COLUMNS = 64  # columns that go through the rows at once: 200,000 rows take 100 MB
_STEPS = 1000
_PROBES = 64


@dataclass(frozen=True)
class LowRank:
    """A covariance matrix as a low-rank one plus a diagonal one.

    Attributes:
        basis: (D, r) orthonormal.
        eigenvalues: (r,) > 0.
        diagonal: (D,) >= 0.
    """

    basis: Array
    eigenvalues: Array
    diagonal: Array

    @classmethod
    def of(cls, rows: Rows, weights: Array, rank: int) -> LowRank:
        """Approximate the weighted covariance of rows (n, D)."""
        centre = rows.sum(weights) / weights.sum()
        rank = min(rank, rows.d, rows.n)
        basis: Array = generator(0, "ridge subspace").standard_normal((rows.d, rank))
        for _ in range(_PASSES):
            basis, _ = qr(_covariance(rows, weights, centre, basis), mode="economic", overwrite_a=True)
        image = _covariance(rows, weights, centre, basis)
        small, turn = eigh(basis.T @ image)
        positive = small > max(small[-1], 0.0) * 1e-12
        basis, small = basis @ turn[:, positive], small[positive]
        left = rows.diagonal(centre, weights) - np.square(basis) @ small
        return cls(basis, small, np.maximum(left, 0.0))

    def inverse(self, lambda_: float) -> Inverse:
        """Return the inverse of the approximation plus ``lambda_``."""
        scale = 1.0 / (self.diagonal + lambda_)
        inner = np.diag(1.0 / self.eigenvalues) + self.basis.T @ (scale[:, None] * self.basis)
        factor = cholesky(inner, lower=True, check_finite=False)
        half = solve_triangular(factor, (scale[:, None] * self.basis).T, lower=True, check_finite=False)
        return Inverse(scale, np.ascontiguousarray(half.T))


@dataclass(frozen=True)
class Inverse:
    """The symmetric matrix ``diag(scale) - half half^T``, (D, D)."""

    scale: Array  # (D,)
    half: Array  # (D, r)

    def dot(self, R: Array) -> Array:
        """Return the product with R (D, c)."""
        return np.asarray(self.scale[:, None] * R - self.half @ (self.half.T @ R))

    def quadratic(self, rows: Rows, centre: Array) -> Array:
        """Return ``(z - centre)^T A (z - centre)`` of every row, (n,)."""
        total = rows.quadratic(self.scale, centre)
        for columns in _chunks(self.half.shape[1]):
            half = self.half[:, columns]
            total -= np.square(rows.dot(half) - centre @ half).sum(axis=1)
        return np.asarray(np.maximum(total, 0.0))


@dataclass
class ByIteration:
    """One lambda at a time, by preconditioned conjugate gradients.

    Attributes:
        rows: (n, D).
        weights: (n,) > 0.
        targets: (n, K).
        centre: (D,) the rows' weighted mean.
        factor: The covariance, approximated.
        residual: The largest relative residual of the last solution.
    """

    rows: Rows
    weights: Array
    targets: Array
    centre: Array
    factor: LowRank
    residual: float = 0.0
    _last: Array | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: Rows, weights: Array, targets: Array) -> ByIteration:
        """Approximate the covariance of rows (n, D) under positive weights (n,)."""
        centre = rows.sum(weights) / weights.sum()
        return cls(rows, weights, targets, centre, LowRank.of(rows, weights, RANK))

    def at(self, lambda_: float) -> Solved:
        """Return the solution for ``lambda_``; it starts from the last one's."""
        mean = self.weights @ self.targets / self.weights.sum()
        weighted = self.weights[:, None] * (self.targets - mean)
        moment = self.rows.sum(weighted) - np.multiply.outer(self.centre, weighted.sum(axis=0))
        inverse = self.factor.inverse(lambda_)
        probes = generator(0, "ridge probes").permutation(self.rows.n)[:_PROBES]
        z = self.rows.take(probes).dense(slice(None)) - self.centre
        solved = self._solve(np.concatenate([moment, z.T], axis=1), lambda_, inverse)
        weight, exact = solved[:, : moment.shape[1]], (z * solved[:, moment.shape[1] :].T).sum(axis=1)
        rough = self.weights * inverse.quadratic(self.rows, self.centre)
        h = self.weights / self.weights.sum() + _leverages(rough, probes, self.weights[probes] * exact)
        h = np.minimum(h, 1.0 - 1e-6)[:, None]
        bias = mean - self.centre @ weight
        scores = (self.rows.dot(weight) + bias - h * self.targets) / (1.0 - h)
        return Solved(weight.T, bias, scores.astype(np.float32))

    def _solve(self, moment: Array, lambda_: float, inverse: Inverse) -> Array:
        """Return ``(C + lambda)^-1 moment`` (D, K) to ``TOLERANCE``."""
        weight = inverse.dot(moment) if self._last is None else self._last.copy()
        residual = moment - self._apply(weight, lambda_)
        size = np.linalg.norm(moment, axis=0)
        # a label whose targets are all alike has a moment of rounding only
        size = np.maximum(size, 1e-6 * size.max(initial=0.0))
        direction, previous = np.zeros_like(moment), np.ones(moment.shape[1])
        for _ in range(_STEPS):
            going = np.linalg.norm(residual, axis=0) > TOLERANCE * size
            if not going.any():
                break
            ready = inverse.dot(residual[:, going])
            product = (residual[:, going] * ready).sum(axis=0)
            direction[:, going] = ready + direction[:, going] * (product / previous[going])
            image = self._apply(direction[:, going], lambda_)
            step = product / (direction[:, going] * image).sum(axis=0)
            weight[:, going] += step * direction[:, going]
            residual[:, going] -= step * image
            previous[going] = product
        left = np.linalg.norm(residual, axis=0)
        relative = np.divide(left, size, out=np.zeros_like(left), where=size > 0)
        self.residual = float(relative.max(initial=0.0))
        tell_residual(self.residual, TOLERANCE, _STEPS)
        self._last = weight
        return weight

    def _apply(self, V: Array, lambda_: float) -> Array:
        return _covariance(self.rows, self.weights, self.centre, V) + lambda_ * V


def _leverages(rough: Array, probes: Array, exact: Array) -> Array:
    """Return leverages (n,) from rough values of g, by those that are known exactly.

    ``exact`` are the leverages of the rows ``probes``, their intercept's share left out.
    """
    tiny = np.finfo(np.float64).tiny
    x = np.log(np.maximum(rough, tiny))
    h = np.clip(exact, tiny, 1.0 - 1e-9)
    known, odds = x[probes], np.log(h / (1.0 - h))
    spread = np.square(known - known.mean()).sum()
    slope = float((known - known.mean()) @ odds / spread) if spread > 1e-12 * len(known) else 1.0
    return np.asarray(1.0 / (1.0 + np.exp(-(odds.mean() + slope * (x - known.mean())))))


def _covariance(rows: Rows, weights: Array, centre: Array, V: Array) -> Array:
    """Return the weighted covariance of the rows times V (D, c), without the covariance."""
    out = np.empty_like(V)
    for columns in _chunks(V.shape[1]):
        image = rows.dot(V[:, columns]) - centre @ V[:, columns]
        # the rows' centre drops out: the weighted images sum to 0
        out[:, columns] = rows.sum(weights[:, None] * image)
    return out


def _chunks(columns: int) -> list[slice]:
    return [slice(start, start + _COLUMNS) for start in range(0, columns, _COLUMNS)]
