"""The names that a run predicts can be told apart in every file, whatever marks they hold."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from labelwise import runs
from labelwise.annotations import parse_names


@pytest.mark.parametrize(
    ("names", "mark"),
    [
        (["a;b", "b", "e,f"], "|"),
        (["a;b", "c|d", "b"], None),
    ],
)
def test_predicted_names_are_told_apart(tmp_path: Path, names: list[str], mark: str | None) -> None:
    draw = np.random.default_rng(0)
    X = draw.normal(size=(80, 4)).round(3)
    Y = (X @ draw.normal(size=(4, 3)) > -0.3).astype(int)
    table = tmp_path / "t.csv"
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["f0", "f1", "f2", "f3", *names])
        writer.writerows([*x, *y] for x, y in zip(X.tolist(), Y.tolist(), strict=True))
    runs.train(runs.RunConfig.build({"table": str(table), "method": "ridge"}), tmp_path / "run")
    for ending in ("csv", "jsonl"):
        runs.predict(tmp_path / "run", table, tmp_path / f"p.{ending}")
    with (tmp_path / "p.csv").open(newline="") as file:
        cells = [row["predicted"] for row in csv.DictReader(file)]
    truth = [json.loads(line)["predicted"] for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert max(map(len, truth)) > 1
    read = [json.loads(cell) if mark is None else [*filter(None, cell.split(mark))] for cell in cells]
    assert read == truth
    known = parse_names(cells, label_names=names, separator=mark, unlisted="absent", empty="absent")
    assert [{names[k] for k in np.flatnonzero(row == 1)} for row in known.matrix] == [*map(set, truth)]
