"""Texts, pictures, and features with empty cells and words, as the classifier reads them."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from labelwise.serving import open_models
from tests.serving.conftest import LABELS, asked


def scores_of(said) -> np.ndarray:
    return np.array([[one["scores"][name] for name in LABELS] for one in said["predictions"]])


def test_texts_and_their_limit(texts_client, words):
    texts = ["a cat", "the sea and a dog", "", "é\u0000\n"]
    said = texts_client.post("/predict", json={"items": [{"text": text} for text in texts]}).json()
    np.testing.assert_allclose(scores_of(said), words.classifier.predict_proba(texts), atol=1e-6)
    long = texts_client.post("/predict", json={"text": "x" * 1001})
    assert (long.status_code, long.json()["error"]) == (
        422,
        "text: String should have at most 1000 characters",
    )


@pytest.fixture(scope="module")
def photos(pictures):
    with asked(pictures[0], items=4, queue=64, pixels=10_000, body=300_000) as client:
        yield client


def test_pictures_in_every_form_have_the_classifiers_scores(photos, pictures):
    _, files, model, _ = pictures
    expected = model.predict_proba(files[:2])
    coded = [base64.b64encode(file).decode() for file in files[:2]]
    both = [{"image": coded[0]}, {"image": f"data:image/png;base64,{coded[1]}"}]
    by_json = photos.post("/predict", json={"items": both}).json()
    np.testing.assert_allclose(scores_of(by_json), expected, atol=5e-3)
    form = photos.post(
        "/predict", files=[("image", ("a.png", file, "image/png")) for file in files[:2]]
    ).json()
    assert form == by_json
    raw = photos.post("/predict", content=files[0], headers={"content-type": "image/png"}).json()
    np.testing.assert_allclose(scores_of(raw), expected[:1], atol=5e-3)


def bomb() -> bytes:
    """A PNG file of 100,000 x 100,000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def large(width: int = 200) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 60)).save(file, format="PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (bomb(), 413, "the picture has 100,000 x 100,000 pixels, more than 10,000 in all"),
        (large(), 413, "the picture has 200 x 60 pixels"),
        (b"<svg/>", 422, "the picture is no picture that can be read"),
        (b"", 422, "the picture is empty (0 bytes)"),
        (large(30)[:60], 422, "the picture is damaged or cut short"),
    ],
    ids=["bomb", "large", "svg", "empty", "cut"],
)
def test_what_is_no_picture_is_refused_in_every_form(photos, content, status, words):
    forms = (
        {"json": {"image": base64.b64encode(content).decode()}},
        {"files": {"image": ("a.png", content, "image/png")}},
        {"content": content, "headers": {"content-type": "image/png"}},
    )
    for form in forms:
        said = photos.post("/predict", **form)
        assert said.status_code == status, said.text
        assert words in said.json()["error"]


def test_forms_and_base64_that_are_none(photos, pictures):
    file = pictures[1][0]
    many = photos.post("/predict", files=[("image", ("a.png", file, "image/png"))] * 5)
    assert many.status_code == 413
    field = photos.post("/predict", files={"image": ("a", file)}, data={"text": "a"})
    assert (field.status_code, "other than files" in field.json()["error"]) == (422, True)
    broken = photos.post(
        "/predict", content=b"--", headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert broken.status_code in (400, 422)
    for value in ("not base64!", "data:image/png,abc", "http://127.0.0.1/a.png"):
        assert photos.post("/predict", json={"image": value}).status_code == 422
    large_body = photos.post("/predict", content=b"x" * 300_001, headers={"content-type": "image/png"})
    assert (large_body.status_code, "more than 300,000" in large_body.json()["error"]) == (413, True)


def test_empty_cells_and_words_become_features_as_in_training(tmp_path):
    from labelwise.runs import RunConfig, predict, train

    random = np.random.default_rng(0)
    frame = pd.DataFrame({"size": random.normal(size=60), "colour": random.choice(["red", "blue"], 60)})
    frame["big"], frame["warm"] = (frame["size"] > 0).astype(int), (frame["colour"] == "red").astype(int)
    frame.loc[::7, "size"] = np.nan
    frame.to_csv(tmp_path / "table.csv", index=False)
    train(
        RunConfig.build(
            {
                "table": str(tmp_path / "table.csv"),
                "label_columns": ["big", "warm"],
                "impute": "median",
                "encode": "onehot",
                "method": "ridge",
                "device": "cpu",
            }
        ),
        tmp_path / "run",
    )
    new = pd.DataFrame({"size": [0.5, None, -2.0], "colour": ["red", "blue", "green"]})
    new.to_csv(tmp_path / "new.csv", index=False)
    predict(tmp_path / "run", tmp_path / "new.csv", tmp_path / "out.csv")
    expected = pd.read_csv(tmp_path / "out.csv")[["big", "warm"]].to_numpy()
    model = open_models([tmp_path / "run"])[0]
    with asked(model) as client:
        rows = [{"size": 0.5, "colour": "red"}, {"colour": "blue", "size": None}, [-2.0, "green"]]
        said = client.post("/predict", json={"items": [{"features": row} for row in rows]}).json()
        np.testing.assert_allclose(
            [[one["scores"]["big"], one["scores"]["warm"]] for one in said["predictions"]],
            expected,
            atol=1e-6,
        )
        wrong = client.post("/predict", json={"features": {"size": "huge", "colour": "red"}})
        assert wrong.status_code == 422
        assert "not a number" in wrong.json()["error"]
