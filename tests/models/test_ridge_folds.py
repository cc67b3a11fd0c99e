"""Outputs of folds that were left out, against refits; rows that stay sparse, against dense ones."""

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.models import FeatureBlocks, FoldedRidge, InputScaling, fit_scaling, ridge_outputs, solve_ridge
from labelwise.models.ridge import rows as rows_module
from labelwise.models.ridge.rows import rows_of


def refitted(Z, y, lambda_, out):
    """One label's ridge with a free intercept on the other rows, by its normal equations."""
    A = np.column_stack([Z[~out], np.ones((~out).sum())])
    penalty = lambda_ * np.eye(A.shape[1])
    penalty[-1, -1] = 0
    w = np.linalg.solve(A.T @ A + penalty, A.T @ y[~out])
    return np.column_stack([Z[out], np.ones(out.sum())]) @ w


def data(kind, n, d, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.random((n, d)) * (rng.random((n, d)) < 0.3)).astype(np.float32)
    Y = (rng.random((n, 3)) < 0.3).astype(np.int8)
    if kind == "sparse":
        return sp.csr_array(X), Y
    if kind == "blocks":
        half = d // 2
        return FeatureBlocks(("a", "b"), (X[:, :half], sp.csr_array(X[:, half:]))), Y
    return X, Y


@pytest.mark.parametrize("kind", ["dense", "sparse", "blocks"])
@pytest.mark.parametrize(("n", "d"), [(40, 12), (20, 50)])
@pytest.mark.parametrize("small", [0, 1 << 26])
def test_outputs_of_a_fold_equal_a_refit_without_it(monkeypatch, kind, n, d, small):
    monkeypatch.setattr(rows_module, "_SMALL", small)  # at 0 sparse rows stay sparse
    X, Y = data(kind, n, d)
    scaling = fit_scaling(X, "standardise_l2")
    Z = scaling.transform(X).astype(np.float64)
    out = np.arange(n) % 5 == 2
    found = FoldedRidge.of(X, scaling).outputs(Y, 0.3, out)
    assert (found.shape, found.dtype) == ((out.sum(), 3), np.float32)
    for k in range(3):
        np.testing.assert_allclose(found[:, k], refitted(Z, Y[:, k].astype(float), 0.3, out), atol=2e-5)


@pytest.mark.parametrize(("n", "d"), [(30, 8), (12, 40)])
def test_roots_have_the_products_of_the_centred_rows(n, d):
    X, _ = data("dense", n, d)
    folded = FoldedRidge.of(X, InputScaling.fit(X, "none"))
    roots = folded.roots - folded.roots.mean(axis=0) if d < n else folded.roots
    centred = X - X.mean(axis=0)
    assert folded.order == min(n, d)
    assert roots.shape[1] == min(n, d)
    np.testing.assert_allclose(roots @ roots.T, centred @ centred.T, atol=1e-3)


@pytest.mark.parametrize("kind", ["sparse", "blocks"])
def test_large_sparse_rows_are_not_made_dense(monkeypatch, kind):
    X, Y = data(kind, 30, 20)
    solution = solve_ridge(X, Y)
    dense = solution.predict(X)
    monkeypatch.setattr(rows_module, "_SMALL", 0)
    assert rows_module.stays_sparse(X)
    monkeypatch.setattr(InputScaling, "transform", None if kind == "sparse" else InputScaling.transform)
    np.testing.assert_allclose(solution.predict(X), dense, atol=1e-5)
    assert ridge_outputs(X, solution.scaling, solution.weight, solution.bias).dtype == np.float32


@pytest.mark.parametrize("kind", ["dense", "sparse", "blocks"])
def test_single_precision_changes_a_product_by_its_rounding(monkeypatch, kind):
    monkeypatch.setattr(rows_module, "_SMALL", 0)
    X, _ = data(kind, 30, 20)
    rows = rows_of(X, fit_scaling(X, "standardise_l2"))
    V = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    W = np.random.default_rng(2).normal(size=(30, 4)).astype(np.float32)
    for near, exact in (
        (rows.single().dot(V), rows.dot(V.astype(float))),
        (rows.single().sum(W), rows.sum(W.astype(float))),
    ):
        assert near.dtype == np.float32
        np.testing.assert_allclose(near, exact, atol=1e-4)
