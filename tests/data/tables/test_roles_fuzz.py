"""Tables of any columns under any options are read or refused in the library's own words, never otherwise."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labelwise.data import Preparation, Table, read_table
from labelwise.errors import UserError

NAMES = (
    "id",
    "item",
    "image",
    "text",
    "index",
    "Unnamed: 0",
    "",
    "x_ray",
    "feature_a",
    "f0",
    "f1",
    "emb",
    "body",
)
NAMES += (
    "tags",
    "late",
    "Confidence",
    "v1",
    "user_id",
    "colour",
    "ID",
    "Text",
    "a\u0301",
    "á",
    "=1+1",
    "\x1b[31m",
    "{x}",
)
CELLS: tuple[Any, ...] = (
    0,
    1,
    -1,
    2,
    0.5,
    1.0,
    None,
    "",
    " ",
    "a",
    "b;c",
    "[]",
    '["a"]',
    "a.png",
    "../a.png",
    True,
)
CELLS += (
    "a long text of words",
    "yes",
    "nan",
    float("inf"),
    1e300,
    10**30,
    "é",
    "\x00",
    [1, 2],
    [],
    ["a"],
    {"a": 1},
)
CELLS += (
    {"bytes": None, "path": "a.png"},
    "1.000000",
    "0,5",
    "-0",
    "http://x/a.png",
    [[1]],
    {"choices": ["a"]},
)


def random_table(draw: np.random.Generator, folder: Path) -> tuple[Path, list[str]]:
    """Write a table and return its path and its columns."""
    rows = int(draw.integers(1, 7))
    odd = draw.random() < 0.1
    columns = [place for place in draw.permutation(len(NAMES)) if odd or NAMES[place] not in ("", "\x1b[31m")]
    columns = columns[: int(draw.integers(2, 8))]
    data: dict[str, list[Any]] = {}
    for place in columns:
        pool = draw.choice(len(CELLS), int(draw.integers(1, 4)))
        kind = draw.random()
        if kind < 0.15:
            data[NAMES[place]] = list(range(rows))
        elif kind < 0.45:
            data[NAMES[place]] = [int(value) for value in draw.integers(0, 2, rows)]
        elif kind < 0.7:
            data[NAMES[place]] = [float(value) for value in draw.normal(size=rows)]
        elif kind < 0.85:
            data[NAMES[place]] = [f"words of row {row}, all different" for row in range(rows)]
        else:
            data[NAMES[place]] = [CELLS[pool[int(draw.integers(len(pool)))]] for _ in range(rows)]
    records = [{name: values[row] for name, values in data.items()} for row in range(rows)]
    path = folder / "t.jsonl"
    path.write_text(
        "".join(json.dumps(record, allow_nan=True) + "\n" for record in records), encoding="utf-8"
    )
    if draw.random() < 0.5:
        import csv

        path = folder / "t.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(list(data))
            writer.writerows([["" if v is None else v for v in record.values()] for record in records])
    return path, list(data)


def random_options(draw: np.random.Generator, columns: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}

    def name() -> str:
        names = NAMES if draw.random() < 0.1 else columns
        return str(names[int(draw.integers(len(names)))])

    def sometimes(option: str, share: float, value: Any) -> None:
        if draw.random() < share:
            options[option] = value

    sometimes("labels_column", 0.4, name())
    if "labels_column" not in options:
        sometimes("label_columns", 0.3, [name(), "*"][int(draw.integers(2))])
    else:
        sometimes("label_value", 0.3, name())
    sometimes("feature_columns", 0.2, [name(), "f*"])
    sometimes("item_column", 0.3, name())
    sometimes("text_column", 0.2, name())
    sometimes("image_suffix", 0.1, ".png")
    sometimes("separator", 0.1, ";")
    sometimes("name_key", 0.1, "a")
    sometimes("unlisted", 0.3, "absent")
    sometimes("minus_one", 0.2, "absent")
    sometimes("empty", 0.2, "absent")
    sometimes("impute", 0.3, ["mean", "median", "most_frequent"][int(draw.integers(3))])
    sometimes("encode", 0.3, "onehot")
    sometimes("max_rows", 0.1, int(draw.integers(1, 9)))
    sometimes("kind", 0.2, ["features", "text", "image"][int(draw.integers(3))])
    sometimes("on_bad_item", 0.3, "skip")
    sometimes("require_labels", 0.2, False)
    sometimes("require_items", 0.2, False)
    sometimes("keep", 0.2, ["*"])
    return options


def check(table: Table) -> None:
    n = len(table)
    assert n == len(set(table.items)) >= 1
    assert table.labels is None or table.labels.n_items == n
    assert table.features is None or (table.features.shape[0] == n and np.isfinite(table.features).all())
    assert table.contents is None or (len(table.contents) == n and all(table.contents))
    assert all(len(column) == n for column in table.kept.values())
    assert table.roles
    assert not any("\n" in line for line in (*table.roles, *table.notes))


def read_all(folder: Path, seed: int, count: int) -> int:
    """Read that many random tables, and each that was read once more for a model; return how many were read."""
    draw, read = np.random.default_rng(seed), 0
    (folder / "a.png").write_bytes(b"")
    for number in range(count):
        path, columns = random_table(draw, folder)
        options = random_options(draw, columns)
        try:
            table = read_table(path, **options)
        except UserError:
            continue
        except Exception as error:
            raise AssertionError(
                f"table {number} of seed {seed}, options {options}: {path.read_text()}"
            ) from error
        read += 1
        check(table)
        if table.labels is None:
            continue
        made = table.preparation
        again = None if made is None else Preparation.from_dict(json.loads(json.dumps(made.to_dict())))
        keywords = {name: value for name, value in options.items() if name not in ("kind", "feature_columns")}
        try:
            other = read_table(
                path,
                expect=(table.feature_names, table.labels.label_names),
                kind=table.kind,
                preparation=again,
                **keywords,
            )
        except UserError:
            continue
        check(other)
        if table.kind == "features" and table.features is not None and other.items == table.items:
            np.testing.assert_array_equal(other.features, table.features)
    return read


def test_any_table_is_read_or_refused(tmp_path: Path) -> None:
    assert read_all(tmp_path, 0, 200) > 20


@pytest.mark.long
@pytest.mark.slow
def test_twenty_thousand_tables_are_read_or_refused(tmp_path: Path) -> None:
    assert read_all(tmp_path, 1, 20_000) > 1000
