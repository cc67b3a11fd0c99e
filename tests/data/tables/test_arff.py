"""ARFF tables are read as the same table in CSV would be, or refused with one line."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import arff

from labelwise.data import read_table
from labelwise.data.tables.table import read_columns
from tests.refusals import refused

HEADER = "@relation r\n@attribute f1 numeric\n@attribute cat {0,1}\n@data\n"


def table(tmp_path: Path, text: str | bytes, name: str = "t.arff") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_mulan_set_is_read_with_its_labels_by_a_pattern(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    X, Y = draw.normal(size=(30, 4)), (draw.random((30, 3)) < 0.4).astype(int)
    lines = ["% a comment", "", "@RELATION 'music: -C 3'", *(f"@ATTRIBUTE Att{i} REAL" for i in range(4))]
    lines += [f"@attribute Class{k} {{0,1}}" for k in range(3)]
    lines += ["@DATA", *(",".join(map(str, [*x, *y])) for x, y in zip(X, Y, strict=True)), "% the end", ""]
    path = table(tmp_path, "\n".join(lines))
    read = read_table(path, label_columns="Class*")
    np.testing.assert_array_equal(read.features, X.astype(np.float32))
    np.testing.assert_array_equal(read.annotations.matrix, Y)
    assert read.annotations.label_names == ("Class0", "Class1", "Class2")
    with_scipy, _ = arff.loadarff(io.StringIO("\n".join(lines)))
    np.testing.assert_array_equal(np.stack([with_scipy[f"Att{i}"] for i in range(4)], axis=1), X)


def test_it_is_the_table_that_csv_gives(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "f1": [0.5, 1e-3, -2.0],
            "f2": [1, 2, 3],
            "cat": ["1", "", "0"],
            "dog": [0, 1, 1],
        }
    )
    frame.to_csv(tmp_path / "t.csv", index=False)
    text = (
        "@relation r\n@attribute id string\n@attribute f1 real\n@attribute f2 integer\n"
        "@attribute cat {0, 1}\n@attribute dog {0,1} % a comment\n@data\na,0.5,1,1,0\nb,0.001,2,?,1\nc,-2.0,3,0,1\n"
    )
    mine, theirs = read_table(table(tmp_path, text)), read_table(tmp_path / "t.csv")
    assert (mine.items, mine.kind, mine.feature_names) == (theirs.items, theirs.kind, theirs.feature_names)
    assert mine.roles == theirs.roles
    np.testing.assert_array_equal(mine.features, theirs.features)
    np.testing.assert_array_equal(mine.annotations.matrix, theirs.annotations.matrix)
    assert mine.annotations.matrix[1, 0] == -1


def test_words_texts_and_quotes(tmp_path: Path) -> None:
    text = (
        "@relation 'it''s'\n@attribute 'a text' string\n@attribute colour {'deep red', blue, \"it's\", 'a,b', '?'}\n"
        "@attribute 'Müll \\'x\\'' {0,1}\n@data\n"
        "'one, two \\\\ \\'three\\' 50\\%', 'deep red' , 1\n \"a 'b'\",it_,0\n"
    ).replace("it_", '"it\'s"')
    columns = read_columns(table(tmp_path, text.replace("\n", "\r\n")))
    assert list(columns.data) == ["a text", "colour", "Müll 'x'"]
    assert columns.strings("a text") == ["one, two \\ 'three' 50%", "a 'b'"]
    assert columns.strings("colour") == ["deep red", "it's"]
    assert columns.states("Müll 'x'").tolist() == [1, 0]
    quoted = text.replace("'deep red' , 1", "'?',?")
    columns = read_columns(table(tmp_path, quoted))
    assert columns.strings("colour")[0] == "?"
    assert columns.strings("Müll 'x'")[0] is None


def test_words_are_encoded_and_empty_cells_filled_as_for_csv(tmp_path: Path) -> None:
    text = (
        HEADER.replace("@attribute cat", "@attribute hue {red,blue}\n@attribute cat") + "1,red,1\n?,blue,0\n"
    )
    path = table(tmp_path, text)
    read = read_table(
        path, label_columns="cat", feature_columns=["f1", "hue"], encode="onehot", impute="mean"
    )
    assert read.features.shape == (2, 3)
    refused(
        lambda: read_table(path, label_columns="cat"), "row 2 (line 7), column 'f1'", "is empty", "--impute"
    )


@pytest.mark.parametrize("marked", [False, True])
def test_packed_and_marked_files_are_read(tmp_path: Path, marked: bool) -> None:
    data = (b"\xef\xbb\xbf" if marked else b"") + (HEADER + "1,0\n2,1\n").encode()
    read = read_table(table(tmp_path, gzip.compress(data), "t.arff.gz"))
    assert read.annotations.matrix.tolist() == [[0], [1]]


SPARSE_ADVICE = "SparseToNonSparse"
WRONG: list[tuple[str, str | bytes, list[str]]] = [
    ("empty", "", ["is empty"]),
    ("no data", "@relation r\n@attribute f1 numeric\n", ["no line @data"]),
    ("no attributes", "@relation r\n@data\n1\n", ["line 2", "no @attribute"]),
    ("no rows", HEADER, ["no rows"]),
    ("csv", "f1,cat\n1,0\n", ["line 1", "'f1,cat'", "@attribute NAME TYPE"]),
    ("too few fields", HEADER + "1,0\n\n% x\n2\n", ["row 2 (line 8) has 1 fields", "the header has 2"]),
    ("too many fields", HEADER + "1,0,1\n", ["row 1 (line 5) has 3 fields"]),
    ("spaces", HEADER + "1 0\n", ["has 1 fields"]),
    (
        "unknown value",
        HEADER + "1,0\n2,2\n",
        ["row 2 (line 6), column 'cat'", "'2' is none of its values (0, 1)"],
    ),
    ("empty nominal", HEADER + "1,\n", ["row 1 (line 5)", "empty field", "?"]),
    ("empty number", HEADER + ",1\n", ["row 1 (line 5)", "empty field"]),
    ("empty quotes", HEADER + "1,''\n", ["column 'cat'", "'' is none"]),
    ("quoted comma", HEADER + "1,'0,1'\n", ["column 'cat'", "'0,1'"]),
    ("comma in bare text", HEADER.replace("{0,1}", "string") + "1,a, b\n", ["has 3 fields"]),
    (
        "open quote",
        HEADER.replace("{0,1}", "string") + "1,'a\n2,b'\n",
        ["row 1 (line 5)", "quote the whole value"],
    ),
    ("quote in a word", HEADER.replace("{0,1}", "string") + "1,don't\n", ["quote the whole value"]),
    ("comment after a value", HEADER + "1,0 % x\n", ["row 1 (line 5)", "%"]),
    ("escape", HEADER.replace("{0,1}", "string") + "1,'\\u0041'\n", ["\\u", "backslash twice"]),
    ("not a number", HEADER + "1,0\nx,1\n", ["row 2 (line 6), column 'f1'", "'x' is no finite number"]),
    ("question mark in a number", HEADER + "1?2,1\n", ["'1?2' is no finite number"]),
    ("NaN", HEADER + "NaN,1\n", ["column 'f1'", "'NaN' is no finite number", "?"]),
    ("infinite", HEADER + "1e999,1\n", ["no finite number"]),
    ("underscore", HEADER + "1_0,1\n", ["no finite number"]),
    ("sparse", HEADER + "{0 1.5, 1 1}\n", ["row 1 (line 5) is sparse", SPARSE_ADVICE]),
    ("weight", HEADER + "1,0,{5}\n", ["row 1 (line 5)", "brace"]),
    (
        "date",
        HEADER.replace("numeric", "date 'yyyy-MM-dd'"),
        ["line 2", "'f1' as date", "leave the attribute out"],
    ),
    (
        "relational",
        HEADER.replace("numeric", "relational"),
        ["line 2", "relational", "one row for each item"],
    ),
    ("type", HEADER.replace("numeric", "double"), ["line 2", "'double'", "numeric, string"]),
    ("type, more", HEADER.replace("numeric", "numeric 5"), ["line 2", "'numeric 5'"]),
    ("no type", "@relation r\n@attribute f1\n@data\n1\n", ["line 2", "NAME TYPE"]),
    ("no values", HEADER.replace("{0,1}", "{}"), ["line 3", "'cat'"]),
    ("open brace", HEADER.replace("{0,1}", "{0,1"), ["line 3", "'cat'"]),
    ("value twice", HEADER.replace("{0,1}", "{0,0}"), ["line 3", "each once"]),
    ("value ?", HEADER.replace("{0,1}", "{0,?}"), ["line 3", "none '?'"]),
    ("empty value", HEADER.replace("{0,1}", "{0,,1}"), ["line 3", "empty field"]),
    ("twice", HEADER.replace("cat", "f1") + "1,0\n", ["more than once: 'f1'"]),
    ("latin-1", b"@relation r\n@attribute f\xe9 numeric\n", ["line 2 is not UTF-8", "0xe9"]),
    ("packed", gzip.compress(HEADER.encode()), ["line 1 is not UTF-8", "name it .gz"]),
]


@pytest.mark.parametrize(("text", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_a_mistake_is_one_line(tmp_path: Path, text: str | bytes, words: list[str]) -> None:
    refused(lambda: read_table(table(tmp_path, text)), "t.arff", *words)


def test_more_rows_than_asked_for_and_a_delimiter_are_refused(tmp_path: Path) -> None:
    path = table(tmp_path, HEADER + "1,0\n2,1\n")
    refused(lambda: read_table(path, max_rows=1), "more than 1", "--max-rows")
    refused(lambda: read_table(path, delimiter=","), "ARFF, which has no delimiter")
