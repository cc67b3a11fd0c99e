"""Representations of a pool and of rows beside it."""

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.ensemble import KnownEntries, MemberSpec, Pool, RidgeMember
from labelwise.ensemble.graph import Graph, neighbours
from labelwise.errors import UserError

NAMES = (
    "c",
    "d",
    "l",
    "p",
    "c1",
    "d1",
    "w1",
    "p1",
    "c8",
    "c.rbf3",
    "c1.rbf1",
    "w1.rbf3",
    "c8.rbf1",
    "p1.ntk",
)


def features(n=70, d=12, key=0):
    rng = np.random.default_rng(key)
    return (rng.normal(size=(n, d)) @ np.random.default_rng(9).normal(size=(d, d))).astype(np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_a_member_is_known_by_its_name(name):
    assert str(MemberSpec.parse(name)) == name


@pytest.mark.parametrize("name", ["", "x", "c2", "c.", "cc", "1c"])
def test_a_name_of_no_member_is_refused(name):
    with pytest.raises(UserError, match="does not exist"):
        MemberSpec.parse(name)


def test_smoothed_representations_equal_their_definitions():
    pool = Pool.fit(features())
    graphs = {name: Graph.of(pool.near[name], 70).weights.toarray() for name in ("p", "w")}
    c, d, w = (pool.views[name] for name in ("c", "d", "w"))
    far = c
    for _ in range(6):
        far = 0.2 * c + 0.8 * graphs["p"] @ far
    want = {
        "c1": (c + graphs["p"] @ c) / 2,
        "d1": (d + graphs["p"] @ d) / 2,
        "w1": (w + graphs["w"] @ w) / 2,
        "c8": far,
    }
    for name, rows in want.items():
        np.testing.assert_allclose(pool.representation(name), rows, atol=1e-5)


def test_new_rows_are_smoothed_by_their_neighbours_in_the_pool():
    pool = Pool.fit(features())
    new = pool.new(features(8, key=1))
    for view in ("c", "w"):
        graph = "w" if view == "w" else "p"
        weights = Graph.of(neighbours(new.views[graph], pool.views[graph], 20), 70).weights.toarray()
        want = (new.views[view] + weights @ pool.views[view]) / 2
        np.testing.assert_allclose(new.representation(view + "1"), want, atol=1e-5)
        want = 0.2 * new.views[view] + 0.8 * weights @ pool.representation(view + "8")
        np.testing.assert_allclose(new.representation(view + "8"), want, atol=1e-5)


def test_the_pool_without_a_fold_is_a_pool_of_the_rest():
    X = features()
    fold = np.random.default_rng(0).random(70) < 0.25
    pool = Pool.fit(X)
    rest, out = pool.without(fold)
    assert (len(rest), len(out)) == ((~fold).sum(), fold.sum())
    alone = Pool(pool.fitted, *_views_and_neighbours(pool, ~fold))
    new = alone.new(X[fold])
    for name in NAMES:
        spec = MemberSpec.parse(name)
        rows = np.arange(0, len(rest), 3)
        left, want = rest.feature_map(spec, rows), alone.feature_map(spec, rows)
        np.testing.assert_allclose(left.of(rest, rows), want.of(alone, rows), atol=1e-4)
        np.testing.assert_allclose(left.of(out), want.of(new), atol=2e-3)


def _views_and_neighbours(pool, rows):
    views = {name: view[rows] for name, view in pool.views.items()}
    return views, {name: neighbours(views[name], views[name], 20, exclude_self=True) for name in ("p", "w")}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("X", [features(10), np.ones((10, 3), np.float32), features(3)])
def test_members_of_small_and_constant_pools_have_finite_scores(name, make, X):
    pool = Pool.fit(make(X))
    labels = np.arange(len(X))[:, None] % np.array([2, 1, 3]) == 0
    known = KnownEntries.of(labels.astype(np.int8))
    features_of = pool.feature_map(MemberSpec.parse(name), known.rows)
    member = RidgeMember.fit(features_of.of(pool, known.rows), known)
    assert np.isfinite(member.loo).all()
    assert np.isfinite(member.scores(features_of.of(pool.new(make(X[:2]))))).all()


def test_landmarks_take_the_place_of_rows_where_these_are_many(monkeypatch):
    monkeypatch.setattr("labelwise.ensemble.pool._ALL_ROWS", 30)
    monkeypatch.setattr("labelwise.ensemble.pool._LANDMARKS", 25)
    pool, spec = Pool.fit(features()), MemberSpec.parse("c.rbf1")
    assert pool.feature_map(spec, np.arange(30)).kernel.landmarks.shape[0] == 30
    assert pool.feature_map(spec, np.arange(31)).kernel.landmarks.shape[0] == 25


def test_equal_rows_of_a_pool_are_twins():
    X = features(6)
    X[3], X[5] = X[0], X[0]
    twins = Pool.fit(X).twins()
    assert (twins[:, None] == twins).tolist() == (X[:, None] == X).all(axis=2).tolist()
