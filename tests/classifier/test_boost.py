"""``positive_boost``: logits of a map's places, boosted where positive, then their mean, at training and prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import labelwise as lw
from labelwise.models import BoostedHead, LinearHead, SmallCNN
from tests.refusals import refused

N, K = 48, 2


def pictures():
    """A bright or a dark point says each label, wherever it stands."""
    random = np.random.default_rng(0)
    Y = (random.random((N, K)) < 0.5).astype(np.int8)
    X = 0.5 + 0.01 * random.standard_normal((N, 1, 8, 8)).astype(np.float32)
    for i, k in np.argwhere(Y == 1):
        row, column = random.integers(0, 8, 2)
        X[i, 0, row, column] += 0.4 * (1 if k == 0 else -1)
    return X.clip(0, 1), Y


def backbone():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SmallCNN((1, 8, 8), widths=(8, 16))


def model(method="an", **options):
    settings = {"validation": None, "device": "cpu", "epochs": 3, "learning_rate": 1e-2, "batch_size": 16}
    return lw.MultiLabelClassifier(
        method, **{"backbone": backbone(), "positive_boost": 5, **settings, **options}
    )


@pytest.mark.parametrize("masked", [False, True])
def test_the_head_equals_a_slow_loop(masked):
    torch.manual_seed(0)
    head, z = BoostedHead(4, 3, 2.5).double(), torch.randn(5, 6, 4, dtype=torch.float64, requires_grad=True)
    mask = (torch.rand(5, 6) < 0.6) if masked else None
    found = head(z) if mask is None else head(z, mask)
    for i in range(5):
        places = [t for t in range(6) if mask is None or mask[i, t]]
        for k in range(3):
            logits = [(z[i, t] @ head.weight[k] + head.bias[k]).item() for t in places]
            want = sum(2.5 * v if v > 0 else v for v in logits) / max(len(places), 1)
            assert found[i, k].item() == pytest.approx(want, abs=1e-12)
    assert torch.autograd.gradcheck(lambda x: head(x) if mask is None else head(x, mask), z)


def test_a_boost_of_one_is_a_linear_head_on_the_mean():
    head = BoostedHead(4, 3, 1)
    plain = LinearHead(4, 3)
    plain.load_state_dict(head.state_dict())
    z = torch.randn(5, 6, 4)
    torch.testing.assert_close(head(z), plain(z.mean(1)))
    refused(lambda: BoostedHead(4, 3, 0.5), "boost", "0.5")


def test_training_and_prediction_boost_and_the_model_keeps_it(tmp_path, monkeypatch):
    X, Y = pictures()
    fitted = model().fit(X, Y)
    network = fitted.network_.eval()
    assert isinstance(network.head, BoostedHead)
    assert network.reads_maps
    seen, places_of = [], network.backbone.places
    with monkeypatch.context() as patch:
        patch.setattr(network.backbone, "places", lambda x: seen.append(places_of(x)) or seen[-1])
        scores = fitted.decision_scores(X)
    with torch.no_grad():
        places = torch.cat([places for places, _ in seen])
        assert places.shape == (N, 16, 16)
        z = nn.functional.linear(places, network.head.weight, network.head.bias)
        want = torch.sigmoid(torch.where(z > 0, 5 * z, z).mean(1)).numpy()
    np.testing.assert_allclose(scores, want, atol=1e-6)
    fitted.save(tmp_path / "model")
    loaded = lw.load(tmp_path / "model", backbone=backbone())
    assert loaded.positive_boost == 5
    np.testing.assert_array_equal(loaded.decision_scores(X), fitted.decision_scores(X))
    plain = model(positive_boost=None).fit(X, Y)
    assert np.abs(plain.decision_scores(X) - fitted.decision_scores(X)).max() > 1e-3
    assert not any("not used" in note for note in fitted.notes_)


@pytest.mark.parametrize("method", ["an", "gr", "ll_r", "em_apl", "csl", "cap"])
def test_methods_with_a_linear_head_train_with_it(method):
    X, Y = pictures()
    seen = Y.copy()
    seen[N // 2 :, 1] = -1
    options = {"prior": [0.5, 0.5]} if method == "cap" else {}
    scores = model(method, **options).fit(X, seen).decision_scores(X)
    assert np.isfinite(scores).all()
    assert scores.std() > 0


def test_a_stopped_run_goes_on_to_the_bit(tmp_path):
    X, Y = pictures()
    whole = model(directory=tmp_path / "whole").fit(X, Y)

    class StopError(Exception):
        pass

    def stop(classifier, epoch):
        if epoch == 2:
            raise StopError

    stopped = model(directory=tmp_path / "stopped")
    with pytest.raises(StopError):
        stopped.fit(X, Y, on_epoch=stop)
    again = model(directory=tmp_path / "stopped").fit(X, Y)
    np.testing.assert_array_equal(again.decision_scores(X), whole.decision_scores(X))
    with pytest.raises(lw.UserError, match=r"another|differ"):
        model(directory=tmp_path / "stopped", positive_boost=3).fit(X, Y)


class Pooled(nn.Module):
    """A backbone that pools and shows no map."""

    n_features = 4

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 4, 3)

    def forward(self, x):
        return self.body(x).mean((2, 3))


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("an", {"tune": "head"}, ("feature maps", "tune='all'")),
        ("an", {"backbone": "features"}, ("feature maps", "tune='all'")),
        ("an", {"backbone": "minilm", "tune": "all"}, ("feature maps", "pictures")),
        ("an", {"backbone": Pooled()}, ("feature maps", "Pooled", "places")),
        ("bam", {}, ("'bam'", "head of its own")),
        ("mime", {}, ("'mime'", "head of its own")),
        ("an", {"head_start": "ridge"}, ("head_start", "pooled")),
    ],
)
def test_what_has_no_maps_to_boost_is_refused_in_one_line(method, options, words):
    X, Y = pictures()
    refused(lambda: model(method, **options).fit(X, Y), "positive_boost=5", *words)


def test_an_exported_network_boosts_too(tmp_path, quick_exports):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    X, Y = pictures()
    fitted = model().fit(X, Y)
    fitted.export_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    scores = session.run(None, {session.get_inputs()[0].name: X})
    assert any(
        part.shape == (N, K) and np.allclose(part, fitted.decision_scores(X), atol=1e-5) for part in scores
    )
