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
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labelwise._files import clear_drafts
from labelwise.errors import UserError
from labelwise.experiments.jobs import Job, Measured, Measurement
from labelwise.experiments.results import locked, read_shard, write_shard

Execute = Callable[[Job, Any], Measured]
"""``execute(job, data)``: a function at the top of a module, so that another process can find it."""
Progress = Callable[[int, int, Mapping[str, Any]], None]
"""``progress(finished, of, shard)``, after every job of this call."""

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL_SECONDS = 0.2
"""Seconds between checks of the time caps of running jobs."""


@dataclass(frozen=True)
class Tally:
    """Counts of jobs by outcome.

    Attributes:
        before: Done by an earlier call.
        done: Done by this call.
        capped: Stopped by the time cap.
        failed: Ended by an error or the death of their process.
        left: Not run, because of ``limit``.
    """

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
    here: bool = False,
) -> Tally:
    """Run the jobs that have no shard under ``out/shards`` yet.

    The same call goes on where an earlier one was stopped. A job that raises, or whose process dies, is written down
    with its error and tried again by the next call; one that exceeds ``time_cap`` is stopped, and tried again when the
    cap is higher. Shards that are partly written are done again.

    Args:
        jobs: The jobs; those of one key are one run.
        execute: Called as ``execute(job, data)``, returns a ``Measured``: a function at the top of a module, or
            "package.module:name".
        out: The folder of results.
        data: Handed to ``execute`` as it is; it must be picklable.
        workers: Number of processes, started afresh (spawn), of one thread each; 2, or one for each of ``devices``.
        devices: The devices of the workers by turns, one each: "cpu", "cuda:0", ...
        limit: Run at most so many jobs.
        time_cap: Seconds that a job may take.
        progress: Called after every job.
        here: Run the jobs in this process, one after the other, whatever ``workers`` says.

    Raises:
        UserError: Another run holds ``out``; a shard there has another format; arguments out of range.
    """
    visible = [visible_devices(device) for device in devices]
    workers = (len(visible) or 2) if workers is None else workers
    if workers < 1:
        raise UserError(f"workers={workers}: give a whole number from 1")
    if here and (devices or time_cap is not None):
        raise UserError("here=True: devices and a time cap need processes of their own; leave them out")
    if limit is not None and limit < 0:
        raise UserError(f"limit={limit}: give a number of jobs from 0")
    if time_cap is not None and not time_cap > 0:
        raise UserError(f"time_cap={time_cap}: give a number of seconds above 0")
    if not here:
        _check_portable(execute, data)
    out = Path(out)
    unique = list({job.key: job for job in jobs}.values())
    with locked(out):
        clear_drafts(out)
        clear_drafts(out / "shards")
        missing = [job for job in unique if not _is_settled(out, job, time_cap)]
        chosen = missing[:limit]
        before = len(unique) - len(missing)
        counts = {"done": 0, "capped": 0, "failed": 0}
        try:
            shards = (
                _run_here(chosen, execute, data)
                if here
                else _run(chosen, execute, data, workers, time_cap, visible)
            )
            for finished, shard in enumerate(shards, start=1):
                write_shard(out, shard)
                counts[shard["status"]] += 1
                if progress is not None:
                    progress(finished, len(chosen), shard)
        except KeyboardInterrupt:
            kept = (
                f"{before + counts['done']} of {len(unique)} runs are kept in {out}; the same command goes on"
            )
            raise KeyboardInterrupt(kept) from None
    return Tally(before=before, left=len(missing) - len(chosen), **counts)


def _is_settled(out: Path, job: Job, time_cap: float | None) -> bool:
    """Return whether a job needs no run.

    It is done, or was stopped by a cap that is no higher now.
    """
    shard = read_shard(out / "shards" / f"{job.key}.json")
    if shard is None or shard["status"] == "failed":
        return False
    capped = shard["status"] == "capped"
    return not capped or (time_cap is not None and time_cap <= (shard.get("time_cap") or 0))


