"""Neighbours and smoothing beside loops over rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import Graph, neighbours


def unit_rows(n, r, key=0):
    rows = np.random.default_rng(key).normal(size=(n, r))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def slow_nearest(queries, pool, k, own=None):
    """Each row's k largest cosines, falling, and whose they are."""
    found = []
    for i, row in enumerate(queries.astype(np.float64)):
        cosines = [
            (float(row @ other), j)
            for j, other in enumerate(pool.astype(np.float64))
            if own is None or own[i] != j
        ]
        found.append(sorted(cosines, reverse=True)[:k])
    return found


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 30),
    new=st.integers(0, 5),
    k=st.integers(1, 12),
    spare=st.integers(0, 6),
    key=st.integers(0, 99),
)
def test_neighbours_equal_a_loop(n, new, k, spare, key):
    pool, queries = unit_rows(n, 6, key), unit_rows(new, 6, key + 1000)
    for rows, own in ((queries, None), (pool, range(n))):
        found = neighbours(rows, pool, k, exclude_self=own is not None, spare=spare)
        want = slow_nearest(rows, pool, k + spare, own)
        assert found.k == min(k, n - (own is not None))
        assert [[j for _, j in row] for row in want] == found.index.tolist()
        for row, cosines in zip(want, found.cosine, strict=True):
            np.testing.assert_allclose(cosines, [cosine for cosine, _ in row], atol=1e-6)


def test_a_wide_pool_is_searched_by_maxima_of_groups():
    pool = unit_rows(4000, 5)
    found = neighbours(pool[:40], pool, 7, spare=3)
    cosines = pool[:40] @ pool.T
    np.testing.assert_array_equal(found.index, np.argsort(-cosines, axis=1)[:, :10])


def test_rows_with_many_equal_cosines_get_as_many_neighbours_as_others():
    pool = unit_rows(1500, 5)
    pool[:1400] = 0
    found = neighbours(pool, pool, 4, exclude_self=True)
    assert (np.sort(found.index, axis=1)[:, 1:] > np.sort(found.index, axis=1)[:, :-1]).all()
    assert (found.index != np.arange(1500)[:, None]).all()
    top = pool[1450] @ pool.T
    top[1450] = -np.inf
    np.testing.assert_allclose(found.cosine[1450], np.sort(top)[::-1][:4], atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 40),
    share=st.floats(0, 0.9),
    k=st.integers(1, 6),
    spare=st.integers(0, 3),
    key=st.integers(0, 99),
)
def test_taking_rows_out_of_the_pool_equals_a_new_search(n, share, k, spare, key):
    pool = unit_rows(n, 5, key)
    gone = np.random.default_rng(key).random(n) < share
    found = neighbours(pool, pool, k, exclude_self=True, spare=spare).without(gone, pool, pool)
    rest = pool[~gone]
    for rows, keep, own in ((rest, ~gone, True), (pool[gone], gone, False)):
        want = neighbours(rows, rest, k, exclude_self=own)
        left = found.take(keep)
        # a row of the pool is no neighbour of itself, and a pool of n rows has n - 1 for each
        width = min(want.index.shape[1], left.index.shape[1])
        np.testing.assert_array_equal(left.index[:, :width], want.index[:, :width])
        assert (left.index[:, width:] == -1).all()
        assert (want.index[:, width:] == -1).all()


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 20), k=st.integers(1, 5), key=st.integers(0, 99))
def test_smoothing_equals_a_loop(n, k, key):
    pool, values = unit_rows(n, 4, key), np.random.default_rng(key).normal(size=(n, 3)).astype(np.float32)
    graph = Graph.of(neighbours(pool, pool, k, exclude_self=True, spare=2), n)
    want = values.astype(np.float64)
    for _ in range(3):
        last, want = want, values.astype(np.float64)
        for i, row in enumerate(slow_nearest(pool, pool, k, range(n))):
            weights = np.exp([10 * cosine for cosine, _ in row])
            if row:
                mean = sum(w * last[j] for w, (_, j) in zip(weights / weights.sum(), row, strict=True))
                want[i] = 0.3 * values[i] + 0.7 * mean
    np.testing.assert_allclose(graph.diffuse(values, 3, 0.3), want, atol=1e-5)


def test_a_row_whose_neighbours_all_left_stays_as_it_is():
    pool = unit_rows(3, 4)
    found = neighbours(pool, pool, 2, exclude_self=True).without(np.array([False, True, True]), pool, pool)
    graph = Graph.of(found.take(np.array([0])), 1)
    np.testing.assert_allclose(graph.smooth(pool[:1], pool[:1]), pool[:1])


@pytest.mark.parametrize("n", [1, 2, 10])
def test_small_pools_have_the_neighbours_there_are(n):
    pool = unit_rows(n, 4)
    assert neighbours(pool, pool, 20, exclude_self=True, spare=16).index.shape == (n, n - 1)
    assert neighbours(pool[:1], pool, 20).index.shape == (1, n)
