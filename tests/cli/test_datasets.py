"""``labelwise datasets``."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelwise.data.datasets import DATASETS, names


def test_the_list_says_size_licence_and_source(lw, answer):
    text = " ".join(lw("datasets").stdout.split())
    for info in DATASETS.values():
        assert info.name in text
        assert info.url in text
        assert all(f"{size:,}" in text for size in info.sizes.values())
    assert [record["name"] for record in answer("datasets")] == list(names())


@pytest.mark.parametrize("name", names())
def test_one_set_shows_its_layout(lw, answer, name):
    text = lw("datasets", name).stdout
    info = DATASETS[name]
    assert all(line in text for line in (*info.layout, info.licence, info.url, info.note))
    record = answer("datasets", name)
    assert record["layout"] == list(info.layout)
    assert record["sizes"] == dict(info.sizes)
    assert "found" not in record


def test_a_tree_is_checked_and_counted(lw, answer, tmp_path):
    (tmp_path / "VOCdevkit/VOC2012/JPEGImages").mkdir(parents=True)
    (tmp_path / "VOCdevkit/VOC2012/JPEGImages/a.jpg").touch()
    labels = np.zeros((2, 20))
    labels[0, :3] = 1
    for part in ("train", "val"):
        np.save(tmp_path / f"formatted_{part}_images.npy", np.array(["a.jpg", "b.jpg"]))
        np.save(tmp_path / f"formatted_{part}_labels.npy", labels)
    counts = answer("datasets", "voc2012", "--data", tmp_path)["found"]
    assert counts[0] == {
        "part": "train",
        "items": 2,
        "labels": 20,
        "cardinality": 1.5,
        "without_positive": 1,
        "unknown": 0,
        "missing_files": 1,
    }
    text = lw("datasets", "voc2012", "--data", tmp_path).stdout
    assert "5,717" in text
    assert f"files missing: {tmp_path / 'VOCdevkit/VOC2012/JPEGImages/b.jpg'}, for one" in text


def test_mistakes_are_one_line(refused, tmp_path):
    assert "did you mean 'voc2012'?" in refused("datasets", "voc")
    assert "needs the name of a set" in refused("datasets", "--data", tmp_path)
    line = refused("datasets", "awa2", "--data", tmp_path, "--json")
    assert f"looked for predicate-matrix-binary.txt in {tmp_path}" in line
    assert DATASETS["awa2"].url in line


def test_the_list_is_json_without_nan(lw):
    assert len(json.loads(lw("datasets", "--json").stdout)) == 8
