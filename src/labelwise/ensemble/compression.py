"""Leading principal directions of wide or sparse feature matrices, without densifying them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh, qr

from labelwise._random import generator
from labelwise.ensemble.rows import ScaledRows
from labelwise.errors import UserError, listed

Matrix: TypeAlias = npt.NDArray[np.float32]
Array: TypeAlias = npt.NDArray[Any]

MOST_COLUMNS = 512
_EXACT = 2048  # a covariance of more columns takes an iterative decomposition
_OVERSAMPLES = 32
_POWER_ITERATIONS = 2
_TINY = float(np.finfo(np.float32).tiny)
_ROUNDING = 1e-6  # share of the largest variance below which float32 rows say nothing


@dataclass(frozen=True, eq=False)
class Compression:
    """Scaled rows turned to their leading principal directions: ``t(x) = V^T (z(x) - mean)``.

    Products and distances of scaled rows are kept but for what lies outside the r directions.

    Attributes:
        scaling: z, an ``InputScaling``, or a ``BlockScaling`` of blocks.
        directions: (D, r) float16 or float32, V, of unit length, the one of the largest variance first.
        offset: (r,) float32, ``V^T mean``; 0 where rows are not centred.
        variances: (r,) float32, falling: mean squares of the turned rows about the mean, or about 0.
    """

    scaling: Any
    directions: Array
    offset: Matrix
    variances: Matrix

    def __post_init__(self) -> None:
        directions, offset, variances = self.directions, self.offset, self.variances
        if directions.ndim != 2 or directions.shape[0] != self.scaling.n_features or directions.shape[1] < 1:
            raise _damaged(f"are no directions among {self.scaling.n_features} features")
        if {offset.shape, variances.shape} != {directions.shape[1:]}:
            raise _damaged("have offsets or variances for another number of directions")
        if not all(a.dtype.kind == "f" and np.isfinite(a).all() for a in (directions, offset, variances)):
            raise _damaged("hold numbers that are not finite")
        if np.abs(directions).max() > 1.01 or max(np.abs(offset).max(), np.abs(variances).max()) > 1e30:
            raise _damaged("hold numbers that are too large")

    @classmethod
    def fit(
        cls, X: Any, scaling: Any, rank: int = MOST_COLUMNS, *, centred: bool = True, seed: int = 0
    ) -> Compression:
        """Find the directions of a pool ``X`` (n, D), n at least 1.

        Up to D = 2,048 they are eigenvectors of the covariance; for wider rows subspace iteration finds them from a
        random start, which the seed alone decides, in three reads of the rows.

        Args:
            X: Dense, sparse or ``FeatureBlocks``.
            scaling: Fitted scaling of its rows.
            rank: The most directions; fewer where the rows have no more variance than rounding.
            centred: Whether the pool's mean row is subtracted.
            seed: Key of the random start.
        """
        rows = ScaledRows.of(X, scaling)
        directions, offset, variances = principal(rows, rank, centred=centred, seed=seed)
        return cls(scaling, _narrow(directions), offset, variances)

    @property
    def n_features(self) -> int:
        """Number D of columns of a feature matrix."""
        return int(self.directions.shape[0])

    @property
    def rank(self) -> int:
        """Number r of directions."""
        return int(self.directions.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays that are stored."""
        return int(sum(array.nbytes for array in self.state().values()))

    def transform(self, X: Any) -> Matrix:
        """Return turned rows (n, r) float32 of ``X`` (n, D).

        Raises:
            UserError: For a wrong number of columns.
        """
        turned = ScaledRows.of(X, self.scaling).times(self._wide)
        turned -= self.offset
        return turned

    def state(self) -> dict[str, Array]:
        """Return the arrays to store; the scaling stores itself."""
        return {name: getattr(self, name) for name in ("directions", "offset", "variances")}

    @classmethod
    def from_state(cls, arrays: Mapping[str, Array], scaling: Any) -> Compression:
        """Return what ``state()`` described, checked.

        Raises:
            UserError: Where arrays lack, do not match each other or the scaling, or are not finite.
        """
        if missing := [name for name in ("directions", "offset", "variances") if name not in arrays]:
            raise _damaged(f"lack {listed(missing)}")
        return cls(scaling, *(np.asarray(arrays[name]) for name in ("directions", "offset", "variances")))

    @cached_property
    def _wide(self) -> Matrix:
        return np.ascontiguousarray(self.directions, dtype=np.float32)


def principal(
    rows: ScaledRows, rank: int = MOST_COLUMNS, *, centred: bool = True, seed: int = 0
) -> tuple[Matrix, Matrix, Matrix]:
    """Return directions (D, r), their offset (r,) and variances (r,) of scaled rows, float32."""
    mean = rows.mean() if centred else np.zeros(rows.n_features)
    rows = rows.centred(mean) if centred else rows
    if rows.n_features <= _EXACT:
        values, directions = _leading(rows.moments(), rank)
    else:
        values, directions = _subspace(rows, rank, seed)
    offset, variances = mean @ directions, values / max(rows.n, 1)
    return directions.astype(np.float32), offset.astype(np.float32), variances.astype(np.float32)


def _subspace(rows: ScaledRows, rank: int, seed: int) -> tuple[Array, Array]:
    """Return leading eigenvalues and eigenvectors of the moments ``Z^T Z`` by subspace iteration.

    From Gaussian vectors, the moments are applied twice to find an orthonormal Q; where there are fewer rows than
    columns, the Gram matrix ``Z Z^T``. The eigenvectors are those of ``R R^T``: of Nystroem's approximation of the
    moments by Q, or with ``R = Z^T Q``. So they are as near as those of an iteration, or of half of one, more.
    """
    gram = rows.n < rows.n_features
    apply = rows.gram_times if gram else rows.moments_times
    shape = min(rows.n, rows.n_features), min(rank + _OVERSAMPLES, rows.n, rows.n_features)
    basis = generator(seed, "principal directions").standard_normal(shape, dtype=np.float32)
    for _ in range(_POWER_ITERATIONS):
        basis = qr(apply(basis), mode="economic", check_finite=False)[0]
    root = rows.transposed_times(basis) if gram else _nystroem(basis, apply(basis))
    values, within = _leading(root.T @ root, rank)
    return values, root @ (within / np.sqrt(np.maximum(values, _TINY))).astype(np.float32)


def _nystroem(basis: Matrix, image: Matrix) -> Matrix:
    """Return R of ``R R^T = C Q (Q^T C Q)^+ (C Q)^T``, with ``image`` = C Q."""
    values, within = _leading(basis.T @ image, basis.shape[1])
    return np.asarray(image @ (within / np.sqrt(np.maximum(values, _TINY))).astype(np.float32))


def _leading(symmetric: Array, rank: int) -> tuple[Array, Array]:
    """Return the ``rank`` largest eigenvalues, falling, with eigenvectors; one at least, and none that is rounding."""
    symmetric = symmetric.astype(np.float64)
    # all of them by divide and conquer take less time than a third of them one by one
    values, vectors = eigh((symmetric + symmetric.T) / 2, driver="evd", check_finite=False)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    r = max(1, min(rank, int((values > _ROUNDING * values[0]).sum())))
    return values[:r], vectors[:, :r]


def _narrow(directions: Matrix) -> Array:
    """Return the directions in half precision where each turns by less than a thousandth."""
    half = directions.astype(np.float16)
    far = np.linalg.norm(half - directions, axis=0)
    return half if (far < 1e-3).all() else directions


def _damaged(what: str) -> UserError:
    return UserError(
        f"the stored directions {what}: their file is damaged; train the model again or take a copy of it"
    )
