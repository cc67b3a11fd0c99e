"""Random numbers for views, as functions of (seed, epoch, item, place).

They are drawn for a whole batch at once.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, near

VIEWS = ("plain", "weak", "strong")
_GAMMA = 0x9E3779B97F4A7C15
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def check_view(view: str) -> None:
    """Raise ``UserError`` unless the view is "plain", "weak" or "strong"."""
    if view not in VIEWS:
        raise UserError(f"unknown view {view!r}; {near(view, VIEWS)}")


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Apply SplitMix64's output function (Steele, Lea and Flood, 2014) in place."""
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= _FIRST
    np.right_shift(z, np.uint64(27), out=shifted)
    z ^= shifted
    z *= _SECOND
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted
    return z


@lru_cache(maxsize=16)
def _steps(count: int) -> NDArray[np.uint64]:
    return np.arange(1, count + 1, dtype=np.uint64) * np.uint64(_GAMMA)


def streams(index: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.uint64]:
    """Return the start of each item's stream of random numbers, (b,).

    It is a hash of (seed, epoch, item).
    """
    # One part after the other: a sum or an xor of them would give (1, 2) and (2, 1) one stream.
    key = np.zeros(1, dtype=np.uint64)
    for part in (seed, epoch):
        key = _mix((key ^ np.uint64(part % 2**64)) + np.uint64(_GAMMA))
    return _mix((key ^ index.astype(np.uint64)) + np.uint64(_GAMMA))


def bits(starts: NDArray[np.uint64], count: int) -> NDArray[np.uint16]:
    """Return the first ``count`` 16-bit numbers of each stream, (b, count).

    SplitMix64 as a counter-based generator; each 64-bit output gives four numbers.
    """
    # A counter, not a chain: number k of a stream costs the same wherever it stands.
    words = _mix(starts[:, None] + _steps(-(-count // 4)))
    # Little-endian by name, so that the four numbers of a word come in one order on every machine.
    return words.astype("<u8", copy=False).view("<u2")[:, :count]


def uniform(numbers: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Return 16-bit numbers as float32 in (0, 1)."""
    return (numbers.astype(np.float32) + np.float32(0.5)) / np.float32(65536)


def dropped(numbers: NDArray[np.uint16], share: float) -> NDArray[np.bool_]:
    """Return a mask that is true with probability ``share``.

    The probability is exact to 1 in 65,536.
    """
    # 65,536 is no 16-bit number: a share of nearly 1 keeps one coordinate in 65,536.
    return numbers < np.uint16(min(round(share * 65536), 65535))


class NormalTable:
    """Standard normal numbers from 16-bit ones.

    They are the quantiles of 4,096 equal shares, scaled to variance 1.
    """

    def __init__(self) -> None:
        from scipy.special import ndtri

        quantiles = ndtri((np.arange(4096) + 0.5) / 4096)
        self._quantiles = (quantiles / quantiles.std()).astype(np.float32)

    def __call__(self, numbers: NDArray[np.uint16]) -> NDArray[np.float32]:
        """Return float32 of the same shape, each a function of its number."""
        values: NDArray[np.float32] = self._quantiles.take(numbers >> np.uint16(4))
        return values


@lru_cache(maxsize=1)
def _table() -> NormalTable:
    return NormalTable()


def normal_numbers(
    index: NDArray[np.int64], count: int, *, purpose: str, seed: int, epoch: int
) -> NDArray[np.float32]:
    """Return ``count`` standard normal numbers of each item, (b, count).

    They are a function of (purpose, seed, epoch, item).
    """
    key = (int(seed) << 32) ^ zlib.crc32(purpose.encode())
    return _table()(bits(streams(index, seed=key, epoch=epoch), count))
