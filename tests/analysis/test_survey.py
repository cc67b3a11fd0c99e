"""The survey of training items: against what predict_proba says of all of them."""

import numpy as np
import pytest

import labelwise as lw
from labelwise.analysis import survey


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2100, 6)).astype(np.float32)
    Y = (X @ rng.normal(size=(6, 4)) > 1).astype(np.int8)
    Y[300:] = -1
    Y[:300, 3] = 0
    return lw.MultiLabelClassifier("ridge").fit(X, Y), X, Y


def test_missing_labels_are_the_highest_scores_of_unknown_entries(fitted):
    model, X, Y = fitted
    found = survey(model, X, Y, missing=9).missing
    scores = model.predict_proba(X)
    assert found.scores == pytest.approx(scores[found.rows, found.labels], abs=1e-6)
    assert (Y[found.rows, found.labels] == -1).all()
    assert len(set(found.rows)) == 9
    assert np.bincount(found.labels, minlength=4).max() <= 3
    assert 3 not in found.labels
    assert (np.diff(found.scores) <= 0).all()
    allowed = np.where(Y[:, :3] == -1, scores[:, :3], -1)
    assert found.scores[0] == pytest.approx(allowed.max())


def test_claims_are_those_of_the_rule(fitted):
    model, X, Y = fitted
    found = survey(model, X, Y).missing
    expected = ((model.predict(X) == 1) & (Y == -1)).sum(axis=0)
    assert found.predicted.tolist() == [*expected[:3], 0]
    assert found.unknown.tolist() == (Y == -1).sum(axis=0).tolist()


def test_sample_takes_items_with_known_entries_first(fitted):
    model, X, Y = fitted
    found = survey(model, X, Y, most_rows=350)
    assert set(range(300)) <= set(found.rows.tolist())
    assert len(found.rows) == len(found.outputs) == 350
    assert (np.diff(found.rows) > 0).all()
    alone = survey(model, X, Y, most_rows=5000)
    assert np.array_equal(alone.outputs[found.rows], found.outputs)


def test_nothing_is_missing_where_all_is_known(fitted):
    model, X, Y = fitted
    assert survey(model, X[:300], Y[:300]).missing is None


def test_labels_that_do_not_fit_are_refused(fitted):
    model, X, Y = fitted
    with pytest.raises(lw.UserError, match="4"):
        survey(model, X, Y[:, :3])
    with pytest.raises(lw.UserError, match="2100 items"):
        survey(model, X, Y[:9])


def test_reliability_of_many_labels_is_drawn_of_some(monkeypatch):
    from labelwise.analysis import predictions

    Y = np.zeros((40, 300), np.int8)
    Y[::2, :150] = 1
    np.testing.assert_array_equal(predictions.drawn_labels(Y, 0), np.arange(300))
    monkeypatch.setattr(predictions, "_MOST_ENTRIES", 40 * 299)
    monkeypatch.setattr(predictions, "_DRAWN_ENTRIES", 40 * 120)
    drawn = predictions.drawn_labels(Y, 0)
    assert len(drawn) == 120
    assert (drawn < 150).all()  # the labels in both classes, of which there are enough
    np.testing.assert_array_equal(drawn, predictions.drawn_labels(Y, 0))
    assert not np.array_equal(drawn, predictions.drawn_labels(Y, 1))
