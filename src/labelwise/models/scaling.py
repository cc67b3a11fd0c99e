"""Fitted scalings of feature matrices, applied batch by batch.

Means and deviations are taken over every row given, labelled or not: they read no label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations import row_blocks
from labelwise.errors import UserError, listed, near

FeatureMatrix: TypeAlias = Any
"""A feature matrix (n, D): a dense ndarray or any scipy sparse matrix."""

Array: TypeAlias = npt.NDArray[Any]

SCALINGS = ("standardise_l2", "centre_l2", "l2", "standardise", "none")
"""The kinds of scaling, in the order of preference where known entries do not tell them apart."""

_CENTRED = frozenset({"standardise", "centre_l2", "standardise_l2"})
_DIVIDED = frozenset({"standardise", "standardise_l2"})
_NORMED = frozenset({"l2", "centre_l2", "standardise_l2"})
# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array
_CSC: Any = sp.csc_array
_BLOCK = 1 << 22  # entries of a float64 block: 32 MB


@dataclass(frozen=True)
class InputScaling:
    """A fitted scaling ``z = norm((x - mean) / scale)``.

    Each step is present or absent by ``kind``: ``none`` leaves x alone (``in_unit``: but for one factor);
    ``standardise`` subtracts the mean and divides by the standard deviation (divisor n; a constant column becomes 0,
    whatever it is later); ``l2`` divides each row by its Euclidean norm (a zero row stays 0); ``centre_l2`` subtracts
    the mean and then does so; ``standardise_l2`` standardises and then does so.

    Attributes:
        kind: One of ``SCALINGS``.
        n_features: Number D of columns.
        mean: (D,) float64, 0 where unused.
        inverse_scale: (D,) float64, 1 where unused.
    """

    kind: str
    n_features: int
    mean: Array
    inverse_scale: Array

    @classmethod
    def fit(cls, X: FeatureMatrix, kind: str = "standardise_l2") -> InputScaling:
        """Fit a scaling to ``X`` (n >= 1, D), dense or sparse.

        Raises:
            UserError: For a kind that does not exist.
        """
        if kind not in SCALINGS:
            raise UserError(f"scaling {kind!r} does not exist; {near(kind, SCALINGS)}")
        d = int(X.shape[1])
        mean, inverse = np.zeros(d), np.ones(d)
        if kind in _CENTRED:
            mean, deviation = _moments(X)
            if kind in _DIVIDED:
                inverse = np.divide(1.0, deviation, out=np.zeros(d), where=deviation > 0)
        return cls(kind, d, mean, inverse)

    @classmethod
    def in_unit(cls, X: FeatureMatrix) -> InputScaling:
        """Return the kind ``none`` with one factor for all.

        After it the mean squared norm of a row is 1. Steps of training are of a size of their own, so that the unit of
        the features must not matter to them.
        """
        n, d = int(X.shape[0]), int(X.shape[1])
        blocks = (X[rows] for rows in row_blocks(n, d, _BLOCK))
        stored = [_CSR(X).data] if sp.issparse(X) else blocks
        square = sum(float(np.square(block, dtype=np.float64).sum()) for block in stored)
        factor = np.sqrt(n / square) if square > 0 else 1.0
        return cls("none", d, np.zeros(d), np.full(d, factor))

    @property
    def centred(self) -> bool:
        """Whether the mean is subtracted."""
        return self.kind in _CENTRED

    @property
    def normed(self) -> bool:
        """Whether each row is divided by its Euclidean norm at the end."""
        return self.kind in _NORMED

    def transform(self, X: FeatureMatrix) -> npt.NDArray[np.float32]:
        """Return the scaled rows (B, D), dense float32, of sparse rows too.

        Raises:
            UserError: When the number of columns is not ``n_features``.
        """
        self._check(X)
        n = int(X.shape[0])
        out = np.empty((n, self.n_features), dtype=np.float32)
        sparse = sp.issparse(X)
        X = X.tocsr() if sparse else X
        for rows in row_blocks(n, self.n_features, _BLOCK):
            block = X[rows]
            z = np.array(block.toarray() if sparse else block, dtype=np.float64)
            if self.centred:
                z -= self.mean
            if self._rescales:
                z *= self.inverse_scale
            if self.normed:
                norm = np.sqrt(np.einsum("ij,ij->i", z, z))
                # a row that is the mean but for rounding has no direction
                z *= _inverse(norm, norm > 1e-12 * self._middle)[:, None]
            out[rows] = z
        return out

    def sparse_parts(self, X: FeatureMatrix) -> tuple[Any, Array, Array]:
        """Return ``(A, u, m)`` of scaled rows ``A - u m^T``.

        A (n, D) is sparse float64, u (n,), m (D,). So sums over scaled sparse rows are had without densifying them.
        """
        self._check(X)
        A = _CSR(X, dtype=np.float64)
        if self._rescales:
            A = _CSR(A.multiply(self.inverse_scale[None, :]))
        m = self.mean * self.inverse_scale
        u = np.ones(A.shape[0])
        if self.normed:
            squares, middle = np.asarray(A.multiply(A).sum(axis=1)).ravel(), m @ m
            squared = np.maximum(squares - 2 * (A @ m) + middle, 0.0)
            # these sums cancel: what is left of a row that is the mean is rounding of either sign
            u = _inverse(np.sqrt(squared), squared > (1e-13 * (squares + middle) if self.centred else 0.0))
            A = _CSR(A.multiply(u[:, None]))
        return A, u, m

    def state(self) -> dict[str, Array]:
        """Return ``mean`` and ``inverse_scale`` to store, float64 (D,).

        Empty if neither is used.
        """
        used = self.centred or self._rescales
        return {"mean": self.mean, "inverse_scale": self.inverse_scale} if used else {}

    def config(self) -> dict[str, Any]:
        """Return the rest, fit for JSON: ``kind`` and ``n_features``."""
        return {"kind": self.kind, "n_features": self.n_features}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> InputScaling:
        """Return the scaling that ``config()`` and ``state()`` describe.

        Raises:
            UserError: Where they disagree.
        """
        kind, d = str(config["kind"]), int(config["n_features"])
        if kind not in SCALINGS:
            raise UserError(f"scaling {kind!r} does not exist; {near(kind, SCALINGS)}")
        if missing := [name for name in ("mean", "inverse_scale") if kind in _CENTRED and name not in state]:
            raise UserError(f"the stored scaling lacks {listed(missing)}; its files do not match")
        mean = np.asarray(state.get("mean", np.zeros(d)), dtype=np.float64)
        inverse = np.asarray(state.get("inverse_scale", np.ones(d)), dtype=np.float64)
        if mean.shape != (d,) or inverse.shape != (d,):
            raise UserError(
                f"the stored scaling has {mean.size} means for {d} features; its files do not match"
            )
        return cls(kind, d, mean, inverse)

    @property
    def _rescales(self) -> bool:
        return bool((self.inverse_scale != 1.0).any())

    @property
    def _middle(self) -> float:
        """Norm of the scaled mean, the unit of a centred row's rounding."""
        return float(np.linalg.norm(self.mean * self.inverse_scale))

    def _check(self, X: FeatureMatrix) -> None:
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise UserError(
                f"X has shape {tuple(X.shape)}, but the scaling was fitted to {self.n_features} features;"
                " give a matrix with that many columns"
            )


