"""Views beside their formulas in double precision."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.ensemble import VIEWS, Views
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks


def features(n=60, d=9, key=0):
    rng = np.random.default_rng(key)
    X = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)
    return (X * (rng.random((n, d)) < 0.6)).astype(np.float32)


def unit(A):
    norm = np.linalg.norm(A, axis=1, keepdims=True)
    return A / np.where(norm > 1e-9, norm, 1)


def slow_scaled(X, new):
    """c, d and l of new rows, fitted to X, by their definitions."""
    X, new = X.astype(np.float64), new.astype(np.float64)
    deviation = X.std(axis=0)
    c = unit((new - X.mean(axis=0)) / np.where(deviation > 0, deviation, 1))
    return {"c": c, "d": unit(unit(new) - unit(X).mean(axis=0)), "l": unit(new)}


def slow_components(c, new, r, power):
    values, vectors = np.linalg.eigh(np.cov(c.T, bias=True))
    values, vectors = values[::-1][:r], vectors[:, ::-1][:, :r]
    kept = values > 1e-6 * values[0]
    values = np.maximum(values, 1e-4 * values[0])
    return unit((new - c.mean(axis=0)) @ (vectors * values**power)[:, kept])


def same_up_to_signs(A, B, atol=5e-3):
    np.testing.assert_allclose(A @ A.T, B @ B.T, atol=atol)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array, sp.csc_matrix])
def test_views_equal_their_definitions(make):
    X, new = features(), features(7, key=1)
    fitted = Views.fit(make(X))
    views, want, pool = fitted.of(make(new)), slow_scaled(X, new), slow_scaled(X, X)["c"]
    assert set(views) == set(VIEWS)
    for name in ("c", "d", "l"):
        assert views[name].dtype == np.float32
        np.testing.assert_allclose(views[name], want[name], atol=5e-4)
    same_up_to_signs(views["p"], slow_components(pool, want["c"], 128, 0))
    same_up_to_signs(views["w"], slow_components(pool, want["c"], 256, -0.25))


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("exact", [True, False])
def test_wide_features_are_turned_to_their_leading_directions(make, exact, monkeypatch):
    monkeypatch.setattr("labelwise.ensemble.views.MOST_COLUMNS", 5)
    monkeypatch.setattr("labelwise.ensemble.compression._EXACT", 2048 if exact else 8)
    X, new = features(d=20), features(7, d=20, key=1)
    fitted = Views.fit(make(X))
    want, pool = slow_scaled(X, new), slow_scaled(X, X)
    for name, view in fitted.of(make(new)).items():
        assert view.shape[1] <= 5
        if name in want:
            centre = pool[name].mean(axis=0) if name != "l" else 0
            _, _, directions = np.linalg.svd(pool[name] - centre, full_matrices=False)
            same_up_to_signs(view, want[name] @ directions[:5].T)


def test_views_of_a_part_are_parts_of_the_views():
    X = features()
    fitted = Views.fit(X)
    for name, view in fitted.of(X).items():
        np.testing.assert_allclose(fitted.of(X[:5])[name], view[:5], atol=1e-5)
        np.testing.assert_array_equal(fitted.of(X[:5], [name])[name], fitted.of(X[:5])[name])


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
@pytest.mark.parametrize(
    "X",
    [
        np.ones((8, 4)),
        np.zeros((8, 4)),
        features(1),
        features(3),
        np.vstack([np.zeros((2, 9)), features(10)]),
    ],
)
def test_poor_features_give_finite_views_without_a_warning(make, X):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        views = Views.fit(make(X.astype(np.float32))).of(make(X.astype(np.float32)))
    for view in views.values():
        assert np.isfinite(view).all()
        assert (np.linalg.norm(view, axis=1) < 1.001).all()


def test_a_wrong_number_of_columns_is_refused():
    with pytest.raises(UserError, match="has 8 features, but the views were fitted to 9"):
        Views.fit(features()).of(features(3, d=8))


def test_blocks_are_scaled_each_by_itself_and_stand_side_by_side():
    left, right = features(), features(d=4, key=1)
    X = FeatureBlocks(("left", "right"), (left, sp.csr_array(right)))
    equal, weighted = Views.fit(X).of(X), Views.fit(X, weights=[0.6, 0.8]).of(X)
    apart = [slow_scaled(part, part) for part in (left, right)]
    for name in ("c", "d", "l"):
        want = np.hstack([part[name] for part in apart]) / np.sqrt(2)
        np.testing.assert_allclose(equal[name], want, atol=5e-4)
        want = np.hstack([0.6 * apart[0][name], 0.8 * apart[1][name]])
        np.testing.assert_allclose(weighted[name], want, atol=5e-4)


def test_wide_blocks_are_turned_as_their_dense_form_is(monkeypatch):
    monkeypatch.setattr("labelwise.ensemble.views.MOST_COLUMNS", 5)
    left, right = features(), features(d=14, key=1)
    kinds = [(left, right), (left, sp.csr_array(right)), (sp.csr_array(left), sp.csr_array(right))]
    dense, *others = [Views.fit(X).of(X) for X in (FeatureBlocks(("a", "b"), parts) for parts in kinds)]
    for other in others:
        for name, view in other.items():
            same_up_to_signs(view, dense[name])
