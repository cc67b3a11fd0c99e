"""Lock files: held by one process at a time, and let go of when it ends."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def hold_lock(path: Path, *, wait: bool = True, on_wait: Callable[[], None] | None = None) -> Iterator[bool]:
    """Hold the lock file ``path``; yield whether it is held.

    A folder can be held by itself.

    Args:
        wait: False yields False at once where another process holds it.
        on_wait: Called once before waiting for another process.

    Raises:
        OSError: Where the file cannot be opened, or is a link.

    Where the system has no such locks (some network folders) it counts as held: nobody is kept from working.
    """
    handle, got = _take(path, wait, on_wait)
    try:
        yield got
    finally:
        os.close(handle)


@contextmanager
def claim_lock(path: Path) -> Iterator[str | None]:
    """Hold the lock file ``path`` in this process's name, without waiting.

    The file is deleted afterwards.

    Yields None where it is held, and otherwise who holds it, as in "process 4711 on mill".

    Raises:
        OSError: Where the file cannot be opened.
    """
    handle, got = _take(path, wait=False)
    try:
        if not got:
            yield os.read(handle, 200).decode("utf-8", "replace").strip() or "another process"
            return
        # The name is a courtesy, which a full disk may refuse, and no reason to write to a file of other names.
        with suppress(OSError):
            if os.fstat(handle).st_nlink == 1:
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield None
        finally:
            # Another process may have put a file of its own in this place.
            if _is(handle, path):
                with suppress(OSError):
                    path.unlink()
    finally:
        os.close(handle)


def _take(path: Path, wait: bool, on_wait: Callable[[], None] | None = None) -> tuple[int, bool]:
    """Return an open handle of ``path``, and whether it is locked."""
    handle = _open(path)
    try:
        # Tried before it is waited for, so that only a real wait is announced.
        got = _lock(handle, wait=False)
        if not got and wait:
            if on_wait is not None:
                on_wait()
            got = _lock(handle, wait=True)
        # Lock files get deleted: a lock on a deleted one keeps nobody out.
        while got and not _is(handle, path):
            stale, handle = handle, _open(path)
            os.close(stale)
            got = _lock(handle, wait=wait)
    except BaseException:
        os.close(handle)
        raise
    return handle, got


def _open(path: Path) -> int:
    """Return a handle of the lock file, made where there is none.

    A folder that is locked itself is opened to read.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link: remove it", str(path))
    if path.is_dir():
        return os.open(path, os.O_RDONLY)
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags, 0o644)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file: remove it", str(path))
    return handle


if sys.platform == "win32":
    import msvcrt

    # Windows keeps others from reading what is locked: the byte lies past the holder's name.
    _PAST_THE_TEXT = 1 << 20

    def try_lock(handle: int) -> bool | None:
        """Lock a handle without waiting; None where locks keep nobody out."""
        return None

    def _lock(handle: int, *, wait: bool) -> bool:
        os.lseek(handle, _PAST_THE_TEXT, os.SEEK_SET)
        while not (got := _lock_a_byte(handle)) and wait:
            time.sleep(0.1)
        os.lseek(handle, 0, os.SEEK_SET)
        return got

    def _lock_a_byte(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(handle: int) -> bool | None:
        """Lock a handle without waiting; None where locks keep nobody out."""
        return _flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _lock(handle: int, *, wait: bool) -> bool:
        return _flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB)) is not False

    def _flock(handle: int, how: int) -> bool | None:
        try:
            fcntl.flock(handle, how)
        except (BlockingIOError, PermissionError):
            return False
        except OSError:
            return None
        return True


def _is(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
