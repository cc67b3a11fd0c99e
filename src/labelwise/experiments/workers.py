"""A worker process: runs one job after another, one thread, and says what each came to."""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

from labelwise.errors import UserError
from labelwise.experiments.jobs import Job, Measured, Measurement

Execute = Callable[[Job, Any], Measured]
"""``execute(job, data)``: a function at the top of a module, so that another process can find it."""


def resolve(execute: Execute | str) -> Execute:
    """Return a function given by itself or as ``"package.module:name"``."""
    if not isinstance(execute, str):
        return execute
    module, colon, name = execute.partition(":")
    try:
        found: Execute = getattr(import_module(module), name) if colon else None  # type: ignore[assignment]
    except (ImportError, AttributeError) as error:
        raise UserError(f"execute={execute!r} cannot be found: {error}") from None
    if not callable(found):
        raise UserError(f"execute={execute!r}: write it as 'package.module:function'")
    return found


def work(connection: Connection, execute: Execute | str, data: Any, parent: int) -> None:
    """Answer jobs until the other end closes."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    run = resolve(execute)
    # An end of file, a reset or a broken pipe: whoever asked is gone.
    with suppress(EOFError, OSError):
        while True:
            connection.send(one(run, connection.recv(), data))


def one(execute: Execute, job: Job, data: Any) -> dict[str, Any]:
    """Run a job here and return its part of a shard: measurements, facts, seconds, memory, or the error."""
    _forget_peak()
    began = time.perf_counter()
    try:
        measured = execute(job, data)
        answer: dict[str, Any] = {
            "status": "done",
            "error": "",
            "measurements": [_plain(m) for m in measured.measurements],
            "facts": dict(measured.facts),
        }
    except UserError as error:
        answer = _failed(str(error))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit(os.sep, 1)[-1]}:{last.lineno}"
        answer = _failed(f"{type(error).__name__}: {' '.join(str(error).split())} ({where})")
    answer["seconds"] = round(time.perf_counter() - began, 3)
    answer["memory_mb"] = _peak()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        answer["facts"]["gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
        torch.cuda.reset_peak_memory_stats()
    return answer


def _failed(error: str) -> dict[str, Any]:
    return {"status": "failed", "error": error, "measurements": [], "facts": {}}


def _plain(measurement: Measurement) -> dict[str, Any]:
    value = float(measurement.value)
    return {
        "metric": measurement.metric,
        "rule": measurement.rule,
        "value": value if math.isfinite(value) else None,
    }


def _forget_peak() -> None:
    """Let the system count this process's peak memory anew, where it can."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak() -> int | None:
    """Return the peak resident memory in MiB: of this job on Linux, of the process so far elsewhere."""
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return None
    import resource

    unit = 2**20 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def _leave_with(parent: int) -> None:
    """End this process when the one that started it is gone: a killed run leaves nothing behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
