"""Metrics of the highest labels, beside slow loops of their equations."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelwise.annotations import ListedStates
from labelwise.errors import UserError
from labelwise.metrics import propensities, top_labels, top_metrics


def slow(Y, top, propensity, k):
    """Return precision, nDCG and their weighted forms, entry by entry."""
    n, n_labels = len(Y), len(Y[0])
    precision = ndcg = reached = best = reached_dcg = best_dcg = 0.0
    for i in range(n):
        relevant = [label for label in range(n_labels) if Y[i][label] == 1]
        most = sum(1 / math.log2(r + 2) for r in range(min(k, len(relevant)))) or 1.0
        ideal = sorted((1 / propensity[label] for label in relevant), reverse=True)[:k]
        for r in range(k):
            if Y[i][top[i][r]] == 1:
                precision += 1 / k / n
                ndcg += 1 / math.log2(r + 2) / most / n
                reached += 1 / propensity[top[i][r]]
                reached_dcg += 1 / propensity[top[i][r]] / math.log2(r + 2) / most
        for r, gain in enumerate(ideal):
            best += gain
            best_dcg += gain / math.log2(r + 2) / most
    return precision, ndcg, reached / best if best else math.nan, reached_dcg / best_dcg if best else math.nan


states = arrays(
    np.int8, st.tuples(st.integers(1, 5), st.integers(1, 8)), elements=st.sampled_from([-1, 0, 1])
)


@given(states, st.randoms(use_true_random=False))
def test_the_equations_entry_by_entry(Y, random):
    scores = np.array([[random.choice([0.1, 0.5, 0.5, random.random()]) for _ in row] for row in Y])
    top, weights = top_labels(scores, 5), propensities((Y == 1).sum(axis=0), 50)
    found = top_metrics(Y, top, weights)
    assert found == pytest.approx(top_metrics(sp.csr_array(Y), top, weights), nan_ok=True)
    for k in (1, 3, 5):
        if k > Y.shape[1]:
            assert f"precision_at_{k}" not in found
            continue
        names = (f"precision_at_{k}", f"ndcg_at_{k}", f"ps_precision_at_{k}", f"ps_ndcg_at_{k}")
        assert [found[name] for name in names] == pytest.approx(slow(Y, top, weights, k), nan_ok=True)
    assert set(top_metrics(Y, top)) == {name for name in found if not name.startswith("ps_")}


def test_the_papers_propensity():
    counts, n = np.array([0, 1, 10, 1000]), 5000
    c = (math.log(n) - 1) * 2.5**0.55
    np.testing.assert_allclose(
        propensities(counts, n), [1 / (1 + c * math.exp(-0.55 * math.log(count + 1.5))) for count in counts]
    )
    assert (np.diff(propensities(counts, n)) > 0).all()


def test_the_highest_of_equal_scores_are_the_first():
    scores = np.array([[0.5, 0.9, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0], [0.1, 0.2, 0.3, 0.3]])
    assert top_labels(scores, 2).tolist() == [[1, 0], [0, 1], [2, 3]]
    assert top_labels(scores, 9).tolist() == [[1, 0, 2, 3], [0, 1, 2, 3], [2, 3, 1, 0]]


def test_lists_are_taken_as_they_are():
    lists = ListedStates.of(np.array([0, 2, 2]), np.array([0, 3]), np.array([0, -1], np.int8), 4)
    assert top_metrics(lists, [[3], [1]]) == {"precision_at_1": 0.5, "ndcg_at_1": 0.5}


@pytest.mark.parametrize("top", [[[0, 0]], [[0, 9]], [[0], [1]], [[0.5]], np.zeros((1, 0), int)])
def test_places_that_are_none_are_refused(top):
    with pytest.raises(UserError, match="top"):
        top_metrics(np.array([[1, 0, 1]]), top)


def test_weights_of_other_labels_are_refused():
    with pytest.raises(UserError, match="propensity has shape"):
        top_metrics(np.array([[1, 0, 1]]), [[0]], [0.5])
    for counts, n in (([1, -1], 10), ([1], 2), ([[1]], 9)):
        with pytest.raises(UserError, match="propensities take"):
            propensities(counts, n)
