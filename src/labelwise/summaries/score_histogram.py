"""Exact thresholds of each label from histograms of float32 bits.

Memory does not depend on the number of items.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import row_blocks
from labelwise.errors import UserError
from labelwise.summaries.arrays import as_counts, as_ids, as_mask, as_scores, refuse_nan
from labelwise.summaries.top_scores import ALL_IDS, Thresholds

_SCORE_DIGITS = {2: (16, 16), 3: (11, 11, 10)}
_ID_DIGITS = (11, 11, 10)


class ScoreHistogram:
    """Finder of each label's selection threshold, in two or three passes.

    The ``counts[k]`` highest scores of label k are selected.

    A float32's bits, suitably flipped, order as the numbers do. Each pass counts one digit of them (of the
    entries that agree with the digits settled before), so the k-th largest score is settled digit by digit,
    exactly. Where a threshold score is shared by more items than may be taken, up to three further passes
    settle the last item id in the same way, lower ids first. The counts of workers add up, so any split of
    the items gives the same bits:

    ```python
    histogram = ScoreHistogram(counts)
    for _ in histogram.passes:
        for first, scores in chunks():
            histogram.update(scores, first)
        histogram.next_pass()  # over workers: merge into one, settle, send copies out
    selected = histogram.finalize().select(scores, first)
    ```

    Scores are read as float32 (float64 is rounded; the thresholds are exact for what it is rounded to). Ids
    must be below 2**32.

    Args:
        counts: (K,) ints >= 0, how many items to select for each label. With fewer items, all are selected.
        largest: False selects the lowest scores instead.
        score_passes: 3 passes of 11, 11 and 10 bits (16 KiB per label), or 2 of 16 bits (512 KiB per label).
    """

    def __init__(
        self, counts: ArrayLike | torch.Tensor, *, largest: bool = True, score_passes: int = 3
    ) -> None:
        if score_passes not in _SCORE_DIGITS:
            raise UserError(f"score_passes is {score_passes}: give 2 or 3.")
        self.counts = as_counts("counts", counts)
        self.largest = largest
        self.done = False
        self._score_digits = _SCORE_DIGITS[score_passes]
        self._scores = np.zeros(len(self.counts), np.uint32)
        self._ids = np.zeros(len(self.counts), np.uint32)
        self._remaining = self.counts.copy()
        self._short = np.zeros(len(self.counts), np.bool_)
        self._open = self.counts > 0
        self._enter(0)

    @property
    def passes(self) -> Iterator[int]:
        """Yield the number of each pass still needed over the scores.

        ``next_pass`` goes on to the next.
        """
        while not self.done:
            yield self._level

    def update(
        self,
        scores: ArrayLike | torch.Tensor,
        ids: ArrayLike | torch.Tensor | int,
        mask: ArrayLike | torch.Tensor | None = None,
    ) -> None:
        """Count a batch in the current pass.

        The arguments are those of ``TopScores.update``.

        Every pass must be given the same entries, in any order.
        """
        values = as_scores("scores", scores, len(self.counts))
        allowed = as_mask("mask", mask, values.shape)
        numbers = as_ids(ids, len(values))
        if len(numbers) and numbers.max() >= 1 << 32:
            raise UserError(
                f"ids holds {numbers.max()}: ScoreHistogram takes ids below 2**32; number the items anew."
            )
        for rows in row_blocks(*values.shape):
            part = None if allowed is None else allowed[rows]
            refuse_nan("scores", values[rows], part, numbers[rows])
            keys = _ordered_bits(values[rows].astype(np.float32, copy=False), self.largest)
            self._count(keys, numbers[rows].astype(np.uint32), part)

    def merge(self, other: ScoreHistogram) -> None:
        """Add the counts of another histogram in the same pass.

        It has gathered other items.
        """
        same = (
            self.largest == other.largest
            and self._level == other._level
            and self._widths() == other._widths()
        )
        settled = ("counts", "_scores", "_ids", "_remaining")
        if not same or any(not np.array_equal(getattr(self, name), getattr(other, name)) for name in settled):
            raise UserError("ScoreHistogram can be merged only with the same counts, in the same pass.")
        self._histogram += other._histogram

    def next_pass(self) -> None:
        """Settle the digit of this pass, and go on to the next."""
        if self.done:
            raise UserError("ScoreHistogram has settled every threshold: call finalize().")
        width = self._widths()[self._level]
        totals = np.cumsum(self._histogram, axis=1)
        if self._level == 0:
            self._short = totals[:, -1] < self.counts
            self._open &= ~self._short
        digit = np.argmax(totals >= self._remaining[:, None], axis=1)
        labels = np.arange(len(digit))
        settled = self._scores if self._level < len(self._score_digits) else self._ids
        inside = self._histogram[labels, digit]
        settled[self._open] = (settled[self._open] << np.uint32(width)) | digit[self._open].astype(np.uint32)
        self._remaining = np.where(
            self._open, self._remaining - totals[labels, digit] + inside, self._remaining
        )
        if self._level + 1 == len(self._score_digits):
            # All ties at the threshold are selected: no pass over ids is needed.
            unambiguous = self._remaining == inside
            self._ids[unambiguous] = np.uint32(0xFFFFFFFF)
            self._open &= ~unambiguous
        self._enter(self._level + 1)

    def finalize(self) -> Thresholds:
        """Return the thresholds, once no pass is left."""
        if not self.done:
            raise UserError(f"ScoreHistogram is still in pass {self._level}: go through .passes first.")
        scores = _number(self._scores)
        scores = np.where(
            self._short, np.float32(-np.inf), np.where(self.counts == 0, np.float32(np.inf), scores)
        )
        last = self._ids.astype(np.int64)
        last[self._ids == 0xFFFFFFFF] = ALL_IDS
        last = np.where(self._short, ALL_IDS, np.where(self.counts == 0, -1, last))
        return Thresholds(scores if self.largest else -scores, last, self.largest)

    def _widths(self) -> tuple[int, ...]:
        return self._score_digits + _ID_DIGITS

    def _enter(self, level: int) -> None:
        widths = self._widths()
        self._level = level
        self.done = level >= len(widths) or not self._open.any()
        size = 0 if self.done else 1 << widths[level]
        self._histogram = np.zeros((len(self.counts), size), np.int64)

    def _count(
        self, keys: NDArray[np.uint32], ids: NDArray[np.uint32], mask: NDArray[np.bool_] | None
    ) -> None:
        level, score_levels = self._level, len(self._score_digits)
        widths = self._score_digits if level < score_levels else _ID_DIGITS
        place = level if level < score_levels else level - score_levels
        size = self._histogram.shape[1]
        shift = np.uint32(32 - sum(widths[: place + 1]))
        above = np.uint32(shift + widths[place])
        if level == 0:
            index = (keys >> shift).astype(np.int64)
            index += np.arange(len(self.counts)) * size
            flat = index.ravel(order="K") if mask is None else index[mask]
        else:
            if level < score_levels:
                agree = (keys >> above) == self._scores
            else:
                agree = keys == self._scores
                if place > 0:
                    agree &= (ids >> above)[:, None] == self._ids
            agree &= self._open
            if mask is not None:
                agree &= mask
            rows, labels = np.nonzero(agree)
            source = keys[rows, labels] if level < score_levels else ids[rows]
            flat = labels * size + ((source >> shift) & np.uint32(size - 1)).astype(np.int64)
        self._histogram += np.bincount(flat, minlength=self._histogram.size).reshape(self._histogram.shape)


def _ordered_bits(values: NDArray[np.float32], largest: bool) -> NDArray[np.uint32]:
    """Return keys that ascend as scores descend.

    For the lowest scores they ascend with them; both zeros get one key.
    """
    # Adding 0 makes one zero of -0 and 0.
    bits = (values + np.float32(0)).view(np.int32) if not largest else (np.float32(0) - values).view(np.int32)
    return (bits ^ ((bits >> 31) | np.int32(-(2**31)))).view(np.uint32)


def _number(keys: NDArray[np.uint32]) -> NDArray[np.float32]:
    """Undo ``_ordered_bits(scores, largest=True)``."""
    bits = keys.view(np.int32)
    bits = bits ^ (((~bits) >> 31) | np.int32(-(2**31)))
    return np.float32(0) - bits.view(np.float32)
