"""Hat matrices of ridge on centred features, applied without being formed.

With Z (m, r) centred, ``H = Z (Z^T Z + lambda)^-1 Z^T`` takes centred targets to their fitted values.
``Spectrum`` has it for every lambda after one eigendecomposition, ``Factor`` for one lambda after a Cholesky
factorisation, at a tenth of the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, eigh, solve_triangular

from labelwise.annotations import row_blocks

Floats: TypeAlias = npt.NDArray[Any]
Double: TypeAlias = npt.NDArray[np.float64]

_SMALL = 1 << 20  # features of fewer entries are decomposed in double precision throughout
_BLOCK = 1 << 22


class Hat(Protocol):
    """What ridge at one lambda does to centred targets."""

    def fit(self, R: Floats) -> Floats:
        """Return the fitted values ``H R`` (m, K)."""
        ...

    def leverage(self) -> Double:
        """Return the diagonal of H (m,), without the intercept's 1/m."""
        ...

    def weight(self, R: Floats) -> Double:
        """Return the weights ``(Z^T Z + lambda)^-1 Z^T R`` (r, K)."""
        ...


def centred(features: Floats, *, overwrite: bool = False) -> tuple[Floats, Double]:
    """Return centred features (m, r) and their means (r,).

    Small ones are float64, others float32, and the same array where they may be overwritten.
    """
    mean = features.mean(axis=0, dtype=np.float64) if len(features) else np.zeros(features.shape[1])
    kind = np.float64 if features.size <= _SMALL else np.float32
    Z = features.astype(kind, copy=not overwrite)
    np.subtract(Z, mean.astype(kind), out=Z)
    return Z, mean


def mean_square(Z: Floats) -> float:
    """Return the mean squared norm of centred features, 1 where nothing varies."""
    total = float(np.einsum("ij,ij->", Z, Z, dtype=np.float64)) / max(len(Z), 1)
    return total if total > 1e-12 else 1.0


def products(A: Floats, B: Floats) -> Double:
    """Return ``A^T B``, summed over blocks of rows in double precision."""
    total = np.zeros((A.shape[1], B.shape[1]))
    for rows in row_blocks(len(A), max(A.shape[1], B.shape[1]), _BLOCK):
        total += A[rows].T @ B[rows]
    return total


@dataclass(frozen=True)
class Spectrum:
    """Principal coordinates of centred features, of length 1 each.

    Attributes:
        Z: (m, r) centred features.
        basis: (m, s) orthonormal columns, s the rank.
        values: (s,) eigenvalues of ``Z^T Z``, rising.
    """

    Z: Floats
    basis: Floats
    values: Double

    @classmethod
    def of(cls, Z: Floats) -> Spectrum:
        """Decompose the smaller of the two matrices of products."""
        m, r = Z.shape
        dual = m < r
        values, vectors = eigh(
            (Z @ Z.T).astype(np.float64) if dual else products(Z, Z), overwrite_a=True, check_finite=False
        )
        rounding = 1e-12 if Z.dtype == np.float64 else 1e-7
        kept = values > max(rounding * float(values[-1]), 1e-30) if len(values) else np.zeros(0, bool)
        values, vectors = values[kept], vectors[:, kept]
        basis = vectors.astype(Z.dtype) if dual else Z @ (vectors / np.sqrt(values)).astype(Z.dtype)
        return cls(Z, basis, values)

    def rows(self) -> Floats:
        """Return the centred rows in principal coordinates (m, s)."""
        return np.asarray(self.basis * np.sqrt(self.values).astype(self.basis.dtype))

    def at(self, lambda_: float) -> SpectralHat:
        """Return the hat matrix at one lambda."""
        return SpectralHat(self, lambda_)


@dataclass(frozen=True)
class SpectralHat:
    """Hat matrix of a spectrum at one lambda."""

    spectrum: Spectrum
    lambda_: float

    @property
    def _shrink(self) -> Double:
        return np.asarray(self.spectrum.values / (self.spectrum.values + self.lambda_))

    def fit(self, R: Floats) -> Floats:
        """Return ``H R`` (m, K)."""
        U = self.spectrum.basis
        return np.asarray(U @ (self._shrink[:, None] * (U.T @ R)).astype(U.dtype))

    def leverage(self) -> Double:
        """Return the diagonal of H (m,)."""
        U = self.spectrum.basis
        return np.asarray(np.einsum("ij,ij,j->i", U, U, self._shrink.astype(U.dtype)), np.float64)

    def weight(self, R: Floats) -> Double:
        """Return the weights (r, K)."""
        U = self.spectrum.basis
        inner = (U.T @ R) / (self.spectrum.values + self.lambda_)[:, None]
        return products(self.spectrum.Z, U @ inner.astype(U.dtype))


@dataclass(frozen=True)
class Factor:
    """Hat matrix at one lambda, by a Cholesky factor.

    Attributes:
        Z: (m, r) centred features.
        lambda_: Above 0.
        root: Lower Cholesky factor of ``Z^T Z + lambda`` (r, r), or of ``Z Z^T + lambda`` (m, m).
    """

    Z: Floats
    lambda_: float
    root: Double

    @classmethod
    def of(cls, Z: Floats, lambda_: float) -> Factor:
        """Factor the products of centred features."""
        m, r = Z.shape
        moments = (Z @ Z.T).astype(np.float64) if m < r else products(Z, Z)
        moments[np.diag_indices_from(moments)] += lambda_
        return cls(Z, lambda_, cho_factor(moments, lower=True, overwrite_a=True, check_finite=False)[0])

    @property
    def _dual(self) -> bool:
        return bool(self.Z.shape[0] < self.Z.shape[1])

    def _solve(self, B: Floats) -> Double:
        return np.asarray(cho_solve((self.root, True), B.astype(np.float64), check_finite=False))

    def fit(self, R: Floats) -> Floats:
        """Return ``H R`` (m, K)."""
        if self._dual:
            return np.asarray(R - self.lambda_ * self._solve(R))
        return np.asarray(self.Z @ self.weight(R).astype(self.Z.dtype))

    def leverage(self) -> Double:
        """Return the diagonal of H (m,)."""
        if self._dual:
            half = solve_triangular(self.root, np.eye(len(self.root)), lower=True, check_finite=False)
            return np.asarray(1.0 - self.lambda_ * np.einsum("ij,ij->j", half, half))
        out, root = np.empty(len(self.Z)), self.root.astype(self.Z.dtype)
        for rows in row_blocks(len(self.Z), self.Z.shape[1], _BLOCK):
            half = solve_triangular(root, self.Z[rows].T, lower=True, check_finite=False)
            out[rows] = np.einsum("ij,ij->j", half, half)
        return out

    def weight(self, R: Floats) -> Double:
        """Return the weights (r, K)."""
        if self._dual:
            return np.asarray(self.Z.T @ self._solve(R))
        return self._solve(products(self.Z, R))

    def linear_map(self) -> Double:
        """Return the map ``(Z^T Z + lambda)^-1 Z^T`` (r, m) from targets to weights."""
        if self._dual:
            return np.asarray(self.Z.T @ self._solve(np.eye(len(self.Z))))
        return self._solve(self.Z.T)