def _run_here(jobs: list[Job], execute: Execute | str, data: Any) -> Iterator[dict[str, Any]]:
    """Yield the shard of every job, run in this process."""
    from labelwise._version import __version__

    function = resolve(execute)
    for job in jobs:
        shard = {"key": job.key, "job": job.to_dict(), "version": __version__, "time_cap": None}
        yield shard | run_one(function, job, data)


def _run(
    jobs: list[Job],
    execute: Execute | str,
    data: Any,
    count: int,
    time_cap: float | None,
    devices: Sequence[str],
) -> Iterator[dict[str, Any]]:
    """Yield the shard of every job as it finishes, from ``count`` workers."""
    from labelwise._version import __version__

    waiting = iter(jobs)
    workers: list[_Worker] = []
    try:
        for place in range(min(count, len(jobs))):
            device = devices[place % len(devices)] if devices else None
            with _interrupts_later():
                workers.append(_Worker(*_start(execute, data, device), device))
            _assign(workers[-1], waiting)
        while busy := [worker for worker in workers if worker.job is not None]:
            # Without a cap there is nothing to look at until a worker answers or dies.
            timeout = None if time_cap is None else _POLL_SECONDS
            ready = wait([worker.connection for worker in busy], timeout)
            for worker in busy:
                job = worker.job
                assert job is not None
                if worker.connection in ready:
                    answer = _receive(worker)
                elif time_cap is not None and time.monotonic() - worker.began > time_cap:
                    answer = _without_result("capped", f"stopped after {time_cap:g} s", time_cap)
                    _stop(worker)
                else:
                    continue
                shard = {"key": job.key, "job": job.to_dict(), "version": __version__, "time_cap": time_cap}
                yield shard | answer
                if not worker.process.is_alive():
                    with _interrupts_later():
                        worker.process, worker.connection = _start(execute, data, worker.device)
                _assign(worker, waiting)
    finally:
        for worker in workers:
            _stop(worker)


def _start(execute: Execute | str, data: Any, device: str | None) -> tuple[Any, Connection]:
    """Start a process that runs jobs; return it and its pipe."""
    # Spawned, not forked: threads and CUDA do not survive a fork.
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=work, args=(there, execute, data, os.getpid()), daemon=False)
    # Set before the start: numpy and torch read these variables when they are imported.
    variables = dict.fromkeys(_THREADS, "1") | ({} if device is None else {_VISIBLE: device})
    with _environment(variables):
        process.start()
    # Without our copy of its end, the death of the process is an end of file here.
    there.close()
    return process, here


def _assign(worker: _Worker, waiting: Iterator[Job]) -> None:
    worker.job = next(waiting, None)
    if worker.job is not None:
        # The cap counts from here: a worker's start, some seconds, is part of its first job.
        worker.began = time.monotonic()
        # A worker that died between two jobs takes none: the end of its answers says so.
        with suppress(OSError):
            worker.connection.send(worker.job)


def _receive(worker: _Worker) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        code = worker.process.exitcode
        cause = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        memory = " (out of memory?)" if code == -9 else ""
        return _without_result("failed", f"its process {cause}{memory}")
    return answer


def _stop(worker: _Worker) -> None:
    worker.connection.close()
    # An idle worker leaves by itself at the end of its pipe; a busy one would finish its job first.
    if worker.job is not None and worker.process.is_alive():
        worker.process.kill()
    worker.process.join()


