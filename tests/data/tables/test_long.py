"""Tables in which a row holds one item and one label, with its state or without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelwise.data import read_table
from labelwise.errors import UserError

LONG = "ImageID,Source,LabelName,Confidence\na,v,/m/1,0\na,v,/m/2,1\nb,v,/m/1,1\nc,v,/m/2,0\n"
OPTIONS = {"item_column": "ImageID", "labels_column": "LabelName", "require_items": False}


def read(folder: Path, text: str, **options: object):
    (folder / "t.csv").write_text(text)
    return read_table(folder / "t.csv", **{**OPTIONS, **options})  # type: ignore[arg-type]


def test_a_row_of_item_label_and_state(tmp_path: Path) -> None:
    table = read(tmp_path, LONG, label_value="Confidence")
    assert (table.items, table.annotations.label_names) == (["a", "b", "c"], ("/m/1", "/m/2"))
    assert table.annotations.matrix.tolist() == [[0, 1], [1, -1], [-1, 0]]
    assert "4 rows hold 3 items" in table.notes[0]
    assert "states of the names: 'Confidence', --label-value" in table.roles
    absent = read(tmp_path, LONG, label_value="Confidence", unlisted="absent")
    assert absent.annotations.matrix.tolist() == [[0, 1], [1, 0], [0, 0]]


def test_states_are_never_taken_for_names_that_apply(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, LONG)
    assert "--label-value 'Confidence'" in str(caught.value)
    assert "keep one row" not in str(caught.value)
    with pytest.raises(UserError, match="--label-value"):
        read(tmp_path, "ImageID,LabelName,v\na,x,0\na,y,0\nb,x,1\n")


def test_rows_without_states_are_joined(tmp_path: Path) -> None:
    text = "ImageID,LabelName\na,x\nb,y\na,z\nc,\n"
    table = read(tmp_path, text)
    assert table.annotations.matrix.tolist() == [[1, -1, 1], [-1, 1, -1], [-1, -1, -1]]
    table = read(tmp_path, text, unlisted="absent")
    assert table.annotations.matrix.tolist() == [[1, 0, 1], [0, 1, 0], [-1, -1, -1]]


def test_features_and_texts_must_agree_in_an_items_rows(tmp_path: Path) -> None:
    rows = "id,text,tag\n1,first words,a\n2,second words,b\n1,first words,b\n"
    table = read(tmp_path, rows, item_column="id", labels_column="tag")
    assert table.contents == ["first words", "second words"]
    with pytest.raises(
        UserError, match=r"row 3 \(line 4\), column 'text': item '1' has another value in row 1"
    ):
        read(
            tmp_path,
            rows.replace("1,first words,b", "1,other words,b"),
            item_column="id",
            labels_column="tag",
        )
    rows = "id,f0,tag,v\n1,.5,a,1\n2,.7,b,1\n1,.5,b,0\n"
    table = read(tmp_path, rows, item_column="id", labels_column="tag", label_value="v")
    assert table.features is not None
    assert table.features.ravel().tolist() == pytest.approx([0.5, 0.7])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ImageID,LabelName,v\na,x,1\na,x,0\n", ["row 2 (line 3)", "'x' as 0, and in row 1 as 1"]),
        ("ImageID,LabelName,v\na,x,0.7\n", ["row 1 (line 2), column 'v'", "'0.7' is no label state"]),
        ("ImageID,LabelName,v\n,x,1\n", ["without an id"]),
        ("ImageID,LabelName,v\na,,\n", ["no row names a label"]),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, text, label_value="v")
    for part in said:
        assert part in str(caught.value)


def test_labels_in_columns_need_one_row_an_item_and_no_labels_are_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,f0,a\nx,1.5,1\nx,1.5,0\n")
    with pytest.raises(UserError, match=r"one row with all its labels") as caught:
        read_table(tmp_path / "t.csv")
    assert "keep one row" not in str(caught.value)
    (tmp_path / "t.csv").write_text("f0,tags,v\n1,a,1\n")
    with pytest.raises(UserError, match="no column names the items"):
        read_table(tmp_path / "t.csv", labels_column="tags", label_value="v")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_matrix_survives_the_long_form(tmp_path: Path, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 4)))
    states = data.draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([1, 0, -1])))
    rows = [(f"i{i}", f"l{k}", states[i, k]) for i, k in np.argwhere(states >= 0)]
    if not rows:
        return
    rows = data.draw(st.permutations(rows))
    pd.DataFrame(rows, columns=["ImageID", "LabelName", "v"]).to_csv(tmp_path / "t.csv", index=False)
    table = read_table(tmp_path / "t.csv", label_value="v", **OPTIONS)  # type: ignore[arg-type]
    names = [f"l{k}" for k in range(shape[1])]
    place = {item: row for row, item in enumerate(table.items)}
    found = np.full(shape, -1, np.int8)
    for i in range(shape[0]):
        for k, name in enumerate(names):
            if f"i{i}" in place and name in table.annotations.label_names:
                column = table.annotations.label_names.index(name)
                found[i, k] = table.annotations.matrix[place[f"i{i}"], column]
    np.testing.assert_array_equal(found, states)