def _inverse(norm: Array, reliable: Array) -> Array:
    """Return 1 / norm, 0 where it is 0 or rounding."""
    return np.divide(1.0, norm, out=np.zeros_like(norm), where=reliable & (norm > 0))


def _moments(X: FeatureMatrix) -> tuple[Array, Array]:
    """Return each column's mean and standard deviation, float64.

    In two passes, with divisor n. A constant column has exactly its value as mean and exactly 0 as deviation.
    """
    n, d = int(X.shape[0]), int(X.shape[1])
    if sp.issparse(X):
        C = _CSC(X, dtype=np.float64)
        C.sum_duplicates()
        mean = np.asarray(C.sum(axis=0)).ravel() / n
        column = np.repeat(np.arange(d), np.diff(C.indptr))
        counts = np.bincount(column, minlength=d)
        squares = np.bincount(column, (C.data - mean[column]) ** 2, minlength=d) + (n - counts) * mean**2
        low = np.asarray(C.min(axis=0).todense()).ravel()
        high = np.asarray(C.max(axis=0).todense()).ravel()
    else:
        blocks = list(row_blocks(n, d, _BLOCK))
        total = np.zeros(d)
        for rows in blocks:
            total += np.asarray(X[rows], dtype=np.float64).sum(axis=0)
        mean, squares = total / n, np.zeros(d)
        for rows in blocks:
            squares += ((np.asarray(X[rows], dtype=np.float64) - mean) ** 2).sum(axis=0)
        low, high = np.asarray(X.min(axis=0), dtype=np.float64), np.asarray(X.max(axis=0), dtype=np.float64)
    constant = low == high
    return np.where(constant, low, mean), np.where(constant, 0.0, np.sqrt(squares / n))
