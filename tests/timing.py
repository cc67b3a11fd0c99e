"""How long something takes, and waiting for it, on a machine that does other work besides."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_seconds(
    call: Callable[[], object], below: float, tries: int = 5, clock: Callable[[], float] = time.process_time
) -> float:
    """Return the least processor seconds of some tries, of which the first below a bound is the last.

    What others do at the same time adds to some of them and takes from none.
    """
    least = float("inf")
    for _ in range(tries):
        began = clock()
        call()
        least = min(least, clock() - began)
        if least < below:
            break
    return least


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Return once something is true; fail where it does not become so."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.02)
