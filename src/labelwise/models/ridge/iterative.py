"""Ridge on very many rows and features, by conjugate gradients and a low-rank factor.

The covariance C of the centred rows is approximated as ``M = diag(d) + V diag(e) V^T``: V are the r leading
eigenvectors by a randomised subspace iteration (Halko, Martinsson and Tropp 2011), d what they leave of C's diagonal.
``M + lambda`` is inverted in closed form (Woodbury), which serves twice:

- It preconditions conjugate gradients for ``(C + lambda) w = Z^T s (y - ybar)``. The solution is exact to the relative
  residual ``TOLERANCE``, whatever the rank; those that only choose lambda, to ``NEAR``.
- It gives leverages, and with them leave-one-out scores. C holds the row itself, whose leverage is ``g / (1 + g)`` with
  ``g = s z^T (C' + lambda)^-1 z``, C' without the row. M in the place of C' underestimates g where a row's features
  are correlated outside V. So ``log g = a + b log(s z^T (M + lambda)^-1 z)``, where a and b are fitted to 64 keyed
  rows whose leverages are solved for exactly beside the labels. Scores are therefore approximate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
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

NEAR = 1e-3
"""The same, of solutions by which lambda is chosen, and of those for leverages."""

_PASSES = 3  # subspace iterations: what each adds is the square of the spectrum's decay
_COLUMNS = 64  # columns that go through the rows at once: 200,000 rows take 100 MB
_STEPS = 1000
_REFINEMENTS, _FALL = 8, 1e-3  # most of them, and how far one lowers a residual: float32 has seven digits
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
        basis: Array = generator(0, "ridge subspace").standard_normal((rows.d, rank)).astype(np.float32)
        single = rows.single()
        for _ in range(_PASSES):
            basis, _ = qr(_covariance(single, weights, centre, basis), mode="economic", overwrite_a=True)
        image = _covariance(single, weights, centre, basis)
        small, turn = eigh((basis.T @ image).astype(np.float64))
        positive = small > max(small[-1], 0.0) * 1e-7
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
        product = self.half @ (self.half.T @ R)
        return np.asarray(np.subtract(self.scale[:, None] * R, product, out=product))

    def single(self) -> Inverse:
        """Return it in single precision."""
        return Inverse(self.scale.astype(np.float32), self.half.astype(np.float32))

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

    def near(self, lambda_: float) -> Solved:
        """Return a solution that tells which lambda is best: to the relative residual ``NEAR``."""
        return self._at(lambda_, NEAR)

    def at(self, lambda_: float) -> Solved:
        """Return the solution for ``lambda_``; it starts from the last one's."""
        return self._at(lambda_, TOLERANCE)

    def _at(self, lambda_: float, tolerance: float) -> Solved:
        inverse = self.factor.inverse(lambda_)
        weight = self._last = self._solve(self._moment, lambda_, inverse, tolerance, self._last)
        tell_residual(self.residual, tolerance, _STEPS)
        bias = self._mean - self.centre @ weight
        h = self._leverage(lambda_, inverse)[:, None]
        scores = (self.rows.dot(weight) + bias - h * self.targets) / (1.0 - h)
        return Solved(weight.T, bias, scores.astype(np.float32))

    @cached_property
    def _single(self) -> Rows:
        return self.rows.single()

    @cached_property
    def _mean(self) -> Array:
        return np.asarray(self.weights @ self.targets / self.weights.sum())

    @cached_property
    def _moment(self) -> Array:
        """(D, K) ``Z^T s (y - ybar)``."""
        weighted = self.weights[:, None] * (self.targets - self._mean)
        return np.asarray(self.rows.sum(weighted) - np.multiply.outer(self.centre, weighted.sum(axis=0)))

    def _leverage(self, lambda_: float, inverse: Inverse) -> Array:
        """Return each row's leverage (n,), intercept included, below 1."""
        probes = generator(0, "ridge probes").permutation(self.rows.n)[:_PROBES]
        z = self.rows.take(probes).dense(slice(None)) - self.centre
        residual = self.residual
        exact = (z * self._solve(z.T, lambda_, inverse, NEAR).T).sum(axis=1)
        self.residual = residual
        rough = self.weights * inverse.quadratic(self.rows, self.centre)
        h = self.weights / self.weights.sum() + _leverages(rough, probes, self.weights[probes] * exact)
        return np.asarray(np.minimum(h, 1.0 - 1e-6))

    def _solve(
        self,
        moment: Array,
        lambda_: float,
        inverse: Inverse,
        tolerance: float,
        start: Array | None = None,
    ) -> Array:
        """Return ``(C + lambda)^-1 moment`` (D, c) to a relative residual.

        Steps are taken in single precision, and residuals anew in double precision (iterative refinement).
        """
        solution = np.zeros_like(moment) if start is None else start.copy()
        size = np.linalg.norm(moment, axis=0)
        # a label whose targets are all alike has a moment of rounding only
        size = np.maximum(size, 1e-6 * size.max(initial=0.0))
        self.residual = 0.0
        for columns in _chunks(moment.shape[1]):
            goal, x = size[columns], np.ascontiguousarray(solution[:, columns])
            known = x.any()
            left = moment[:, columns] - self._apply(x, lambda_) if known else moment[:, columns].copy()
            relative = _relative(left, goal)
            for _ in range(_REFINEMENTS):
                if relative <= tolerance:
                    break
                x += self._step(left, goal * (tolerance / 2), lambda_, inverse.single())
                left = moment[:, columns] - self._apply(x, lambda_)
                last, relative = relative, _relative(left, goal)
                if relative > last / 2:
                    break
            solution[:, columns], self.residual = x, max(self.residual, relative)
        return solution

    def _step(self, residual: Array, goal: Array, lambda_: float, inverse: Inverse) -> Array:
        """Return what lowers a residual (D, c) to a norm of ``goal`` (c,), or to a thousandth of its own."""
        left = residual.astype(np.float32)
        goal = np.maximum(goal, _FALL * np.linalg.norm(residual, axis=0)).astype(np.float32)
        found, direction = np.zeros_like(left), np.zeros_like(left)
        previous = np.ones(left.shape[1], np.float32)
        for _ in range(_STEPS):
            going = np.sqrt(np.einsum("ij,ij->j", left, left)) > goal
            if not going.any():
                break
            ready = inverse.dot(left)
            product = np.einsum("ij,ij->j", left, ready)
            direction *= np.where(going, product / np.where(previous > 0, previous, 1), 0)
            direction += ready
            image = self._apply(direction, np.float32(lambda_))
            curvature = np.einsum("ij,ij->j", direction, image)
            step = np.where(going & (curvature > 0), product / np.where(curvature > 0, curvature, 1), 0)
            found += np.multiply(direction, step, out=ready)
            left -= np.multiply(image, step, out=image)
            previous = product
        return found

    def _apply(self, V: Array, lambda_: float | np.float32) -> Array:
        rows = self.rows if V.dtype == np.float64 else self._single
        out = _covariance(rows, self.weights, self.centre, V)
        out += lambda_ * V
        return out


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


def _relative(residual: Array, size: Array) -> float:
    """Return the largest norm of a residual (D, c) relative to ``size`` (c,)."""
    norm = np.linalg.norm(residual, axis=0)
    return float(np.divide(norm, size, out=np.zeros_like(norm), where=size > 0).max(initial=0.0))


def _covariance(rows: Rows, weights: Array, centre: Array, V: Array) -> Array:
    """Return the weighted covariance of the rows times V (D, c), without the covariance, in V's precision."""
    out = np.empty_like(V)
    weights, centre = (part.astype(V.dtype, copy=False) for part in (weights[:, None], centre))
    for columns in _chunks(V.shape[1]):
        part = np.ascontiguousarray(V[:, columns])
        image = rows.dot(part)
        image -= centre @ part
        # the rows' centre drops out: the weighted images sum to 0
        image *= weights
        out[:, columns] = rows.sum(image)
    return out


def _chunks(columns: int) -> list[slice]:
    return [slice(start, start + _COLUMNS) for start in range(0, columns, _COLUMNS)]
