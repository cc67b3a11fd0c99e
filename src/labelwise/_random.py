"""Random choices as functions of a key, never of a running generator.

A permutation, a view or a sampled negative is drawn from ``generator(seed, epoch, item, ...)``. So a resumed
run draws what the uninterrupted one would have drawn, and the number of loader workers changes nothing.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

_ONE_AT_A_TIME = threading.RLock()


def seed_of(random_state: Any) -> int:
    """Return the seed that a checked ``random_state`` stands for.

    It is the number itself, 0 for None.
    """
    return int(random_state or 0)


def generator(seed: int, *key: int | str) -> np.random.Generator:
    """Return a NumPy generator that depends on ``seed`` and ``key`` only.

    The key is made of non-negative ints and words.
    """
    return np.random.Generator(np.random.PCG64(_sequence(seed, *key)))


@lru_cache(maxsize=64)
def number(seed: int, *key: int | str) -> int:
    """Return a whole number below 2^62 from ``seed`` and ``key`` only.

    It seeds another generator.
    """
    return int(_sequence(seed, *key).generate_state(1, np.uint64)[0]) >> 2


@contextmanager
def torch_seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's global generators; the caller's state comes back afterwards.

    Initial weights and dropout are drawn by libraries that know no other generator than torch's global one, which all
    threads share: they take turns here, so that what is drawn does not depend on what other threads do.
    ``device`` is where a run draws besides the CPU; None stands for every GPU in use.
    """
    with _ONE_AT_A_TIME:
        generators = _global_generators(device)
        states = [one.get_state() for one in generators]
        for one in generators:
            one.manual_seed(seed)
        try:
            yield
        finally:
            for one, state in zip(generators, states, strict=True):
                one.set_state(state)


def _global_generators(device: torch.device | None) -> list[torch.Generator]:
    import torch

    generators = [torch.default_generator]
    in_use = bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
    if in_use and (device is None or device.type == "cuda"):
        places = range(torch.cuda.device_count()) if device is None else [device.index or 0]
        generators += [torch.cuda.default_generators[place] for place in places]
    if device is not None and device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())
    return generators


def _sequence(seed: int, *key: int | str) -> np.random.SeedSequence:
    parts = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in key]
    return np.random.SeedSequence([int(seed), *parts])
