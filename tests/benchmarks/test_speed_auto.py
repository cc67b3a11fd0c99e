"""`benchmarks.speed.auto`: a run on small drawn data, its bars and verdict, and runs that end otherwise."""

import numpy as np
import pytest

from benchmarks.auto.sizes import Size
from benchmarks.common import read_rows
from benchmarks.speed import auto


def drawn():
    random = np.random.default_rng(0)
    Y = (random.random((120, 4)) < 0.4).astype(np.int8)
    return (Y @ random.normal(size=(4, 12)) + random.normal(size=(120, 12))).astype(np.float32), Y


def test_a_run_tells_time_memory_and_rate(monkeypatch):
    monkeypatch.setitem(auto.SIZES, "VOC's size", Size(drawn, "120 x 12 x 4", ("single positive",), 6000))
    row = auto.row_of("VOC's size", "single positive", auto.measured("VOC's size", "single positive"))
    assert float(row["seconds"]) > 0
    assert int(row["peak_mb"]) > 10
    assert row["shape"] == "120 x 12 x 4"
    assert (row["bar"], row["bar_mb"], row["bar_rows"]) == ("6000", "3072", "5000")
    assert row["verdict"].startswith("time within; memory within; rate")
    assert row["form"] == ""


@pytest.mark.parametrize(
    ("wall", "cpu", "peak", "words"),
    [
        (10, 9, 100, "time within; memory within"),
        (1000, 100, 100, "time over by wall time, within by processor time; memory within"),
        (1000, 999, 9000, "time over by wall time; memory over"),
    ],
)
def test_the_verdict_is_by_the_bars(wall, cpu, peak, words):
    size = Size(drawn, "", (), 900)
    found = {"seconds": str(wall), "cpu": str(cpu), "peak_mb": str(peak), "rows_a_second": "1"}
    assert auto.verdict("other", size, found) == words
    assert auto.verdict("other", None, found) == "no bar"


def test_a_run_that_ends_otherwise_says_how(monkeypatch, tmp_path):
    monkeypatch.setattr(auto, "run", lambda *given: {"status": "stopped after 1 s"})
    monkeypatch.setattr("sys.argv", ["auto", "--only", "bibtex", "tmc2007", "--out", str(tmp_path / "t.csv")])
    auto.main()
    rows = read_rows(tmp_path / "t.csv")
    assert [(row["case"], row["verdict"]) for row in rows] == [
        (name, "stopped after 1 s") for name in ("tmc2007", "bibtex") for _ in range(2)
    ]


def test_every_case_is_run_once_in_each_setting():
    every = auto.cases(auto.CASES, ())
    assert len(set(every)) == len(every) == 12
    assert auto.cases(["words"], ["single positive"]) == [("words", "single positive")]
