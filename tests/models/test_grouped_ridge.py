"""Ridge with groups: folds of whole groups, beside fits without them."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from labelwise.models import solve_ridge
from labelwise.models.ridge.grouped import folds_of_groups

RANDOM = np.random.default_rng(0)
CENTRES = RANDOM.standard_normal((60, 10))
GROUPS = np.repeat(np.arange(60), 6)
X = (CENTRES[GROUPS] + 0.05 * RANDOM.standard_normal((360, 10))).astype(np.float32)
# Groups share what no feature tells: a label of a video.
Y = (CENTRES @ RANDOM.standard_normal((10, 4)) + 3 * RANDOM.standard_normal((60, 4)) > 0).astype(np.int8)[
    GROUPS
]
PARTIAL = np.where(RANDOM.random(Y.shape) < 0.7, Y, -1).astype(np.int8)


@pytest.mark.parametrize("labels", [Y, PARTIAL], ids=["full", "partial"])
def test_scores_are_those_of_fits_without_the_fold(labels):
    solution = solve_ridge(X, labels, scalings=("standardise",), groups=GROUPS)
    assert not solution.exact
    used = (labels >= 0).any(axis=1)
    fold = np.full(len(labels), -1)
    fold[used] = folds_of_groups(labels[used], GROUPS[used], None)
    assert all(len(set(fold[used & (g == GROUPS)])) == 1 for g in range(60))
    Z = solution.scaling.transform(X).astype(np.float64)
    for k in range(4):
        known = labels[:, k] >= 0
        for number in range(5):
            train, out = known & (fold != number), known & (fold == number)
            fit = Ridge(alpha=solution.lambda_).fit(Z[train], labels[train, k])
            expected = fit.predict(Z[out]) + labels[known, k].mean() - labels[train, k].mean()
            np.testing.assert_allclose(solution.loo_scores[out, k], expected, atol=2e-4)
        whole = Ridge(alpha=solution.lambda_).fit(Z[known], labels[known, k])
        np.testing.assert_allclose(solution.predict(X)[:, k], whole.predict(Z), atol=2e-4)


def test_single_rows_flatter_where_groups_tell_the_truth():
    alone, together = solve_ridge(X, Y), solve_ridge(X, Y, groups=GROUPS)
    assert together.lambda_ >= alone.lambda_

    def error(solution):
        return float(np.square(solution.loo_scores - Y).mean())

    assert error(together) > error(alone) + 0.01


def test_equal_rows_bring_groups_together_and_one_group_is_none():
    fold = folds_of_groups(
        np.eye(6, dtype=np.int8), np.array([0, 1, 2, 3, 4, 5]), np.array([0, 0, 1, 2, 2, 3])
    )
    assert fold[0] == fold[1]
    assert fold[3] == fold[4]
    assert folds_of_groups(Y, np.zeros(360, int), None) is None
    assert folds_of_groups(np.eye(2, dtype=np.int8), np.array([0, 1]), np.array([0, 0])) is None


def test_sparse_rows_many_masks_and_doubles():
    import scipy.sparse as sp

    doubled = np.vstack([X, X[:30]])
    labels, groups = np.vstack([PARTIAL, Y[:30]]), np.concatenate([GROUPS, GROUPS[:30]])
    dense = solve_ridge(doubled, labels, scalings=("standardise",), groups=groups)
    sparse = solve_ridge(sp.csr_array(doubled), labels, scalings=("standardise",), groups=groups)
    np.testing.assert_allclose(dense.loo_scores, sparse.loo_scores, atol=1e-4)
    assert np.isfinite(dense.loo_scores).all()
