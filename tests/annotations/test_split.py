import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from iterstrat.ml_stratifiers import IterativeStratification

import labelwise as lw
from labelwise.annotations import simulate, split
from labelwise.annotations import splitting as _split
from labelwise.errors import UserError

matrices = arrays(
    np.int8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24),
    elements=st.sampled_from([1, 0, -1]),
)
fractions = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(
    lambda parts: [p / sum(parts) for p in parts]
)


def long_tailed(n=3000, K=12, seed=0):
    return (np.random.default_rng(seed).random((n, K)) < 0.4 / np.arange(1, K + 1)).astype(np.int8)


@settings(deadline=None)
@given(matrices, fractions, st.integers(0, 99))
def test_parts_are_sorted_disjoint_and_cover_with_exact_sizes(Y, shares, seed):
    n = len(Y)
    if n * min(shares) < 1 - 1e-9:
        Y = np.repeat(Y, int(np.ceil(1 / (n * min(shares)))), axis=0)
        n = len(Y)
    parts = split(Y, shares, seed)
    assert all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part, share in zip(parts, shares, strict=True):
        assert len(part) > 0
        assert abs(len(part) - share * n) < 1 + 1e-9


@given(fractions)
def test_the_number_of_rows_that_the_error_asks_for_is_enough(shares):
    enough = int(np.ceil(1 / min(shares) - 1e-9))
    assert sum(map(len, split(np.ones((enough, 1)), shares))) == enough


@pytest.mark.parametrize("shares", [[0.8, 0.2], [0.6, 0.2, 0.1, 0.1]])
def test_each_part_has_its_share_of_each_label(shares):
    Y = long_tailed()
    total = Y.sum(axis=0)
    for part, share in zip(split(Y, shares), shares, strict=True):
        assert (np.abs(Y[part].sum(axis=0) - share * total) <= 2 + 0.005 * total).all()


def test_unknown_rows_and_rows_without_positives_are_spread():
    Y = simulate.semi_supervised(long_tailed(), 0.1)
    empty = (Y == 0).all(axis=1)
    unknown = (Y == -1).all(axis=1)
    assert empty.sum() > 20
    for part, share in zip(split(Y, [0.7, 0.2, 0.1]), [0.7, 0.2, 0.1], strict=True):
        for kind in (empty, unknown, ~unknown):
            assert abs(kind[part].sum() - share * kind.sum()) <= 2
        assert np.abs((Y[part] == 1).sum(axis=0) - share * (Y == 1).sum(axis=0)).max() <= 3


def test_single_positives_are_stratified_on_what_is_known():
    Y = simulate.single_positive(long_tailed())
    known = (Y == 1).sum(axis=0)
    for part, share in zip(split(Y, [0.8, 0.2]), [0.8, 0.2], strict=True):
        assert np.abs((Y[part] == 1).sum(axis=0) - share * known).max() <= 3


def test_labels_of_one_item_each_do_not_all_go_to_the_largest_part():
    first, second = split(np.eye(200), [0.8, 0.2])
    assert (len(first), len(second)) == (160, 40)


def test_a_seed_gives_the_same_twice_and_another_seed_another():
    Y = long_tailed(400)
    first, again, other = (lw.split(Y, [0.5, 0.5], seed)[0].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_rows_in_order_of_their_labels_are_split_alike():
    Y = np.repeat(np.eye(4), 50, axis=0)
    for part in split(Y, [0.5, 0.5]):
        np.testing.assert_array_equal(Y[part].sum(axis=0), 25)


@settings(deadline=None, max_examples=50)
@given(matrices, fractions, st.integers(0, 2**32 - 1))
def test_the_sparse_form_is_the_library_to_the_bit(Y, shares, seed):
    positives = (Y == 1)[(Y == 1).any(axis=1)]
    if not len(positives):
        return
    r = np.array(shares)
    library = IterativeStratification(labels=positives, r=r, random_state=np.random.RandomState(seed))
    ours = _split._sparse_stratification(positives, r, np.random.RandomState(seed))
    np.testing.assert_array_equal(ours, library)


def test_wide_matrices_take_the_sparse_form_and_give_the_same(monkeypatch):
    Y = long_tailed(500, 30)
    expected = split(Y, [0.7, 0.3])
    monkeypatch.setattr(_split, "_WIDE", 0)
    monkeypatch.setitem(__import__("sys").modules, "iterstrat.ml_stratifiers", None)
    for part, same in zip(split(Y, [0.7, 0.3]), expected, strict=True):
        np.testing.assert_array_equal(part, same)


def test_one_part_is_everything():
    np.testing.assert_array_equal(split([[1], [-1], [0]], [1.0])[0], [0, 1, 2])


@pytest.mark.parametrize(
    "shares", [[0.5, 0.4], [1.2, -0.2], [1.0, 0.0], [], 0.8, None, ["a", "b"], [[0.5, 0.5]], [float("nan")]]
)
def test_fractions_that_are_no_shares_are_refused(shares):
    with pytest.raises(UserError, match="fractions must be shares above 0 that sum to 1"):
        split(np.ones((10, 2)), shares)


def test_too_few_rows_are_refused_with_the_number_needed():
    with pytest.raises(UserError, match=r"Y has 4 rows, too few for fractions=\[0.9, 0.1\]: give 10 or more"):
        split(np.ones((4, 2)), [0.9, 0.1])
    with pytest.raises(UserError, match="seed must be a whole number"):
        split(np.ones((4, 2)), [0.5, 0.5], seed=-1)
