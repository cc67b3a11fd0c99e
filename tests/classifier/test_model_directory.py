"""The model directory: what goes in comes out, and anything else is refused in one line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle

import numpy as np
import pytest

from labelwise.classifier import artifact
from labelwise.errors import UserError
from tests import refusals

CONFIG = {"method": "an", "names": ("a", "ü"), "score": 0.1, "undefined": float("nan"), "none": None}
TENSORS = {
    "w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.array(1e-300),
    "flag": np.array([True, False]),
    "empty": np.zeros((0, 3), np.int8),
    "turned": np.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def model(tmp_path):
    artifact.write(tmp_path / "model", CONFIG, TENSORS)
    return tmp_path / "model"


def refused(path, *words):
    return refusals.refused(lambda: artifact.read(path), *words)


def test_round_trip_is_exact(model):
    config, tensors = artifact.read(model)
    assert {k: config[k] for k in CONFIG} == {**CONFIG, "names": ["a", "ü"], "undefined": None}
    assert tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert tensors[name].dtype == value.dtype
        np.testing.assert_array_equal(tensors[name], value)
    assert sorted(p.name for p in model.iterdir()) == ["model.json", "weights.safetensors"]
    assert [p.name for p in model.parent.iterdir()] == ["model"]


def test_the_same_model_is_the_same_bytes(model, tmp_path):
    artifact.write(tmp_path / "again", CONFIG, TENSORS)
    for name in ("model.json", "weights.safetensors"):
        assert (model / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("name", ["model.json", "weights.safetensors"])
def test_a_missing_file(model, name):
    (model / name).unlink()
    refused(model, name, "missing")


def test_an_extra_file(model):
    (model / "code.py").write_text("print('hello')")
    refused(model, "code.py")


def test_no_directory(model, tmp_path):
    refused(tmp_path / "nowhere", "nowhere")
    refused(model / "model.json", "model.json")


@pytest.mark.parametrize("place", [0, 8, 60, -1])
def test_a_byte_of_the_weights_changed(model, place):
    weights = bytearray((model / "weights.safetensors").read_bytes())
    weights[place] ^= 1
    (model / "weights.safetensors").write_bytes(weights)
    refused(model, "weights.safetensors", "checksum")


def test_weights_cut_short(model):
    path = model / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-3])
    refused(model, "checksum")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("method", "ridge"),
        ("names", ["ü", "a"]),
        ("score", 0.2),
        ("more", 1),
        ("sha256", None),
        ("score", "NaN"),
    ],
)
def test_a_value_of_the_record_changed(model, key, value):
    record = json.loads((model / "model.json").read_text())
    record[key] = float("nan") if value == "NaN" else value
    (model / "model.json").write_text(json.dumps(record))
    refused(model, "model.json", "checksum")


def test_the_layout_of_the_record_may_change(model):
    record = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(record))
    assert artifact.read(model)[0] == record


@pytest.mark.parametrize("text", ["", "{", "\xff\xfe", "[" * 100_000, b"\xff\xfe\x00"])
def test_a_record_that_is_not_json(model, text):
    (model / "model.json").write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    refused(model, "JSON")


@pytest.mark.parametrize("record", [{"format": 99}, {"format": "1"}, {}, [], 7])
def test_another_format(model, record):
    (model / "model.json").write_text(json.dumps(record))
    refused(model, "format", "version")


def test_a_link_is_refused(model, tmp_path):
    weights = model / "weights.safetensors"
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    refused(model, "links")


def test_a_folder_in_the_place_of_a_file(model):
    (model / "weights.safetensors").unlink()
    (model / "weights.safetensors").mkdir()
    refused(model, "folders")


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def test_a_pickle_is_never_opened(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    payload = pickle.dumps(Bomb())
    (model / "weights.safetensors").write_bytes(payload)
    record = json.loads((model / "model.json").read_text())
    record["weights_sha256"] = hashlib.sha256(payload).hexdigest()
    record["sha256"] = artifact._checksum(record)
    (model / "model.json").write_text(json.dumps(record))
    refused(model, "weights.safetensors", "cannot be read")
    assert not (tmp_path / "exploded").exists()


def test_a_model_is_replaced(model):
    artifact.write(model, {"method": "ridge"}, {"w": np.ones(2)})
    config, tensors = artifact.read(model)
    assert config["method"] == "ridge"
    assert list(tensors) == ["w"]
    assert [p.name for p in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("failing", ["replace", "write_text", "write_bytes"])
def test_a_full_disk_leaves_the_old_model(model, monkeypatch, failing):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    real, calls = os.replace, []

    def second(*args):
        calls.append(args)
        return full() if len(calls) == 2 else real(*args)

    if failing == "replace":
        monkeypatch.setattr(os, "replace", second)
    else:
        monkeypatch.setattr(f"pathlib.Path.{failing}", full)
    with pytest.raises(UserError, match="No space left"):
        artifact.write(model, {"method": "ridge"}, {"w": np.ones(2)})
    monkeypatch.undo()
    assert artifact.read(model)[0]["method"] == "an"
    assert [p.name for p in model.parent.iterdir()] == ["model"]


@pytest.mark.parametrize("kind", ["file", "other folder", "model with more beside it"])
def test_what_is_not_a_model_is_never_overwritten(model, tmp_path, kind):
    place = {"file": tmp_path / "notes.txt", "other folder": tmp_path / "photos"}.get(kind, model)
    if kind == "other folder":
        place.mkdir()
    note = place if kind == "file" else place / "notes.txt"
    note.write_text("mine")
    with pytest.raises(UserError, match="not a model directory"):
        artifact.write(place, CONFIG, TENSORS)
    assert note.read_text() == "mine"


def test_an_empty_folder_and_missing_parents_are_fine(tmp_path):
    (tmp_path / "empty").mkdir()
    artifact.write(tmp_path / "empty", CONFIG, TENSORS)
    artifact.write(tmp_path / "a" / "b", CONFIG, TENSORS)
    assert artifact.read(tmp_path / "empty")[0] == artifact.read(tmp_path / "a" / "b")[0]
