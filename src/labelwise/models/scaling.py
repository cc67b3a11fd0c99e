"""Fitted scalings of feature matrices, applied batch by batch.

Means and deviations are taken over every row given, labelled or not: they read no label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._files import entries_under
from labelwise.annotations import row_blocks
from labelwise.errors import UserError, listed, near, shown
from labelwise.models.blocks import FeatureBlocks, is_blocks

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


@dataclass(frozen=True)
class BlockScaling:
    """A scaling of each block of features, and each block's weight.

    Columns of block b become ``weights[b] * parts[b].transform(block)``. Rows of every part have a mean squared norm of
    about 1, and the squared weights, the blocks' shares, sum to 1: so scaled rows have a norm of about 1.

    Attributes:
        names: The blocks' names, in the order of their columns.
        parts: The scaling of each block.
        weights: Root of each block's share; a block of weight 0 counts for nothing.
    """

    names: tuple[str, ...]
    parts: tuple[InputScaling, ...]
    weights: tuple[float, ...]

    @classmethod
    def fit(
        cls, X: FeatureBlocks, kinds: str | Sequence[str], weights: Sequence[float] | None = None
    ) -> BlockScaling:
        """Fit each block's kind of scaling.

        Args:
            X: (n, D).
            kinds: One kind for all blocks, one for each, or the ``kind`` of a scaling of such blocks.
            weights: One for each block, in any unit; by default equal, or those that ``kinds`` tells.

        Raises:
            UserError: For a kind that does not exist, and where kinds or weights are not one for each block.
        """
        if isinstance(kinds, str):
            kinds, told = _spelled(kinds, len(X.parts))
            weights = told if weights is None else weights
        weights = [1.0] * len(X.parts) if weights is None else weights
        if not len(kinds) == len(weights) == len(X.parts):
            raise UserError(
                f"{len(kinds)} scalings and {len(weights)} weights for the blocks {listed(X.names)}; give one for each"
            )
        parts = [unit_scaling(part, kind) for part, kind in zip(X.parts, kinds, strict=True)]
        return cls.of(X.names, parts, weights)

    @classmethod
    def of(
        cls, names: Sequence[str], parts: Sequence[InputScaling], weights: Sequence[float] | Array
    ) -> BlockScaling:
        """Return fitted parts with weights in any unit.

        Raises:
            UserError: For a weight below 0 or not finite, or none above 0.
        """
        values = np.asarray(weights, dtype=np.float64)
        if not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
            raise UserError(f"weights of blocks must be 0 or more, and one above 0; got {listed(weights)}")
        return cls(tuple(names), tuple(parts), tuple((values / np.linalg.norm(values)).tolist()))

    @property
    def n_features(self) -> int:
        """Number D of columns of all blocks together."""
        return sum(part.n_features for part in self.parts)

    @property
    def kind(self) -> str:
        """Each block's kind times its weight, as ``BlockScaling.fit`` reads it."""
        kinds = (f"{part.kind}*{weight!r}" for part, weight in zip(self.parts, self.weights, strict=True))
        return "+".join(kinds)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Columns of each block."""
        stops = np.cumsum([part.n_features for part in self.parts]).tolist()
        return tuple(slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True))

    def split(self, X: FeatureMatrix) -> tuple[FeatureMatrix, ...]:
        """Return the blocks of ``X`` (B, D), given as blocks or side by side.

        Raises:
            UserError: When the blocks have other names or numbers of columns.
        """
        if is_blocks(X):
            if X.names != self.names:
                raise UserError(
                    f"X has the blocks {listed(X.names)}, but the scaling was fitted to {listed(self.names)}; give the"
                    " same blocks in the same order"
                )
            return X.parts
        if X.ndim != 2 or X.shape[1] != self.n_features:
            raise UserError(
                f"X has shape {tuple(X.shape)}, but the scaling was fitted to {self.n_features} features in"
                f" {len(self.parts)} blocks; give a matrix with that many columns"
            )
        whole: Any = _CSR(X) if sp.issparse(X) else X
        return tuple(whole[:, columns] for columns in self.slices)

    def transform(self, X: FeatureMatrix) -> npt.NDArray[np.float32]:
        """Return the scaled rows (B, D), dense float32.

        Raises:
            UserError: When the blocks are not those of the fit.
        """
        out = np.empty((int(X.shape[0]), self.n_features), dtype=np.float32)
        for part, weight, block, columns in zip(
            self.parts, self.weights, self.split(X), self.slices, strict=True
        ):
            np.multiply(part.transform(block), np.float32(weight), out=out[:, columns])
        return out

    def sparse_parts(self, X: FeatureMatrix) -> tuple[Any, Array, Array]:
        """Return ``(A, U, M)`` of scaled rows ``A - U M^T``.

        A (n, D) is sparse float64, U (n, blocks), M (D, blocks): every block has a mean and row norms of its own.
        """
        pieces = [part.sparse_parts(block) for part, block in zip(self.parts, self.split(X), strict=True)]
        A = sp.hstack([weight * A for weight, (A, _, _) in zip(self.weights, pieces, strict=True)], "csr")
        U = np.stack([weight * u for weight, (_, u, _) in zip(self.weights, pieces, strict=True)], axis=1)
        M = np.zeros((self.n_features, len(pieces)))
        for number, columns in enumerate(self.slices):
            M[columns, number] = pieces[number][2]
        return A, U, M

    def state(self) -> dict[str, Array]:
        """Return the parts' arrays to store, named by the block's number."""
        return {
            f"{number}.{name}": value
            for number, part in enumerate(self.parts)
            for name, value in part.state().items()
        }

    def config(self) -> dict[str, Any]:
        """Return the rest, fit for JSON: ``kind``, ``n_features`` and ``blocks``."""
        parts = zip(self.names, self.weights, self.parts, strict=True)
        blocks = [{"name": name, "weight": weight, **part.config()} for name, weight, part in parts]
        return {"kind": self.kind, "n_features": self.n_features, "blocks": blocks}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], state: Mapping[str, Array]) -> BlockScaling:
        """Return the scaling that ``config()`` and ``state()`` describe.

        Raises:
            UserError: Where they disagree.
        """
        blocks = config["blocks"]
        parts = [
            InputScaling.from_state(block, entries_under(state, f"{number}."))
            for number, block in enumerate(blocks)
        ]
        weights = tuple(float(block["weight"]) for block in blocks)
        if not all(np.isfinite(weight) and weight >= 0 for weight in weights):
            raise UserError(f"the stored scaling has the weights {listed(weights)}; its files do not match")
        scaling = cls(tuple(str(block["name"]) for block in blocks), tuple(parts), weights)
        if scaling.n_features != int(config["n_features"]):
            raise UserError(
                f"the stored scaling has {scaling.n_features} columns in its blocks for {config['n_features']}"
                " features; its files do not match"
            )
        return scaling


Scaling: TypeAlias = InputScaling | BlockScaling
"""A fitted scaling, of one matrix or of blocks."""


def fit_scaling(X: FeatureMatrix, kind: str = "standardise_l2") -> Scaling:
    """Fit a scaling to a matrix, or to blocks with equal weights.

    Args:
        X: (n, D), a matrix or blocks.
        kind: One of ``SCALINGS``; for blocks also the ``kind`` of a ``BlockScaling``, weights included.

    Raises:
        UserError: For a kind that does not exist.
    """
    return BlockScaling.fit(X, kind) if is_blocks(X) else InputScaling.fit(X, kind)


def scaling_from_state(config: Mapping[str, Any], state: Mapping[str, Array]) -> Scaling:
    """Return the scaling that was stored, of blocks where they are listed.

    Raises:
        UserError: Where ``config`` and ``state`` disagree.
    """
    return (BlockScaling if "blocks" in config else InputScaling).from_state(config, state)


def _spelled(kind: str, n_blocks: int) -> tuple[list[str], list[float] | None]:
    """Return kinds and weights of ``kind*weight+kind*weight``, or of one kind for all."""
    if "*" not in kind:
        return [kind] * n_blocks, None
    pairs = [part.split("*", 1) for part in kind.split("+")]
    try:
        return [pair[0] for pair in pairs], [float(pair[1]) for pair in pairs]
    except (IndexError, ValueError):
        raise UserError(
            f"the scaling {shown(kind)} is not spelled as blocks; give kind*weight for each, joined by +"
        ) from None


def unit_scaling(X: FeatureMatrix, kind: str) -> InputScaling:
    """Fit a scaling after which the mean squared norm of rows is about 1."""
    if kind == "none":
        return InputScaling.in_unit(X)
    scaling = InputScaling.fit(X, kind)
    if kind != "standardise":
        return scaling
    # every column that is not constant adds 1 to the mean square
    varying = max(int((scaling.inverse_scale > 0).sum()), 1)
    return replace(scaling, inverse_scale=scaling.inverse_scale / np.sqrt(varying))


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
