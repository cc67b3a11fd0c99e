"""OpenImages' verified labels: one row an image and label."""

from __future__ import annotations

import numpy as np
import pytest

from labelwise.errors import UserError
from labelwise.exchange import convert, read_labels

ROWS = """ImageID,Source,LabelName,Confidence
000a,verification,/m/01,1
000a,verification,/m/02,0
000b,crowdsource-verification,/m/02,1
000b,machine,/m/01,0.8
000c,verification,/m/03,0
"""


@pytest.fixture
def verified(tmp_path):
    path = tmp_path / "verified.csv"
    path.write_text(ROWS)
    return path


def test_a_confidence_is_a_state_and_no_row_is_unknown(verified):
    items, form = read_labels(verified)
    assert form.name == "openimages"
    assert items.items == ("000a", "000b", "000c")
    assert items.label_names == ("/m/01", "/m/02", "/m/03")
    assert items.matrix.tolist() == [[1, 0, -1], [-1, 1, -1], [-1, -1, 0]]
    assert items.scores[1, 0] == np.float32(0.8)


def test_what_no_row_says_is_beside_the_file(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("image,cat,dog,never\na.jpg,1,0,\nb.jpg,,,\n")
    done = convert(table, tmp_path / "out.csv", to_format="openimages")
    assert done.second == "out.csv.states.csv: 1 items and 1 labels without a known entry"
    assert (tmp_path / "out.csv").read_text() == (
        "ImageID,Source,LabelName,Confidence\na.jpg,verification,cat,1\na.jpg,verification,dog,0\n"
    )
    again, _ = read_labels(tmp_path / "out.csv")
    assert again.label_names == ("cat", "dog", "never")
    assert again.matrix.tolist() == [[1, 0, -1], [-1, -1, -1]]


def test_an_earlier_second_place_does_not_speak_for_a_new_file(tmp_path):
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("image,cat,dog\na.jpg,1,\nb.jpg,,\n")
    second.write_text("image,cat,dog\na.jpg,1,0\n")
    convert(first, tmp_path / "out.csv", to_format="openimages")
    convert(second, tmp_path / "out.csv", to_format="openimages")
    items, _ = read_labels(tmp_path / "out.csv")
    assert items.items == ("a.jpg",)
    assert items.matrix.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("ImageID,LabelName,Confidence\na,x,2\n", "no confidence"),
        ("ImageID,LabelName,Confidence\na,x,yes\n", "no confidence"),
        ("ImageID,LabelName,Confidence\n,x,1\n", "without a name"),
        (
            "ImageID,LabelName,Confidence\na,x,1\na,x,0\n",
            r"row 2 .line 3.: 'x' of image 'a' has Confidence 0 and 1",
        ),
    ],
)
def test_a_broken_row_is_refused_with_its_place(tmp_path, rows, words):
    path = tmp_path / "rows.csv"
    path.write_text(rows)
    with pytest.raises(UserError, match=words):
        read_labels(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("something,else\n", "does not begin with row,item,label,state"),
        ("row,item,label,state\n,a,cat,5\n", "a state is 0"),
        ("row,item,label,state\n,a\n", "a state is 0"),
        ("row,item,label,state\n,,,\n", "says nothing"),
    ],
)
def test_a_damaged_second_place_is_refused(verified, text, words):
    verified.with_name("verified.csv.states.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_labels(verified)
