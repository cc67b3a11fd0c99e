"""Scaled rows of one or more sources as an operator, sparse ones never made dense as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations import row_blocks
from labelwise.models import is_blocks

Matrix: TypeAlias = npt.NDArray[np.float32]
Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 23  # numbers of a float32 block: 32 MB

# the stubs of scipy.sparse reject the untyped matrices that come in here
_CSR: Any = sp.csr_array


class FittedScaling(Protocol):
    """What scales the rows of one source, as ``InputScaling`` does."""

    def transform(self, X: Any) -> Matrix:
        """Return scaled rows, dense."""
        ...

    def sparse_parts(self, X: Any) -> tuple[Any, Array, Array]:
        """Return ``(A, u, m)`` of the scaled rows ``A - u m^T`` of a sparse matrix; u and m may have columns."""
        ...


@dataclass(frozen=True)
class DenseSource:
    """Dense rows, scaled when they are read.

    Attributes:
        X: (n, D) as they were given.
        scaling: Their scaling.
        weight: Factor of the scaled rows.
        mean: (D,) float32, subtracted at the end.
    """

    X: Any
    scaling: FittedScaling
    weight: np.float32
    mean: Matrix

    def read(self, rows: slice) -> Block:
        """Return some of the rows."""
        return Block(self.scaling.transform(self.X[rows]) * self.weight - self.mean)

    def centred(self, mean: Array) -> DenseSource:
        """Return the rows less ``mean`` (D,)."""
        return replace(self, mean=(self.mean + mean).astype(np.float32))


@dataclass(frozen=True)
class SparseSource:
    """Sparse scaled rows ``A - U M^T``.

    Attributes:
        A: (n, D) CSR float32.
        U: (n, c) float32.
        M: (D, c) float32.
    """

    A: Any
    U: Matrix
    M: Matrix

    @classmethod
    def of(cls, X: Any, scaling: FittedScaling, weight: float) -> SparseSource:
        """Return scaled rows times ``weight``."""
        A, u, m = scaling.sparse_parts(X)
        U, M = (u[:, None], m[:, None]) if u.ndim == 1 else (u, m)
        return cls(_CSR(A * weight, dtype=np.float32), (weight * U).astype(np.float32), M.astype(np.float32))

    def read(self, rows: slice) -> Block:
        """Return some of the rows."""
        return Block(self.A[rows], self.U[rows], self.M)

    def centred(self, mean: Array) -> SparseSource:
        """Return the rows less ``mean`` (D,)."""
        ones = np.ones((len(self.U), 1), dtype=np.float32)
        M = np.hstack([self.M, mean[:, None].astype(np.float32)])
        return SparseSource(self.A, np.hstack([self.U, ones]), M)


@dataclass(frozen=True)
class Block:
    """Rows that were read: A, or ``A - U M^T`` with a sparse A."""

    A: Any
    U: Matrix | None = None
    M: Matrix | None = None

    def times(self, V: Matrix) -> Matrix:
        """Return ``Z V``."""
        product = self.A @ V
        if self.U is not None and self.M is not None:
            product -= self.U @ (self.M.T @ V)
        return np.asarray(product)

    def add_transposed(self, W: Matrix, total: Array, low_rank: Array) -> None:
        """Add ``A^T W`` to ``total`` (D, r), and ``U^T W`` to ``low_rank`` (c, r)."""
        if self.U is None:
            total += self.A.T @ W
        else:
            # the rows of W are read in turn: three times as fast as scipy's product with a transposed CSR
            total += self.A.T.tocsr() @ W
            low_rank += self.U.T @ W

    def dense(self) -> Matrix:
        """Return Z."""
        if self.U is None or self.M is None:
            return np.asarray(self.A)
        return np.asarray(self.A.toarray() - self.U @ self.M.T)


Source: TypeAlias = DenseSource | SparseSource


@dataclass(frozen=True)
class ScaledRows:
    """Scaled rows Z (n, D) of sources side by side.

    Attributes:
        sources: The sources, in the order of their columns.
        columns: The columns of each.
        n: Number of rows.
    """

    sources: tuple[Source, ...]
    columns: tuple[slice, ...]
    n: int

    @classmethod
    def of(cls, X: Any, scaling: Any) -> ScaledRows:
        """Return the rows of a matrix and an ``InputScaling``, or of blocks and a ``BlockScaling``."""
        if not is_blocks(X):
            return cls.side_by_side([(X, scaling, 1.0)])
        return cls.side_by_side(list(zip(scaling.split(X), scaling.parts, scaling.weights, strict=True)))

    @classmethod
    def side_by_side(cls, parts: list[tuple[Any, FittedScaling, float]]) -> ScaledRows:
        """Return rows of sources: for each a matrix (n, D_b), its scaling, and the factor of the scaled rows."""
        sources: list[Source] = []
        for X, scaling, weight in parts:
            if hasattr(X, "tocsr"):
                sources.append(SparseSource.of(X, scaling, weight))
            else:
                mean = np.zeros(X.shape[1], dtype=np.float32)
                sources.append(DenseSource(X, scaling, np.float32(weight), mean))
        stops = np.cumsum([X.shape[1] for X, _, _ in parts]).tolist()
        columns = tuple(slice(start, stop) for start, stop in zip([0, *stops[:-1]], stops, strict=True))
        return cls(tuple(sources), columns, int(parts[0][0].shape[0]))

    @property
    def n_features(self) -> int:
        """Number D of columns of all sources together."""
        return int(self.columns[-1].stop)

    def centred(self, mean: Array) -> ScaledRows:
        """Return the rows less ``mean`` (D,)."""
        pairs = zip(self.sources, self.columns, strict=True)
        return replace(self, sources=tuple(source.centred(mean[own]) for source, own in pairs))

    def mean(self) -> npt.NDArray[np.float64]:
        """Return the mean row (D,)."""
        return self._transposed_times(np.ones((self.n, 1), dtype=np.float32)).ravel() / max(self.n, 1)

    def times(self, V: Matrix) -> Matrix:
        """Return ``Z V`` (n, r) float32; V is (D, r)."""
        out = np.empty((self.n, V.shape[1]), dtype=np.float32)
        for rows, blocks in self._blocks(V.shape[1]):
            out[rows] = self._product(blocks, V)
        return out

    def dense(self) -> Matrix:
        """Return Z itself, (n, D) float32."""
        out = np.empty((self.n, self.n_features), dtype=np.float32)
        for rows, blocks in self._blocks(self.n_features):
            for block, own in zip(blocks, self.columns, strict=True):
                out[rows, own] = block.dense()
        return out

    def transposed_times(self, W: Matrix) -> Matrix:
        """Return ``Z^T W`` (D, r) float32; W is (n, r)."""
        return self._transposed_times(W).astype(np.float32, copy=False)

    def gram_times(self, W: Matrix) -> Matrix:
        """Return ``Z Z^T W`` (n, r) float32; W is (n, r)."""
        return self.times(self.transposed_times(W))

    def moments_times(self, V: Matrix) -> Matrix:
        """Return ``Z^T Z V`` (D, r) float32; V is (D, r)."""
        return self._transposed_times(V, squared=True).astype(np.float32, copy=False)

    def moments(self) -> npt.NDArray[np.float64]:
        """Return ``Z^T Z`` (D, D)."""
        total = np.zeros((self.n_features, self.n_features))
        for _, blocks in self._blocks(self.n_features):
            rows = np.hstack([block.dense() for block in blocks])
            total += rows.T @ rows
        return total

    def _transposed_times(self, factor: Matrix, *, squared: bool = False) -> Array:
        """Return ``Z^T factor``, or ``Z^T Z factor`` where ``squared``."""
        r = factor.shape[1]
        # a single column is a mean, whose digits count
        total = np.zeros((self.n_features, r), dtype=np.float64 if r == 1 else np.float32)
        low_rank = [np.zeros((s.U.shape[1] if isinstance(s, SparseSource) else 0, r)) for s in self.sources]
        for rows, blocks in self._blocks(r):
            W = self._product(blocks, factor) if squared else factor[rows]
            for block, own, along in zip(blocks, self.columns, low_rank, strict=True):
                block.add_transposed(W, total[own], along)
        for source, own, along in zip(self.sources, self.columns, low_rank, strict=True):
            if isinstance(source, SparseSource):
                total[own] -= source.M @ along.astype(total.dtype)
        return total

    def _product(self, blocks: list[Block], V: Matrix) -> Matrix:
        parts = zip(blocks, self.columns, strict=True)
        return np.asarray(sum(block.times(V[own]) for block, own in parts))

    def _blocks(self, width: int) -> Iterator[tuple[slice, list[Block]]]:
        """Yield slices of rows with these rows, so that they and a product (b, width) stay small."""
        dense = sum(s.X.shape[1] for s in self.sources if isinstance(s, DenseSource))
        for rows in row_blocks(self.n, width + dense, _BLOCK):
            yield rows, [source.read(rows) for source in self.sources]
