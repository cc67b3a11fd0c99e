"""Changed inputs: each is read or refused in one line, soon and in bounded memory; the long form takes very many."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from labelwise.errors import UserError
from tests.faults import fuzz
from tests.faults.targets import TARGETS, by_share

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="timers and limits of POSIX")
LONG = int(os.environ.get("LABELWISE_INPUTS", "1000000"))
"""How many inputs the long form takes."""


@pytest.fixture
def keep_signals():
    before = signal.getsignal(signal.SIGPROF)
    yield
    signal.signal(signal.SIGPROF, before)


# What trains, or starts an application, costs seconds by itself: its own tests have such inputs, and the long form.
@pytest.mark.parametrize(
    "name", [name for name in TARGETS if not name.startswith(("model", "run", "requests"))]
)
@pytest.mark.filterwarnings("ignore")
def test_changed_inputs_are_read_or_refused(tmp_path, name, keep_signals):
    with TARGETS[name].opened(tmp_path) as (use, seeds):
        assert [wrong for wrong in fuzz.attack(use, seeds, 40, "short") if wrong] == []


@pytest.mark.filterwarnings("ignore")
def test_a_few_changed_requests_are_answered(tmp_path, keep_signals):
    pytest.importorskip("starlette")
    pytest.importorskip("httpx")
    with TARGETS["requests to review"].opened(tmp_path) as (use, seeds):
        assert [wrong for wrong in fuzz.attack(use, seeds, 25, "short") if wrong] == []


def test_the_fuzzer_notices_what_it_is_for(keep_signals, monkeypatch):
    def use(data):
        if b"a" in data:
            raise KeyError("a foreign one")
        if b"b" in data:
            raise UserError("one line" * 1000)
        if b"c" in data:
            while True:
                pass

    monkeypatch.setattr(fuzz, "SECONDS", 0.05)
    for whole, words in ((b"aaaa", "KeyError at"), (b"bbbb", "8000 characters"), (b"cccc", "no end within")):
        assert any(words in (wrong or "") for wrong in fuzz.attack(use, [whole], 20, "s"))
    with fuzz.bounded(), pytest.raises(MemoryError):
        bytearray(fuzz.ROOM * 2)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_very_many_changed_inputs_are_read_or_refused(name):
    found = fuzz.apart(name, by_share(LONG)[name], "long")
    assert fuzz.kinds(found.failures) == []
