"""Labels' names as the fit's own encoder reads them: of texts, of pictures beside texts, and where nothing reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, load
from labelwise.classifier.label_names import vectors_of_labels
from labelwise.classifier.options import FitOptions
from labelwise.classifier.reader import ItemReader
from labelwise.embedding import TEMPLATES
from labelwise.methods import get
from labelwise.models import build_backbone, build_tokenizer
from tests.models.backbones.hub_cases import bert, text_folder, transformers
from tests.models.backbones.test_towers import two_towers
from tests.refusals import refusal

NAMES = ("a_b", "CoD")
ITEMS = ["a b", "c d e", "f g", "h"] * 3
LABELS = np.array([[1, 0], [0, 1], [1, 1], [0, 0]] * 3, np.int8)


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    transformers()


def vectors(items, names=NAMES, **options):
    options = FitOptions("ridge", device="cpu", cache=False, **options).checked()
    reader, _ = ItemReader.of(options, get("ridge"), items, LABELS[: len(items)], None)
    return vectors_of_labels(options, reader, names)


def by_hand(backbone, tokenizer, texts):
    """Return the direction of the mean over a label's sentences, each read alone."""
    sentences = [template.format(text) for text in texts for template in TEMPLATES["text"]]
    with torch.no_grad():
        rows = [backbone.eval()(torch.tensor(tokenizer.encode([one]))).numpy()[0] for one in sentences]
    mean = sum(row / np.linalg.norm(row) for row in rows)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("beside", ["", "+words"])
def test_the_backbone_of_texts_reads_the_names(tmp_path, beside):
    text_folder(tmp_path, bert())
    name = f"hf/{tmp_path}"
    found = vectors(ITEMS, backbone=name + beside, label_texts={"CoD": ["c d", "e"]})
    backbone = build_backbone(name, ())
    tokenizer = build_tokenizer(backbone.preprocessing)
    expected = [by_hand(backbone, tokenizer, texts) for texts in (["a b"], ["c d", "e"])]
    np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert found.projection is None
    assert found.block == (name if beside else None)


def test_the_tower_of_texts_reads_them_beside_pictures(tmp_path):
    two_towers(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8)
    found = vectors(pictures, backbone=f"hf/{tmp_path}")
    assert found.vectors.shape == (2, 5)
    assert found.projection.shape == (5, 8)
    (tmp_path / "tokenizer.json").unlink()
    (tmp_path / "tokenizer_config.json").unlink()
    assert vectors(pictures, backbone=f"hf/{tmp_path}") is None
    with refusal("hf/"):
        vectors(pictures, backbone=f"hf/{tmp_path}", label_texts={"CoD": "a fish"})


def test_without_a_reader_of_texts_or_words_there_are_none(tmp_path):
    text_folder(tmp_path, bert())
    rows = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    assert vectors(rows) is None
    assert vectors(ITEMS, backbone="words") is None
    for names in (("label_0", "label_1"), ("17", "a_b"), ("--", "CoD")):
        assert vectors(ITEMS, names, backbone=f"hf/{tmp_path}") is None
    given = {"label_0": "a b", "label_1": "c"}
    assert vectors(ITEMS, tuple(given), backbone=f"hf/{tmp_path}", label_texts=given) is not None
    with refusal("label_texts lacks 'label_1'"):
        vectors(ITEMS, tuple(given), backbone=f"hf/{tmp_path}", label_texts={"label_0": "a b"})
    with refusal("did you mean 'CoD'"):
        vectors(ITEMS, backbone=f"hf/{tmp_path}", label_texts={"Cod": "a fish"})
    with refusal("give a dict"):
        vectors(ITEMS, backbone=f"hf/{tmp_path}", label_texts=["a fish"])

    def forward(self, batch):
        return batch.flatten(1)[:, :2]


def test_a_method_that_reads_no_names_says_that_the_texts_did_nothing():
    rows = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    model = MultiLabelClassifier("ridge", label_texts={"a_b": "x"}, device="cpu")
    model.fit(rows, LABELS, label_names=NAMES)
    assert any(note.startswith("not used: label_texts") for note in model.notes_)
    plain = MultiLabelClassifier("ridge", device="cpu").fit(rows, LABELS, label_names=NAMES)
    assert not any("label_texts" in note for note in plain.notes_)


def test_the_option_is_kept_where_it_was_given_alone(tmp_path):
    import json

    rows = np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)
    for number, texts in enumerate((None, {"a_b": ["x", "y"]})):
        model = MultiLabelClassifier("ridge", label_texts=texts, device="cpu").fit(
            rows, LABELS, label_names=NAMES
        )
        model.save(tmp_path / str(number))
        record = json.loads((tmp_path / str(number) / "model.json").read_text())
        assert record["parameters"].get("label_texts") == texts
        assert ("label_texts" in record["parameters"]) == (texts is not None)


def test_a_label_that_nobody_has_shown_is_scored_by_its_name_and_saved_so(tmp_path):
    folder = tmp_path / "encoder"
    folder.mkdir()
    text_folder(folder, bert())
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), 5)) for _ in range(60)]
    labels = np.array([["a" in text, "b" in text, False] for text in texts], np.int8)
    options = {"backbone": f"hf/{folder}", "device": "cpu", "cache": False}
    fitted = {
        names: MultiLabelClassifier("auto", **options).fit(texts, labels, label_names=names)
        for names in (("a", "b", "c d"), ("label_0", "label_1", "label_2"))
    }
    named, nameless = (model.decision_function(texts) for model in fitted.values())
    assert np.ptp(named[:, 2]) > 1e-3
    assert np.ptp(nameless[:, 2]) == 0
    model = next(iter(fitted.values()))
    assert any("scored by its name" in note for note in model.notes_)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load(tmp_path / "model").decision_function(texts), named)
