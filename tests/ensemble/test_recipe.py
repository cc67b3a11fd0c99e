"""Recipe: the ensemble from labels to scores of new rows, and through its arrays."""

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.ensemble import Ensemble, KnownEntries
from labelwise.ensemble.gate_folds import FOLDS, evaluated_folds, folds_of
from labelwise.ensemble.scorer import Scorer
from labelwise.ensemble.trees import Trees
from labelwise.errors import UserError
from labelwise.metrics import average_precision
from labelwise.models import FeatureBlocks, logits, solve_ridge


def clusters(n=300, K=4, D=24, seed=0):
    """Rows around centres, on which labels depend: neighbours tell more than a line through few of them."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(12, D))
    of_centre = rng.random((12, K)) < 0.35
    at = rng.integers(0, 12, n)
    X = (centres[at] + 0.6 * rng.normal(size=(n, D))).astype(np.float32)
    return X, (of_centre[at] ^ (rng.random((n, K)) < 0.03)).astype(np.int8)


def few(Y, share=0.2, seed=1):
    labels = Y.copy()
    labels[np.random.default_rng(seed).random(len(Y)) > share] = -1
    return labels


@pytest.fixture(scope="module")
def fitted():
    X, Y = clusters()
    labels = few(Y)
    solution = solve_ridge(X, labels)
    return X, Y, labels, solution, Ensemble.fit(X, labels, solution)


def mean_ap(Y, scores):
    return float(np.nanmean(average_precision(Y, scores.astype(float))))


def test_it_gains_where_neighbours_tell(fitted):
    _, _, _, solution, ensemble = fitted
    X_new, Y_new = clusters(seed=0, n=600)
    X_new, Y_new = X_new[300:], Y_new[300:]
    assert mean_ap(Y_new, ensemble.scores(X_new)) > mean_ap(Y_new, solution.predict(X_new)) - 0.01
    gate = ensemble.explanation["gates"][0]
    assert gate["share"] > 0
    assert {gain["name"] for gain in ensemble.explanation["gains"]} == {"smoothing", "kernels", "trees"}
    assert sum(member["weight"] for member in ensemble.explanation["members"]) == pytest.approx(1)


def test_left_out_scores_are_honest(fitted):
    X, Y, labels, _, ensemble = fitted
    rows = (labels != -1).all(axis=1)
    own = mean_ap(Y[rows], ensemble.scores(X[rows]))
    left_out = mean_ap(Y[rows], ensemble.left_out[rows])
    assert left_out < own
    assert ensemble.left_out.shape == Y.shape
    assert np.isfinite(ensemble.left_out).all()


def test_arrays_give_the_same_scores(fitted):
    X, _, _, _, ensemble = fitted
    once = Ensemble.from_state(ensemble.state())
    twice = Ensemble.from_state(once.state())
    assert (once.scores(X) == twice.scores(X)).all()
    np.testing.assert_allclose(once.scores(X), ensemble.scores(X), atol=0.3)
    assert (once.n_features, once.n_labels) == (24, 4)


def test_rows_are_scored_alike_in_any_company(fitted):
    X, *_, ensemble = fitted
    np.testing.assert_allclose(ensemble.scores(X[:7]), ensemble.scores(X)[:7], atol=1e-3)
    assert ensemble.scores(X[:0]).shape == (0, 4)


def test_hidden_labels_and_other_rows_labels_do_not_move_a_left_out_score(fitted):
    X, _, labels, solution, ensemble = fitted
    again = Ensemble.fit(X, labels, solution)
    assert (again.left_out == ensemble.left_out).all()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ridge.weight", lambda a: a[:, :-1]),
        ("members.pool.p", lambda a: a[:, :-1]),
        ("members.given.p", lambda a: a[:-1]),
        ("members.linear.c", lambda a: a[:-1]),
        ("members.kernel.p1.weight", lambda a: a[:-1]),
        ("members.kernel.w1.landmarks", lambda a: a * np.float16(np.inf)),
        ("members.views.centre", lambda a: a[:-1]),
        ("trees.p1.weight", lambda a: a[:-1]),
        ("trees.x.labels", lambda a: a + 10_000),
        ("config", lambda a: a[:-3]),
        ("members.config", lambda a: a[:-3]),
        ("members.views.config", lambda a: a[:-3]),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_one_line(fitted, name, change):
    arrays = dict(fitted[-1].state())
    arrays[name] = change(arrays[name])
    with pytest.raises(UserError) as error:
        Ensemble.from_state(arrays)
    assert "\n" not in str(error.value)
    arrays.pop(name)
    with pytest.raises(UserError):
        Ensemble.from_state(arrays)


def test_with_too_few_known_entries_it_is_the_tuned_ridge():
    X, Y = clusters(n=40)
    labels = np.full_like(Y, -1)
    labels[:6] = Y[:6]
    labels[0] = 1
    solution = solve_ridge(X, labels)
    ensemble = Ensemble.fit(X, labels, solution)
    np.testing.assert_allclose(ensemble.scores(X), logits(solution.predict(X)), atol=1e-4)
    assert "too few" in ensemble.explanation["notes"][0]


@pytest.mark.parametrize(
    "kind", ["sparse", "blocks", "partial", "single positive", "one label", "constant", "doubled"]
)
def test_every_kind_of_input_gives_finite_scores(kind):
    X, Y = clusters(n=150)
    labels, rows = few(Y, 0.4), X
    if kind == "sparse":
        rows = sp.csr_array(np.maximum(X, 0))
    elif kind == "blocks":
        rows = FeatureBlocks(("a", "b"), (X[:, :10], sp.csr_array(np.maximum(X[:, 10:], 0))))
    elif kind == "partial":
        labels = np.where(np.random.default_rng(0).random(Y.shape) < 0.5, Y, -1)
    elif kind == "single positive":
        labels = np.full_like(Y, -1)
        labels[np.arange(len(Y)), Y.argmax(axis=1)] = np.where(Y.any(axis=1), 1, -1)
    elif kind == "one label":
        labels = labels[:, :1]
    elif kind == "constant":
        rows = np.ones_like(X)
    elif kind == "doubled":
        rows, labels = np.repeat(X, 3, axis=0), np.repeat(labels, 3, axis=0)
    ensemble = Ensemble.fit(rows, labels, solve_ridge(rows, labels))
    loaded = Ensemble.from_state(ensemble.state())
    dense = rows.toarray() if hasattr(rows, "toarray") else rows
    assert np.isfinite(ensemble.left_out).all()
    assert np.isfinite(loaded.scores(rows)).all()
    np.testing.assert_allclose(loaded.scores(dense), loaded.scores(rows), atol=1e-2)


def test_folds_keep_twins_together_and_leave_every_row_out_once():
    labels = np.ones((40, 2), np.int8)
    labels[::2] = 0
    known = KnownEntries.of(labels, np.arange(40) // 2)
    fold = folds_of(known, 0)
    assert (fold[::2] == fold[1::2]).all()
    assert set(fold) == set(range(FOLDS))
    assert (folds_of(known, 0, 1) != fold).any()


def test_fewer_folds_are_evaluated_where_rows_are_many():
    assert [evaluated_folds(m) for m in (10, 8_000, 20_000, 10**6)] == [5, 5, 2, 1]


def test_trees_of_twins_do_not_know_a_row_out_of_their_bag():
    rng = np.random.default_rng(0)
    X, targets = rng.normal(size=(60, 5)).astype(np.float32), (rng.random((60, 2)) < 0.5).astype(np.int8)
    doubled = KnownEntries.of(np.repeat(targets, 3, axis=0), np.repeat(np.arange(60), 3))
    thrice = Trees.fit(np.repeat(X, 3, axis=0), doubled.targets, 50, twins=doubled.twins)
    bag, single = thrice.out_of_bag, Trees.fit(X, targets, 50).out_of_bag
    np.testing.assert_allclose(bag[::3], single, atol=1e-6)
    assert (bag[::3] == bag[1::3]).all()


def test_ridge_alone_needs_no_pool():
    X, Y = clusters(n=60)
    arrays = Scorer.of_ridge(solve_ridge(X, Y)).state()
    assert not any(name.startswith("members.") for name in arrays)
