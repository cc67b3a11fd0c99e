"""Scores of models that did not see the row."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import labelwise as lw
from labelwise.completion import left_out_scores
from tests.refusals import refused


def problem(n=60, k=3, seed=0, hidden=0.4):
    random = np.random.default_rng(seed)
    X = random.normal(size=(n, 5)).astype(np.float32)
    Y = (X @ random.normal(size=(5, k)) + random.normal(size=(n, k)) > 0).astype(np.int8)
    Y[random.random(Y.shape) < hidden] = -1
    return X, Y


def test_closed_form_gives_its_leave_one_out_scores_through_the_calibration():
    X, Y = problem()
    model = lw.MultiLabelClassifier("ridge").fit(X, Y)
    result = left_out_scores(model, X, Y)
    np.testing.assert_array_equal(result.logits, model.decision_.logits(model.fitted_.left_out_logits))
    np.testing.assert_allclose(result.scores, expit(result.logits), rtol=1e-6)
    assert result.calibrated
    assert "leave-one-out" in result.how


def test_a_loaded_model_gives_the_same(tmp_path):
    X, Y = problem()
    model = lw.MultiLabelClassifier("ridge").fit(X, Y)
    model.save(tmp_path / "model")
    loaded = left_out_scores(lw.load(tmp_path / "model"), X, Y)
    np.testing.assert_allclose(loaded.logits, left_out_scores(model, X, Y).logits, atol=1e-6)


def test_other_labels_than_those_of_the_fit_are_learnt_from():
    X, Y = problem()
    model = lw.MultiLabelClassifier("ridge").fit(X, Y)
    other = np.where(np.arange(60)[:, None] % 7 == 0, -1, Y).astype(np.int8)
    fresh = lw.MultiLabelClassifier("ridge").fit(X, other)
    expected = model.decision_.logits(fresh.fitted_.left_out_logits)
    np.testing.assert_allclose(left_out_scores(model, X, other).logits, expected)


def test_a_method_that_trains_is_trained_without_each_part():
    X, Y = problem(n=40)
    model = lw.MultiLabelClassifier("bce", epochs=2, validation=None, hyperparameters=None).fit(
        X, np.where(Y < 0, 0, Y)
    )
    full = np.where(Y < 0, 0, Y).astype(np.int8)
    result = left_out_scores(model, X, full, folds=4, seed=3)
    part = lw.split(full, [0.25] * 4, seed=3)[1]
    rest = np.setdiff1d(np.arange(40), part)
    clone = lw.MultiLabelClassifier("bce", epochs=2, validation=None, rule=0.5, calibrate=False)
    clone.fit(X[rest], full[rest], label_names=model.label_names_)
    expected = model.decision_.logits(clone.fitted_.logits(X[part]))
    np.testing.assert_allclose(result.logits[part], expected, rtol=1e-6)
    assert "4 parts" in result.how


@pytest.mark.parametrize("form", ["frame", "codes"])
def test_labels_by_name_and_codes_of_ones_own(form):
    X, Y = problem()
    known = lw.MultiLabelClassifier("ridge").fit(X, Y, label_names=list("abc"))
    expected = left_out_scores(known, X, Y).logits
    if form == "frame":
        frame = pd.DataFrame(Y, columns=list("abc"))[list("cab")]
        np.testing.assert_allclose(left_out_scores(known, X, frame).logits, expected)
        return
    coded = np.where(Y == 0, -1, np.where(Y == 1, 1, np.nan))
    model = lw.MultiLabelClassifier("ridge", minus_one="absent").fit(X, coded, label_names=list("abc"))
    again = left_out_scores(model, X, coded)
    np.testing.assert_allclose(again.logits, expected, atol=1e-6)
    # A second set of labels makes the clone learn, from states.
    coded[0, :] = np.nan
    left_out_scores(model, X, coded)


def test_what_cannot_be_scored_is_refused():
    X, Y = problem()
    assert "not fitted" in refused(lambda: left_out_scores(lw.MultiLabelClassifier(), X, Y))
    model = lw.MultiLabelClassifier("ridge").fit(X, Y)
    refused(lambda: left_out_scores(model, X[:10], Y))
