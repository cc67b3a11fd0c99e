"""Landmarks: some of very many rows, which an ensemble is fitted to in the place of all.

Looking up the neighbours of n rows among n takes minutes beyond 100,000 of them, and memory grows with them. Past that
50,000 stand for all; with faiss 200,000 to 400,000 rows all stay, and 50,000 of them at most are fitted. The ridge is
fitted to all rows even so; rows that are no landmarks are scored in blocks, as new rows are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.annotations import row_blocks
from labelwise.ensemble.approximate import faiss_library
from labelwise.ensemble.graph import EXACT_POOL
from labelwise.models import free_memory

Matrix: TypeAlias = npt.NDArray[np.float32]

MOST_ROWS, MOST_WITH_FAISS = 100_000, 400_000
"""Rows of a pool whose neighbours are looked up in minutes: exactly, and by faiss."""

_LANDMARKS = 50_000  # that stand for more rows than that
_FEWEST = 2_000  # rows that an ensemble is fitted to however little memory is left
_FITTED = 50_000  # rows of landmarks whose known entries are fitted
_MEMORY = 0.8  # share of the free memory that the fit may take
_BLOCK = 1 << 24


def bytes_of_fit(rows: int, labelled: int, columns: int, labels: int) -> int:
    """Return about how much memory a fit takes, beside its data.

    Views of the pool, plain and smoothed, and its neighbours grow with its ``rows``; scores of ten members and what
    combines them with those with known entries.
    """
    pool = rows * (4 * (5 * columns + 800) + 1_800)
    return 300_000_000 + pool + labelled * (140 * labels + 3_200)


def _fits(rows: int, labelled: int, columns: int, labels: int, free: int | None) -> bool:
    return free is None or bytes_of_fit(rows, min(labelled, rows), columns, labels) <= _MEMORY * free


@dataclass(frozen=True, eq=False)
class Landmarks:
    """Rows that an ensemble is fitted to.

    Attributes:
        rows: (p,) int64, rising.
        fitted: (p,) bool, those whose known entries are fitted; others have neighbours alone.
        n: Number of all rows.
        words: A sentence that says so.
    """

    rows: npt.NDArray[np.int64]
    fitted: npt.NDArray[np.bool_]
    n: int
    words: str

    @classmethod
    def of(cls, labels: npt.NDArray[Any], columns: int, seed: int = 0) -> Landmarks | None:
        """Choose landmarks by a key, rows with known entries first; None where all rows can be fitted.

        Args:
            labels: (n, K) in {1, 0, -1}.
            columns: Columns of a view.
            seed: The key.
        """
        n, K = labels.shape
        known = np.flatnonzero((labels != -1).any(axis=1))
        free, rows, why = free_memory(), n, ""
        if n <= MOST_ROWS and _fits(n, len(known), columns, K, free):
            return None
        # exact search of 100,000 to 200,000 rows would take minutes, with faiss or without
        by_faiss = EXACT_POOL < n <= MOST_WITH_FAISS and faiss_library() is not None
        if n > MOST_ROWS and not by_faiss:
            rows = _LANDMARKS
            why = f"{n} rows are more than the {MOST_ROWS} whose neighbours are looked up exactly in minutes"
        while rows > _FEWEST and not _fits(rows, min(len(known), _FITTED), columns, K, free):
            why = f"{(free or 0) / 1e9:.1f} GB of free memory do not hold an ensemble of {rows} rows"
            rows = max(rows // 2, _FEWEST)
        if rows == n and len(known) <= _FITTED:
            return None
        why = why or f"{len(known)} of {n} rows have known entries"
        return cls._choose(n, known, min(rows, n), seed, why)

    @classmethod
    def _choose(cls, n: int, known: npt.NDArray[Any], most: int, seed: int, why: str) -> Landmarks:
        draw = generator(seed, "landmarks of many rows")
        labelled = draw.permutation(known)[: min(_FITTED, most)]
        others = np.setdiff1d(np.arange(n), labelled)
        rows = np.sort(np.concatenate([labelled, draw.permutation(others)[: most - len(labelled)]]))
        fitted = np.isin(rows, labelled)
        words = (
            f"{why}: members and trees are fitted to {len(rows)} keyed rows, {len(labelled)} of them with known"
            " entries, and ridge to all"
        )
        return cls(rows.astype(np.int64), fitted, n, words)

    def labels(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the landmarks' labels (p, K) out of those of all rows; unknown where they are not fitted."""
        return np.where(self.fitted[:, None], np.asarray(labels)[self.rows], -1).astype(np.int8)

    def spread(
        self, near: Matrix, X: Any, elsewhere: Callable[[Any, npt.NDArray[np.int64]], Matrix]
    ) -> Matrix:
        """Return scores (n, K) of all rows ``X``: the landmarks' own (p, K), and those of blocks of other rows."""
        out = np.empty((self.n, near.shape[1]), np.float32)
        out[self.rows] = near
        rest = np.setdiff1d(np.arange(self.n), self.rows)
        for block in row_blocks(len(rest), 4096, _BLOCK):
            out[rest[block]] = elsewhere(X[rest[block]], rest[block])
        return out
