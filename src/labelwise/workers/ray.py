"""Tasks as a dataset of Ray Data, done by its tasks or by a pool of actors."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self

from labelwise.errors import UserError, missing_extra
from labelwise.workers.base import Result, Task


@dataclass(frozen=True)
class RayWorkers:
    """Workers of the Ray cluster that this process is connected to.

    Each task is a block of a dataset, so that Ray does a task again whose worker or machine was lost.
    """

    count: int

    @classmethod
    def open(cls, count: int | None = None) -> Self:
        """Connect to a cluster, or start one on this machine, where this process has none."""
        local = not os.environ.get("RAY_ADDRESS")
        # Read when Ray starts: nothing is reported to anyone.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray, data = import_module("ray"), import_module("ray.data")
        except ImportError as error:
            raise missing_extra("engine (--engine) 'ray' needs an extra", "ray", error) from None
        if not ray.is_initialized():
            given: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
            if local:
                # As on other systems than Linux: what is started here listens on the loopback address alone.
                constants: Any = import_module("ray._private.ray_constants")
                constants.ENABLE_RAY_CLUSTER = False
                given |= {"num_cpus": count, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
            _connect(ray, given, tries=3 if local else 1)
        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        return cls(count or max(1, int(ray.cluster_resources().get("CPU", 1))))

    def map(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], *, keep: bool = False
    ) -> Iterator[Result]:
        """Yield each task's result, in the order of the tasks."""
        if not tasks:
            return
        data: Any = import_module("ray.data")
        size = min(self.count, len(tasks))
        given = {"work": work, "tasks": list(tasks), "threads": _blas_threads()}
        rows = data.range(len(tasks), override_num_blocks=len(tasks))
        if keep:
            pool = data.ActorPoolStrategy(size=size)
            # A reference in a list stays one: an actor that is started again asks for it again.
            box = [import_module("ray").put(given)]
            results = rows.map(_Worker, fn_constructor_kwargs={"box": box}, compute=pool)
        else:
            pool = data.TaskPoolStrategy(size=size)
            results = rows.map(_done, fn_kwargs=given, compute=pool)
        early: dict[int, Any] = {}
        place = 0
        for row in results.iter_rows():
            early[int(row["place"])] = row["outcome"]
            while place in early:
                yield early.pop(place).value()
                place += 1


def _connect(ray: Any, given: dict[str, Any], tries: int) -> None:
    """Connect to a cluster, or start one: Ray gives it half a minute, which a busy machine may need more than once.

    Raises:
        UserError: In the place of Ray's error.
    """
    for left in reversed(range(tries)):
        try:
            ray.init(**given)
            return
        # Ray raises the class of all exceptions itself.
        except Exception as error:
            ray.shutdown()
            if not left:
                there = os.environ.get("RAY_ADDRESS")
                again = "look at the cluster of RAY_ADDRESS" if there else "give the command again"
                reason = " ".join(str(error).split())
                raise UserError(
                    f"engine (--engine) 'ray' did not start ({reason}): {again}, or leave it out"
                ) from error


@dataclass(frozen=True)
class _Outcome:
    """A task's result, or the words of its refusal."""

    result: Any = None
    refusal: str | None = None

    def value(self) -> Any:
        if self.refusal is not None:
            raise UserError(self.refusal)
        return self.result


class _Worker:
    """An actor that does tasks one after another."""

    def __init__(self, box: list[Any]) -> None:
        self._given: dict[str, Any] = import_module("ray").get(box[0])

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return _done(row, **self._given)


def _done(row: dict[str, Any], work: Callable[[Any], Any], tasks: list[Any], threads: int) -> dict[str, Any]:
    place = int(row["id"])
    with _with_threads(threads):
        try:
            outcome = _Outcome(work(tasks[place]))
        except UserError as error:
            outcome = _Outcome(refusal=str(error))
    return {"place": place, "outcome": outcome}


def _blas_threads() -> int:
    """Return the number of threads of this process's linear algebra."""
    from threadpoolctl import threadpool_info  # type: ignore[import-untyped]

    return max((int(one["num_threads"]) for one in threadpool_info() if one["user_api"] == "blas"), default=1)


@contextmanager
def _with_threads(threads: int) -> Iterator[None]:
    """Compute with as many threads as the process that asked, since their number decides how sums are rounded."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=threads, user_api="blas"):
        yield
