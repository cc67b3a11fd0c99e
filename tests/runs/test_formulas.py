"""Predictions that a spreadsheet would compute are quoted on request."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from labelwise import runs

IDS = ("=1+1", "+cmd", "-2", "@x", "＝z", "plain", "1=2", "'q", "")


@pytest.mark.parametrize("quoted", [False, True])
def test_formulas_in_csv(tmp_path, quoted):
    random = np.random.default_rng(0)
    X = random.normal(size=(54, 3))
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"])
    frame["=label"], frame["b"] = (X[:, 0] > 0).astype(int), (X[:, 1] > 0).astype(int)
    frame["id"] = [f"{IDS[k % 9]}{k}" for k in range(54)]
    frame["note"] = "@SUM(A1)"
    frame.to_csv(tmp_path / "t.csv", index=False)
    settings = {"table": str(tmp_path / "t.csv"), "method": "ridge", "device": "cpu", "item_column": "id"}
    label_columns = {"label_columns": ["=label", "b"], "feature_columns": ["f0", "f1", "f2"]}
    runs.train(runs.RunConfig.build({**settings, **label_columns}), tmp_path / "run")
    runs.predict(
        tmp_path / "run", tmp_path / "t.csv", tmp_path / "out.csv", keep=["note"], quote_formulas=quoted
    )
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    mark = "'" if quoted else ""
    assert rows[0] == ["item", "note", f"{mark}=label", "b", "predicted"]
    assert [row[1] for row in rows[1:]] == [f"{mark}@SUM(A1)"] * 54
    begins = tuple("=+-@＝")
    for row, item in zip(rows[1:], frame["id"], strict=True):
        assert row[0] == (mark if item.startswith(begins) else "") + item
        assert float(row[2]) >= 0
    assert any(row[4].startswith(f"{mark}=label") for row in rows[1:])
