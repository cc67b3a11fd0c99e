"""Trees: what scikit-learn's own give, walks row by row, their size, and damaged files."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesRegressor

from labelwise.ensemble import Trees
from labelwise.ensemble.growing import TreeSample, grow, rows_per_tree
from labelwise.ensemble.splits import MAX_DEPTH, Splits
from labelwise.errors import UserError
from labelwise.models import FeatureBlocks


def items(m=120, d=9, k=4, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(m, d)) * (rng.random((m, d)) < 0.7)).astype(np.float32)
    Y = (X[:, :k] + 0.3 * rng.normal(size=(m, k)) > 0.4).astype(np.float32)
    return X, Y


def slow_scores(trees, X):
    """Walk by walk, through children numbered level by level, and leaf by leaf."""
    feature, threshold = trees.splits.feature, trees.splits.threshold
    inner, leaf = np.cumsum(feature >= 0) - 1, np.cumsum(feature < 0) - 1
    scores = np.zeros((len(X), trees.n_labels))
    for i, x in enumerate(X):
        for root in range(trees.n_trees):
            node = root
            while feature[node] >= 0:
                right = not x[feature[node]] <= threshold[inner[node]]
                node = trees.n_trees + 2 * inner[node] + right
            for j in range(trees.ends[leaf[node]], trees.ends[leaf[node] + 1]):
                scores[i, trees.labels[j]] += float(trees.values[j])
    return scores / trees.n_trees


def table_of(trees):
    """Return the value of every leaf, dense (L, K)."""
    table = np.zeros((trees.splits.n_leaves, trees.n_labels))
    for leaf in range(len(table)):
        entries = slice(trees.ends[leaf], trees.ends[leaf + 1])
        table[leaf, trees.labels[entries]] = trees.values[entries]
    return table


def test_scores_equal_a_walk_row_by_row():
    X, Y = items()
    trees = Trees.fit(X, Y, 7, seed=1)
    new = items(seed=5)[0]
    assert trees.scores(new).dtype == np.float32
    np.testing.assert_allclose(trees.scores(new), slow_scores(trees, new), atol=1e-6)


@pytest.mark.parametrize("k", [1, 4])
def test_scores_equal_those_of_scikit_learn(k):
    X, Y = items(k=k)
    forest = ExtraTreesRegressor(20, min_samples_leaf=2, bootstrap=True, max_features="sqrt", random_state=3)
    forest.fit(X, Y.ravel() if k == 1 else Y)
    splits = Splits.of([one.tree_ for one in forest.estimators_], X.shape[1])
    rows = np.concatenate([one.tree_.value[:, :, 0] for one in forest.estimators_])
    start = np.cumsum([0, *(one.tree_.node_count for one in forest.estimators_)])[:-1]
    # the row of the leaf, as scikit-learn numbers it, must carry the same value as ours
    new = items(seed=5)[0]
    theirs = rows[forest.apply(new) + start]
    values = np.zeros((splits.n_leaves, k))
    values[splits.leaves(new)] = theirs
    np.testing.assert_allclose(
        values[splits.leaves(new)].mean(axis=1), forest.predict(new).reshape(len(new), k)
    )
    np.testing.assert_allclose(values[splits.leaves(new)], theirs)


def test_a_row_at_a_threshold_goes_as_scikit_learn_sends_it():
    X = np.nextafter(np.float32(0.1), np.float32([0, 1]) * 2 - 1)[:, None].repeat(4, axis=0).reshape(-1, 1)
    forest = ExtraTreesRegressor(50, random_state=0).fit(X, X.ravel() > 0.1)
    splits = Splits.of([one.tree_ for one in forest.estimators_], 1)
    start = np.cumsum([0, *(one.tree_.node_count for one in forest.estimators_)])[:-1]
    together = {
        (a, b) for a, b in zip((forest.apply(X) + start).ravel(), splits.leaves(X).ravel(), strict=True)
    }
    assert len(together) == len({a for a, _ in together}) == len({b for _, b in together})


@pytest.mark.parametrize("known", [1.0, 0.6])
def test_leaves_hold_means_of_known_targets_and_the_rest_is_out_of_bag(known):
    X, Y = items(m=50)
    mask = np.random.default_rng(4).random(Y.shape) < known
    mean = np.array([y[rows].mean() for y, rows in zip(Y.T, mask.T, strict=True)])
    bag = grow(TreeSample.of(X, Y, None if known == 1 else mask, None)[0], 3, 2, 50, 1)[1]
    trees = Trees.fit(X, np.where(mask, Y, np.nan), 3, 2, mask=None if known == 1 else mask)
    leaves, table = trees.splits.leaves(X), table_of(trees)
    for tree in range(3):
        for leaf in np.unique(leaves[:, tree]):
            for k in range(4):
                drawn = [
                    Y[i, k]
                    for i in np.flatnonzero(leaves[:, tree] == leaf)
                    if mask[i, k]
                    for _ in range(bag[i, tree])
                ]
                assert table[leaf, k] == pytest.approx(np.mean(drawn) if drawn else mean[k], abs=1e-3)
    for i in range(50):
        honest = [table[leaves[i, tree]] for tree in range(3) if bag[i, tree] == 0]
        np.testing.assert_allclose(
            trees.out_of_bag[i], np.mean(honest, axis=0) if honest else mean, atol=1e-6
        )


def test_out_of_bag_scores_are_honest():
    X, _ = items(m=300)
    noise = (np.random.default_rng(9).random((300, 3)) < 0.5).astype(np.float32)
    trees = Trees.fit(X, noise, 60)
    own, honest = trees.scores(X) - noise, trees.out_of_bag - noise
    assert (own**2).mean() < 0.15
    assert (honest**2).mean() > 0.24


def test_twins_are_out_of_bag_together():
    X, _ = items(m=100)
    Y = (np.random.default_rng(9).random((300, 3)) < 0.5).astype(np.float32)
    X, twins = np.repeat(X, 3, axis=0), np.repeat(np.arange(100), 3)
    trees = Trees.fit(X, Y, 80, twins=twins)
    together = Y.reshape(100, 3, 3).mean(axis=1)
    np.testing.assert_array_equal(trees.out_of_bag, np.repeat(trees.out_of_bag[::3], 3, axis=0))
    # labels are noise: what is near them has seen them
    honest = np.corrcoef(trees.out_of_bag[::3].ravel(), together.ravel())[0, 1]
    assert honest < 0.1
    assert np.corrcoef(Trees.fit(X, Y, 80).out_of_bag[::3].ravel(), together.ravel())[0, 1] > 0.5


@pytest.mark.parametrize("known", [1.0, 0.5])
def test_twins_count_as_often_as_there_are_of_them(known):
    X, Y = items(m=40)
    rng = np.random.default_rng(0)
    twins = rng.integers(0, 25, size=40)
    X = X[twins]
    mask = rng.random(Y.shape) < known
    trees = Trees.fit(X, np.where(mask, Y, np.nan), 3, 2, mask=None if known == 1 else mask, twins=twins)
    sample, row = TreeSample.of(X, Y, None if known == 1 else mask, twins)
    bag = grow(sample, 3, 2, len(sample.sizes), 1)[1][row]
    leaves, table = trees.splits.leaves(X), table_of(trees)
    mean = [y[rows].mean() for y, rows in zip(Y.T, mask.T, strict=True)]
    for leaf in range(len(table)):
        for k in range(4):
            drawn = [
                Y[i, k] for i, tree in np.argwhere(leaves == leaf) if mask[i, k] for _ in range(bag[i, tree])
            ]
            assert table[leaf, k] == pytest.approx(np.mean(drawn) if drawn else mean[k], abs=1e-3)


def test_a_label_that_nobody_knows_scores_0():
    X, Y = items()
    mask = np.ones(Y.shape, bool)
    mask[:, 3] = False
    trees = Trees.fit(X, np.where(mask, Y, np.nan), 5, mask=mask)
    assert not trees.scores(X)[:, 3].any()
    assert np.isfinite(trees.out_of_bag).all()


def test_every_form_of_features_gives_the_same_trees():
    X, Y = items()
    dense = Trees.fit(X, Y, 5)
    blocks = FeatureBlocks(("a", "b"), (X[:, :4], sp.csr_array(X[:, 4:])))
    for form in (sp.csr_array(X), sp.csc_matrix(X), sp.coo_array(X), blocks, X.astype(np.float64)):
        trees = Trees.fit(form, Y, 5)
        np.testing.assert_array_equal(trees.out_of_bag, dense.out_of_bag)
        np.testing.assert_array_equal(trees.scores(form), dense.scores(X))


def test_large_sparse_features_are_read_as_they_are(monkeypatch):
    X, Y = items()
    monkeypatch.setattr("labelwise.ensemble.growing._SMALL", 0)
    blocks = FeatureBlocks(("a", "b"), (X[:, :4], sp.csr_array(X[:, 4:])))
    sparse = Trees.fit(sp.csr_array(X), Y, 5)
    np.testing.assert_array_equal(Trees.fit(blocks, Y, 5).out_of_bag, sparse.out_of_bag)
    np.testing.assert_allclose(sparse.scores(X), slow_scores(sparse, X), atol=1e-6)


def test_many_labels_are_grown_on_projections_and_scored_each():
    X, Y = items()
    wide = np.concatenate([Y] * 10 + [1 - Y], axis=1)
    trees = Trees.fit(X, wide, 23)
    assert trees.n_trees == 23
    scores = trees.scores(X)
    np.testing.assert_allclose(scores[:, :4], scores[:, 4:8], atol=1e-6)
    np.testing.assert_allclose(scores[:, :4], 1 - scores[:, -4:], atol=1e-3)
    assert ((trees.out_of_bag[:, :4] > 0.5) == (Y == 1)).mean() > 0.8


def test_threads_change_nothing_and_seeds_do():
    X, Y = items()
    one, two, other = (Trees.fit(X, Y, 12, seed=s, n_jobs=j) for s, j in ((1, 1), (1, 2), (2, 2)))
    np.testing.assert_array_equal(one.out_of_bag, two.out_of_bag)
    assert np.abs(one.out_of_bag - other.out_of_bag).max() > 0.01


@pytest.mark.parametrize(
    ("X", "Y"),
    [
        (np.ones((10, 3), np.float32), np.eye(10, 2, dtype=np.float32)),
        (np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)),
        (np.arange(2.0)[:, None], np.array([[0.0], [1.0]])),
        (items(m=10)[0], np.zeros((10, 3))),
        (np.repeat(items(m=4)[0], 5, axis=0), np.repeat(items(m=4)[1], 5, axis=0)),
        (items(m=12)[0] * 1e30, items(m=12)[1] * 1e18),
    ],
    ids=["constant features", "one row", "two rows", "no positive", "doubled rows", "huge numbers"],
)
def test_what_can_hardly_be_learned_from_is_learned_from_without_a_warning(X, Y):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trees = Trees.fit(X, Y, 8)
        scores = trees.scores(X)
    assert np.isfinite(scores).all()
    assert np.isfinite(trees.out_of_bag).all()
    np.testing.assert_array_equal(trees.scores(X[:0]).shape, (0, Y.shape[1]))
    if not np.ptp(X, axis=0).any():
        np.testing.assert_allclose(np.ptp(scores, axis=0), 0)


def test_work_and_size_are_bounded():
    for m, d, k in (
        (28596, 500, 22),
        (5717, 1280, 20),
        (7395, 1836, 159),
        (82081, 256, 80),
        (10**6, 50000, 5),
    ):
        assert 256 <= rows_per_tree(m, d, k) <= 10000
    assert rows_per_tree(60, 10, 5) == 60
    X, Y = items(m=3000)
    trees = Trees.fit(X, Y, 20, n_rows=400)
    assert trees.splits.n_leaves <= 20 * 200
    assert trees.nbytes <= 20 * (400 * 8 + 200 * (8 + 4 * 6))
    assert trees.values.dtype == np.float16


def test_wide_numbers_keep_their_precision():
    X, Y = items()
    trees = Trees.fit(X, Y * 1e6, 5)
    assert trees.values.dtype == np.float32
    np.testing.assert_allclose(trees.scores(X), slow_scores(trees, X), rtol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99, 1.0])
def test_thinned_trees_are_the_first_ones(share):
    X, Y = items()
    trees = Trees.fit(X, Y, 10)
    thin = trees.thinned(int(share * trees.nbytes))
    assert thin.nbytes <= share * trees.nbytes or thin.n_trees == 1
    assert (thin.n_trees == 10) == (share == 1.0)
    first = trees.splits.leaves(X)[:, : thin.n_trees]
    np.testing.assert_allclose(thin.scores(X), table_of(trees)[first].mean(axis=1), atol=1e-6)
    if thin.n_trees < 10:
        longer = trees.thinned(trees.nbytes - 1)
        assert longer.nbytes < trees.nbytes
        assert longer.n_trees == 9


def test_stored_trees_come_back():
    X, Y = items()
    trees = Trees.fit(X, Y, 6)
    again = Trees.from_state({name: a.copy() for name, a in trees.state().items()}, trees.n_features, 4)
    np.testing.assert_array_equal(again.scores(X), trees.scores(X))
    assert again.nbytes == trees.nbytes == sum(a.nbytes for a in trees.state().values())
    with pytest.raises(UserError, match="lack threshold"):
        Trees.from_state({n: a for n, a in trees.state().items() if n != "threshold"}, 9, 4)


def test_a_chain_that_is_too_deep_is_refused():
    depth = MAX_DEPTH + 1
    feature = np.array([0] + [-1, 0] * (depth - 1) + [-1, -1], np.int32)
    fine = Splits(
        1, np.array([0] + [-1, 0] * (depth - 2) + [-1, -1], np.int32), np.zeros(depth - 1, np.float32)
    )
    assert fine.leaves(np.ones((2, 1))).max() == depth - 1
    with pytest.raises(UserError, match="more levels"):
        Splits(1, feature, np.zeros(depth, np.float32))


def test_nodes_that_no_root_leads_to_are_refused():
    # one tree by its numbers, whose root is a leaf: the inner node that follows is its own child
    with pytest.raises(UserError, match="no root leads to"):
        Splits(1, np.array([-1, 0, -1], np.int32), np.zeros(1, np.float32))


TREES = Trees.fit(*items(m=40), 3, seed=1)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_tampered_trees_are_refused_or_give_finite_scores(data):
    state = {name: array.copy() for name, array in TREES.state().items()}
    name = data.draw(st.sampled_from(sorted(state)))
    array = state[name]
    kind = data.draw(st.sampled_from(["entry", "cut", "longer", "bytes", "type", "shape"]))
    place = data.draw(st.integers(0, len(array) - 1))
    if kind == "entry" and array.dtype.kind == "i":
        array[place] = data.draw(st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 12))
    elif kind == "entry":
        array[place] = data.draw(st.floats(width=16))
    elif kind == "cut":
        state[name] = array[:place]
    elif kind == "longer":
        state[name] = np.insert(array, place, array[-1 - place])
    elif kind == "bytes":
        array.view(np.uint8)[data.draw(st.integers(0, array.nbytes - 1))] = data.draw(st.integers(0, 255))
    elif kind == "type":
        state[name] = array.astype(
            data.draw(st.sampled_from([np.float64, np.int8, np.uint64, bool, complex]))
        )
    else:
        state[name] = data.draw(st.sampled_from([array[None], array[0], array[:0]]))
    n_features, n_labels = data.draw(
        st.sampled_from([(9, 4), (9, 4), (9, 4), (8, 4), (9, 3), (1, 1), (99, 99)])
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            trees = Trees.from_state(state, n_features, n_labels)
        except UserError:
            return
        X = np.concatenate([items(m=5, d=n_features, k=1)[0], np.full((2, n_features), np.float32(3e38))])
        scores = trees.scores(X)
        trees.thinned(trees.nbytes // 2).scores(X)
    assert scores.shape == (7, n_labels)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2)), "not rows of the same items"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "at least one item"),
        (np.array([[np.nan], [1]]), np.zeros((2, 1)), "NaN"),
        (np.zeros((2, 1)), np.array([[np.inf], [1]]), "targets hold NaN"),
    ],
)
def test_what_cannot_be_read_is_told(X, Y, message):
    with pytest.raises(UserError, match=message):
        Trees.fit(X, Y, 2)


def test_rows_of_another_width_are_told():
    with pytest.raises(UserError, match="grown on 9 features"):
        TREES.scores(np.zeros((2, 8), np.float32))
