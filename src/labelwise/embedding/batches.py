"""Batches of items that are computed together, each of one shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.data import token_spans

_SMALLEST_STEP, _STEPS = 4, 8


class Batch(NamedTuple):
    """Items that are computed together: ``rows`` (b,), filled up to ``size`` items, texts to ``width`` tokens.

    The last digits of a network's features depend on the shape of the batch: on how many items it holds and how long
    they are, not on what stands beside an item. So a shape is chosen by the item alone, and its features are the same
    whether it comes with others or not. None leaves the shape as it comes.
    """

    rows: NDArray[np.int64]
    size: int | None = None
    width: int | None = None


def in_order(rows: NDArray[np.int64], size: int) -> list[Batch]:
    """Return the rows (n,) in batches of ``size``."""
    return [Batch(rows[start : start + size], size) for start in range(0, len(rows), size)]


def padded_length(lengths: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
    """Return how many tokens texts of these lengths (n,) are padded to: at most a quarter more, and ``longest``."""
    power = 2 ** np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
    step = np.maximum(_SMALLEST_STEP, power // _STEPS)
    whole: NDArray[np.int64] = np.minimum(-(-np.maximum(lengths, 1) // step) * step, longest)
    return np.maximum(whole, lengths)


def shaped(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], longest: int, tokens: int, size: int | None = None
) -> list[Batch]:
    """Return the rows (n,) in batches of one padded length each, the longest first.

    A batch holds ``tokens`` padded tokens (one text at least), or ``size`` texts where that is given. ``lengths`` (n,)
    belongs to ``rows``; no text has more than ``longest``.
    """
    widths = padded_length(lengths, longest)
    batches = []
    for width in np.unique(widths)[::-1].tolist():
        count = size or max(1, tokens // max(width, 1))
        batches += [Batch(b.rows, count, width) for b in in_order(rows[widths == width], count)]
    return batches


def bucketed(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], tokens: int, size: int | None = None
) -> list[Batch]:
    """Return the rows (n,) in batches of about equal length, the longest first, for texts that cannot be padded.

    A batch holds at most ``tokens`` padded tokens (one text at least), or ``size`` texts where that is given.
    ``lengths`` (n,) belongs to ``rows``. The longest come first, so that a batch which does not fit the memory fails
    at once.
    """
    order = np.argsort(-lengths, kind="stable")
    most = tokens if size is None else int(lengths.max(initial=1)) * size
    return [Batch(rows[order[span]]) for span in token_spans(lengths[order], most, size)]
