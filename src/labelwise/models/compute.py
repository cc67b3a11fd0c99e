"""Device, type of numbers, threads and memory with which a network computes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path

import torch
from torch import nn

_SMALL = 2e7


def device_of(module: nn.Module) -> torch.device:
    """Return a module's device; the CPU for one without any tensor."""
    return next((t.device for t in chain(module.parameters(), module.buffers())), torch.device("cpu"))


def dtype_of(module: nn.Module) -> torch.dtype:
    """Return the type of a module's parameters; else torch's default."""
    return next((parameter.dtype for parameter in module.parameters()), torch.get_default_dtype())


@contextmanager
def one_thread(*, libraries: bool = False) -> Iterator[None]:
    """Keep torch to one thread, and on demand other libraries too.

    ``libraries`` adds the BLAS and OpenMP libraries that are loaded by then. Small products lose more by waking
    threads than they gain, most of all on a busy machine, where they wait for one that does not run. The caller's
    number of threads comes back afterwards.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with _one_library_thread() if libraries else nullcontext():
            yield
    finally:
        torch.set_num_threads(threads)


def _one_library_thread() -> AbstractContextManager[object]:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    limits: AbstractContextManager[object] = threadpool_limits(1)
    return limits


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
