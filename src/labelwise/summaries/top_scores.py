"""Exact selection of each label's highest (or lowest) scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import row_blocks
from labelwise.errors import UserError
from labelwise.summaries.arrays import Scores, as_counts, as_ids, as_mask, as_scores, refuse_nan

ALL_IDS = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Thresholds:
    """End of each label's selection: its last score and item id.

    The id is the last selected one among the ties of that score.

    Items are ranked by score (highest first, or lowest first), ties by the lower id. So the pair (score, id)
    of the last item selected tells exactly the selected from the others, whoever holds the scores.

    Attributes:
        scores: (K,) float32 or float64. Where fewer items than asked for were seen, the infinity that selects
            all; where none were asked for, the one that selects none.
        last_ids: (K,) int64, the highest id selected among the items that score exactly ``scores``.
        largest: True if the highest scores are selected, False if the lowest.
    """

    scores: Scores
    last_ids: NDArray[np.int64]
    largest: bool

    def select(
        self, scores: ArrayLike | torch.Tensor, ids: ArrayLike | torch.Tensor | int
    ) -> NDArray[np.bool_]:
        """Return a mask of the selected entries of ``scores`` (b, K).

        ``ids`` are those of the items, (b,), or the first of a run.

        Scores are compared in the dtype of the thresholds, so that a histogram's float32 thresholds meet
        float32.
        """
        values = as_scores("scores", scores, len(self.scores))
        if self.scores.dtype == np.float32:
            values = values.astype(np.float32, copy=False)
        rows = as_ids(ids, len(values))[:, None]
        beyond = values > self.scores if self.largest else values < self.scores
        chosen: NDArray[np.bool_] = beyond | ((values == self.scores) & (rows <= self.last_ids))
        return chosen


@dataclass(frozen=True, eq=False)
class TopSelection:
    """Items that ``TopScores`` selected, with their scores.

    Attributes:
        ids: for each label, the selected item ids in ascending order (int64).
        scores: for each label, the scores of these items (float32 or float64).
        thresholds: where each label's selection ends.
    """

    ids: list[NDArray[np.int64]]
    scores: list[Scores]
    thresholds: Thresholds


class TopScores:
    """Exact selection of the ``counts[k]`` highest scores of each label k.

    Ties go to the lower item id.

    An entry enters a label's buffer only if it beats the label's threshold so far; a full buffer (twice the
    count) is cut back to the count by a partition. So memory is that of the selection, at most twice over
    (12 bytes an entry for float32 scores), and a pass costs about one comparison per entry. The result is a
    function of the set of (score, id) pairs alone: any split into batches and any order of merging gives the
    same bits.

    Args:
        counts: (K,) ints >= 0, how many items to select for each label. With fewer items, all are selected.
        largest: False selects the lowest scores instead.
    """

    def __init__(self, counts: ArrayLike | torch.Tensor, *, largest: bool = True) -> None:
        self.counts = as_counts("counts", counts)
        self.largest = largest
        n_labels = len(self.counts)
        self._dtype: type[np.float32 | np.float64] = np.float32
        self._values: list[Scores] = [np.empty(0, np.float32) for _ in range(n_labels)]
        self._ids = [np.empty(0, np.int64) for _ in range(n_labels)]
        self._fill = np.zeros(n_labels, np.int64)
        self._floor = np.where(self.counts > 0, -np.inf, np.inf).astype(np.float32)
        self._last = np.where(self.counts > 0, ALL_IDS, -1)

    def update(
        self,
        scores: ArrayLike | torch.Tensor,
        ids: ArrayLike | torch.Tensor | int,
        mask: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Take in a batch.

        Args:
            scores: (b, K) numbers; float64 is kept as such. NaN is refused, infinities are ranked.
            ids: (b,) ints >= 0, each item once over the life of the summary; or the first id of a consecutive
                run.
            mask: (b, K) bool, the entries that take part; None for all.

        Raises:
            UserError: on NaN in an entry that takes part, or a wrong shape.

        """
        values = as_scores("scores", scores, len(self.counts))
        allowed = as_mask("mask", mask, values.shape)
        numbers = as_ids(ids, len(values))
        if values.dtype == np.float64:
            self._widen()
        for rows in row_blocks(*values.shape):
            part = None if allowed is None else allowed[rows]
            refuse_nan("scores", values[rows], part, numbers[rows])
            self._take_block(values[rows] if self.largest else -values[rows], numbers[rows], part)

    def merge(self, other: TopScores) -> None:
        """Take in what another summary has gathered of other items.

        It has the same counts.
        """
        if not np.array_equal(self.counts, other.counts) or self.largest != other.largest:
            raise UserError("TopScores can be merged only with the same counts and the same end (largest).")
        if other._dtype is np.float64:
            self._widen()
        for label, fill in enumerate(other._fill):
            values: Scores = other._values[label][:fill].astype(self._dtype, copy=False)
            self._push(label, values, other._ids[label][:fill])

    def finalize(self) -> TopSelection:
        """Return the selection so far; the summary may go on gathering."""
        floor, last = self._floor.copy(), self._last.copy()
        all_ids: list[NDArray[np.int64]] = []
        all_scores: list[Scores] = []
        for label, count in enumerate(self.counts.tolist()):
            if self._fill[label] > count:
                self._push(label, self._values[label][:0], self._ids[label][:0], cut=True)
            fill = int(self._fill[label])
            values: Scores = self._values[label][:fill].copy()
            ids: NDArray[np.int64] = self._ids[label][:fill].copy()
            if len(ids) == count > 0:
                floor[label] = values.min()
                last[label] = ids[values == floor[label]].max()
            if not (ids[1:] > ids[:-1]).all():
                order = np.argsort(ids)
                values, ids = values[order], ids[order]
            all_ids.append(ids)
            all_scores.append(values if self.largest else -values)
        return TopSelection(
            all_ids, all_scores, Thresholds(floor if self.largest else -floor, last, self.largest)
        )

    def _widen(self) -> None:
        if self._dtype is np.float32:
            self._dtype = np.float64
            self._values = [values.astype(np.float64) for values in self._values]
            self._floor = self._floor.astype(np.float64)

    def _take_block(self, block: Scores, ids: NDArray[np.int64], mask: NDArray[np.bool_] | None) -> None:
        # Compared in the block's own layout; only the result's bytes are transposed, to group it by label.
        passing = block >= self._floor
        if mask is not None:
            passing &= mask
        flat = np.flatnonzero(np.ascontiguousarray(passing.T))
        every = np.arange(len(self.counts) + 1)
        labels = np.repeat(every[:-1], np.diff(np.searchsorted(flat, every * len(block))))
        rows = flat - labels * len(block)
        values: Scores = block[rows, labels].astype(self._dtype, copy=False)
        numbers = ids[rows]
        floors = self._floor[labels]
        if (tied := values == floors).any():
            keep = ~tied | (numbers <= self._last[labels])
            labels, values, numbers = labels[keep], values[keep], numbers[keep]
        ends = np.searchsorted(labels, every)
        for label in np.flatnonzero(np.diff(ends)):
            part = slice(ends[label], ends[label + 1])
            self._push(int(label), values[part], numbers[part])

    def _push(self, label: int, values: Scores, ids: NDArray[np.int64], cut: bool = False) -> None:
        fill, count = int(self._fill[label]), int(self.counts[label])
        needed = fill + len(values)
        buffer, buffer_ids = self._values[label], self._ids[label]
        if needed > len(buffer) and not cut and len(buffer) < (limit := 2 * count + 256):
            grown = min(limit, max(needed, 2 * len(buffer)))
            buffer, buffer_ids = np.empty(grown, self._dtype), np.empty(grown, np.int64)
            buffer[:fill], buffer_ids[:fill] = self._values[label][:fill], self._ids[label][:fill]
            self._values[label], self._ids[label] = buffer, buffer_ids
        if needed > len(buffer) or cut:
            values, ids = np.concatenate([buffer[:fill], values]), np.concatenate([buffer_ids[:fill], ids])
            # Cut by a partition only when full, at twice the count: linear time in all.
            if needed > count:
                values, ids, self._floor[label], self._last[label] = _highest(values, ids, count)
            fill, needed = 0, len(values)
        buffer[fill:needed], buffer_ids[fill:needed] = values, ids
        self._fill[label] = needed


def _highest(
    values: Scores, ids: NDArray[np.int64], count: int
) -> tuple[Scores, NDArray[np.int64], np.floating, np.int64]:
    """Return the ``count`` highest values, their ids, and the last pair.

    ``count`` is at least 1; the values keep their order, and the last pair is a score and an id.
    """
    place = len(values) - count
    floor = np.partition(values, place)[place]
    places = np.flatnonzero(values >= floor)
    values, ids = values[places], ids[places]
    ties = np.flatnonzero(values == floor)
    if (surplus := len(values) - count) > 0:
        ties = ties[np.argsort(ids[ties])]
        values, ids = np.delete(values, ties[-surplus:]), np.delete(ids, ties[-surplus:])
        return values, ids, floor, ids[values == floor].max()
    return values, ids, floor, ids[ties].max()
