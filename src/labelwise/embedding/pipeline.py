"""Several threads that each fetch a batch and compute it, so that fetching and computing overlap."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import torch
from torch import nn

Job = TypeVar("Job")
Result = TypeVar("Result")


def stream(
    jobs: Sequence[Job], sessions: Sequence[AbstractContextManager[Callable[[Job], Result]]], threads: int
) -> Iterator[Result]:
    """Yield the results of ``jobs`` in the order in which they are done, by one thread a session.

    Args:
        sessions: Each is entered in its thread and gives the function that turns a job into a result.
        threads: The threads that a session's tensor operations may use.

    At most two results a session wait to be taken. The first error of any thread is raised here; whoever leaves the
    loop early waits for the jobs that are being done.
    """
    todo = iter(jobs)
    taking, stop = threading.Lock(), threading.Event()
    done: queue.Queue[Result | BaseException | None] = queue.Queue(2 * len(sessions))

    def put(result: Result | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return done.put(result, timeout=0.1)
            except queue.Full:
                continue

    def run(session: AbstractContextManager[Callable[[Job], Result]]) -> None:
        try:
            torch.set_num_threads(threads)
            with session as work:
                while not stop.is_set():
                    with taking:
                        job = next(todo, None)
                    if job is None:
                        break
                    put(work(job))
            put(None)
        except BaseException as error:
            put(error)

    workers = [threading.Thread(target=run, args=(s,), name="labelwise-embed", daemon=True) for s in sessions]
    for worker in workers:
        worker.start()
    running = len(workers)
    try:
        while running:
            result = done.get()
            if result is None:
                running -= 1
            elif isinstance(result, BaseException):
                raise result
            else:
                yield result
    finally:
        stop.set()
        for worker in workers:
            worker.join()


def copies(backbone: nn.Module, count: int, device: torch.device) -> list[nn.Module]:
    """Return modules in evaluation mode on the device, channels last, that share one copy of the weights.

    The given module stays as it is. The copies let each thread have what a forward pass may leave on a module.
    """
    first = copy.deepcopy(backbone).to(device).eval()
    if any(parameter.ndim == 4 for parameter in first.parameters()):
        first = cast(Any, first).to(memory_format=torch.channels_last)
    for parameter in first.parameters():
        # Autocast keeps the cast weights from batch to batch for leaves that require gradients only.
        parameter.requires_grad_(parameter.is_floating_point())
    shared = {id(tensor): tensor for tensor in (*first.parameters(), *first.buffers())}
    return [first, *(copy.deepcopy(first, dict(shared)) for _ in range(count - 1))]
