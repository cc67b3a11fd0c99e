"""What `tests.memory` measures, and that threads which allocate meanwhile do no harm."""

from __future__ import annotations

import lzma
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from labelwise.errors import UserError
from tests.memory import cost_of


def holding(size):
    kept = np.zeros(size, np.uint8)
    return len(kept[: size // 2].copy())


def refusing(line):
    raise UserError(line)


def refusing_nothing():
    with pytest.raises(UserError):
        pass


class Unsent(Exception):
    def __init__(self):
        super().__init__("only here")
        self.lock = threading.Lock()


def failing():
    raise Unsent


def spending(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def beside_threads_that_allocate(repetitions):
    """Measure many times; as many threads allocate and free, without Python's lock, as in a process of tests."""
    packed, stop = lzma.compress(bytes(100_000)), threading.Event()

    def unpack():
        while not stop.is_set():
            lzma.LZMADecompressor().decompress(packed)

    threads = [threading.Thread(target=unpack) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(repetitions):
        tracemalloc.clear_traces()
        assert len([bytes(100) for _ in range(50)]) == 50
        # Gives the lock away in the middle of an allocation of theirs.
        time.sleep(0.0002)
    stop.set()
    for thread in threads:
        thread.join()


def test_the_most_that_is_held_at_once_is_counted_and_nothing_of_the_call_before():
    for size in (30_000_000, 1_000_000):
        cost = cost_of(holding, size)
        assert cost.result == size // 2
        assert 1.5 * size <= cost.peak < 1.5 * size + 100_000


def test_what_a_call_raises_is_raised_here():
    with pytest.raises(UserError, match="one line") as caught:
        cost_of(refusing, "one line")
    assert str(caught.value) == "one line"
    assert "in refusing" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="only here"):
        cost_of(failing)
    with pytest.raises(RuntimeError, match="DID NOT RAISE"):
        cost_of(refusing_nothing)
    assert cost_of(holding, 2).result == 1


def test_processor_seconds_are_those_of_the_call():
    assert 0.05 <= cost_of(spending, 0.05).seconds < 0.5


def test_threads_that_allocate_meanwhile_do_no_harm():
    cost_of(beside_threads_that_allocate, 1000)


def test_no_test_stops_tracing_in_its_own_process():
    word = "tracemalloc.st" + "op"
    files = [path for path in Path(__file__).parent.rglob("*.py") if word in path.read_text(encoding="utf-8")]
    assert [path.name for path in files] == ["memory.py"]
