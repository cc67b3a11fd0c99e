"""Cells and names that look like something that they are not: read by their exact spelling, or refused with the way."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelwise.data import read_table
from labelwise.errors import UserError


def csv(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("cell", ["1_000", "infinity", "\u0661\u0662", "0x1f", "1e", "1 000", "1.5f"])
@pytest.mark.parametrize("impute", [None, "mean"])
def test_a_number_is_spelt_as_one(tmp_path: Path, cell: str, impute: str | None) -> None:
    path = csv(tmp_path, f"f0,cat\n{cell},1\n2,0\n")
    with pytest.raises(UserError, match=r"row 1 \(line 2\), column 'f0'"):
        read_table(path, impute=impute)


@pytest.mark.parametrize("cell", ["1", "+1.5", "-.5", "1e-3", "1.E5", " 7 ", "1E+2"])
def test_every_usual_spelling_of_a_number_is_read(tmp_path: Path, cell: str) -> None:
    table = read_table(csv(tmp_path, f"f0,f1,cat\n{cell},,1\n2,1,0\n"), impute="mean")
    assert table.features is not None
    assert table.features[0, 0] == pytest.approx(float(cell))
    plain = read_table(csv(tmp_path, f"f0,cat\n{cell},1\n2,0\n"))
    assert plain.features is not None
    assert plain.features[0, 0] == pytest.approx(float(cell))


def test_a_list_spelt_in_a_cell_is_no_number_and_the_way_is_told(tmp_path: Path) -> None:
    path = csv(tmp_path, 'emb,cat\n"[0.1, 0.2]",1\n"[0.3, 0.4]",0\n')
    with pytest.raises(UserError, match=r"row 1 \(line 2\), column 'emb'.*JSONL or Parquet"):
        read_table(path, feature_columns="emb")


def test_a_given_delimiter_that_the_header_has_not_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "f0,f1,cat\n1,2,1\n3,4,0\n")
    with pytest.raises(UserError, match=r"delimiter \(--delimiter\) ';' is not in its first line.*commas"):
        read_table(path, delimiter=";")


@pytest.mark.parametrize("cells", [[["a", "b"], ["b"]], [[0, 2], [1]], [{"a": 1}, {"a": 0}]])
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_that_nobody_named_point_to_the_option(tmp_path: Path, kind: str, cells: list[object]) -> None:
    path = tmp_path / f"t.{kind}"
    rows = [{"text": f"t {place}", "topics": cell} for place, cell in enumerate(cells)]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"column 'topics'.*--labels-column 'topics'"):
        read_table(path)


FORMS = ("NFC", "NFD")


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("asked", FORMS)
def test_a_column_is_found_in_either_form_of_unicode(tmp_path: Path, written: str, asked: str) -> None:
    here = lambda name: unicodedata.normalize(written, name)  # noqa: E731
    given = unicodedata.normalize(asked, "étiquettes")
    path = csv(tmp_path, f"clé,{here('téxte')},{here('étiquettes')}\n1,a b,x;y\n2,c d,y\n")
    table = read_table(
        path,
        labels_column=given,
        text_column=unicodedata.normalize(asked, "téxte"),
        item_column=unicodedata.normalize(asked, "clé"),
    )
    assert (table.contents, table.annotations.label_names) == (["a b", "c d"], ("x", "y"))


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("asked", FORMS)
def test_a_model_finds_its_columns_in_either_form(tmp_path: Path, written: str, asked: str) -> None:
    here = lambda name: unicodedata.normalize(written, name)  # noqa: E731
    model = [unicodedata.normalize(asked, name) for name in ("größe", "café", "thé")]
    path = csv(tmp_path, f"{here('größe')},{here('thé')},{here('café')}\n1,1,0\n2,0,1\n")
    table = read_table(path, expect=(model[:1], model[1:]))
    assert (list(table.feature_names), list(table.annotations.label_names)) == (model[:1], model[1:])
    assert table.annotations.matrix.tolist() == [[0, 1], [1, 0]]


def test_two_columns_of_one_name_in_two_forms_stay_two(tmp_path: Path) -> None:
    path = csv(tmp_path, "f0,caf\u00e9,cafe\u0301\n1,1,0\n2,0,1\n")
    table = read_table(path, label_columns=["caf\u00e9", "cafe\u0301"])
    assert table.annotations.matrix.tolist() == [[1, 0], [0, 1]]
    assert any("encoding" in note for note in table.notes)


def test_a_state_without_the_name_of_its_label_is_refused(tmp_path: Path) -> None:
    path = csv(tmp_path, "item,text,name,state\na,ta,x,1\na,ta,,0\nb,tb,x,0\n")
    options = {"item_column": "item", "labels_column": "name", "label_value": "state"}
    with pytest.raises(UserError, match=r"row 2 \(line 3\), column 'name'"):
        read_table(path, **options)
    alone = csv(tmp_path, "item,text,name,state\na,ta,x,1\nb,tb,,\n")
    assert read_table(alone, **options).annotations.matrix.tolist() == [[1], [-1]]


def test_pairs_without_states_hold_one_name_each(tmp_path: Path) -> None:
    path = csv(tmp_path, "item,text,name\na,ta,No finding\na,ta,Mass\nb,tb,No finding\n")
    table = read_table(path, item_column="item", labels_column="name")
    assert table.annotations.label_names == ("Mass", "No finding")
    assert table.annotations.matrix.tolist() == [[1, 1], [-1, 1]]
    assert not any("separator" in note for note in table.notes)
    other = csv(tmp_path, "item,text,name\na,ta,猫、犬\na,ta,鳥\nb,tb,犬\n")
    assert read_table(other, item_column="item", labels_column="name").annotations.label_names == (
        "犬",
        "猫",
        "鳥",
    )


@pytest.mark.parametrize("name", ["image", "text", "Image"])
def test_a_column_of_states_is_a_label_in_a_table_of_two_rows(tmp_path: Path, name: str) -> None:
    path = csv(tmp_path, f"f0,{name},cat\n0.5,1,0\n0.7,0,1\n")
    table = read_table(path)
    assert (table.kind, table.annotations.label_names) == ("features", (name, "cat"))
