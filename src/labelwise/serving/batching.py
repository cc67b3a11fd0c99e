"""Threads that run a model on the items of all requests together."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.serving.limits import Limits
from labelwise.serving.refusals import Refused

Scorer = Callable[[list[Any]], NDArray[np.float64]]


@dataclass(eq=False)
class _Job:
    """The items of one request, and what is known of them so far."""

    items: Sequence[Any]
    answer: asyncio.Future[NDArray[np.float64]]
    loop: asyncio.AbstractEventLoop
    taken: int = 0
    parts: list[NDArray[np.float64]] = field(default_factory=list)
    dropped: bool = False

    @property
    def left(self) -> int:
        return len(self.items) - self.taken


_Part = tuple[_Job, slice]
_Outcome = tuple[_Job, NDArray[np.float64] | Exception]


class Batcher:
    """A bounded queue of items, and the threads that score them in batches.

    A pass takes what waits, at most ``batch_size`` items, and waits ``gather`` seconds for more. A request of more
    items than that is done in turns with others. An item on which the model fails fails its own request alone.

    Args:
        score: Returns logits (n, K) of n items.
        limits: Of the queue and the batches.
        turn: Held while the model runs, by all that share the processor.
        on_batch: Is told the number of items of each pass, and its seconds.
        passes: The passes that the model makes at once.
    """

    def __init__(
        self,
        score: Scorer,
        limits: Limits,
        turn: threading.Semaphore | None = None,
        on_batch: Callable[[int, float], None] = lambda items, seconds: None,
        passes: int = 1,
    ) -> None:
        self._score, self._limits, self._on_batch = score, limits, on_batch
        self._turn = turn or threading.Semaphore(passes)
        self._jobs: deque[_Job] = deque()
        self._waiting, self._stopping = 0, False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name="labelwise-serve", daemon=True) for _ in range(passes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of items that wait for a pass."""
        return self._waiting

    async def score(self, items: Sequence[Any], deadline: float) -> NDArray[np.float64]:
        """Return the logits (n, K) of a request's items.

        Args:
            deadline: By the clock of ``time.monotonic``.

        Raises:
            Refused: Where the queue is full or the time is up.
        """
        loop = asyncio.get_running_loop()
        job = _Job(items, loop.create_future(), loop)
        with self._changed:
            if self._stopping or self._waiting + len(items) > self._limits.queue:
                raise Refused(
                    503, f"{self._waiting} items wait already: send it again later", retry_after="1"
                )
            self._waiting += len(items)
            self._jobs.append(job)
            self._changed.notify_all()
        try:
            return await asyncio.wait_for(job.answer, max(0.0, deadline - time.monotonic()))
        except TimeoutError:
            raise Refused(
                503,
                f"no answer within {self._limits.timeout:g} s: send fewer items, or later",
                retry_after="1",
            ) from None
        finally:
            job.dropped = True

    def stop(self) -> None:
        """End the thread once what waits is done."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while parts := self._next():
            with self._turn:
                began = time.perf_counter()
                outcomes = self._outcomes(parts)
            self._on_batch(sum(part.stop - part.start for _, part in parts), time.perf_counter() - began)
            for loop in {job.loop for job, _ in outcomes}:
                own = [(job, outcome) for job, outcome in outcomes if job.loop is loop]
                try:
                    # One wake-up of the loop a pass, not one a request.
                    loop.call_soon_threadsafe(_deliver, own)
                except RuntimeError:  # the loop has ended, and nobody waits for it
                    continue

    def _next(self) -> list[_Part]:
        """Return what the next pass scores; nothing at the end."""
        size = self._limits.batch_size
        with self._changed:
            while True:
                while not self._jobs and not self._stopping:
                    self._changed.wait()
                until = time.monotonic() + self._limits.gather
                while self._waiting < size and not self._stopping and (left := until - time.monotonic()) > 0:
                    self._changed.wait(left)
                parts = self._take(size)
                if parts or self._stopping:
                    return parts

    def _take(self, room: int) -> list[_Part]:
        parts: list[_Part] = []
        # Each job once: a long one goes to the end, so that those behind it do not wait for all of it.
        for _ in range(len(self._jobs)):
            if not room:
                break
            job = self._jobs.popleft()
            if job.dropped:
                self._waiting -= job.left
                continue
            count = min(room, job.left)
            parts.append((job, slice(job.taken, job.taken + count)))
            job.taken += count
            room -= count
            self._waiting -= count
            if job.left:
                self._jobs.append(job)
        return parts

    def _outcomes(self, parts: Sequence[_Part]) -> list[_Outcome]:
        try:
            logits = self._score([item for job, part in parts for item in job.items[part]])
        except Exception as error:
            if len(parts) == 1:
                return [(parts[0][0], error)]
            return [outcome for part in parts for outcome in self._outcomes([part])]
        ends = np.cumsum([part.stop - part.start for _, part in parts])[:-1]
        return [(job, rows) for (job, _), rows in zip(parts, np.split(logits, ends), strict=True)]


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    """Hand what a pass gave to those who wait, in their loop."""
    for job, outcome in outcomes:
        if job.answer.done():
            continue
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
            job.dropped = True
            continue
        job.parts.append(outcome)
        if sum(map(len, job.parts)) == len(job.items):
            job.answer.set_result(np.concatenate(job.parts))
