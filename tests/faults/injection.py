"""Let a call of a child process fail: killed at it, half done, or refused by the operating system."""

from __future__ import annotations

import ctypes
import errno
import gc
import json
import os
import posix
import select
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labelwise.errors import UserError

SOURCE = Path(__file__).with_name("shim.c")
COUNT, KILL, TEAR, REFUSE = range(4)
ERRORS = {
    "full disk": errno.ENOSPC,
    "folder that may not be changed": errno.EACCES,
    "disk gone read-only": errno.EROFS,
    "broken disk": errno.EIO,
}


@dataclass(frozen=True)
class Ended:
    """How a child ended: "done", "refused" (one line), "killed", "hung", or "foreign" (anything else)."""

    how: str
    told: str = ""
    calls: int = 0


def compiler() -> str | None:
    """Return the C compiler, None where there is none."""
    return shutil.which("cc") or shutil.which("gcc")


def built(folder: Path) -> Path:
    """Compile the library that lets calls fail."""
    library = folder / "shim.so"
    subprocess.run(
        [str(compiler()), "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    return library


def loaded() -> bool:
    """Return whether this process was started with the library."""
    return hasattr(ctypes.CDLL(None), "fault_arm")


def in_a_child(
    action: Callable[[], object],
    root: Path,
    at: int = 0,
    how: int = COUNT,
    error: int = 0,
    limit: float = 120,
) -> Ended:
    """Run ``action`` in a fork, whose ``at``-th call that changes something below ``root`` fails."""
    told, tell = os.pipe()
    # A collection in the child would copy every page that it looks at.
    gc.freeze()
    child = os.fork()
    if child == 0:
        _act(action, root, at, how, error, tell)
    os.close(tell)
    with os.fdopen(told, "rb") as pipe:
        # It ends with the child, and tells all at once.
        if not select.select([pipe], [], [], limit)[0]:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Ended("hung", f"no end within {limit} s")
        words = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Ended("killed" if number == signal.SIGKILL else "foreign", f"signal {number}")
    return Ended(**json.loads(words))


def _act(action: Callable[[], object], root: Path, at: int, how: int, error: int, tell: int) -> None:
    """Arm the library, act, and tell how it ended; never returns."""
    gc.disable()
    # The tests' own process waits for no disk; here the waiting is a call to fail at.
    os.fsync = posix.fsync
    library = ctypes.CDLL(None)
    kind, message = "done", ""
    try:
        # Nobody reads what a child prints, and the test runner's own handlers are not for it.
        devnull = os.open(os.devnull, os.O_RDWR)
        for handle in (0, 1, 2):
            os.dup2(devnull, handle)
        library.fault_arm(os.fsencode(os.path.realpath(root)), ctypes.c_long(at), how, error)
        action()
    except UserError as refusal:
        kind, message = "refused", str(refusal)
        if "\n" in message or len(message) > 4000:
            kind = "foreign"
    except BaseException as other:
        kind, message = "foreign", f"{type(other).__name__}: {other}"
    library.fault_arm.restype = library.fault_seen.restype = ctypes.c_long
    calls = library.fault_seen()
    os.write(tell, json.dumps({"how": kind, "told": message[:2000], "calls": calls}).encode())
    os._exit(0)
