"""Threads that share out numbered jobs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class Workers:
    """``count`` threads, started when first needed; with 0 or 1 the calling thread does the work."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads: ThreadPoolExecutor | None = None
        self._process = 0

    def __getstate__(self) -> dict[str, object]:
        return {"count": self.count, "_threads": None, "_process": 0}

    def run(self, job: Callable[[int], None], jobs: int) -> None:
        """Call ``job(0)`` to ``job(jobs - 1)``, in any order; jobs write to places of their own.

        The error that is raised is that of the lowest number, whatever the number of threads.
        """
        if self.count < 2 or jobs < 2:
            for number in range(jobs):
                job(number)
            return
        if self._threads is None or self._process != os.getpid():
            # The threads of a forked process's parent do not come along.
            self._threads, self._process = ThreadPoolExecutor(self.count, "labelwise-items"), os.getpid()
        numbers = itertools.count()
        failed: list[tuple[int, BaseException]] = []

        def work() -> None:
            for number in numbers:
                if number >= jobs or failed:
                    return
                try:
                    job(number)
                except BaseException as error:
                    failed.append((number, error))

        # Numbers are handed out in order and each one begun is finished, so the lowest failure is among these.
        for done in [self._threads.submit(work) for _ in range(min(self.count, jobs))]:
            done.result()
        if failed:
            raise min(failed, key=lambda found: found[0])[1]
