"""Label states of rows that list their relevant labels, without an (n, K) array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.annotations.codes import Codes, state_of
from labelwise.annotations.matrix import Annotations, check_label_names
from labelwise.annotations.readers import Matrix, is_sparse, stored_entries
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
    def whole(self) -> npt.NDArray[np.bool_]:
        """Which rows (n,) have no unknown entry."""
        return np.asarray((self.silent == 0) | (self.counts == self.shape[1]))

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


LISTED_LABELS, LISTED_ENTRIES = 1_000, 1 << 24
"""Labels, and entries of rows and labels, beyond which annotations that can be are held as lists."""


MATRIX_LABELS, MATRIX_ENTRIES = 4_096, 1 << 26
"""Labels, and entries, beyond which a fit makes no matrix of lists."""


def stays_lists(states: Any) -> bool:
    """Return whether label states are lists of which a fit makes no matrix."""
    return isinstance(states, ListedStates) and are_many(*states.shape)


def are_many(n_items: int, n_labels: int) -> bool:
    """Return whether a fit makes no matrix of so many rows and labels, where they are lists."""
    return n_labels >= MATRIX_LABELS and n_items * n_labels > MATRIX_ENTRIES


def held_as_lists(n_items: int, n_labels: int) -> bool:
    """Return whether so many rows and labels are held as lists, where they are such."""
    return n_labels >= LISTED_LABELS and n_items * n_labels > LISTED_ENTRIES


class ListedAnnotations(Annotations):
    """Annotations of rows that list what is relevant; ``matrix`` is made where it is asked for, and kept."""

    _lists: ListedStates

    def __init__(self, states: ListedStates, label_names: Sequence[str], notes: Sequence[str] = ()) -> None:
        """Hold states (n, K) under K names."""
        names = check_label_names(label_names)
        if not all(states.shape) or states.shape[1] != len(names):
            raise UserError(f"label_names has {len(names)} names for states of shape {states.shape}")
        for name, value in (("_lists", states), ("label_names", names), ("notes", tuple(notes))):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"ListedAnnotations({self.n_items} items, {self.n_labels} labels)"

    @property
    def states(self) -> ListedStates:
        """The lists (n, K)."""
        return self._lists

    @cached_property
    def matrix(self) -> Matrix:
        """(n, K) int8 of 1, 0 and -1."""
        return self.states.dense()

    @property
    def n_items(self) -> int:
        """The number of rows, n."""
        return len(self.states)

    def take(self, rows: Any) -> ListedAnnotations:
        """Return some rows, given by a mask or positions."""
        return ListedAnnotations(self.states[rows], self.label_names, self.notes)

    def with_notes(self, notes: Iterable[str]) -> ListedAnnotations:
        """Return the same labels with other notes."""
        return ListedAnnotations(self.states, self.label_names, tuple(notes))

    def with_labels(self, places: Sequence[int], label_names: Sequence[str]) -> ListedAnnotations:
        """Return some labels (k,), by their places, under their names."""
        states = ListedStates(self.states.positives[:, np.asarray(places)], self.states.silent)
        return ListedAnnotations(states, label_names, self.notes)


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


def stored_lists(Y: Any, unlisted: str | None, codes: Codes) -> ListedStates | None:
    """Return a large sparse matrix's states as lists, where its stored entries are relevant ones; else None."""
    if not is_sparse(Y) or unlisted is None or len(Y.shape) != 2 or not held_as_lists(*Y.shape):
        return None
    rows, labels, values = stored_entries(Y, "Y")
    absent = state_of("unlisted", unlisted)
    if len(values) and values.dtype.kind not in "biuf":
        return None
    # A stored zero says what is not stored too, where that is irrelevant.
    kept = (values != 0) if absent == 0 else np.ones(len(values), bool)
    if not (values[kept] == 1).all():
        return None
    order = np.lexsort((labels[kept], rows[kept]))
    rows, labels = rows[kept][order], labels[kept][order]
    if ((rows[1:] == rows[:-1]) & (labels[1:] == labels[:-1])).any():
        return None
    codes.see(one=np.ones(1, bool))
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=Y.shape[0]))])
    return ListedStates.of(ends, labels, np.full(Y.shape[0], absent, np.int8), Y.shape[1])
