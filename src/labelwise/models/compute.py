"""Device, type of numbers, threads and memory with which a network computes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

_SMALL = 2e7
_SMALL_MATRIX = 1 << 18


def device_of(module: nn.Module) -> torch.device:
    """Return a module's device; the CPU for one without any tensor."""
    return next((t.device for t in chain(module.parameters(), module.buffers())), torch.device("cpu"))


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the type of a module's parameters; else torch's default."""
    return next((parameter.dtype for parameter in module.parameters()), torch.get_default_dtype())


@contextmanager
def one_thread(*, libraries: bool = False) -> Iterator[None]:
    """Keep torch to one thread, and on demand other libraries too.

    ``libraries`` adds the BLAS and OpenMP libraries that are loaded at its first use. Small products lose more by
    waking threads than they gain, most of all on a busy machine, where they wait for one that does not run. The
    caller's number of threads comes back afterwards.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _one_library_thread() if libraries else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


def fit_threads(X: Any) -> AbstractContextManager[None]:
    """Keep torch and libraries to one thread while a fit on rows ``X`` (n, D) is small.

    Small are dense rows of which neither they nor products of each with each have more than 2^18 entries.
    """
    small = isinstance(X, np.ndarray) and X.ndim == 2 and len(X) * max(X.shape) <= _SMALL_MATRIX
    return one_thread(libraries=True) if small else nullcontext()


_LIMITING, _own = threading.Lock(), threading.local()
_originals: list[Any] = []
"""For each thread that is limited now, what brings back the numbers of before the first of them was."""


@contextmanager
def _one_library_thread() -> Iterator[None]:
    if getattr(_own, "limited", False):
        yield
        return
    # Some libraries have one number for a process, others one for each thread that asks: so each thread limits and
    # frees for itself, and a number that another thread had limited is none to come back to.
    with _LIMITING:
        limit = _libraries().limit(limits=1)
        _originals.append(_originals[0] if _originals else limit)
    _own.limited = True
    try:
        yield
    finally:
        _own.limited = False
        with _LIMITING:
            _originals.pop().restore_original_limits()


@cache
def _libraries() -> Any:
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()


def step_threads(network: nn.Module, batch_size: int) -> AbstractContextManager[None]:
    """Keep torch to one thread while the steps are small.

    Small is a network on the CPU without convolutions, of less than 2e7 multiplications in a batch.
    """
    parameters = list(network.parameters())
    work = batch_size * sum(p.numel() for p in parameters)
    small = work < _SMALL and all(p.ndim <= 2 and p.device.type == "cpu" for p in parameters)
    return one_thread() if small else nullcontext()


def peak_memory() -> int | None:
    """Return the peak resident memory of this process in bytes.

    None where the system does not tell.
    """
    try:
        import resource
    except ImportError:
        return None
    # macOS counts in bytes, Linux in kibibytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def free_memory() -> int | None:
    """Return the bytes of memory that this process can still take.

    None where the system does not tell. A limit of its control group counts where it is lower.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None
    limit, used = _numbers_of_group("memory.max").get(""), _numbers_of_group("memory.current").get("")
    if limit is None or used is None:
        return free
    # files that were read count as used, but give way
    files = _numbers_of_group("memory.stat").get("inactive_file", 0)
    return max(min(free, limit - used + files), 0)


def give_back_memory() -> None:
    """Return freed memory to the system, where the C library would keep it between arrays of a few megabytes."""
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def _numbers_of_group(name: str) -> dict[str, int]:
    """Return the numbers of a file of this control group by their names, none where it has no such file."""
    try:
        lines = (Path("/sys/fs/cgroup") / name).read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    pairs = [line.rpartition(" ") for line in lines]
    return {key: int(value) for key, _, value in pairs if value.isdigit()}
