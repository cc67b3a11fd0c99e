"""Every mistake in a table is one line that names the file, the row, its line and the column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from labelwise.data import read_table
from tests.refusals import refused

CSV: list[tuple[str, bytes | str, dict[str, Any], list[str]]] = [
    ("empty file", "", {}, ["t.csv is empty"]),
    ("blank lines only", "\n\n", {}, ["t.csv is empty"]),
    ("no rows", "f1,a\n", {}, ["no rows"]),
    ("short row", "f1,a\n1,0\n\n2\n", {}, ["row 2 (line 4) has 1 fields", "header has 2"]),
    ("long row after quoted newline", 'id,f1\n"x\ny",1\nb,2,3\n', {}, ["row 2 (line 4) has 3 fields"]),
    ("state", "f1,a,b\n1,0,1\n2,1,3\n", {}, ["row 2 (line 3), column 'b'", "'3' is no label state"]),
    ("half a state", "f1,a\n1,0.5\n", {}, ["row 1 (line 2), column 'a'", "'0.5'"]),
    ("states, how many", "f1,a\n1,u\n2,v\n3,u\n", {}, ["row 1 (line 2)", "'u'", "(2 more)"]),
    ("text feature", "f1,a\n1,0\nred,1\n", {}, ["row 2 (line 3), column 'f1'", "'red', not a number"]),
    ("empty feature", "f1,a\n1,0\n,1\n", {}, ["row 2 (line 3), column 'f1'", "is empty"]),
    ("nan feature", "f1,a\n1,0\nnan,1\n2,1\ninf,0\n", {}, ["row 2 (line 3), column 'f1'", "rows 2, 4"]),
    ("too large", "f1,a\n1e39,0\n", {}, ["row 1 (line 2), column 'f1'", "beyond float32"]),
    (
        "twice",
        "id,f1,a\nx,1,0\ny,2,1\nx,3,1\n",
        {},
        ["row 3 (line 4), column 'id'", "'x' is already in row 1"],
    ),
    ("twice, more", "id,f1,a\nx,1,0\ny,2,1\nx,3,1\ny,3,1\n", {}, ["2 ids occur more than once: x, y"]),
    ("no id", "id,f1,a\nx,1,0\n,2,1\n", {}, ["row 2 (line 3), column 'id'", "without an id"]),
    ("columns twice", "f1,a,f1\n1,0,1\n", {}, ["more than once: 'f1'"]),
    ("unnamed column", "f1,,a\n1,0,1\n", {}, ["column 2 has no name"]),
    ("latin-1", b"f1,a\n1,0\n2,caf\xe9\n", {}, ["line 3 is not UTF-8", "0xe9", "save"]),
    ("latin-1 header", b"f1,caf\xe9\n1,0\n", {}, ["line 1 is not UTF-8"]),
    ("utf-16", "f1,a\n1,0\n".encode("utf-16"), {}, ["line 1 is not UTF-8"]),
    ("no features", "a,b\n1,0\n", {}, ["no feature columns among 'a', 'b'", "--feature-columns"]),
    (
        "no labels",
        "f1,f2\n1,0\n",
        {},
        ["no label columns among 'f1', 'f2'", "--label-columns", "--labels-column"],
    ),
    (
        "no such labels",
        "f1,cats\n1,0\n",
        {"label_columns": ["cat"]},
        ["--label-columns", "'cat'", "did you mean 'cats'"],
    ),
    ("no such pattern", "f1,cats\n1,0\n", {"label_columns": "l_*"}, ["'l_*'", "there are: f1, cats"]),
    ("no such names", "f1,tags\n1,0\n", {"labels_column": "tag"}, ["--labels-column", "did you mean 'tags'"]),
    (
        "no such feature",
        "f1,a\n1,0\n",
        {"feature_columns": ["f2"]},
        ["--feature-columns", "'f2'", "there are: f1, a"],
    ),
    ("no such id", "f1,a,key\n1,0,k\n", {"item_column": "kee"}, ["--item-column", "did you mean 'key'"]),
    ("both", "f1,a\n1,0\n", {"labels_column": "a", "label_columns": "a"}, ["not both"]),
    (
        "two roles",
        "f1,a\n1,0\n",
        {"label_columns": "*", "feature_columns": "f1"},
        ["'f1' named as label and"],
    ),
    (
        "name not among",
        "f1,t\n1,cat\n2,cow\n",
        {"labels_column": "t", "label_names": ["cat"]},
        ["row 2 (line 3), column 't'", "'cow'"],
    ),
    ("no name", "f1,t\n1,\n", {"labels_column": "t"}, ["t.csv, column 't'"]),
    ("empty text", "text,a\nhi,1\n,0\n", {}, ["row 2 (line 3), column 'text'", "empty"]),
]


@pytest.mark.parametrize(
    ("content", "keywords", "parts"), [case[1:] for case in CSV], ids=[case[0] for case in CSV]
)
def test_csv(tmp_path: Path, content: bytes | str, keywords: dict[str, Any], parts: list[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    check(path, parts, **keywords)
    assert list(tmp_path.iterdir()) == [path]


JSONL = [
    ("not json", '{"f1": 1, "a": 0}\n\n{"f1": 2, "a"\n', ["line 3 is not JSON"]),
    ("not an object", '{"f1": 1, "a": 0}\n[1, 2]\n', ["line 2 is not a JSON object"]),
    (
        "key twice",
        '{"f1": 1, "a": 0}\n{"f1": 1, "a": 0, "a": 1}\n',
        ["line 2: columns named more than once: 'a'"],
    ),
    ("state", '{"f1": 1, "a": 0}\n\n{"f1": 1, "a": "maybe"}\n', ["row 2 (line 3), column 'a'", "'maybe'"]),
    ("missing feature", '{"f1": 1, "a": 0}\n{"a": 1}\n', ["row 2 (line 2), column 'f1'", "empty"]),
    ("nan feature", '{"f1": NaN, "a": 0}\n', ["row 1 (line 1), column 'f1'", "NaN"]),
    (
        "ragged list",
        '{"e": [1, 2], "a": 0}\n{"e": [1, 2], "a": 0}\n{"e": [1], "a": 0}\n',
        ["row 3 (line 3), column 'e'", "1 numbers where other rows hold 2"],
    ),
    ("label is a list", '{"f1": 1, "a": ["x"]}\n', ["column 'a' holds list", "not label states"]),
    ("blank", "\n\n", ["no rows"]),
]


@pytest.mark.parametrize(("content", "parts"), [case[1:] for case in JSONL], ids=[case[0] for case in JSONL])
def test_jsonl(tmp_path: Path, content: str, parts: list[str]) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(content)
    check(path, parts)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 not really")
    check(path, ["not a Parquet file"])
    pd.DataFrame({"f1": [1.0, np.inf], "a": [1, 0]}).to_parquet(path)
    check(path, ["t.parquet: row 2, column 'f1'", "infinite"])
    pd.DataFrame({"f1": [1.0, 2.0], "a": [1, 2]}).to_parquet(path)
    check(path, ["t.parquet: row 2, column 'a'", "'2' is no label state"])


def test_files(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("f1,a\n1,0\n")
    check(tmp_path / "photo.csv", ["no such file", "did you mean 'photos.csv'"])
    check(tmp_path / "none" / "photo.csv", ["no such file", "there is no folder"])
    check(tmp_path, ["is a directory"])
    (tmp_path / "photos.xyz").write_text("?")
    check(tmp_path / "photos.xyz", ["unknown ending '.xyz'", ".parquet"])


def check(path: Path, parts: list[str], **keywords: Any) -> None:
    refused(lambda: read_table(path, **keywords), *parts)
