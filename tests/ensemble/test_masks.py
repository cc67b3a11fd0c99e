"""Labels with masks of their own, beside the ridge of each label on its own rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import GRID, KnownEntries, RidgeMember, members
from labelwise.ensemble.hats import Factor, Spectrum, centred
from labelwise.ensemble.masks import OwnLeverage, fill_in
from tests.ensemble.test_members import slow_leave_one_out, slow_ridge


def problem(m, r, n_labels, share, key=0):
    rng = np.random.default_rng(key)
    X = (rng.normal(size=(m, r)) * np.linspace(2, 0.2, r) + 1).astype(np.float32)
    labels = (X[:, :1] + rng.normal(size=(m, n_labels)) > 1.5).astype(np.int8)
    labels[rng.random(labels.shape) > share] = -1
    labels[0] = 0
    return X, labels


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(2, 20),
    r=st.integers(1, 12),
    share=st.floats(0, 1),
    key=st.integers(0, 99),
    place=st.integers(0, len(GRID) - 1),
    filled=st.booleans(),
)
def test_each_label_gets_its_own_ridge(m, r, share, key, place, filled):
    X, labels = problem(m, r, 3, share, key)
    known = KnownEntries.of(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members, "_OWN_WORK", 0 if filled else 1e12)
        member = RidgeMember.fit(X[known.rows], known, lambda_index=place)
    for k in range(3):
        rows = labels[:, k] != -1
        weight, bias = slow_ridge(X[rows], labels[rows, k], member.lambda_)
        np.testing.assert_allclose(member.scores(X)[:, k], X @ weight + bias, atol=2e-4)
        own = rows[known.rows]
        np.testing.assert_allclose(member.loo[~own, k], (X @ weight + bias)[known.rows][~own], atol=2e-4)
        if not filled and rows.sum() > 1:
            want = slow_leave_one_out(X[rows], labels[rows, k], member.lambda_)
            np.testing.assert_allclose(member.loo[own, k], want, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(m=st.integers(2, 25), r=st.integers(1, 30), share=st.floats(0.05, 1), key=st.integers(0, 99))
def test_filled_entries_equal_the_fixed_point_of_their_equation(m, r, share, key):
    X, labels = problem(m, r, 2, share, key)
    mask = labels != -1
    Z, _ = centred(X)
    lambda_ = float((Z**2).sum()) / m
    R = (labels == 1) - 0.3
    full = Z @ np.linalg.solve(Z.T @ Z + lambda_ * np.eye(r), Z.T) + 1 / m
    want = np.where(mask, R, 0)
    for k in range(2):
        # u = (full T) on the unknown entries, with T = R on the known ones and u on these
        hidden = ~mask[:, k]
        inner = np.eye(hidden.sum()) - full[np.ix_(hidden, hidden)]
        if mask[:, k].any():
            want[hidden, k] = np.linalg.solve(inner, full[np.ix_(hidden, ~hidden)] @ R[~hidden, k])
    for hat in (Spectrum.of(Z).at(lambda_), Factor.of(Z, lambda_)):
        np.testing.assert_allclose(fill_in(hat, R, mask), want, atol=1e-3)
        np.testing.assert_allclose(fill_in(hat, R, mask, start=want), want, atol=1e-3)


@pytest.mark.parametrize(("share", "rows"), [(0.5, 400), (0.2, 400), (0.5, 120)])
def test_estimated_leverage_chooses_as_exact_leave_one_out_does(share, rows, monkeypatch):
    X, labels = problem(rows, 60, 6, share)
    known = KnownEntries.of(labels)
    X = X[known.rows]
    exact, chosen = (
        [RidgeMember.fit(X, known, lambda_index=place) for place in range(len(GRID))],
        RidgeMember.fit(X, known),
    )
    monkeypatch.setattr(members, "_OWN_WORK", 0)
    assert RidgeMember.fit(X, known).lambda_index == chosen.lambda_index
    for place, want in enumerate(exact):
        found = RidgeMember.fit(X, known, lambda_index=place)
        moved, residual = (found.loo - want.loo)[known.mask], (known.targets - want.loo)[known.mask]
        error = np.sqrt((moved**2).mean() / (residual**2).mean())
        # a label's rows are fewer than the features or twice as many: where lambda does little, rows differ most
        assert error < (0.03 if place >= chosen.lambda_index else 0.25)
        if place >= chosen.lambda_index:
            assert found.r2 == pytest.approx(want.r2, abs=0.005)


def test_estimated_leverage_sees_rows_that_stand_alone(monkeypatch):
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(300, 8)), np.eye(300, 60) * 3]).astype(np.float32)
    labels = (X[:, :1] + rng.normal(size=(300, 6)) > 1).astype(np.int8)
    labels[rng.random(labels.shape) < 0.5] = -1
    known = KnownEntries.of(labels)
    exact = [RidgeMember.fit(X[known.rows], known, lambda_index=place) for place in range(len(GRID))]
    monkeypatch.setattr(members, "_OWN_WORK", 0)
    for place, want in enumerate(exact):
        found = RidgeMember.fit(X[known.rows], known, lambda_index=place)
        assert found.r2 == pytest.approx(want.r2, abs=0.01)


def test_the_estimate_is_exact_where_all_entries_are_known_and_never_beyond_1():
    X, _ = problem(30, 50, 2, 1)
    Z, _ = centred(X)
    spectrum = Spectrum.of(Z)
    for lambda_ in (0.1, 10.0, 1000.0):
        found = OwnLeverage(spectrum.rows(), np.array([30.0, 3.0, 1.0, 0.0])).at(lambda_)
        assert ((found > 0) & (found <= 1)).all()
        alone = OwnLeverage(spectrum.rows(), np.array([30.0])).at(lambda_)
        exact = spectrum.at(lambda_).leverage() + 1 / 30
        np.testing.assert_allclose(alone[:, 0], exact, atol=1e-6)
        np.testing.assert_allclose(found[:, 0], exact, atol=1e-6)


def test_a_label_without_a_known_entry_scores_0_and_counts_nowhere():
    X, labels = problem(40, 5, 3, 0.5)
    labels[:, 1] = -1
    known = KnownEntries.of(labels)
    for work in (0, 1e12):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(members, "_OWN_WORK", work)
            member = RidgeMember.fit(X[known.rows], known)
        np.testing.assert_allclose(member.scores(X)[:, 1], 0, atol=1e-5)
        assert member.label_r2[1] == 0
        assert np.isfinite(member.loo).all()
