"""Hostile features and labels: every part stays finite, and no library's warning comes through."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

from labelwise.ensemble import KnownEntries, MemberSpec, Pool, RidgeMember, Trees
from labelwise.models import FeatureBlocks

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 12)).astype(np.float32)
FEW = ((np.abs(X) > 1.5) * X).astype(np.float32)
FEATURES = {
    "one row": X[:1],
    "two rows": X[:2],
    "one column": X[:, :1],
    "constant": np.ones((20, 6), np.float32),
    "doubled rows": np.repeat(X[:10], 4, axis=0),
    "all rows the same": np.repeat(X[:1], 20, axis=0),
    "huge": X * np.float32(1e30),
    "tiny": X * np.float32(1e-18),
    "far from 0": X + np.float32(1e6),
    "rows of zeros": np.concatenate([X, np.zeros((20, 12), np.float32)]),
    "an outlier": np.concatenate([X, np.full((1, 12), 1e12, np.float32)]),
    "sparse": sp.csr_array(FEW),
    "sparse and empty": sp.csr_array((20, 8), dtype=np.float32),
    "sparse and wide": sp.random_array((20, 2600), density=0.002, format="csr", rng=1, dtype=np.float32),
    "blocks, one empty": FeatureBlocks(("a", "b"), (X, sp.csr_array((40, 5), dtype=np.float32))),
}
MEMBERS = ("c", "d", "l", "p1", "c8", "w1.rbf3", "p1.ntk")


def labels(kind, n):
    """Return labels (n, 3) of some kind, at least one of them known."""
    Y = (np.random.default_rng(1).random((n, 3)) < 0.4).astype(np.int8)
    if kind == "no positive":
        return np.zeros_like(Y)
    if kind == "one known row":
        Y[1:] = -1
    if kind == "one known entry":
        Y[1:], Y[0] = -1, (-1, 1, -1)
    if kind == "half of the entries":
        Y[np.random.default_rng(2).random(Y.shape) < 0.5] = -1
        Y[0, 0] = 1
    return Y


@pytest.mark.parametrize(
    "kind", ["all", "no positive", "one known row", "one known entry", "half of the entries"]
)
@pytest.mark.parametrize("name", FEATURES)
def test_parts_stay_finite_without_a_warning(name, kind):
    features = FEATURES[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pool = Pool.fit(features)
        known = KnownEntries.of(labels(kind, len(pool)), pool.twins())
        new, none = pool.new(features[:2]), pool.new(features[:0])
        for spec in map(MemberSpec.parse, MEMBERS):
            found = pool.feature_map(spec, known.rows)
            member = RidgeMember.fit(found.of(pool, known.rows), known)
            refit = RidgeMember.fit(found.of(pool, known.rows), known, lambda_index=member.lambda_index)
            assert np.isfinite(member.scores(found.of(new))).all()
            assert member.scores(found.of(none)).shape == (0, 3)
            # targets are 0 and 1: far beyond them, a row's leverage was mistaken
            assert np.abs(member.loo).max() < 5
            np.testing.assert_allclose(refit.loo, member.loo, atol=5e-3)
        trees = Trees.fit(features[known.rows], known.targets, 4, mask=known.mask, twins=known.twins)
        assert np.isfinite(trees.out_of_bag).all()
        assert np.isfinite(trees.scores(features)).all()
        for fold in (np.arange(len(pool)) % 3 == 0, np.zeros(len(pool), bool)):
            rest, out = pool.without(fold)
            assert len(rest) + len(out) == len(pool)
