"""Neighbours and smoothing beside loops over rows."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import Graph, graph, neighbours


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


class ExactIndex:
    """The part of faiss that is used, searching all rows."""

    METRIC_INNER_PRODUCT = 0
    cp = SimpleNamespace()

    def IndexFlatIP(self, r):
        return r

    def IndexIVFFlat(self, quantizer, r, lists, metric):
        return self

    def train(self, rows):
        pass

    def add(self, rows):
        self.rows = rows

    def search(self, queries, k):
        products = queries @ self.rows.T
        order = np.argsort(-products, axis=1)[:, :k]
        missing = np.full((len(queries), k - order.shape[1]), -1)
        return np.take_along_axis(products, order, axis=1), np.hstack([order, missing])


def approximate(monkeypatch, library):
    monkeypatch.setattr(graph, "EXACT_POOL", 50)
    monkeypatch.setattr(graph, "_MANY", 1)
    monkeypatch.setattr(graph, "faiss_library", lambda: library)


def test_a_large_pool_is_searched_by_the_library_and_its_recall_measured(monkeypatch):
    pool = unit_rows(200, 6)
    exact = neighbours(pool, pool, 5, exclude_self=True, spare=2)
    approximate(monkeypatch, ExactIndex())
    found = neighbours(pool, pool, 5, exclude_self=True, spare=2)
    np.testing.assert_array_equal(found.index, exact.index)
    np.testing.assert_allclose(found.cosine, exact.cosine, atol=1e-6)
    assert (exact.recall, found.recall) == (None, 1.0)
    assert found.take(np.arange(3)).recall == 1.0


def test_recall_is_the_share_of_true_neighbours(monkeypatch):
    class Blind(ExactIndex):
        def search(self, queries, k):
            products, order = super().search(queries, k)
            order[:, k // 2 :] = -1
            return products, order

    approximate(monkeypatch, Blind())
    pool = unit_rows(200, 6)
    found = neighbours(pool[:20], pool, 8)
    assert found.recall == 0.5
    assert (found.index[:, 4:] == -1).all()
    assert (found.cosine[:, 4:] == -np.inf).all()


def test_without_the_library_a_large_pool_is_searched_exactly(monkeypatch):
    pool = unit_rows(200, 6)
    approximate(monkeypatch, None)
    assert neighbours(pool, pool, 5).recall is None


def test_faiss_finds_most_neighbours(monkeypatch):
    faiss = pytest.importorskip("faiss")
    approximate(monkeypatch, faiss)
    pool = unit_rows(5000, 8)
    found = neighbours(pool, pool, 20, exclude_self=True, spare=4)
    assert 0.8 < found.recall <= 1
    assert (found.index != np.arange(5000)[:, None]).all()
