"""`auto` as a method: what it is handed, what it says, labels that nobody has shown, and its time on little."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import labelwise as lw
from labelwise.ensemble import recipe
from labelwise.methods import Problem, get
from tests.refusals import refused
from tests.timing import least_seconds

K = 4


def rows(n=150, D=8, labelled=100, seed=0):
    random = np.random.default_rng(seed)
    X = (3 * random.standard_normal((n, D)) + 1).astype(np.float32)
    Y = (X[:, :K] + random.standard_normal((n, K)) > 2).astype(np.int8)
    seen = np.where(np.arange(n)[:, None] < labelled, Y, np.int8(-1))
    return X, seen, Y


def fit(X, Y, **options):
    return lw.MultiLabelClassifier("auto", device="cpu", **options).fit(X, Y)


@pytest.fixture
def given(monkeypatch):
    """What the ensemble is handed."""
    calls, real = [], recipe.Ensemble.fit.__func__

    def record(cls, X, labels, solution, seed, **options):
        calls.append((X, labels, solution, seed))
        return real(cls, X, labels, solution, seed, **options)

    monkeypatch.setattr(recipe.Ensemble, "fit", classmethod(record))
    return calls


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_the_ensemble_gets_raw_rows_labels_and_the_tuned_solution(form, given):
    X, seen, _ = rows(labelled=120)
    model = fit(form(X), seen, random_state=7)
    ((got, labels, solution, seed),) = given
    assert sp.issparse(got) == sp.issparse(form(X))
    np.testing.assert_array_equal(got.toarray() if sp.issparse(got) else got, X)
    np.testing.assert_array_equal(labels, seen)
    assert solution is model.solution_
    assert len({row["scaling"] for row in solution.table}) > 1
    assert seed == 7
    assert model.scaling_ is None


def test_of_few_labelled_rows_it_gets_the_mean_of_two_criteria(given):
    X, seen, _ = rows(n=60, labelled=50)
    model = fit(X, seen)
    ((*_, solution, _),) = given
    assert solution.criterion == "average_precision and squared_error"
    assert solution.scaling is model.solution_.scaling
    assert model.solution_.criterion == "average_precision"


def test_of_fewer_than_twenty_labelled_rows_it_is_ridge_with_its_decisions():
    X, seen, _ = rows(n=80, labelled=19)
    auto = fit(X, seen)
    ridge = lw.MultiLabelClassifier("ridge", device="cpu").fit(X, seen)
    np.testing.assert_allclose(auto.predict_proba(X), ridge.predict_proba(X), atol=1e-6)
    np.testing.assert_array_equal(auto.predict(X), ridge.predict(X))


def test_several_sources_reach_it_side_by_side(given):
    from labelwise.models import is_blocks

    X, seen, _ = rows()
    texts = np.array([f"word{int(x > 1)} other{i % 5}" for i, x in enumerate(X[:, 0])])
    import pandas as pd

    frame = pd.DataFrame({"text": texts, **{f"f{j}": X[:, j] for j in range(3)}})
    model = fit(frame, seen, backbone="words+columns")
    assert is_blocks(given[0][0])
    assert model.predict_proba(frame).shape == seen.shape


def unshown(seen, *labels):
    seen = seen.copy()
    for label in labels:
        seen[:, label] = np.where(seen[:, label] == 1, 0, seen[:, label])
    return seen


def test_a_label_that_nobody_has_shown_is_scored_by_its_expected_share(tmp_path):
    X, seen, _ = rows()
    model = fit(X, unshown(seen, 2), calibrate=False)
    share = 0.5 / 101
    np.testing.assert_allclose(model.decision_scores(X)[:, 2], share, rtol=1e-4)
    assert not model.predict(X)[:, 2].any()
    assert any("label_2" in note and "expected share" in note for note in model.notes_)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(lw.load(tmp_path / "model").predict_proba(X), model.predict_proba(X))
    others = np.delete(np.arange(K), 2)
    assert (np.ptp(model.decision_scores(X)[:, others], axis=0) > 0.1).all()


def test_a_given_prior_is_its_share():
    X, seen, _ = rows()
    prior = np.array([0.5, 0.5, 0.2, 0.5])
    model = fit(X, np.where(unshown(seen, 2) == 1, 1, -1).astype(np.int8), prior=prior, calibrate=False)
    np.testing.assert_allclose(model.decision_scores(X)[:, 2], 0.2, rtol=1e-4)


def test_unshown_labels_have_the_same_score_on_rows_left_out():
    X, seen, _ = rows()
    labels, scores = fit(X, unshown(seen, 1, 2), calibrate=False).held_out_
    np.testing.assert_allclose(scores[:, 1:3], 0.5 / 101, rtol=1e-4)
    assert labels.shape == scores.shape


def test_decisions_rest_on_rows_left_out():
    X, seen, _ = rows()
    model = fit(X, seen)
    assert "as if the model had not seen it" in model.rule_source_
    assert model.validation_ is not None
    assert model.calibration_ is not None
    np.testing.assert_allclose(
        model.held_out_[1], 1 / (1 + np.exp(-model.trained_method_.left_out.astype(np.float64))), rtol=1e-5
    )


def test_scores_of_rows_left_out_are_on_the_scale_of_new_rows():
    """Thresholds learnt on the ones are applied to the others."""
    X, seen, _ = rows(n=600, labelled=300)
    new = rows(n=600, seed=1)[0]
    model = fit(X, seen)
    left_out, fresh = model.trained_method_.left_out[:300], model.fitted_.logits(new)
    assert np.abs(left_out.mean(0) - fresh.mean(0)).max() < 0.3 * left_out.std(0).min()
    ratio = left_out.std(0) / fresh.std(0)
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_the_explanation_is_kept_with_the_model(tmp_path):
    X, seen, _ = rows()
    model = fit(X, seen)
    explanation = model.explanation_
    assert (explanation.rows, explanation.labelled) == (150, 100)
    assert sum(member.weight for member in explanation.members) <= 1 + 1e-6
    model.save(tmp_path / "model")
    assert lw.load(tmp_path / "model").explanation_ == explanation
    entry = json.loads((tmp_path / "model" / "model.json").read_text())["explanation"]
    assert entry == json.loads(json.dumps(explanation.to_dict()))
    size = sum(path.stat().st_size for path in (tmp_path / "model").iterdir())
    assert any("of the saved model" in note for note in model.notes_)
    assert any(note.startswith("the gate of the ensemble is") for note in model.notes_)
    assert explanation.size is None or explanation.size < 1.1 * size


def test_a_smaller_model_can_be_asked_for(monkeypatch):
    """The gate is held open: a closed one leaves nothing to thin."""
    real = recipe.open_gate
    monkeypatch.setattr(
        recipe, "open_gate", lambda *given: replace(real(*given), share=np.ones(given[2].targets.shape[1]))
    )
    random = np.random.default_rng(0)
    X = random.standard_normal((4000, 60)).astype(np.float32)
    Y = np.where(np.arange(4000)[:, None] < 400, X[:, :8] > 0.5, -1).astype(np.int8)
    whole, small = (fit(X, Y, hyperparameters=given) for given in (None, {"megabytes": 1}))
    sizes = [model.network_.head.n_bytes for model in (whole, small)]
    assert sizes[1] < 1.2e6 < sizes[0]
    assert any("over the budget of 1 MB" in note for note in small.notes_)
    assert not any("over the budget" in note for note in whole.notes_)


def test_a_whole_network_stays_as_it_was():
    X, seen, _ = rows()
    model = fit(X, seen, tune="all")
    assert model.tune_ == "head"
    assert any("closed form" in note and "tune" in note for note in model.notes_)
    refused(lambda: fit(X, seen, head_start="ridge"), "auto", "head_start")


def test_it_learns_nothing_from_the_order_of_rows_alone():
    """One seed, one model: the same to the bit."""
    X, seen, _ = rows()
    np.testing.assert_array_equal(fit(X, seen).predict_proba(X), fit(X, seen).predict_proba(X))


def test_little_takes_little_time():
    X, seen, _ = rows(n=100, labelled=60)
    fit(X, seen)
    assert least_seconds(lambda: fit(X, seen), below=1.0) < 1.0


def test_the_contract_of_a_problem_at_inference():
    method = get("auto")(Problem(np.zeros((0, 3), np.int8)))
    head = method.head(5)
    assert not head.score_rows(np.ones((2, 5), np.float32)).any()
    assert [stage.epochs for stage in method.plan()] == [0]
    assert method.notes == ()
