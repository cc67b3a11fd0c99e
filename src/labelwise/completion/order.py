"""A fixed random number for each entry, by which entries are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


class RandomOrder:
    """Permanent random numbers of entries (Ohlsson, 1995).

    The number of an entry is a function of (seed, item id, label name) alone: neither the other rows of the table, nor
    scores, nor answers change it. Entries are asked for in the order of these numbers, so that the first of any set of
    entries that was fixed without looking at them are a simple random sample of it, and a later, larger sample contains
    the earlier one.

    Args:
        items: n item ids, or their number, for the row numbers.
        labels: K label names, or their number.
        seed: Of the numbers.
    """

    def __init__(self, items: Sequence[Any] | int, labels: Sequence[Any] | int, seed: int | str = 0) -> None:
        self._items = _words(range(items) if isinstance(items, int) else items, f"item {seed} ")
        self._labels = _words(range(labels) if isinstance(labels, int) else labels, f"label {seed} ")

    def of(self, rows: NDArray[np.int64] | slice, columns: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """Return the numbers, in (0, 1), of entries or, of two slices, of a block."""
        first, second = self._items[rows], self._labels[columns]
        if isinstance(rows, slice):
            first = first[:, None]
        mixed = _mixed(first ^ _mixed(second))
        return np.asarray(((mixed >> np.uint64(11)) + 0.5) * 2.0**-53)


def _words(names: Sequence[Any] | range, prefix: str) -> Words:
    digests = (
        hashlib.blake2b(f"{prefix}{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        for name in names
    )
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _mixed(words: Words) -> Words:
    """Return SplitMix64's finaliser of 64-bit words (Steele et al., 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(words ^ (words >> np.uint64(31)))
