"""``train --hints FILE``: another run's predictions as they are, and files that cannot be used."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.classifier.test_hints import ORACLE, SINGLE, X

LABELS = [f"l{k}" for k in range(5)]


@pytest.fixture
def table(tmp_path):
    frame = pd.DataFrame(X[:300], columns=[f"f{i}" for i in range(10)])
    frame.insert(0, "item", [f"p{i}" for i in range(300)])
    for k, name in enumerate(LABELS):
        frame[name] = np.where(SINGLE[:, k] == 1, "1", "")
    frame.to_csv(tmp_path / "t.csv", index=False)
    return tmp_path / "t.csv"


def test_predictions_of_another_run_are_hints(lw, table, tmp_path):
    first = lw("train", table, "--method", "ridge", "--out", tmp_path / "first", "--label-columns", "l*")
    assert first.exit_code == 0, first.output
    assert lw("predict", tmp_path / "first", table, "--out", tmp_path / "p.csv").exit_code == 0
    command = ("train", table, "--label-columns", "l*", "--method", "em", "--epochs", 2, "--json")
    result = lw(*command, "--hints", tmp_path / "p.csv", "--hints-at-most", 1, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert any(note.startswith("hints made") for note in json.loads(result.stdout)["notes"])


def test_items_are_matched_by_id_and_what_is_missing_is_told(lw, table, tmp_path):
    frame = pd.DataFrame(ORACLE[:300, :4], columns=LABELS[:4])
    frame.insert(0, "item", [f"p{i}" for i in range(300)])
    frame.iloc[::-1].iloc[:200].to_csv(tmp_path / "h.csv", index=False)
    command = ("train", table, "--label-columns", "l*", "--method", "em", "--epochs", 1, "--json")
    result = lw(*command, "--hints", tmp_path / "h.csv", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    notes = json.loads(result.stdout)["notes"]
    assert "no hints of 'l4': h.csv has no such column" in notes
    assert "no hints of 100 of 300 items: h.csv has no such item" in notes
    reached = (ORACLE[100:300, :4] > 0.5) & (SINGLE[100:300, :4] == -1)
    assert any(note.startswith(f"hints made {reached.sum():,} unknown") for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(l1=2.0), "has '2.0' in row 1, column 'l1'; give a score from 0 to 1, or nothing"),
        (lambda f: f.assign(l1="much"), "has 'much' in row 1, column 'l1'"),
        (lambda f: f[["item"]].assign(x=1), "has no column of a label"),
        (
            lambda f: f.assign(item=["q"] + [f"q{i}" for i in range(299)]),
            "has none of the items; its first is 'q'",
        ),
        (lambda f: f.assign(item="p1"), "has item 'p1' twice"),
        (
            lambda f: f.drop(columns="item").head(7),
            "has 7 rows and no column of item ids, and the table 300 items",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(refused, table, tmp_path, change, message):
    frame = pd.DataFrame(ORACLE[:300], columns=LABELS)
    frame.insert(0, "item", [f"p{i}" for i in range(300)])
    change(frame).to_csv(tmp_path / "h.csv", index=False)
    said = refused(
        "train", table, "--label-columns", "l*", "--method", "em", "--hints", tmp_path / "h.csv", "--out",
        tmp_path / "run",
    )  # fmt: skip
    assert "hints (--hints): " in said
    assert message in said
