"""`auto` as the teacher of a whole network: what it is taught, by whom, resumed to the bit, and what is refused."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise.ensemble import SoftLabels
from labelwise.ensemble.recipe import Ensemble
from labelwise.errors import UserError
from labelwise.methods import Problem, get
from labelwise.methods.auto import Findings
from labelwise.methods.base import Batch
from labelwise.models import FeatureScaling, needs_steadying, solve_ridge, solve_steady_ridge
from tests.engine.cases import Stop, assert_same, assert_same_items, items, labels, run, steps_of, stop_at
from tests.methods.contract import Backbone, hide, problem, same
from tests.refusals import refused

WHOLE = {"make_options": {"tune": "all", "dropout": 0.0}}


def fit(X, Y, **options):
    given = {"backbone": Backbone(), "tune": "all", "head_start": "ridge", "epochs": 2, "batch_size": 16}
    return lw.MultiLabelClassifier("auto", device="cpu", **{"validation": None, **given, **options}).fit(X, Y)


def test_the_loss_by_a_slow_loop():
    method = get("auto")(Problem(np.zeros((2, 3), np.int8), tune="all"))
    random = np.random.default_rng(0)
    s, t, w = random.standard_normal((2, 3)), random.random((2, 3)), random.random((2, 3))
    state = {"target": torch.tensor(t), "weight": torch.tensor(w)}
    scores = torch.tensor(s, requires_grad=True)
    batch = Batch(torch.arange(2), torch.zeros(2, 3), state, {}, {}, "train", 1)
    batch.outputs["weak"] = SimpleNamespace(scores=scores)
    total = 0.0
    for i in range(2):
        for k in range(3):
            p = 1 / (1 + math.exp(-s[i, k]))
            total += w[i, k] * (-t[i, k] * math.log(p) - (1 - t[i, k]) * math.log(1 - p))
    loss = method.loss(batch)
    assert float(loss.detach()) == pytest.approx(total / 6, abs=1e-12)
    (slope,) = torch.autograd.grad(loss, scores)
    np.testing.assert_allclose(slope.numpy(), w * (1 / (1 + np.exp(-s)) - t) / 6, atol=1e-12)


@pytest.mark.parametrize("kind", ["partial", "partial_positive"])
def test_targets_are_left_out_scores_of_the_ensemble_on_features_before_training(kind):
    """Of labels that the training has, and of nothing else."""
    options = {"tune": "all", "dropout": 0.0, "kind": kind}
    result, last = run("auto", make_options=options)
    Y = labels(kind)
    network, method = (
        run("auto", make_options={**options, "epochs": 1, "rate": 1e-12})[0].network,
        result.method,
    )
    with torch.no_grad():
        features = network.eval().backbone(torch.from_numpy(items()[0])).numpy()
    solve = solve_steady_ridge if needs_steadying(Y) else solve_ridge
    taught = Ensemble.fit(features, Y, solve(features, Y), 0, solve=solve)
    share = method.problem.unknown_prior("auto")
    soft = SoftLabels.of(taught.left_out, Y, share)
    np.testing.assert_allclose(last.state["target"], soft.target, atol=2e-3)
    np.testing.assert_allclose(last.state["weight"], soft.weight, atol=5e-3)
    np.testing.assert_array_equal(last.state["target"][Y >= 0], Y[Y >= 0])
    assert (last.state["weight"][Y >= 0] == 1).all()


def test_resumed_after_any_step_it_is_the_same_to_the_bit(tmp_path):
    whole, last = run("auto", **WHOLE)
    for stop in range(2, steps_of("auto", **WHOLE) + 1, 4):
        folder = tmp_path / str(stop)
        with pytest.raises(Stop):
            run("auto", folder, on_step=stop_at(stop, stop - 1), **WHOLE)
        again, resumed = run("auto", folder, **WHOLE)
        assert_same(whole, again)
        assert_same_items(last, resumed)
        assert again.method.explanation == whole.method.explanation is not None


def test_the_teacher_is_not_fitted_again_by_a_run_that_goes_on(tmp_path, monkeypatch):
    with pytest.raises(Stop):
        run("auto", tmp_path, on_step=stop_at(3, 2), **WHOLE)
    monkeypatch.setattr(Ensemble, "fit", lambda *given, **options: pytest.fail("it was"))
    run("auto", tmp_path, **WHOLE)


@pytest.mark.parametrize(
    "setting", ["full", "semi_supervised", "single_positive", "partial", "partial_positive"]
)
def test_a_network_of_ones_own_is_taught_saved_and_loaded(setting, tmp_path):
    X, Y, full = problem(setting)
    model = fit(X, Y, epochs=4)
    assert model.tune_ == "all"
    assert len(model.history_) == 4
    assert model.score(X, full) > 0.4
    assert model.explanation_.rows == len(X)
    assert any("soft labels" in note for note in model.notes_)
    model.save(tmp_path / "model")
    loaded = lw.load(tmp_path / "model", backbone=Backbone())
    same(model, loaded)
    assert loaded.explanation_ == model.explanation_
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_what_is_hidden_changes_nothing():
    """True labels of unknown entries reach nobody: another truth behind the same known entries, the same network."""
    X, Y, full = problem("partial")
    other = np.where(Y == -1, 1 - full, full)
    np.testing.assert_array_equal(hide(full, "partial"), Y)
    one, two = (fit(X, np.where(Y == -1, -1, truth).astype(np.int8)) for truth in (full, other))
    same(one, two)


def test_a_network_without_features_worth_anything_is_refused():
    X, Y, _ = problem("partial")
    pictures = np.zeros((len(X), 1, 8, 8), np.float32)
    for backbone, rows in (("mlp", X), (Backbone(), X), ("smallcnn", pictures)):
        refused(lambda b=backbone, r=rows: fit(r, Y, backbone=b, head_start=None), "auto", "pretrained")
    # Left to itself, a closed form leaves the network as it is.
    assert fit(X, Y, backbone="mlp", tune=None, head_start=None, epochs=None, batch_size=None).tune_ == "head"


def test_a_random_head_is_taught_all_the_same():
    result, last = run("auto", make_options={"tune": "all", "epochs": 30, "rate": 0.03})
    assert not isinstance(result.network.neck, FeatureScaling)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert last.state["target"].shape == labels("partial").shape


@pytest.mark.parametrize("bytes_", [b"", b"[1]", b"\xff", b'{"rows": "x"}'])
def test_findings_that_are_none_are_refused(bytes_):
    with pytest.raises(RuntimeError, match="cannot be read"):
        Findings().set_extra_state(torch.tensor(list(bytes_), dtype=torch.uint8))


def test_findings_of_a_tampered_model_are_refused_in_one_line(tmp_path):
    X, Y, _ = problem("partial")
    model = fit(X, Y)
    model.trained_method_.findings.get_extra_state = lambda: torch.tensor([1, 2], dtype=torch.uint8)
    model.save(tmp_path / "model")
    with pytest.raises(UserError, match="cannot be read"):
        lw.load(tmp_path / "model", backbone=Backbone())
