"""Known entries of an annotation matrix, in the form that members need."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.models import folds_of_groups, joined_groups


@dataclass(frozen=True)
class KnownEntries:
    """Rows with a known entry, their targets, and which of them count.

    Attributes:
        rows: (m,) int64, rising, the rows of the pool with at least one known entry.
        targets: (m, K) float32, 1 for a known positive, else 0; of scores to be learnt, numbers in [0, 1].
        mask: (m, K) bool, the entries that count; None where all of these rows do.
        both: (K,) bool, labels with a positive and a negative among the entries that count.
        twins: (m,) int64, the same number for rows with the same features; None where no two have.
        groups: (m,) int64, the same number for rows of one group, and for equal rows of two; None without groups.
        fold: (m,) int64, the fold of each row's group: rows of one fold are left out together; None where rows are left
            out one by one.
        soft: Whether the targets are scores.
    """

    rows: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None
    both: npt.NDArray[np.bool_]
    twins: npt.NDArray[np.int64] | None = None
    groups: npt.NDArray[np.int64] | None = None
    fold: npt.NDArray[np.int64] | None = None
    soft: bool = False

    @classmethod
    def of(
        cls,
        labels: npt.NDArray[Any],
        twins: npt.NDArray[np.int64] | None = None,
        *,
        assume_absent: bool | None = None,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> KnownEntries:
        """Read the known entries of ``labels`` (n, K) in {1, 0, -1}.

        An unknown entry of a row with a known one counts as absent where ``assume_absent``, by default where
        no negative is known anywhere; otherwise it does not count. Rows with the same number in ``twins``
        (n,) have the same features; rows with the same number in ``groups`` (n,) are never left out of each other.
        """
        labels = np.asarray(labels)
        rows = np.flatnonzero((labels != -1).any(axis=1))
        known = labels[rows]
        if assume_absent is None:
            assume_absent = not (known == 0).any()
        counts = known != -1
        own = None if twins is None else twins[rows]
        mask = None if assume_absent or counts.all() else counts
        found = cls._of(rows, (known == 1).astype(np.float32), mask, own)
        return found if groups is None else found.grouped(groups[rows], known)

    @classmethod
    def of_scores(
        cls,
        scores: npt.NDArray[Any],
        twins: npt.NDArray[np.int64] | None = None,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> KnownEntries:
        """Read scores (n, K) in [0, 1] as targets; NaN is unknown and does not count."""
        rows = np.flatnonzero((~np.isnan(scores)).any(axis=1))
        counts = ~np.isnan(scores[rows])
        targets = np.nan_to_num(scores[rows]).astype(np.float32)
        own = None if twins is None else twins[rows]
        found = replace(cls._of(rows, targets, None if counts.all() else counts, own), soft=True)
        return found if groups is None else found.grouped(groups[rows], np.where(counts, targets > 0.5, -1))

    @classmethod
    def _of(cls, rows: npt.NDArray[Any], targets: npt.NDArray[Any], mask: Any, twins: Any) -> KnownEntries:
        total = len(rows) if mask is None else mask.sum(axis=0)
        positives = targets.sum(axis=0, dtype=np.float64)
        if twins is not None:
            twins = np.unique(twins, return_inverse=True)[1].ravel()
            twins = None if twins.max(initial=-1) + 1 == len(rows) else twins
        return cls(rows.astype(np.int64), targets, mask, (positives > 0) & (positives < total), twins)

    def grouped(self, groups: npt.NDArray[np.int64], labels: npt.NDArray[Any]) -> KnownEntries:
        """Return the entries with ``groups`` (m,) that are left out whole, in folds that share ``labels`` (m, K)."""
        joined = joined_groups(groups, self.twins)
        return replace(self, groups=joined, fold=folds_of_groups(labels.astype(np.int8), joined, None))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> npt.NDArray[np.int8]:
        """The entries as labels (m, K) int8: 1, 0, and -1 for those that do not count."""
        labels = self.targets.astype(np.int8)
        if self.mask is not None:
            labels[~self.mask] = -1
        return labels

    @property
    def counts(self) -> npt.NDArray[np.float64]:
        """Number of entries of each label that count (K,), float64."""
        if self.mask is None:
            return np.full(self.targets.shape[1], float(len(self)))
        return np.asarray(self.mask.sum(axis=0, dtype=np.float64))

    @property
    def positives(self) -> npt.NDArray[np.float64]:
        """Number of known positives of each label (K,), float64."""
        return np.asarray(self.targets.sum(axis=0, dtype=np.float64))

    @property
    def squares(self) -> npt.NDArray[np.float64]:
        """Sum of squares of each label's targets (K,), float64."""
        return (
            np.asarray(np.square(self.targets).sum(axis=0, dtype=np.float64)) if self.soft else self.positives
        )

    @property
    def means(self) -> npt.NDArray[np.float64]:
        """Share of positives among a label's entries (K,), 0 without any."""
        return np.asarray(self.positives / np.maximum(self.counts, 1.0))

    def take(self, index: npt.NDArray[Any]) -> KnownEntries:
        """Return some of the m rows, numbered in the whole pool as before."""
        mask = None if self.mask is None else self.mask[index]
        twins, groups, fold = (
            None if own is None else own[index] for own in (self.twins, self.groups, self.fold)
        )
        taken = self._of(self.rows[index], self.targets[index], mask, twins)
        return replace(taken, groups=groups, fold=fold, soft=self.soft)

    def without(self, pool_rows: npt.NDArray[np.bool_]) -> KnownEntries:
        """Return the entries that are left without ``pool_rows`` (n,), rows numbered anew."""
        kept = self.take(np.flatnonzero(~pool_rows[self.rows]))
        number = np.cumsum(~pool_rows) - 1
        return replace(kept, rows=number[kept.rows])
