"""Ridge members beside refits without each row, in double precision."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import GRID, KnownEntries, RidgeMember, leave_one_out_r2


def slow_ridge(X, y, lambda_):
    """Weight and intercept of ridge regression for one label, by its normal equations."""
    X, y = X.astype(np.float64), y.astype(np.float64)
    Z = X - X.mean(axis=0)
    weight = np.linalg.solve(Z.T @ Z + lambda_ * np.eye(X.shape[1]), Z.T @ (y - y.mean()))
    return weight, y.mean() - X.mean(axis=0) @ weight


def slow_leave_one_out(X, y, lambda_):
    """Scores by refits without each row, plus what leaving it out moved the mean."""
    scores = []
    for i in range(len(X)):
        rest = np.arange(len(X)) != i
        weight, bias = slow_ridge(X[rest], y[rest], lambda_)
        scores.append(X[i].astype(np.float64) @ weight + bias + (y[i] - y.mean()) / (len(X) - 1))
    return np.array(scores)


@st.composite
def problems(draw):
    m, r = draw(st.integers(2, 16)), draw(st.integers(1, 20))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    X = rng.normal(size=(m, r)).astype(np.float32) + 1
    labels = (rng.random((m, 4)) < 0.4).astype(np.int8)
    labels[:, 3] = 0
    if draw(st.booleans()):
        X[m // 2 :] = X[: m - m // 2]
        labels[m // 2 :] = labels[: m - m // 2]
    return X, labels


@settings(max_examples=60, deadline=None)
@given(problem=problems(), place=st.integers(0, len(GRID) - 1))
def test_leave_one_out_equals_refitting_without_the_row(problem, place):
    X, labels = problem
    known = KnownEntries.of(labels, assume_absent=True)
    X = X[known.rows]
    if len(X) < 2:
        return
    member = RidgeMember.fit(X, known, lambda_index=place)
    for k in range(4):
        want = slow_leave_one_out(X, known.targets[:, k], member.lambda_)
        np.testing.assert_allclose(member.loo[:, k], want, atol=1e-4)
        weight, bias = slow_ridge(X, known.targets[:, k], member.lambda_)
        np.testing.assert_allclose(member.scores(X)[:, k], X @ weight + bias, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_the_chosen_lambda_has_the_best_r2_and_a_refit_at_it_is_the_same(problem):
    X, labels = problem
    known = KnownEntries.of(labels, assume_absent=True)
    chosen = RidgeMember.fit(X, known)
    tried = [RidgeMember.fit(X, known, lambda_index=place) for place in range(len(GRID))]
    assert chosen.r2 == pytest.approx(max(member.r2 for member in tried), abs=1e-4)
    np.testing.assert_allclose(tried[chosen.lambda_index].loo, chosen.loo, atol=2e-4)
    np.testing.assert_allclose(tried[chosen.lambda_index].weight, chosen.weight, atol=2e-4)


@pytest.mark.parametrize(("m", "r"), [(300, 160), (160, 300)])
def test_large_members_are_as_exact_in_single_precision(m, r, monkeypatch):
    monkeypatch.setattr("labelwise.ensemble.hats._SMALL", 0)
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(m, r)) * np.linspace(3, 0.01, r)).astype(np.float32)
    labels = (X[:, :2] + rng.normal(size=(m, 2)) > 0).astype(np.int8)
    known = KnownEntries.of(labels)
    for place in (0, None):
        member = RidgeMember.fit(X, known, lambda_index=place)
        for i in (0, 7):
            rest = np.arange(m) != i
            weight, bias = slow_ridge(X[rest], known.targets[rest, 0], member.lambda_)
            shift = (known.targets[i, 0] - known.targets[:, 0].mean()) / (m - 1)
            assert member.loo[i, 0] == pytest.approx(X[i] @ weight + bias + shift, abs=1e-4)


def test_r2_is_that_of_a_loop_over_labels():
    labels = np.array([[1, 0, -1], [0, 0, 1], [1, 1, 0], [0, 1, -1]], np.int8)
    known, loo = KnownEntries.of(labels), np.random.default_rng(0).random((4, 3)).astype(np.float32)
    for k, value in enumerate(leave_one_out_r2(loo, known)):
        kept = labels[:, k] != -1
        y = labels[kept, k].astype(np.float64)
        assert value == pytest.approx(
            1 - ((y - loo[kept, k]) ** 2).sum() / ((y - y.mean()) ** 2).sum(), rel=1e-6
        )


@pytest.mark.parametrize("m", [1, 2, 10])
def test_few_rows_and_constant_features_give_finite_scores(m):
    labels = np.zeros((m, 1), np.int8)
    labels[0] = 1
    member = RidgeMember.fit(np.ones((m, 5), np.float32), KnownEntries.of(labels))
    assert np.isfinite(member.loo).all()
    np.testing.assert_allclose(member.scores(np.ones((3, 5), np.float32)), 1 / m, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(3, 14), r=st.integers(1, 10), key=st.integers(0, 99), place=st.integers(0, len(GRID) - 1)
)
def test_twins_are_left_out_together(m, r, key, place):
    rng = np.random.default_rng(key)
    twins = rng.integers(0, max(m // 2, 2), m)
    X = rng.normal(size=(m, r)).astype(np.float32)[twins]
    labels = (rng.random((m, 2)) < 0.5).astype(np.int8)
    member = RidgeMember.fit(X, KnownEntries.of(labels, twins, assume_absent=True), lambda_index=place)
    for k in range(2):
        for i in range(m):
            rest = twins != twins[i]
            if rest.any():
                weight, bias = slow_ridge(X[rest], labels[rest, k], member.lambda_)
                shift = (labels[~rest, k] - labels[:, k].mean()).sum() / rest.sum()
                assert member.loo[i, k] == pytest.approx(X[i] @ weight + bias + shift, abs=1e-4)
    assert np.isfinite(member.loo).all()


def test_twins_of_masked_labels_are_left_out_together():
    rng = np.random.default_rng(0)
    twins = np.repeat(np.arange(20), 3)
    X, labels = (
        rng.normal(size=(20, 5)).astype(np.float32)[twins],
        rng.integers(-1, 2, (60, 2)).astype(np.int8),
    )
    known = KnownEntries.of(labels, twins)
    X, twins, labels = X[known.rows], twins[known.rows], labels[known.rows]
    found = {}
    for work in (0, 1e12):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("labelwise.ensemble.members._OWN_WORK", work)
            found[work] = RidgeMember.fit(X, known, lambda_index=4)
    estimated = []
    for i in np.flatnonzero(labels[:, 0] != -1):
        rest, own = (twins != twins[i]) & (labels[:, 0] != -1), (twins == twins[i]) & (labels[:, 0] != -1)
        weight, bias = slow_ridge(X[rest], labels[rest, 0], found[0].lambda_)
        shift = (labels[own, 0] - labels[rest | own, 0].mean()).sum() / rest.sum()
        want = X[i] @ weight + bias + shift
        assert found[1e12].loo[i, 0] == pytest.approx(want, abs=1e-4)
        estimated.append((found[0].loo[i, 0] - want, labels[i, 0] - want))
    moved, residual = np.square(estimated).mean(axis=0)
    assert moved < 0.03 * residual
