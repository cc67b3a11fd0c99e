"""A head of arrays: scores, state, and a method that has it, through fit, save, load and resume."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.numpy import load_file, save
from scipy.special import expit

import labelwise as lw
from labelwise import engine, methods
from labelwise.classifier import artifact
from labelwise.ensemble import EnsembleHead
from labelwise.models import Features, Network
from tests.ensemble.stand_in import Combining, StandIn
from tests.refusals import refused


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(methods, "_CLASSES", dict(methods._CLASSES))
    methods.register(Combining)


def rows(n=60, D=6, K=3):
    random = np.random.default_rng(0)
    X = (5 * random.standard_normal((n, D)) + 2).astype(np.float32)
    Y = (X[:, :K] + random.standard_normal((n, K)) > 2).astype(np.int8)
    return X, np.where(np.arange(n)[:, None] < 40, Y, np.int8(-1)), Y


def model(**options):
    return lw.MultiLabelClassifier("toy_combining", device="cpu", **options)


def arrays(n=50, D=6, K=3):
    random = np.random.default_rng(1)
    shapes = {"linear.weight": (K, D), "linear.bias": (K,), "pool": (n, D), "targets": (n, K)}
    values = {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    scaling = {"scaling": np.stack([np.zeros(D), np.ones(D)]), "normed": np.array([False])}
    return values | scaling | {"pool": values["pool"].astype(np.float16)}


def head(**sizes):
    made = EnsembleHead(6, 3, StandIn)
    made.take(StandIn(arrays(**sizes)))
    return made


def test_scores_are_the_ensembles():
    X = rows()[0]
    want = StandIn(arrays()).scores(X)
    np.testing.assert_allclose(head().score_rows(X), want, rtol=1e-6)
    np.testing.assert_allclose(head()(torch.from_numpy(X)).numpy(), want, rtol=1e-6)
    network = Network(Features((6,)), head())
    np.testing.assert_allclose(network(torch.from_numpy(X)).scores.numpy(), want, rtol=1e-6)


def test_a_head_without_an_ensemble_scores_nothing():
    blank = EnsembleHead(6, 3, StandIn)
    assert not blank(torch.ones(2, 6)).any()
    assert blank.state_dict() == {}


@pytest.mark.parametrize("size", [1, 50])
def test_its_state_is_the_arrays_of_any_size(size):
    made, blank = head(n=size), EnsembleHead(6, 3, StandIn)
    blank.load_state_dict(made.state_dict())
    X = rows()[0]
    np.testing.assert_array_equal(made.score_rows(X), blank.score_rows(X))
    assert made.state_dict().keys() == arrays().keys()
    assert made.n_bytes == sum(array.nbytes for array in arrays(n=size).values())
    assert made.state_dict()["pool"].dtype == torch.float16


def test_a_label_may_have_one_score_for_all_rows():
    X, constants = rows()[0], np.array([np.nan, -2.5, np.nan], np.float32)
    made, blank = EnsembleHead(6, 3, StandIn), EnsembleHead(6, 3, StandIn)
    made.take(StandIn(arrays()), constants)
    blank.load_state_dict(made.state_dict())
    want = StandIn(arrays()).scores(X)
    want[:, 1] = -2.5
    np.testing.assert_allclose(made.score_rows(X), want, rtol=1e-6)
    np.testing.assert_array_equal(blank.score_rows(X), made.score_rows(X))


def test_an_array_that_was_handed_over_may_change_later():
    given = arrays()
    made = EnsembleHead(6, 3, StandIn)
    made.take(StandIn(given))
    X = rows()[0]
    before = made.score_rows(X)
    given["linear.bias"] += 1
    np.testing.assert_array_equal(made.score_rows(X), before)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pool": None}, "pool"),
        ({"targets": np.zeros((49, 3), np.float32)}, "another size"),
        (
            {"linear.weight": np.zeros((3, 7), np.float32), "pool": np.zeros((50, 7), np.float16)},
            "7 features",
        ),
        (dict.fromkeys(arrays()), "none"),
        ({"constant.labels": np.array([3]), "constant.scores": np.zeros(1, np.float32)}, "no label"),
        ({"constant.labels": np.array([-1]), "constant.scores": np.zeros(1, np.float32)}, "no label"),
        ({"constant.labels": np.array([0]), "constant.scores": np.zeros(2, np.float32)}, "do not match"),
        ({"constant.labels": np.array([0.5]), "constant.scores": np.zeros(1, np.float32)}, "do not match"),
        ({"constant.labels": np.array([0])}, "do not match"),
    ],
)
def test_state_that_is_no_ensembles_is_refused(changes, words):
    state = {name: array for name, array in (arrays() | changes).items() if array is not None}
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    with pytest.raises(RuntimeError, match=words):
        EnsembleHead(6, 3, StandIn).load_state_dict(tensors)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_the_head_reads_rows_as_they_were_given(form):
    X, Y, _ = rows()
    fitted = model().fit(form(X), Y)
    assert fitted.scaling_ is None
    assert fitted.input_shape_ == (6,)
    seen = fitted.trained_method_.seen
    assert sp.issparse(seen) == sp.issparse(form(X))
    np.testing.assert_array_equal(seen.toarray() if sp.issparse(seen) else seen, X)
    want = fitted.network_.head.score_rows(X)
    np.testing.assert_array_equal(fitted.fitted_.logits(form(X)), want)
    np.testing.assert_allclose(fitted.decision_scores(form(X)), expit(want), rtol=1e-6)


def test_sparse_rows_reach_the_head_as_they_are(monkeypatch):
    X, Y, _ = rows()
    fitted = model().fit(sp.csr_matrix(X), Y)
    given = []
    scores = StandIn.scores
    monkeypatch.setattr(StandIn, "scores", lambda self, rows: given.append(rows) or scores(self, rows))
    fitted.predict_proba(sp.csr_matrix(X))
    assert [sp.issparse(part) for part in given] == [True]


def test_a_head_behind_a_network_reads_its_features():
    X, Y, _ = rows()
    fitted = model(backbone="mlp", tune="head").fit(X, Y)
    assert fitted.scaling_ is not None
    assert fitted.predict_proba(X).shape == Y.shape


def test_the_closed_form_that_is_handed_over_is_the_tuned_one():
    X, Y, _ = rows()
    fitted = model().fit(X, Y)
    tuned = lw.MultiLabelClassifier("ridge", device="cpu").fit(X, Y)
    np.testing.assert_array_equal(fitted.solution_.loo_scores, tuned.solution_.loo_scores)


def test_decisions_rest_on_the_rows_that_it_left_out():
    X, Y, _ = rows()
    fitted = model(calibrate=False).fit(X, Y)
    labels, scores = fitted.held_out_
    np.testing.assert_array_equal(labels, Y)
    np.testing.assert_allclose(scores, expit(fitted.trained_method_.left_out).astype(np.float32))


def test_a_model_is_what_it_was_after_loading(tmp_path):
    X, Y, _ = rows()
    fitted = model().fit(X, Y)
    fitted.save(tmp_path / "model")
    loaded = lw.load(tmp_path / "model")
    np.testing.assert_array_equal(fitted.predict_proba(X), loaded.predict_proba(X))
    assert loaded.explanation_ == fitted.explanation_
    assert "explanation" in json.loads((tmp_path / "model" / "model.json").read_text())
    loaded.fit(X, Y)
    np.testing.assert_array_equal(fitted.predict_proba(X), loaded.predict_proba(X))


def test_other_methods_say_nothing(tmp_path):
    X, Y, _ = rows()
    fitted = lw.MultiLabelClassifier("ridge", device="cpu").fit(X, Y)
    assert not hasattr(fitted, "explanation_")
    fitted.save(tmp_path / "model")
    assert "explanation" not in json.loads((tmp_path / "model" / "model.json").read_text())
    assert not hasattr(lw.load(tmp_path / "model"), "explanation_")


def rewritten(folder, change, record=lambda config: None):
    """Change a model's arrays and record, with checksums that fit."""
    config, _ = artifact.read(folder)
    state = load_file(folder / "weights.safetensors")
    change(state)
    record(config)
    (folder / "weights.safetensors").write_bytes(save(state))
    config = {
        name: value for name, value in config.items() if name not in ("sha256", "weights_sha256", "format")
    }
    artifact.write(folder, config, state)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("network.head.pool"),
        lambda state: state.update({"network.head.targets": np.zeros((3, 3), np.float32)}),
        lambda state: [state.pop(name) for name in list(state)],
        lambda state: state.update({"network.head.linear.weight": np.zeros((3, 9), np.float32)}),
        lambda state: state.update({"network.body.weight": np.zeros(3, np.float32)}),
    ],
)
def test_a_model_of_other_arrays_is_refused_in_a_line(change, tmp_path):
    X, Y, _ = rows()
    model().fit(X, Y).save(tmp_path / "model")
    rewritten(tmp_path / "model", change)
    refused(lambda: lw.load(tmp_path / "model"), "weights", "model.json", "copy the model again")