def _without_result(status: str, error: str, seconds: float | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "error": error,
        "measurements": [],
        "facts": {},
        "seconds": seconds,
        "memory_mb": None,
    }


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
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Give processes started inside these environment variables."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Keep Ctrl-C until the end, and from processes started inside for good.

    A terminal sends it to all processes at once: this one stops the others, and they print no tracebacks. It cannot
    stop one that it does not know yet, so that what comes while a process starts is raised behind it.
    """
    # Python lets the main thread alone set handlers.
    if threading.current_thread() is not threading.main_thread():
        with _blocked_interrupts():
            yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        with _blocked_interrupts():
            yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Start processes inside with Ctrl-C blocked, which they inherit; a handler would not reach them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Started with the first process otherwise, and it unblocks what is blocked here.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C from here on, what came since this process started too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])


def visible_devices(device: str) -> str:
    """Return the value of ``CUDA_VISIBLE_DEVICES`` for one device.

    Args:
        device: "cpu", "cuda" (the first) or "cuda:N"; N counts, from 0, the devices that this process sees.

    Raises:
        UserError: For another word, and a device that is not there.
    """
    if device == "cpu":
        return ""
    match = re.fullmatch(r"cuda(?::([0-9]{1,4}))?", str(device))
    if match is None:
        raise UserError(f"device {device!r} does not exist: give 'cpu', 'cuda' or 'cuda:N'")
    import torch

    number, count = int(match[1] or 0), torch.cuda.device_count()
    if number >= count:
        seen = f"there are {count}, counted from 0" if count else "there is none here"
        raise UserError(f"device {device!r} is not there: of CUDA's devices {seen}")
    names = [name.strip() for name in os.environ.get(_VISIBLE, "").split(",") if name.strip()]
    return names[number] if number < len(names) else str(number)


def resolve(execute: Execute | str) -> Execute:
    """Return a function given by itself or as ``"package.module:name"``."""
    if not isinstance(execute, str):
        return execute
    module, colon, name = execute.partition(":")
    try:
        function: Execute = getattr(import_module(module), name) if colon else None  # type: ignore[assignment]
    except (ImportError, AttributeError) as error:
        raise UserError(f"execute={execute!r} cannot be found: {error}") from None
    if not callable(function):
        raise UserError(f"execute={execute!r}: write it as 'package.module:function'")
    return function


def work(connection: Connection, execute: Execute | str, data: Any, parent: int) -> None:
    """Answer jobs until the other end closes."""
    _ignore_interrupts()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    function = resolve(execute)
    # An end of file, a reset or a broken pipe: the other process is gone.
    with suppress(EOFError, OSError):
        while True:
            connection.send(run_one(function, connection.recv(), data))


def run_one(execute: Execute, job: Job, data: Any) -> dict[str, Any]:
    """Run a job here and return its answer for the shard.

    An exception becomes status "failed" with its text in one line; seconds and memory are told in any case.
    """
    _reset_peak_memory()
    began = time.perf_counter()
    try:
        measured = execute(job, data)
        answer: dict[str, Any] = {
            "status": "done",
            "error": "",
            "measurements": [_to_json(m) for m in measured.measurements],
            "facts": dict(measured.facts),
        }
    except UserError as error:
        answer = _without_result("failed", str(error))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit(os.sep, 1)[-1]}:{last.lineno}"
        text = f"{type(error).__name__}: {' '.join(str(error).split())} ({where})"
        answer = _without_result("failed", text)
    answer["seconds"] = round(time.perf_counter() - began, 3)
    answer["memory_mb"] = _peak_memory()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        answer["facts"]["gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
        torch.cuda.reset_peak_memory_stats()
    return answer


def _to_json(measurement: Measurement) -> dict[str, Any]:
    value = float(measurement.value)
    # JSON has no NaN.
    return {
        "metric": measurement.metric,
        "rule": measurement.rule,
        "value": value if math.isfinite(value) else None,
    }


def _reset_peak_memory() -> None:
    """Make Linux count the peak memory of this process anew."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _peak_memory() -> int | None:
    """Return the peak resident memory in MiB.

    On Linux that of this job, elsewhere that of the process so far; None on Windows.
    """
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) // 1024
    except (OSError, StopIteration):
        pass
    from labelwise.models import peak_memory

    peak = peak_memory()
    return None if peak is None else peak // 2**20


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
