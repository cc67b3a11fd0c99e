"""An option that could not matter is named, empty cells that were encoded are told, and each feature has its name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from labelwise.data import read_table
from labelwise.errors import UserError

PLAIN = "f0,f1,cat\n1,2,1\n3,4,0\n"


def csv(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("separator", ";", "each label has a column of its own"),
        ("unlisted", "absent", "each label has a column of its own"),
        ("image_suffix", ".jpg", "the items are no pictures"),
        ("encode", "onehot", "no column of features holds words"),
    ],
)
def test_an_option_that_could_not_matter_is_named(
    tmp_path: Path, option: str, value: str, reason: str
) -> None:
    table = read_table(csv(tmp_path, PLAIN), **{option: value})
    flag = option.replace("_", "-")
    assert list(table.notes) == [f"not used: {option} (--{flag}), since {reason}"]


def test_what_matters_is_not_named(tmp_path: Path) -> None:
    names = csv(tmp_path, "text,tags\na b,x;y\nc d,y\n")
    read = read_table(names, labels_column="tags", separator=";", unlisted="absent")
    assert not [note for note in read.notes if "not used" in note]
    assert not read_table(csv(tmp_path, PLAIN), impute="mean", minus_one="absent", empty="absent").notes


def test_what_a_run_remembers_is_not_named_again(tmp_path: Path) -> None:
    path = csv(tmp_path, PLAIN)
    assert not read_table(path, expect=(["f0", "f1"], ["cat"]), unlisted=None).notes


def test_empty_cells_of_words_are_told(tmp_path: Path) -> None:
    path = csv(tmp_path, "f0,colour,cat\n1,red,1\n3,,0\n2,NA,1\n")
    options = {"feature_columns": ["f0", "colour"], "encode": "onehot"}
    trained = read_table(path, **options)
    assert trained.feature_names == ("f0", "colour=(empty)", "colour=red")
    assert any("empty cells" in note and "'colour' (2)" in note for note in trained.notes)
    full = read_table(csv(tmp_path, "f0,colour,cat\n1,red,1\n3,blue,0\n"), **options)
    later = read_table(
        csv(tmp_path, "f0,colour,cat\n1,red,1\n3,,0\n"),
        expect=(full.feature_names, ["cat"]),
        preparation=full.preparation,
    )
    assert any("'colour' (1: (empty))" in note for note in later.notes)


def test_no_two_features_share_a_name(tmp_path: Path) -> None:
    path = csv(tmp_path, "colour,colour=red,cat\nred,1,1\nblue,2,0\n")
    with pytest.raises(UserError, match=r"two features.*'colour=red'"):
        read_table(path, feature_columns=["colour", "colour=red"], encode="onehot")
    rows = [{"emb": [1.0, 2.0], "emb_1": 3.0, "cat": 1}, {"emb": [2.0, 2.0], "emb_1": 4.0, "cat": 0}]
    lists = tmp_path / "t.jsonl"
    lists.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=r"two features.*'emb_1'"):
        read_table(lists, feature_columns=["emb", "emb_1"])
