"""Run missing jobs in worker processes, one shard each."""

from __future__ import annotations

import math
import multiprocessing
import os
import pickle
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labelwise._files import clear_drafts
from labelwise.errors import UserError
from labelwise.experiments.jobs import Job, Measured, Measurement
from labelwise.experiments.results import locked, read_shard, write_shard

Progress = Callable[[int, int, Mapping[str, Any]], None]
"""``progress(finished, of, shard)``, after every job of this call."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_GRACE = 0.2
"""Seconds between looks at the time caps of running jobs."""


@dataclass(frozen=True)
class Tally:
    """What became of the jobs: done before, done now, stopped by the cap of time, failed, and left for next time."""

    before: int
    done: int
    capped: int
    failed: int
    left: int


@dataclass
class _Worker:
    process: Any
    connection: Connection
    device: str | None = None
    job: Job | None = None
    began: float = 0.0


def run_jobs(
    jobs: Iterable[Job],
    execute: Execute | str,
    out: str | Path,
    *,
    data: Any = None,
    workers: int | None = None,
    devices: Sequence[str] = (),
    limit: int | None = None,
    time_cap: float | None = None,
    progress: Progress | None = None,
) -> Tally:
    """Run the jobs that have no shard under ``out/shards`` yet; the same call goes on where one was stopped.

    ``execute(job, data)`` runs in ``workers`` processes (2, or one for each of ``devices``) of one thread each, started
    afresh (spawn), each of which sees one of ``devices`` alone ("cpu", "cuda:0", ...), by turns; it returns a
    ``Measured``; it is a function at the top of a module or ``"package.module:name"``, and ``data`` is handed to it
    as it is. A job that raises, or whose process dies, is written down with its error and tried again by the next
    call; one that takes longer than ``time_cap`` seconds is stopped, and tried again when the cap is higher. At most
    ``limit`` jobs are run. Shards that are partly written are done again.

    Raises:
        UserError: Another run holds ``out``; a shard there has another format; arguments out of range.
    """
    seen = [visible_devices(device) for device in devices]
    workers = (len(seen) or 2) if workers is None else workers
    if workers < 1:
        raise UserError(f"workers={workers}: give a whole number from 1")
    if limit is not None and limit < 0:
        raise UserError(f"limit={limit}: give a number of jobs from 0")
    if time_cap is not None and not time_cap > 0:
        raise UserError(f"time_cap={time_cap}: give a number of seconds above 0")
    _check_portable(execute, data)
    out = Path(out)
    wanted = list({job.key: job for job in jobs}.values())
    with locked(out):
        clear_drafts(out)
        clear_drafts(out / "shards")
        todo = [job for job in wanted if not _settled(out, job, time_cap)]
        chosen = todo[:limit]
        counts = {"done": 0, "capped": 0, "failed": 0}
        try:
            for finished, shard in enumerate(
                _answers(chosen, execute, data, workers, time_cap, seen), start=1
            ):
                write_shard(out, shard)
                counts[shard["status"]] += 1
                if progress is not None:
                    progress(finished, len(chosen), shard)
        except KeyboardInterrupt:
            done = len(wanted) - len(todo) + counts["done"]
            kept = f"{done} of {len(wanted)} runs are kept in {out}; the same command goes on"
            raise KeyboardInterrupt(kept) from None
    return Tally(before=len(wanted) - len(todo), left=len(todo) - len(chosen), **counts)


def _settled(out: Path, job: Job, time_cap: float | None) -> bool:
    """Return whether a job needs no run: it is done, or was stopped by a cap that is no higher now."""
    shard = read_shard(out / "shards" / f"{job.key}.json")
    if shard is None or shard["status"] == "failed":
        return False
    capped = shard["status"] == "capped"
    return not capped or (time_cap is not None and time_cap <= (shard.get("time_cap") or 0))


def _answers(
    jobs: list[Job],
    execute: Execute | str,
    data: Any,
    workers: int,
    time_cap: float | None,
    devices: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield a shard for every job, as they come."""
    waiting = iter(jobs)
    crew: list[_Worker] = []
    try:
        for place in range(min(workers, len(jobs))):
            crew.append(_hire(execute, data, devices[place % len(devices)] if devices else None))
            _give(crew[-1], waiting)
        while busy := [worker for worker in crew if worker.job is not None]:
            pause = None if time_cap is None else _GRACE
            ready = wait([worker.connection for worker in busy], pause)
            for worker in busy:
                job = worker.job
                assert job is not None
                if worker.connection in ready:
                    answer = _hear(worker)
                elif time_cap is not None and time.monotonic() - worker.began > time_cap:
                    answer = {**_nothing("capped", f"stopped after {time_cap:g} s"), "seconds": time_cap}
                    _dismiss(worker)
                else:
                    continue
                yield _shard(job, answer, time_cap)
                if not worker.process.is_alive():
                    worker.process, worker.connection = _renewed(execute, data, worker.device)
                _give(worker, waiting)
    finally:
        for worker in crew:
            _dismiss(worker)


