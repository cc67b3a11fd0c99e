"""Run what is missing: several jobs at once, one shard each, through interruptions, deaths and failures."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from labelwise._files import clear_drafts
from labelwise.errors import UserError
from labelwise.experiments.devices import VISIBLE, visible_devices
from labelwise.experiments.jobs import Job
from labelwise.experiments.shards import locked, read_shard, write_shard
from labelwise.experiments.workers import Execute, resolve, work

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
