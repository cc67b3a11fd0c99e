"""`benchmarks.studies.depths` and `.sources`: runs that are done are not run again."""

from __future__ import annotations

import sys

import numpy as np

from benchmarks.common import read_rows
from benchmarks.studies import depths, sources

RANDOM = np.random.default_rng(0)
X = {"mean": RANDOM.random((40, 3), np.float32), "block 16": RANDOM.random((40, 4), np.float32)}
Y = (RANDOM.random((40, 2)) < 0.5).astype(np.int8)


def ran(monkeypatch, table, *words):
    """Run the study's command on drawn features; return the table's rows."""
    monkeypatch.setattr(depths, "pictures", lambda: (X, Y, X, Y))
    asked = [
        "depths",
        "--items",
        "pictures",
        "--settings",
        "half of the entries",
        "--out",
        str(table),
        *words,
    ]
    monkeypatch.setattr(sys, "argv", asked)
    depths.main()
    return read_rows(table)


def test_runs_that_the_table_holds_are_not_run_again(monkeypatch, tmp_path, capsys):
    table = tmp_path / "depths.csv"
    first = ran(monkeypatch, table, "--choices", "mean")
    assert [row["features"] for row in first] == ["mean"]
    capsys.readouterr()
    both = ran(monkeypatch, table, "--choices", "mean*")
    assert [row["features"] for row in both] == ["mean", "mean and block 16"]
    assert capsys.readouterr().out.count("map") == 1
    assert ran(monkeypatch, table, "--choices", "mean", "--anew") == both
    assert capsys.readouterr().out.count("map") == 1


def test_a_row_of_the_page_is_a_backbone_and_a_method():
    row = {"backbone": "minilm", "setting": "5% labelled", "columns": "384", "cpu_s": "1.0"}
    found = [row | {"method": method, "map": value} for method, value in (("ridge", ".1"), ("auto", ".2"))]
    lines = sources.regions(found)["goemotions"].splitlines()
    assert [line.split("|")[2:4] for line in lines[2:]] == [
        [" `ridge` ", " 0.100 (1 of 3) "],
        [" `auto` ", " 0.200 (1 of 3) "],
    ]