@pytest.mark.parametrize("entry", [{"members": 3}, {"rows": "many"}, {"gates": [{"name": "ensemble"}]}])
def test_an_explanation_that_is_none_is_refused(entry, tmp_path):
    X, Y, _ = rows()
    model().fit(X, Y).save(tmp_path / "model")
    rewritten(tmp_path / "model", lambda state: None, lambda config: config["explanation"].update(entry))
    refused(lambda: lw.load(tmp_path / "model"), "explanation")


def test_a_run_that_was_stopped_goes_on(tmp_path):
    X, Y, _ = rows()
    first = model(directory=tmp_path, validation=0.3).fit(X, Y)
    saved = engine.checkpoint.latest(tmp_path / "final")
    assert "network.head.pool" in saved.tensors
    again = model(directory=tmp_path, validation=0.3).fit(X, Y)
    np.testing.assert_array_equal(first.predict_proba(X), again.predict_proba(X))
    refused(lambda: model(directory=tmp_path, validation=0.3).fit(X, 1 - np.abs(Y)), "other data")


def test_it_says_what_it_found():
    X, Y, _ = rows()
    fitted = model().fit(X, Y)
    assert "combined" in fitted.notes_
    assert "40 of 60 rows" in str(fitted.explanation_)


def test_probabilities_rise_with_raw_scores():
    X, Y, _ = rows()
    fitted = model().fit(X, Y)
    raw, proba = fitted.fitted_.logits(X), fitted.decision_function(X)
    for k in range(3):
        order = np.argsort(raw[:, k], kind="stable")
        assert (np.diff(proba[order, k])[np.diff(raw[order, k]) > 0] > 0).all()


def test_it_has_no_landscape():
    from labelwise.analysis import loss_landscape

    X, Y, _ = rows()
    refused(lambda: loss_landscape(model().fit(X, Y), X, Y), "toy_combining", "no weights")
