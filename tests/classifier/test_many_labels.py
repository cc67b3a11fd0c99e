"""Thousands of labels: lists and sparse matrices beside the matrix of states."""

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from labelwise import MultiLabelClassifier, metrics, runs
from labelwise.annotations import listed
from labelwise.classifier import ItemReader
from labelwise.errors import UserError
from labelwise.metrics import TOP_TITLES, propensities, top_labels, top_metrics

N, D, K, NEW = 160, 6, 60, 60


@pytest.fixture(scope="module", autouse=True)
def few_are_many():
    """Take the labels here for thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "MANY_LABELS", K)
        patch.setattr(listed, "LISTED_LABELS", K)
        yield


@pytest.fixture(scope="module")
def made():
    """Return features, and labels of which a row has two, for training and for judging."""
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(K, D))
    chosen = np.sort(draw.integers(0, 40, (N + NEW, 2)), axis=1)
    Y = np.zeros((N + NEW, K), np.int8)
    for column in chosen.T:
        Y[np.arange(len(Y)), column] = 1
    X = (Y @ directions + 0.5 * draw.normal(size=(len(Y), D))).astype(np.float32)
    return X[:N], Y[:N], X[N:], Y[N:]


@pytest.fixture(scope="module")
def model(made):
    return MultiLabelClassifier("ridge", unlisted="absent").fit(made[0], made[1])


def test_a_sparse_matrix_is_judged_in_blocks_as_its_dense_form(made, model, monkeypatch):
    *_, X, Y = made
    dense = model.evaluate(X, Y)
    monkeypatch.setattr(listed, "LISTED_ENTRIES", 0)
    found = model.evaluate(X, sp.csr_array(Y))
    assert found.fair_rows
    assert dict(found) == pytest.approx(dict(dense), nan_ok=True)
    assert list(found) == list(dense)
    np.testing.assert_allclose(found.per_label.average_precision, dense.per_label.average_precision)
    weights = propensities((made[1] == 1).sum(axis=0), N)
    top = top_metrics(Y, top_labels(model.decision_function(X), 5), weights)
    assert {name: found[name] for name in TOP_TITLES} == pytest.approx(top)
    assert any("A = 0.55, B = 1.5" in note for note in found.notes)
    assert "ps_ndcg_at_5" in model.validation_


def test_few_labels_have_no_more_figures_than_before(made):
    X, Y, *_ = made
    found = MultiLabelClassifier("ridge").fit(X, Y[:, :9]).evaluate(X, Y[:, :9])
    assert not any("ndcg" in name or name.startswith("ps_") for name in found)


def test_observed_average_precision_of_lists_is_that_of_the_matrix(made, model, monkeypatch):
    *_, X, Y = made
    dense = model.observed_average_precision(X, np.where(Y == 1, 1, -1))
    monkeypatch.setattr(listed, "LISTED_ENTRIES", 0)
    monkeypatch.setattr(model, "unlisted", "unknown")
    np.testing.assert_allclose(model.observed_average_precision(X, sp.csr_array(Y)), dense)


def test_the_command_judges_lists_in_blocks(made, tmp_path, monkeypatch):
    X, Y, X_new, Y_new = made

    def write(X, Y, name):
        frame = pd.DataFrame(X, columns=[f"x_{d}" for d in range(D)])
        frame["tags"] = [";".join(f"tag {k}" for k in np.flatnonzero(row)) for row in Y]
        frame.to_csv(tmp_path / name, index=False)
        return str(tmp_path / name)

    # All labels in the last row.
    Y = np.vstack([Y, np.ones((1, K), np.int8)])
    given = {"table": write(np.vstack([X, X[:1]]), Y, "train.csv"), "labels_column": "tags"}
    config = runs.RunConfig.build({**given, "unlisted": "absent", "method": "ridge"})
    runs.train(config, tmp_path / "run")
    table = write(X_new, Y_new, "new.csv")
    dense = runs.evaluate(tmp_path / "run", table)
    monkeypatch.setattr(listed, "LISTED_ENTRIES", 0)
    found = runs.evaluate(tmp_path / "run", table, out=tmp_path / "figures.json")
    assert dict(found.evaluation) == pytest.approx(dict(dense.evaluation), nan_ok=True)
    assert found.words == dense.words
    written = json.loads((tmp_path / "figures.json").read_text())["figures"]["metrics"]
    assert written["ps_precision_at_5"] == found.evaluation["ps_precision_at_5"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "PSnDCG@5" in page


@pytest.fixture
def stays(monkeypatch):
    """Let labels of the size here stay lists; return the sizes of the matrices that are made of them."""
    monkeypatch.setattr(listed, "LISTED_ENTRIES", 0)
    monkeypatch.setattr(listed, "LISTED_LABELS", 0)
    monkeypatch.setattr(listed, "MATRIX_LABELS", 0)
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 1_000)
    sizes = []
    dense = listed.ListedStates.dense

    def noted(states, labels=None):
        sizes.append(len(states))
        return dense(states, labels)

    monkeypatch.setattr(listed.ListedStates, "dense", noted)
    return sizes


def test_ridge_of_a_sparse_matrix_is_that_of_its_dense_form(made, model, stays):
    X, Y, X_new, _ = made
    ours = MultiLabelClassifier(unlisted="absent").fit(pd.DataFrame(X).rename(columns=str), sp.csr_array(Y))
    assert ours.method_ == "ridge"
    assert any(f"list {K} labels, of which no matrix is made" in note for note in ours.notes_)
    assert list(ours.feature_names_in_) == [str(d) for d in range(D)]
    ours.feature_names_in_ = None
    np.testing.assert_allclose(ours.predict_proba(X_new), model.predict_proba(X_new), atol=0.02)
    assert ours.validation_["map"] == pytest.approx(model.validation_["map"], abs=0.02)
    assert ours.solution_.weight.shape == (K, D)


def test_steps_are_taken_on_lists(made, stays, monkeypatch):
    from labelwise.classifier import decision, validation

    monkeypatch.setattr(validation, "_LISTED_ENTRIES", 50 * K)
    monkeypatch.setattr(decision, "_LISTED_ENTRIES", 50 * K)
    X, Y, *_ = made
    given = {"unlisted": "absent", "epochs": 2, "batch_size": 64, "random_state": 1}
    ours = MultiLabelClassifier("bce", **given).fit(X, sp.csr_array(Y))
    assert max(stays) <= 64
    assert ours.head_start_ == "random"
    assert any("the head starts at random" in note for note in ours.notes_)
    assert ours.validation_.n_items == 32
    # The closed form, which would choose the scaling, is not solved for lists.
    monkeypatch.setattr(ItemReader, "fixed_features", lambda *_: False)
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 10**9)
    rest = {"validation": None, "rule": 0.5, "head_start": "random"}
    dense = MultiLabelClassifier("bce", **given, **rest).fit(X, Y)
    monkeypatch.setattr(listed, "MATRIX_ENTRIES", 1_000)
    lists = MultiLabelClassifier("bce", **given, **rest).fit(X, sp.csr_array(Y))
    np.testing.assert_allclose(lists.predict_proba(X), dense.predict_proba(X), atol=1e-6)
    with pytest.raises(UserError, match="head_start='ridge'"):
        MultiLabelClassifier("bce", **given, head_start="ridge").fit(X, sp.csr_array(Y))


def test_a_run_on_lists_makes_no_matrix_of_them(made, tmp_path, stays):
    X, Y, *_ = made
    frame = pd.DataFrame(X, columns=[f"x_{d}" for d in range(D)])
    frame["tags"] = [";".join(f"tag {k}" for k in np.flatnonzero(row)) for row in Y]
    frame.to_csv(tmp_path / "train.csv", index=False)
    given = {"table": str(tmp_path / "train.csv"), "labels_column": "tags", "unlisted": "absent"}
    outcome = runs.train(runs.RunConfig.build(given), tmp_path / "run")
    assert outcome.method == "ridge"
    assert "no matrix is made of so many labels" in outcome.reason
    page = runs.report(tmp_path / "run", tmp_path / "again.html").read_text()
    assert "of which no matrix is made" in (tmp_path / "run" / "report.html").read_text()
    assert "Results" in page
