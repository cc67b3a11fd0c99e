"""Rows of a stream that are equal to judged ones, which are left out with them."""

from __future__ import annotations

from copy import copy
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise._random import generator
from labelwise.annotations import States, positives_of, row_blocks
from labelwise.models.ridge.moments import LabelGroups
from labelwise.models.scaling import FeatureMatrix

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 20  # entries of a block: products of 8 MB stay near the processor
_CSR: Any = sp.csr_array


class EqualRows:
    """Counter of the rows that are equal to judged ones, and of their labels.

    Rows are looked up by a sum of their words under keyed odd factors, modulo 2^64, and then compared.

    Args:
        X: (j, D) float32 the judged rows.
        twin: (j,) a number for each, the same for equal ones; None where all differ.
        n_labels: K.
        groups: Labels by their known rows.
    """

    def __init__(self, X: Array, twin: Array | None, n_labels: int, groups: LabelGroups) -> None:
        self._place = np.arange(len(X)) if twin is None else np.unique(twin, return_inverse=True)[1]
        first = np.arange(len(X)) if twin is None else np.unique(twin, return_index=True)[1]
        factors = generator(0, "equal rows").integers(0, 1 << 62, X.shape[1], dtype=np.uint64)
        self._factors, self._groups = factors * np.uint64(2) + np.uint64(1), groups
        self._rows = X if twin is None else X[first]
        keys = self._keys(self._rows)
        self._order = np.argsort(keys, kind="stable")
        self._sorted = keys[self._order]
        self._counts = np.zeros((groups.count, len(first)))
        self._positives = _CSR((len(first), n_labels), dtype=np.int64)

    def empty(self) -> EqualRows:
        """Return a counter of the same rows that has taken in nothing."""
        other = copy(self)
        other._counts, other._positives = (
            np.zeros_like(self._counts),
            _CSR(self._positives.shape, dtype=np.int64),
        )
        return other

    def found(self) -> tuple[Array, Any]:
        """Return what was counted, for ``add``."""
        return self._counts, self._positives

    def add(self, counts: Array, positives: Any) -> None:
        """Take in what another counter of the same rows found in other fragments."""
        self._counts = self._counts + counts
        self._positives = self._positives + positives

    def update(self, X: FeatureMatrix, Y: States) -> None:
        """Take in the rows (b, D) and states (b, K) of a fragment."""
        rows, equals = [], []
        for block in row_blocks(X.shape[0], X.shape[1], _BLOCK):
            part = X[block]
            x = _single(part.toarray() if hasattr(part, "toarray") else part)
            keys = self._keys(x)
            near = np.minimum(np.searchsorted(self._sorted, keys), len(self._sorted) - 1)
            found = np.flatnonzero(self._sorted[near] == keys)
            place = self._order[near[found]]
            same = (self._rows[place] == x[found]).all(axis=1)
            rows.append(found[same] + block.start)
            equals.append(place[same])
        index, place = np.concatenate(rows), np.concatenate(equals)
        if not len(index):
            return
        for group, (_, known) in enumerate(self._groups.rows(Y)):
            self._counts[group] += np.bincount(place[known[index]], minlength=self._counts.shape[1])
        ones = np.ones(len(index), np.int64)
        chosen = _CSR((ones, (place, index)), shape=(self._counts.shape[1], X.shape[0]))
        self._positives = self._positives + chosen @ positives_of(Y).astype(np.int64)

    def finalize(self) -> tuple[npt.NDArray[np.float64], Any]:
        """Return how many known rows are equal to each judged one, and how many are relevant.

        They are (G, j), and CSR (j, K).
        """
        return self._counts[:, self._place], _CSR(self._positives)[self._place]

    def _keys(self, X: Array) -> npt.NDArray[np.uint64]:
        keys = np.empty(len(X), np.uint64)
        for rows in row_blocks(len(X), X.shape[1], _BLOCK):
            words = _single(X[rows]).view(np.uint32).astype(np.uint64)
            # The high bits of a product depend on all bits of a word, its low ones on the low ones alone.
            words ^= words << np.uint64(32)
            keys[rows] = (words * self._factors).sum(axis=1, dtype=np.uint64)
        return keys


def _single(X: Array) -> npt.NDArray[np.float32]:
    """Return rows as float32 with one zero; adding 0 makes one of both."""
    return np.ascontiguousarray(X, dtype=np.float32) + np.float32(0)
