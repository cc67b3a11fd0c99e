"""Ridge of two criteria, for few labelled rows."""

import numpy as np
import pytest
import scipy.sparse as sp

import labelwise as lw
from labelwise.metrics import average_precision
from labelwise.models import needs_steadying, side_by_side, solve_ridge, solve_steady_ridge


def drawn(seed, m=40, n=80, D=30, K=4, share=0.2):
    """Return rows in which labels are linear, of which the first m are labelled."""
    draw = np.random.default_rng(seed)
    W, X = draw.standard_normal((D, K)), draw.standard_normal((n + 400, D)).astype(np.float32)
    raw = X @ W + np.sqrt(D) * draw.standard_normal((n + 400, K))
    truth = (raw > np.quantile(raw, 1 - share, axis=0)).astype(np.int8)
    Y = np.full((n, K), -1, np.int8)
    Y[:m] = truth[:m]
    return X[:n], Y, X[n:], truth[n:]


@pytest.mark.parametrize("form", ["dense", "sparse", "blocks", "masked", "groups"])
def test_it_is_the_mean_that_the_formula_says(form):
    X, Y, X_new, _ = drawn(0)
    groups = np.arange(len(X)) // 2 if form == "groups" else None
    if form == "masked":
        Y[:40][np.random.default_rng(1).random((40, 4)) < 0.4] = -1
    if form == "sparse":
        X, X_new = sp.csr_array(X), sp.csr_array(X_new)
    if form == "blocks":
        X, X_new = (side_by_side({"a": part[:, :20], "b": sp.csr_array(part[:, 20:])}) for part in (X, X_new))
    by_rank = solve_ridge(X, Y, groups=groups)
    by_error = solve_ridge(X, Y, scalings=[by_rank.scaling], criterion="squared_error", groups=groups)
    found = solve_steady_ridge(X, Y, tuned=by_rank, groups=groups)
    p, e = by_rank.predict(X_new), by_error.predict(X_new)
    for k in range(Y.shape[1]):
        known = Y[:, k] != -1
        a, b = by_rank.loo_scores[known, k].astype(float), by_error.loo_scores[known, k].astype(float)
        expected = b.mean() + ((p[:, k] - a.mean()) * b.std() / a.std() + e[:, k] - b.mean()) / 2
        np.testing.assert_allclose(found.predict(X_new)[:, k], expected, atol=2e-5)
        left_out = b.mean() + ((a - a.mean()) * b.std() / a.std() + b - b.mean()) / 2
        np.testing.assert_allclose(found.loo_scores[known, k], left_out, atol=2e-5)
        positives = int((Y[known, k] == 1).sum())
        assert (found.loo_scores[known, k] > found.thresholds[k]).sum() == positives
    assert found.scaling is by_rank.scaling
    assert set(found.lambdas_averaged) == {by_rank.lambda_, by_error.lambda_}


def test_labels_of_one_class_and_of_none_stay_finite():
    X, Y, X_new, _ = drawn(1)
    Y[:40, 0], Y[:, 1] = 0, -1
    found = solve_steady_ridge(X, Y)
    assert np.isfinite(found.predict(X_new)).all()
    assert np.isfinite(found.loo_scores).all()
    assert (found.predict(X_new)[:, 1] == 0).all()


def test_it_is_for_few_rows_with_a_known_negative():
    for m, few in ((19, False), (20, True), (100, True), (101, False)):
        Y = np.full((200, 3), -1)
        Y[:m, 0] = 0
        assert needs_steadying(Y) is few
    Y[:50], Y[:30, 1] = -1, 1
    assert not needs_steadying(np.where(Y == 0, -1, Y))


def test_ranks_alone_prefer_small_lambdas_where_positives_are_few():
    """Their choice falls far below what the same rows allow; the mean of both does not."""
    ranks, both = [], []
    for seed in range(12):
        X, Y, X_new, truth = drawn(seed, m=60, n=60, D=60, K=10, share=0.05)
        tuned = solve_ridge(X, Y)
        steady = solve_steady_ridge(X, Y, tuned=tuned)
        told = truth.any(axis=0)
        for one, to in ((tuned, ranks), (steady, both)):
            to.append(np.mean(average_precision(truth[:, told], one.predict(X_new)[:, told])))
    assert np.mean(both) > np.mean(ranks) + 0.005


def test_auto_holds_it_in_reserve_where_rows_are_few():
    X, Y, X_new, _ = drawn(3, K=1)
    model = lw.MultiLabelClassifier("auto", calibrate=False, random_state=0).fit(X, Y)
    assert model.explanation_.gates[0].share == 0
    steady = solve_steady_ridge(X, Y)
    np.testing.assert_allclose(model.predict_proba(X_new), steady.predict_proba(X_new), atol=1e-5)
