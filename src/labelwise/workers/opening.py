"""Workers by the name of their engine."""

from __future__ import annotations

from typing import Literal, get_args

from labelwise.errors import UserError
from labelwise.workers.base import HERE, Workers

Engine = Literal["here", "ray"]
ENGINES: tuple[str, ...] = get_args(Engine)
"""Names of engines."""


def open_workers(engine: str = "here", count: int | None = None) -> Workers:
    """Return the workers of an engine.

    Ray is the one that this process is connected to; else the cluster that ``RAY_ADDRESS`` names; else one that is
    started on this machine, bound to its loopback address, which ends with the process.

    Args:
        engine: ``"here"``, this process, or ``"ray"``.
        count: Tasks at a time; None: as many as the cluster has processors.

    Raises:
        UserError: For another engine, a number of workers for this process, and where Ray is missing.
    """
    if engine not in ENGINES:
        raise UserError(f"engine (--engine) is {engine!r}: it is one of {', '.join(ENGINES)}")
    if count is not None and count < 1:
        raise UserError(f"workers (--workers) is {count}: give a whole number from 1")
    if engine == "here":
        if count is not None:
            raise UserError("workers (--workers): they are Ray's; give --engine ray too, or leave it out")
        return HERE
    from labelwise.workers.ray import RayWorkers

    return RayWorkers.open(count)
