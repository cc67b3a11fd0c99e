"""A table of labels is read back to the same states in whatever convention it is written, or refused."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from labelwise.annotations import parse
from labelwise.data import read_table
from labelwise.errors import UserError
from tests.annotations import awkward

Rows = list[list[int]]
NAMES = [*awkward.NAMES, "nan"]


@st.composite
def tables(draw: st.DrawFn, states: tuple[int, ...] = (1, 0, -1)) -> tuple[list[str], Rows]:
    names = sorted(draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4)))
    row = st.lists(st.sampled_from(states), min_size=len(names), max_size=len(names))
    return names, draw(st.lists(row, min_size=1, max_size=5))


def write(path: Path, columns: dict[str, list[Any]]) -> Path:
    """Write columns after an id column, in the format of the path's ending."""
    columns = {"id": [f"i{row}" for row in range(len(next(iter(columns.values()))))], **columns}
    columns["f1"] = [0.5] * len(columns["id"])
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    kind = path.name.partition(".")[2]
    if kind == "parquet":
        parquet.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), path)
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        with (gzip.open if kind.endswith("gz") else open)(path, "wt", newline="", encoding="utf-8") as file:
            table = csv.writer(file, delimiter="\t" if kind == "tsv" else ",", quoting=csv.QUOTE_ALL)
            table.writerows(
                [list(columns), *([["" if v is None else v for v in row.values()] for row in rows])]
            )
    return path


FORMATS = ["t.csv", "t.tsv", "t.csv.gz", "t.jsonl", "t.json", "t.parquet"]
CODES: dict[str, tuple[dict[int, Any], dict[str, Any]]] = {
    "numbers": ({1: 1, 0: 0, -1: None}, {}),
    "minus one": ({1: 1, 0: 0, -1: -1}, {}),
    "floats": ({1: 1.0, 0: 0.0, -1: None}, {}),
    "decimals": ({1: "1.000000", 0: "0.00", -1: "NaN"}, {}),
    "words": ({1: "True", 0: "false", -1: ""}, {}),
    "yes and no": ({1: "Yes", 0: "no", -1: "?"}, {}),
    "CelebA": ({1: "1", 0: "-1", -1: ""}, {"minus_one": "absent"}),
    "one or nothing": ({1: "1", 0: "", -1: "-1"}, {"empty": "absent"}),
}


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from(FORMATS), st.sampled_from(sorted(CODES)))
def test_one_column_a_label(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], Rows], name: str, code: str
) -> None:
    names, rows = table
    codes, options = CODES[code]
    columns = {label: [codes[row[k]] for row in rows] for k, label in enumerate(names)}
    path = write(tmp_path_factory.getbasetemp() / name, columns)
    found = read_table(
        path, label_columns=names, feature_columns="f1", item_column="id", **options
    ).annotations
    assert found.label_names == tuple(names)
    assert found.matrix.tolist() == rows


def joined(mark: str) -> Callable[[list[str]], Any]:
    return lambda row: mark.join(row) if row else "[]"


SPELT: dict[str, Callable[[list[str]], Any]] = {
    "list": lambda row: row,
    "JSON": json.dumps,
    "Python": str,
    "tuple": lambda row: str(tuple(row)),
    "set": lambda row: str(set(row)),
    "choices": lambda row: json.dumps({"choices": row}),
    "results": lambda row: json.dumps([{"value": {"choices": row}, "from_name": "q", "type": "choices"}]),
    "objects": lambda row: json.dumps([{"id": 7, "name": name} for name in row]),
    ";": joined(";"),
    ",": joined(", "),
    "|": joined("|"),
    "tags": lambda row: "".join(f"<{name}>" for name in row) or "[]",
    "hashes": lambda row: " ".join(f"#{name}" for name in row) or "[]",
}
EXACT = frozenset(SPELT) - {";", ",", "|", "tags", "hashes"}


