"""Distillation: what is made, what it needs, how its loss is measured, and what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

import labelwise as lw
from labelwise import metrics
from labelwise.annotations import split
from labelwise.classifier import distilling
from labelwise.ensemble import EnsembleHead, SmallNetwork
from labelwise.ensemble import small as small_networks
from tests.refusals import refused

K = 3


def rows(n=150, D=8, labelled=90, seed=0):
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, D)).astype(np.float32)
    Y = (X[:, :K] * X[:, K : 2 * K] + X[:, :K] > 0.3).astype(np.int8)
    return X, np.where(np.arange(n)[:, None] < labelled, Y, np.int8(-1)), Y


@pytest.fixture(scope="module")
def fitted():
    X, seen, Y = rows()
    return lw.MultiLabelClassifier("auto", device="cpu").fit(X, seen), X, seen, Y


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Few steps: what a network learns is tested where it is trained."""
    monkeypatch.setattr(small_networks, "FEWEST_STEPS", 30)
    monkeypatch.setattr(small_networks, "EPOCHS", 2)


def test_a_small_network_scores_as_the_ensemble_does_and_needs_no_pool(fitted, tmp_path):
    model, X, *_ = fitted
    before = torch.get_rng_state()
    small = model.distil(X, hidden=32, folds=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert isinstance(small.network_.head, SmallNetwork)
    assert isinstance(model.network_.head, EnsembleHead)
    new = rows(seed=4)[0]
    away = np.abs(small.predict_proba(new) - model.predict_proba(new)).mean()
    assert away < 0.15 < np.abs(model.predict_proba(new) - 0.5).mean()
    assert (small.rule_, small.calibration_, small.label_names_) == (
        model.rule_,
        model.calibration_,
        model.label_names_,
    )
    assert small.explanation_ == model.explanation_
    small.save(tmp_path / "small")
    loaded = lw.load(tmp_path / "small")
    np.testing.assert_array_equal(loaded.predict_proba(new), small.predict_proba(new))
    np.testing.assert_array_equal(loaded.predict(new), small.predict(new))
    assert loaded.hyperparameters_["network"] == 32
    assert any("a small network scores in the ensemble's place" in note for note in loaded.notes_)
    names = {name for name, _ in loaded.network_.head.named_parameters()}
    assert names == {"linear.weight", "linear.bias", "inner.weight", "inner.bias", "outer.weight"}


def test_a_loaded_ensemble_is_distilled_to_the_same_network(fitted, tmp_path):
    model, X, *_ = fitted
    model.save(tmp_path / "model")
    one, two = (each.distil(X, hidden=8, folds=2) for each in (model, lw.load(tmp_path / "model")))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    assert one.distillation_ == two.distillation_


def test_the_difference_is_that_of_rows_left_out(fitted, monkeypatch):
    """Each part is scored by a network of the other rows: here one that remembers which."""
    model, X, *_ = fitted
    seen, real = [], distilling._small

    def remember(teacher, part, hidden):
        small = real(teacher, part, hidden)
        seen.append(({row.tobytes() for row in part}, small))
        return small

    monkeypatch.setattr(distilling, "_small", remember)
    loss = model.distil(X, hidden=4, folds=3).distillation_
    assert loss.map is loss.micro_f1 is None
    assert [len(part) for part, _ in seen] == [100, 100, 100, 150]
    total = 0.0
    for part, small in seen[:3]:
        left = np.array([row for row in X if row.tobytes() not in part])
        assert len(left) == 50
        ours, theirs = (
            model.decision_.logits(one.logits(left).astype(np.float64)) for one in (small, model.fitted_)
        )
        total += np.abs(1 / (1 + np.exp(-ours)) - 1 / (1 + np.exp(-theirs))).sum()
    assert loss.difference == pytest.approx(total / (150 * K), rel=1e-9)
    assert loss.rows == 150


def test_with_labels_the_ensemble_too_is_fitted_without_the_part(fitted, monkeypatch):
    model, X, seen, _ = fitted
    fits, real = [], lw.MultiLabelClassifier.fit

    def remember(self, rows, labels, **options):
        fits.append(({row.tobytes() for row in rows}, real(self, rows, labels, **options)))
        return fits[-1][1]

    monkeypatch.setattr(lw.MultiLabelClassifier, "fit", remember)
    loss = model.distil(X, seen, hidden=4, folds=2).distillation_
    assert len(fits) == loss.folds == 2
    scores, sets = np.empty((150, K)), np.empty((150, K), np.int8)
    for part, teacher in fits:
        left = np.flatnonzero([row.tobytes() not in part for row in X])
        assert len(left) == 75
        scores[left] = teacher.decision_function(X[left])
        sets[left] = teacher.predict(X[left])
    assert loss.map[1] == pytest.approx(metrics.ranking_score(seen, scores), rel=1e-9)
    known = seen >= 0
    hits = ((sets == 1) & (seen == 1)).sum()
    assert loss.micro_f1[1] == pytest.approx(2 * hits / (sets[known].sum() + (seen == 1).sum()))
    assert 0 < loss.map[0] <= 1


def test_positives_alone_have_no_micro_f1(fitted):
    X, _, Y = rows()
    seen = lw.simulate.single_positive(Y, seed=1200)
    model = lw.MultiLabelClassifier("auto", device="cpu").fit(X, seen)
    loss = model.distil(X, seen, hidden=0, folds=2).distillation_
    assert loss.micro_f1 is None
    assert loss.map is not None


def test_sparse_rows_and_sources_side_by_side(tmp_path):
    X, seen, _ = rows()
    S = sp.csr_matrix(np.where(np.abs(X) < 0.7, 0, X))
    model = lw.MultiLabelClassifier("auto", device="cpu").fit(S, seen)
    small = model.distil(S, hidden=8, folds=2)
    np.testing.assert_allclose(small.predict_proba(S), small.predict_proba(S.toarray()), atol=1e-5)
    texts = [f"word{int(x > 1)} other{i % 5}" for i, x in enumerate(X[:, 0])]
    frame = pd.DataFrame({"text": texts, **{f"f{j}": X[:, j] for j in range(3)}})
    model = lw.MultiLabelClassifier("auto", backbone="words+columns", device="cpu").fit(frame, seen)
    small = model.distil(frame, hidden=8, folds=2)
    small.save(tmp_path / "small")
    np.testing.assert_array_equal(
        lw.load(tmp_path / "small").predict_proba(frame), small.predict_proba(frame)
    )


def test_what_cannot_be_distilled_is_refused_in_one_line(fitted, tmp_path):
    model, X, seen, _ = fitted
    refused(
        lambda: lw.MultiLabelClassifier("ridge", device="cpu").fit(X, seen).distil(X), "ridge", "ensemble"
    )
    refused(lambda: lw.MultiLabelClassifier().distil(X), "fit")
    refused(lambda: model.distil(X[:9]), "9 items")
    refused(lambda: model.distil(X[:, :3]), "3 features")
    refused(lambda: model.distil(X, seen[:20]), "20 rows")
    for hidden in (-1, 1.5, True, 5000):
        refused(lambda h=hidden: model.distil(X, hidden=h), "hidden")
    refused(lambda: model.distil(X, folds=1), "folds")
    small = model.distil(X, hidden=0, folds=2)
    refused(lambda: small.distil(X), "one network already")
    small.save(tmp_path / "small")
    refused(lambda: lw.load(tmp_path / "small").fit(X, seen), "distil")


def test_a_small_network_is_exported_where_an_ensemble_cannot_be(fitted, tmp_path, quick_exports):
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    model, X, *_ = fitted
    refused(lambda: model.export_onnx(tmp_path / "model.onnx"), "distil")
    small = model.distil(X, hidden=4, folds=2)
    small.export_onnx(tmp_path / "model.onnx")
    session = runtime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run(["probabilities"], {"features": X})
    np.testing.assert_allclose(found, small.predict_proba(X), atol=1e-5)


def test_folds_leave_every_row_out_once():
    parts = split(np.full((150, 1), -1, np.int8), [1 / 3] * 3, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(150))
