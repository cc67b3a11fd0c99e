"""One process at a time: a lock file that the system releases when its holder ends, however it ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["held"]


@contextmanager
def held(path: Path, *, wait: bool = True, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock file ``path``; yields whether it is held.

    :param wait: False yields False at once where another process holds it.
    :param on_wait: called once before waiting for another process.

    Where the system has no such locks (Windows, some network folders) it counts as held: what is written under it
    carries checksums, and two writers write the same.
    """
    handle = _open(path)
    try:
        got = _lock(handle, wait=False)
        if not got and wait:
            if on_wait is not None:
                on_wait()
            got = _lock(handle, wait=True)
        # Whoever clears the cache deletes lock files too: a lock on a deleted one keeps nobody out.
        while got and not _is(handle, path):
            os.close(handle)
            handle = _open(path)
            got = _lock(handle, wait=wait)
        yield got
    finally:
        os.close(handle)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _lock(handle: int, *, wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
