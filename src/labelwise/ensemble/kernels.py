"""Kernels of rows, and features whose products are a kernel's values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from labelwise._random import generator
from labelwise.annotations import row_blocks
from labelwise.errors import UserError

Matrix: TypeAlias = npt.NDArray[np.float32]

_SAMPLE = 500  # rows whose distances set the width of a kernel
_RANK = 1e-7  # share of the largest eigenvalue below which float32 kernels hold rounding
_BLOCK = 1 << 21  # a tangent kernel holds six of them


def squared_distances(A: Matrix, B: Matrix) -> Matrix:
    """Return ``|a_i - b_j|^2`` (n, m) of the rows of A and B."""
    distances = A @ B.T
    distances *= -2
    distances += np.einsum("ij,ij->i", A, A)[:, None]
    distances += np.einsum("ij,ij->i", B, B)
    np.maximum(distances, 0, out=distances)
    return np.asarray(distances)


def gaussian(A: Matrix, B: Matrix, scale: float) -> Matrix:
    """Return ``exp(-scale |a_i - b_j|^2)`` (n, m)."""
    values = squared_distances(A, B)
    values *= np.float32(-scale)
    return np.exp(values, out=values)


def relu_tangent(A: Matrix, B: Matrix) -> Matrix:
    """Return the tangent kernel of two hidden ReLU layers (n, m).

    The rows have length 1. With ``c`` the cosine, ``t = arccos c``, ``k0 = (pi - t) / pi`` and
    ``k1 = (sin t + (pi - t) c) / pi``, a layer takes the covariance c to ``k1(c)``
    and the kernel k to ``k1(c) + k k0(c)``; the result is halved.
    """
    cosine = np.clip(A @ B.T, -1, 1)
    first, slope = _relu_moments(cosine)
    kernel = first + cosine * slope
    second, slope = _relu_moments(np.clip(first, -1, 1))
    return np.asarray((second + kernel * slope) / 2, np.float32)


def _relu_moments(cosine: Matrix) -> tuple[Matrix, Matrix]:
    slope = (1 - np.arccos(cosine) / np.float32(np.pi)).astype(np.float32)
    return np.sqrt(1 - cosine * cosine) / np.float32(np.pi) + slope * cosine, slope


def unit_rows(A: Matrix) -> Matrix:
    """Return the rows at length 1; rows of zeros stay."""
    norm = np.sqrt(np.einsum("ij,ij->i", A, A))
    return np.asarray(A * np.divide(1.0, norm, out=np.zeros_like(norm), where=norm > 0)[:, None])


@dataclass(frozen=True)
class Kernel:
    """A kernel with its width.

    Attributes:
        name: ``rbf`` and a number (``rbf3``), or ``ntk``.
        scale: Factor of the squared distances; 0 for ``ntk``.
    """

    name: str
    scale: float = 0.0

    @classmethod
    def fit(cls, name: str, rows: Matrix, seed: int = 0) -> Kernel:
        """Set the width of a kernel by ``rows`` (n, r).

        ``rbf3`` is 3 over their median squared distance. The median is over the pairs of a keyed sample of
        500 rows.

        Raises:
            UserError: For a kernel that does not exist.
        """
        if name == "ntk":
            return cls(name)
        try:
            factor = float(name.removeprefix("rbf")) if name.startswith("rbf") else np.nan
        except ValueError:
            factor = np.nan
        if not (np.isfinite(factor) and factor > 0):
            raise UserError(
                f"kernel {name!r} does not exist; write 'ntk', or 'rbf' and a number, as in 'rbf3'"
            )
        sample = rows[generator(seed, "kernel width").permutation(len(rows))[:_SAMPLE]]
        pairs = squared_distances(sample, sample)[np.triu_indices(len(sample), 1)]
        median = float(np.median(pairs)) if len(pairs) else 0.0
        return cls(name, factor / median if median > 1e-12 else 1.0)

    def __call__(self, A: Matrix, B: Matrix) -> Matrix:
        """Return the values (n, m) float32 for the rows of A and B."""
        if self.name == "ntk":
            return relu_tangent(unit_rows(A), unit_rows(B))
        return gaussian(A, B, self.scale)


@dataclass(frozen=True)
class KernelFeatures:
    """Features of a kernel: ``k(a, landmarks) @ projection`` (Nystroem).

    Their products are the kernel's values among the landmarks exactly, elsewhere those of its projection onto
    the landmarks. Where the landmarks are the rows that a ridge is fitted to, it is the kernel ridge itself.

    Attributes:
        kernel: The kernel.
        landmarks: (L, r) float32.
        projection: (L, s) float32, s at most L.
    """

    kernel: Kernel
    landmarks: Matrix
    projection: Matrix

    @classmethod
    def fit(cls, kernel: Kernel, landmarks: Matrix) -> KernelFeatures:
        """Factor the kernel of ``landmarks`` (L, r).

        The projection is ``U s^(-1/2)`` of ``K = U s U^T``.
        """
        values, vectors = eigh(kernel(landmarks, landmarks).astype(np.float64), check_finite=False)
        kept = values > _RANK * values[-1]
        projection = (vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)
        return cls(kernel, landmarks, projection)

    def of(self, rows: Matrix) -> Matrix:
        """Return the features (n, s) float32 of ``rows`` (n, r)."""
        out = np.empty((len(rows), self.projection.shape[1]), np.float32)
        for block in row_blocks(len(rows), len(self.landmarks), _BLOCK):
            out[block] = self.kernel(rows[block], self.landmarks) @ self.projection
        return out
