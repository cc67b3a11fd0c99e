"""A classifier on a backbone from a local folder comes back from its model directory when the folder is gone."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from labelwise import MultiLabelClassifier, load
from tests.models.backbones.hub_cases import bert, image_folder, resnet, text_folder, transformers


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers()


LABELS = (np.arange(24)[:, None] % np.array([2, 3]) == 0).astype(np.int8)


@pytest.mark.parametrize("tune", ["head", "all"])
@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_model_needs_no_folder_of_its_backbone(tmp_path, kind, tune):
    folder = tmp_path / "backbone"
    if kind == "image":
        image_folder(folder, resnet())
        X = [str(tmp_path / f"{i}.png") for i in range(24)]
        for i, path in enumerate(X):
            Image.fromarray(np.full((20, 20, 3), 10 * i, np.uint8)).save(path)
    else:
        text_folder(folder, bert())
        X = ["the cat sat" if i % 2 else "a dog ran" for i in range(24)]
    short = {"epochs": 1, "batch_size": 12, "validation": None, "cache": False}
    model = MultiLabelClassifier("an", f"hf/{folder}", tune=tune, **short).fit(X, LABELS)
    scores = model.decision_scores(X)
    model.save(tmp_path / "model")
    shutil.rmtree(folder)
    again = load(tmp_path / "model").set_params(cache=False)
    np.testing.assert_allclose(again.decision_scores(X), scores, rtol=0, atol=1e-6)
    again.save(tmp_path / "copy")
    assert (tmp_path / "copy" / "model.json").exists()
