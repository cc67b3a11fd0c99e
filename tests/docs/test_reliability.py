"""The page of promises names tests that exist, and holds what the committed tables say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import faults, scale
from benchmarks.bars import bars
from benchmarks.common import read_rows
from benchmarks.pages import REGION, fill

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["reliability", "scale"])
def test_the_page_holds_what_its_table_says(name):
    module = {"reliability": faults, "scale": scale}[name]
    text = module.PAGE.read_text(encoding="utf-8")
    made = module.made(read_rows(module.TABLE))
    assert fill(text, made) == text, f"run python -m benchmarks.{module.__name__.rpartition('.')[2]} --write"
    assert {match[1] for match in REGION.findall(text)} == {*made}


def test_every_test_that_is_named_exists():
    text = faults.PAGE.read_text(encoding="utf-8")
    named = {
        *(f"tests/faults/{row['test']}.py" for row in read_rows(faults.TABLE)),
        *re.findall(r"`(tests/[\w/]+\.py)`", text),
    }
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []
    assert all((ROOT / name).is_dir() for name in re.findall(r"`(tests/[\w/]+)`", text))


def test_the_table_has_a_row_of_every_fault_and_each_is_a_bar():
    from tests.faults.table import FAULTS, FUZZED
    from tests.faults.targets import TARGETS

    rows = {row["fault"]: row for row in read_rows(faults.TABLE)}
    assert {*rows} == {*FAULTS, *(f"changed inputs, {name}" for name in TARGETS)}
    assert {name: rows[name]["promise"] for name in FAULTS} == {
        name: fault.promise for name, fault in FAULTS.items()
    }
    assert all(row["promise"] == FUZZED for row in rows.values() if row["test"] == "test_fuzz")
    lines = {one.what for one in bars()}
    assert all(f"failures under: {name}" in " ".join(lines) for name in rows)
