"""Which items are computed together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bucketed", "in_order"]


def in_order(rows: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return the rows (n,) in batches of ``size``."""
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def bucketed(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int, size: int | None = None
) -> list[NDArray[np.int64]]:
    """Return the rows (n,) in batches of about equal length, the longest first.

    A batch of b texts, the longest of L tokens, holds ``b L`` padded tokens: as many as fit ``tokens`` (one text at
    least), or ``size`` texts where that is given. ``lengths`` (n,) belongs to ``rows``. The longest come first, so
    that a batch which does not fit the memory fails at once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        count = size or max(1, tokens // max(int(lengths[order[start]]), 1))
        batches.append(rows[order[start : start + count]])
        start += count
    return batches
