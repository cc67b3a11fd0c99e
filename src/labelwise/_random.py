"""Every random choice of the library as a function of a key, never of a running generator.

A permutation, a view or a sampled negative is drawn from ``generator(seed, epoch, item, ...)``. So a resumed
run draws what the uninterrupted one would have drawn, and the number of loader workers changes nothing.
"""

from __future__ import annotations

import zlib

import numpy as np

__all__ = ["generator"]


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """Return a NumPy generator that depends on ``seed`` and ``key`` (non-negative ints or words) only."""
    parts = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in key]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([int(seed), *parts])))
