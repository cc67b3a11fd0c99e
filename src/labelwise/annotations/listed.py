"""Label states of rows that list their relevant labels, without an (n, K) array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations.readers import Matrix
from labelwise.errors import UserError

_CSR: Any = sp.csr_array  # the stubs of scipy.sparse reject untyped arrays


@dataclass(frozen=True, eq=False)
class ListedStates:
    """States (n, K) of rows that list what is relevant.

    Attributes:
        positives: (n, K) CSR of ones, each listed entry once.
        silent: (n,) int8, the state of what a row does not list: 0 or -1.
    """

    positives: Any
    silent: npt.NDArray[np.int8]

    @classmethod
    def of(
        cls,
        indptr: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
        silent: npt.NDArray[np.int8],
        n_labels: int,
    ) -> Self:
        """Return states from each row's labels; a label listed twice counts once.

        Args:
            indptr: (n + 1,) where each row's labels begin in ``labels``.
            labels: Positions of labels, 0 to ``n_labels`` - 1.
            silent: (n,), 0 or -1.
            n_labels: K.

        Raises:
            UserError: For a position beyond the labels, and for other silent states.
        """
        if labels.size and not 0 <= labels.min() <= labels.max() < n_labels:
            raise UserError(
                f"a row lists label {labels.max()} of {n_labels} labels (counted from 0): give names or more labels"
            )
        if not np.isin(silent, (0, -1)).all():
            raise UserError("what a row does not list is 0 or -1")
        ones = np.ones(len(labels), dtype=np.int8)
        positives = _CSR((ones, labels, indptr), shape=(len(silent), n_labels))
        positives.sum_duplicates()
        positives.data[:] = 1
        return cls(positives, silent.astype(np.int8, copy=False))

    @classmethod
    def stack(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several parts, one after another."""
        return cls(
            sp.vstack([part.positives for part in parts], "csr"),
            np.concatenate([part.silent for part in parts]),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n, K)."""
        n, n_labels = self.positives.shape
        return int(n), int(n_labels)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> Self:
        """Return some rows, given by a slice, a mask or positions."""
        return type(self)(self.positives[rows], self.silent[rows])

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Number of relevant labels of each row (n,)."""
        counts: npt.NDArray[np.int64] = np.diff(self.positives.indptr).astype(np.int64)
        return counts

    def dense(self, labels: npt.NDArray[np.int64] | None = None) -> Matrix:
        """Return the states (n, K) int8, or those of some labels."""
        positives = self.positives if labels is None else self.positives[:, labels]
        matrix = np.repeat(self.silent[:, None], positives.shape[1], axis=1)
        matrix[positives.nonzero()] = 1
        return np.ascontiguousarray(matrix)


States = Matrix | ListedStates
"""Label states (n, K): int8 of 1, 0 and -1, or rows that list what is relevant."""


def known_rows(Y: States) -> npt.NDArray[np.bool_]:
    """Return which rows (n,) have a known entry."""
    if isinstance(Y, ListedStates):
        return np.asarray((Y.silent == 0) | (Y.counts > 0))
    return np.asarray((Y != -1).any(axis=1))


def positives_of(Y: States) -> Any:
    """Return the relevant entries of states as CSR (n, K) of ones."""
    return Y.positives if isinstance(Y, ListedStates) else _CSR(Y == 1, dtype=np.int8)


def dense_states(Y: States, labels: npt.NDArray[np.int64] | None = None) -> Matrix:
    """Return states as an (n, K) int8 array, or those of some labels."""
    if isinstance(Y, ListedStates):
        return Y.dense(labels)
    return Y if labels is None else np.ascontiguousarray(Y[:, labels])


def stack_states(parts: Iterable[States]) -> States:
    """Return the rows of several parts, one after another."""
    parts = list(parts)
    listed = [part for part in parts if isinstance(part, ListedStates)]
    if len(listed) == len(parts):
        return ListedStates.stack(listed)
    return np.concatenate([dense_states(part) for part in parts])
