"""Ridge on several blocks of features, against the plain solve of their scaled rows side by side."""

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.errors import UserError
from labelwise.models import BlockScaling, FeatureBlocks, InputScaling, solve_ridge
from labelwise.models.ridge import choice as choice_module
from labelwise.models.ridge.rows import BlockRows, Rows, rows_of
from tests.models.test_scaling import slow


def blocks(n=60, wide=9, seed=0):
    """A dense and a sparse block, and three labels that need both."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(n, 4)).astype(np.float32)
    words = sp.random_array((n, wide), density=0.4, rng=rng, format="csr", dtype=np.float32)
    raw = dense[:, :3] + 2 * words.toarray()[:, :3] + 0.3 * rng.normal(size=(n, 3))
    return FeatureBlocks(("dense", "words"), (dense, words)), (raw > np.median(raw, axis=0)).astype(np.int8)


def side_by_side(X, kinds, weights):
    """The scaled blocks by their formula, dense float64."""
    parts = []
    for part, kind, weight in zip(X.parts, kinds, weights, strict=True):
        x = part.toarray() if sp.issparse(part) else part
        z = slow(x, kind)
        if kind in ("none", "standardise"):
            z = z / np.sqrt(np.square(z).sum(axis=1).mean())
        parts.append(weight / np.linalg.norm(weights) * z)
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize(("n", "wide"), [(60, 9), (25, 40)])
def test_the_joint_model_is_that_of_the_scaled_blocks_side_by_side(n, wide):
    X, Y = blocks(n, wide)
    kinds, weights = ("standardise", "l2"), (1.0, 0.5)
    scaling = BlockScaling.fit(X, kinds, weights)
    solution = solve_ridge(X, Y, scalings=[scaling], lambdas=[0.3])
    plain = solve_ridge(side_by_side(X, kinds, weights), Y, scalings=["none"], lambdas=[0.3])
    np.testing.assert_allclose(solution.weight, plain.weight, atol=2e-5)
    np.testing.assert_allclose(solution.bias, plain.bias, atol=2e-5)
    np.testing.assert_allclose(solution.loo_scores, plain.loo_scores, atol=2e-5)
    np.testing.assert_allclose(solution.predict(X), solution.predict(X.toarray()), atol=1e-6)


@pytest.mark.parametrize(
    "kinds", [("standardise_l2", "standardise_l2"), ("l2", "centre_l2"), ("none", "none")]
)
@pytest.mark.parametrize(("n", "wide"), [(60, 9), (25, 40)])
def test_rows_of_blocks_are_those_of_the_dense_matrix(monkeypatch, kinds, n, wide):
    monkeypatch.setattr("labelwise.models.ridge.rows._SMALL", 0)
    X, _ = blocks(n, wide)
    rng = np.random.default_rng(1)
    # two sparse blocks: the products between them are implicit on both sides
    X = FeatureBlocks(
        ("a", "b", "c"), (*X.parts, sp.csr_array(rng.random((n, 5)) * (rng.random((n, 5)) < 0.5)))
    )
    kinds = (*kinds, "standardise")
    scaling = BlockScaling.fit(X, kinds, (1.0, 2.0, 0.5))
    rows = rows_of(X, scaling)
    assert isinstance(rows, BlockRows)
    assert [part.sparse for part in rows.parts] == [False, True, True]
    dense = Rows(side_by_side(X, kinds, (1.0, 2.0, 0.5)))
    s, V, R = rng.random(n), rng.normal(size=(dense.d, 2)), rng.normal(size=(n, 2))
    centre = dense.sum(s) / s.sum()
    some = np.array([3, 1, 8])
    for found, expected in (
        (rows.dot(V), dense.dot(V)),
        (rows.dot(V, slice(2, 7)), dense.dot(V, slice(2, 7))),
        (rows.sum(R), dense.sum(R)),
        (rows.dense(slice(2, 7)), dense.A[2:7]),
        (rows.take(some).dot(V), dense.take(some).dot(V)),
        (rows.mean_square(), dense.mean_square()),
        (rows.covariance(centre, s), dense.covariance(centre, s)),
        (rows.gram(centre, s), dense.gram(centre, s)),
    ):
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_each_block_takes_the_scaling_that_it_takes_alone():
    X, Y = blocks(200)
    # words in one direction: only what is centred shows their differences
    X = FeatureBlocks(X.names, (X.parts[0], sp.csr_array(X.parts[1].toarray() + 30)))
    solution = solve_ridge(X, Y)
    assert isinstance(solution.scaling, BlockScaling)
    for part, found in zip(X.parts, solution.scaling.parts, strict=True):
        assert found.kind == solve_ridge(part, Y).scaling.kind
    tried = {row["scaling"] for row in solution.table}
    assert {"dense standardise_l2", "words l2"} <= tried
    assert solution.scaling.kind in tried


def test_two_blocks_beat_each_alone_where_labels_need_both():
    X, Y = blocks(200)
    solution = solve_ridge(X, Y)
    best = max(row["value"] for row in solution.table if row["scaling"] == solution.scaling.kind)
    alone = max(row["value"] for row in solution.table if " " in row["scaling"])
    assert best > alone + 0.02


def test_a_block_of_noise_costs_no_more_than_noise():
    X, Y = blocks(80)
    rng = np.random.default_rng(3)
    noisy = FeatureBlocks(("dense", "noise"), (X.parts[0], rng.normal(size=(80, 300))))
    solution = solve_ridge(noisy, Y)
    alone = solve_ridge(X.parts[0], Y)
    value = max(row["value"] for row in solution.table if row["scaling"] == solution.scaling.kind)
    assert value > max(row["value"] for row in alone.table) - 0.02


def test_a_block_is_left_out_where_the_best_alone_is_clearly_better(monkeypatch):
    X, Y = blocks(80)
    rng = np.random.default_rng(3)
    noisy = FeatureBlocks(("noise", "dense"), (rng.normal(size=(80, 300)), X.parts[0]))
    monkeypatch.setattr(choice_module, "RATIOS", (64.0,))
    solution = solve_ridge(noisy, Y)
    assert solution.scaling.weights == (0.0, 1.0)
    alone = solve_ridge(X.parts[0], Y, scalings=[solution.scaling.parts[1]])
    np.testing.assert_allclose(solution.loo_scores, alone.loo_scores, atol=1e-6)
    np.testing.assert_allclose(solution.predict(noisy), alone.predict(X.parts[0]), atol=1e-5)


def test_an_earlier_choice_is_made_again_on_other_rows():
    X, Y = blocks(120)
    solution = solve_ridge(X, Y)
    again = solve_ridge(X[:90], Y[:90], scalings=[solution.scaling.kind])
    assert again.scaling.weights == pytest.approx(solution.scaling.weights)
    assert [part.kind for part in again.scaling.parts] == [part.kind for part in solution.scaling.parts]
    np.testing.assert_allclose(
        again.scaling.transform(X[:90]),
        BlockScaling.fit(X[:90], solution.scaling.kind).transform(X[:90]),
        atol=1e-7,
    )


def test_masks_that_differ_by_label_fit_blocks_too():
    X, Y = blocks(40)
    Y[np.random.default_rng(0).random(Y.shape) < 0.3] = -1
    scaling = BlockScaling.fit(X, "l2")
    solution = solve_ridge(X, Y, scalings=[scaling], lambdas=[0.3])
    plain = solve_ridge(scaling.transform(X), Y, scalings=["none"], lambdas=[0.3])
    np.testing.assert_allclose(solution.weight, plain.weight, atol=2e-5)
    np.testing.assert_allclose(solution.loo_scores, plain.loo_scores, atol=2e-5)


def test_scalings_of_one_matrix_and_of_blocks_are_not_mixed():
    X, Y = blocks(30)
    with pytest.raises(UserError, match="give one sort"):
        solve_ridge(X, Y, scalings=[InputScaling.fit(X.parts[0], "l2")])
    with pytest.raises(UserError, match="give one sort"):
        solve_ridge(X, Y, scalings=["l2", BlockScaling.fit(X, "l2")])
