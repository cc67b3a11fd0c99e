"""The readers of Ohsumed and AAPD, in each of their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labelwise.data.datasets import read_dataset
from labelwise.errors import UserError
from tests.data.datasets.folders import write, write_bag


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    root = tmp_path / "ohsumed-first-20000-docs"
    texts = {"0000010": "Heart.\n rate", "0000002": "Lungs.", "0000300": "Eyes."}
    for place in ("training/C14/0000010", "training/C08/0000010", "training/C08/0000002", "test/C11/0000300"):
        write(root / place, texts[place[-7:]])
    write(root / "training/C08/.DS_Store", "no text")
    return tmp_path


def test_an_abstract_in_two_class_folders_is_one_item_with_two_labels(folders):
    held = read_dataset("ohsumed", folders)
    train, test = held.parts["train"], held.parts["test"]
    assert held.kind == "text"
    assert held.label_names == ("C08", "C11", "C14")
    assert train.items == ("0000002", "0000010")
    assert train.contents == ["Lungs.", "Heart.\n rate"]
    assert train.labels.tolist() == [[1, 0, 0], [1, 0, 1]]
    assert test.labels.tolist() == [[0, 1, 0]]
    assert held.missing_files("train") == []


def test_missing_class_folders_are_named(folders):
    (folders / "ohsumed-first-20000-docs/test").rename(folders / "gone")
    with pytest.raises(UserError, match=r"looked for .*test in "):
        read_dataset("ohsumed", folders)


@pytest.mark.parametrize("name", ["ohsumed", "aapd"])
def test_lines_of_bits_and_text(name, tmp_path):
    # Breaks that str.splitlines would take for the end of a line are part of the text.
    write(tmp_path / "train.tsv", "010\tone\x0bline\u2028still\n110\ttwo\twith a tab\n000\tnone\r\n")
    write(tmp_path / "test.tsv", "001\tthree")
    held = read_dataset(name, tmp_path)
    assert list(held.parts) == ["train", "test"]
    assert held.parts["train"].labels.tolist() == [[0, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert held.parts["train"].contents == ["one\x0bline\u2028still", "two\twith a tab", "none"]
    assert held.parts["train"].items == ("train-1", "train-2", "train-3")
    assert held.label_names == ("label 0", "label 1", "label 2")
    write(tmp_path / "dev.tsv", "100\tfour\n")
    write(tmp_path / "labels.txt", "cs.AI\nmath.IT\nstat.ML\n")
    held = read_dataset(name, tmp_path)
    assert list(held.parts) == ["train", "validation", "test"]
    assert held.label_names == ("cs.AI", "math.IT", "stat.ML")


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ("010\ta\n01\tb\n", "train.tsv: line 2 is not 3 bits, a tab and a text"),
        ("010\ta\n01x\tb\n", "train.tsv: line 2 is not 3 bits"),
        ("010 a\n", "train.tsv: line 1 is not"),
        ("010\ta\n\n010\tb\n", "train.tsv: line 2 is not 3 bits"),
        ("0101\ta\n", "test.tsv: 3 bits a line, 4 in train.tsv"),
        ("", "train.tsv: empty"),
    ],
)
def test_damaged_lines_are_named(lines, why, tmp_path):
    write(tmp_path / "train.tsv", lines)
    write(tmp_path / "test.tsv", "001\tc\n")
    with pytest.raises(UserError) as error:
        read_dataset("aapd", tmp_path)
    assert why in str(error.value)


@pytest.fixture
def two_files(tmp_path: Path) -> Path:
    rows = {
        "train": [("on codes", "math.it cs.it"), ("on sets", "math.co")],
        "val": [("on bounds", "cs.it")],
        "test": [("on learning", "stat.ml cs.it")],
    }
    for part, lines in rows.items():
        write(tmp_path / f"text_{part}", "".join(f"{text}\n" for text, _ in lines))
        write(tmp_path / f"label_{part}", "".join(f"{labels}\n" for _, labels in lines))
    return tmp_path


def test_aapds_two_files_give_labels_by_name(two_files):
    held = read_dataset("aapd", two_files)
    assert list(held.parts) == ["train", "validation", "test"]
    assert held.label_names == ("cs.it", "math.co", "math.it", "stat.ml")
    assert held.parts["train"].labels.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    assert held.parts["train"].contents == ["on codes", "on sets"]
    assert held.parts["validation"].labels.tolist() == [[1, 0, 0, 0]]
    assert held.parts["test"].labels.tolist() == [[1, 0, 0, 1]]


def test_aapds_files_of_two_lengths_are_refused(two_files):
    write(two_files / "label_train", "math.it cs.it\n")
    with pytest.raises(UserError, match=r"label_train: 1 lines for 2 texts"):
        read_dataset("aapd", two_files)


def test_ohsumeds_bag_of_words_is_features(tmp_path):
    X = write_bag(tmp_path / "ohsumed.npz")
    held = read_dataset("ohsumed", tmp_path)
    assert held.kind == "features"
    assert held.label_names == ("C01", "C02")
    assert (held.parts["train"].features.toarray() == X[:2]).all()
    assert (held.parts["test"].features.toarray() == X[2:]).all()
    assert held.parts["test"].labels.tolist() == [[0, 1]]
    assert held.parts["train"].contents is None


@pytest.mark.parametrize("changes", [{"n_train": np.array(3)}, {"label_names": np.array(["C01"])}])
def test_a_bag_that_does_not_fit_is_refused(changes, tmp_path):
    write_bag(tmp_path / "ohsumed.npz", **changes)
    with pytest.raises(UserError, match=r"ohsumed.npz: X, Y, label_names and n_train do not fit"):
        read_dataset("ohsumed", tmp_path)


def test_a_bag_with_objects_is_not_read(tmp_path):
    write_bag(tmp_path / "ohsumed.npz", label_names=np.array(["C01", "C02"], dtype=object))
    with pytest.raises(UserError, match=r"ohsumed.npz: not a bag of words"):
        read_dataset("ohsumed", tmp_path)