def _hire(execute: Execute | str, data: Any, device: str | None) -> _Worker:
    return _Worker(*_renewed(execute, data, device), device)


def _renewed(execute: Execute | str, data: Any, device: str | None) -> tuple[Any, Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(theirs, execute, data, os.getpid()), daemon=False)
    given = dict.fromkeys(_THREADS, "1") | ({} if device is None else {VISIBLE: device})
    with _environment(given), _uninterrupted():
        process.start()
    theirs.close()
    return process, ours


def _give(worker: _Worker, waiting: Iterator[Job]) -> None:
    worker.job = next(waiting, None)
    if worker.job is not None:
        # The cap counts from here: a worker's start, some seconds, is part of its first job.
        worker.began = time.monotonic()
        # A worker that died between two jobs takes none: the end of its answers says so.
        with suppress(OSError):
            worker.connection.send(worker.job)


def _hear(worker: _Worker) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode
        why = (
            f"its process was killed by signal {-code}" if code < 0 else f"its process ended with code {code}"
        )
        return _nothing("failed", why + (" (out of memory?)" if code == -9 else ""))
    return answer


def _dismiss(worker: _Worker) -> None:
    worker.connection.close()
    if worker.job is not None and worker.process.is_alive():
        worker.process.kill()
    worker.process.join()


def _nothing(status: str, error: str) -> dict[str, Any]:
    return {
        "status": status,
        "error": error,
        "measurements": [],
        "facts": {},
        "seconds": None,
        "memory_mb": None,
    }


def _shard(job: Job, answer: Mapping[str, Any], time_cap: float | None) -> dict[str, Any]:
    from labelwise import __version__

    return {"key": job.key, "job": job.to_dict(), "version": __version__, "time_cap": time_cap, **answer}


def _check_portable(execute: Execute | str, data: Any) -> None:
    resolve(execute)
    try:
        pickle.dumps((execute, data))
    except Exception as error:
        raise UserError(
            "execute and data must be found by another process, a function at the top of a module and plain data: "
            f"{error}"
        ) from None


@contextmanager
def _environment(given: Mapping[str, str]) -> Iterator[None]:
    """Let processes started inside have these variables: one thread to compute with, and one device."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let processes started inside pass over Ctrl-C, which a terminal sends to all: this one stops them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


VISIBLE = "CUDA_VISIBLE_DEVICES"


def visible_devices(device: str) -> str:
    """Return what ``CUDA_VISIBLE_DEVICES`` is for a process that has one device: "cpu", "cuda" (the first) or "cuda:N".

    N counts, from 0, the devices that this process sees.

    Raises:
        UserError: For another word, and a device that is not there.
    """
    if device == "cpu":
        return ""
    told = re.fullmatch(r"cuda(?::([0-9]{1,4}))?", str(device))
    if told is None:
        raise UserError(f"device {device!r} does not exist: give 'cpu', 'cuda' or 'cuda:N'")
    import torch

    number, count = int(told[1] or 0), torch.cuda.device_count()
    if number >= count:
        found = f"there are {count}, counted from 0" if count else "there is none here"
        raise UserError(f"device {device!r} is not there: of CUDA's devices {found}")
    names = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return names[number] if number < len(names) else str(number)


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
