"""Progress where no terminal is: a line every ten seconds by a clock of our own, none sooner."""

from __future__ import annotations

import io
import sys

import pytest

from labelwise.engine import LineProgress, Pace, RichProgress, counted, shown_progress
from labelwise.engine.progress import duration


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_a_line_every_ten_seconds_and_none_sooner():
    clock, lines = Clock(), []
    with LineProgress("bam", Pace(clock=clock), lines.append, clock) as progress:
        progress.stage("training", 1000, 0)
        for second in range(1, 36):
            clock.now = 100.0 + second
            progress.step(64, 0.5)
            assert len(lines) == second // 10
    assert lines[0] == "bam · training: step 10 of 1,000, 64 items/s, 16 min left, loss 0.5"


def test_many_short_trainings_share_one_pace():
    clock, lines = Clock(), []
    pace = Pace(clock=clock)
    for _ in range(12):
        with LineProgress("fold", pace, lines.append, clock) as progress:
            progress.stage("training", 4, 0)
            for _ in range(4):
                clock.now += 1
                progress.step(8, float("nan"))
    assert len(lines) == 48 // 10
    assert "loss" not in lines[0]


def test_late_steps_write_one_line_each_not_those_that_were_missed():
    clock, lines = Clock(), []
    with LineProgress("", Pace(clock=clock), lines.append, clock) as progress:
        progress.stage("slow", 4, 1)
        clock.now += 35
        progress.step(1, 1.0)
        progress.step(1, 1.0)
        clock.now += 9.9
        progress.step(1, 1.0)
    assert lines == ["slow: step 2 of 4, 0 items/s, 70 s left, loss 1"]


def test_runs_are_counted_by_the_same_rule(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    clock, lines = Clock(), []
    with counted("comparing", Pace(clock=clock), lines.append) as show:
        for finished in range(1, 8):
            clock.now += 4
            show(finished, 1200)
    assert lines == ["comparing: 3 of 1,200", "comparing: 6 of 1,200"]


def test_a_terminal_gets_a_bar_and_a_pipe_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(shown_progress("x"), LineProgress)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with shown_progress("x") as bar:
        assert isinstance(bar, RichProgress)
    with counted("comparing") as show:
        show(1, 3, "one")
    assert "1/3" in terminal.getvalue()


def test_what_is_written_goes_to_stderr_at_once(capsys):
    clock = Clock()
    with LineProgress("x", Pace(clock=clock), clock=clock) as progress:
        progress.stage("a", 2, 0)
        clock.now += 11
        progress.step(5, 1.0)
    out = capsys.readouterr()
    assert out.out == ""
    assert out.err.count("\n") == 1


@pytest.mark.parametrize(("seconds", "words"), [(7.6, "8 s"), (200, "3 min"), (9000, "2.5 h")])
def test_durations_are_short(seconds, words):
    assert duration(seconds) == words