@settings(max_examples=80, deadline=None)
@given(tables((1, 0)), st.sampled_from(FORMATS), st.sampled_from(sorted(SPELT)), st.data())
def test_one_column_of_names(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[str], Rows],
    name: str,
    spelt: str,
    data: st.DataObject,
) -> None:
    names, rows = table
    told = data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows)))
    lists = [[n for n, state in zip(names, row, strict=True) if state] for row in rows]
    cells = [SPELT[spelt](row) if said else None for row, said in zip(lists, told, strict=True)]
    if spelt == "list" and name.partition(".")[2] in ("csv", "tsv", "csv.gz"):
        cells = [None if cell is None else str(cell) for cell in cells]
    path = write(tmp_path_factory.getbasetemp() / name, {"labels": cells})
    try:
        found = read_table(
            path, labels_column="labels", unlisted="absent", label_names=names, item_column="id"
        )
    except UserError:
        # Names that hold the very marks that join them cannot be told apart, and are then no known names.
        if spelt in EXACT:
            raise
        return
    expected = [row if said else [-1] * len(names) for row, said in zip(rows, told, strict=True)]
    assert found.annotations.matrix.tolist() == expected


@settings(max_examples=40, deadline=None)
@given(tables(), st.sampled_from(FORMATS), st.sampled_from([json.dumps, str, dict]))
def test_states_by_name(
    tmp_path_factory: pytest.TempPathFactory,
    table: tuple[list[str], Rows],
    name: str,
    spell: Callable[[Any], Any],
) -> None:
    names, rows = table
    if spell is dict and name != "t.parquet":
        spell = json.dumps if "sv" in name else dict
    cells = [
        spell({n: None if state == -1 else state for n, state in zip(names, row, strict=True)})
        for row in rows
    ]
    path = write(tmp_path_factory.getbasetemp() / name, {"labels": cells})
    found = read_table(path, labels_column="labels", unlisted="absent", label_names=names).annotations
    assert found.matrix.tolist() == rows


@settings(max_examples=30, deadline=None)
@given(tables(), st.sampled_from(FORMATS))
def test_one_row_a_pair(
    tmp_path_factory: pytest.TempPathFactory, table: tuple[list[str], Rows], name: str
) -> None:
    names, rows = table
    triples = [
        (f"i{i}", label, state) for i, row in enumerate(rows) for label, state in zip(names, row, strict=True)
    ]
    columns: dict[str, list[Any]] = {
        "item": [item for item, _, _ in triples],
        "label": [label if label != "nan" else "nun" for _, label, _ in triples],
        "state": [state for _, _, state in triples],
    }
    path = write(tmp_path_factory.getbasetemp() / name, columns)
    known = ["nun" if label == "nan" else label for label in names]
    found = read_table(
        path,
        labels_column="label",
        label_value="state",
        item_column="item",
        feature_columns="f1",
        label_names=known,
    )
    assert found.annotations.matrix.tolist() == rows


MAKERS: dict[str, Callable[[Any, Any], Any]] = {
    "array": lambda rows, _: np.array(rows),
    "floats": lambda rows, _: np.where(np.array(rows) == -1, np.nan, np.array(rows)),
    "masked": lambda rows, _: np.ma.masked_equal(rows, -1),
    "lists": lambda rows, _: rows,
    "tensor": lambda rows, _: torch.tensor(rows),
    "frame": lambda rows, names: pd.DataFrame(rows, columns=names),
    "nullable": lambda rows, names: pd.DataFrame(rows, columns=names).astype("Int8").replace(-1, pd.NA),
    "sparse": lambda rows, _: stored(rows),
    "dicts": lambda rows, names: [
        {n: state for n, state in zip(names, row, strict=True) if state != -1} or None for row in rows
    ],
}


def stored(rows: Rows) -> sp.coo_matrix:
    matrix = np.array(rows)
    known = matrix != -1
    return sp.coo_matrix((matrix[known], np.nonzero(known)), shape=matrix.shape)


@settings(max_examples=60, deadline=None)
@given(tables(), st.sampled_from(sorted(MAKERS)))
def test_objects_of_python(table: tuple[list[str], Rows], kind: str) -> None:
    names, rows = table
    Y = MAKERS[kind](rows, names)
    if kind == "dicts" and not any(Y):
        return
    found = parse(Y, label_names=names, unlisted="unknown")
    assert found.label_names == tuple(names)
    assert found.matrix.tolist() == rows
