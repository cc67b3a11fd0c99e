"""Thresholds of highest F-beta against trying every one of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.targets import metric_adaptive_thresholds
from tests.refusals import refused


def f_beta(scores, labels, threshold, beta):
    predicted = (scores >= threshold) & (labels >= 0)
    hits = (predicted & (labels == 1)).sum()
    positives = (labels == 1).sum()
    if not hits:
        return 0.0
    precision, recall = hits / predicted.sum(), hits / positives
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.integers(1, 30))
def test_no_threshold_is_better_and_of_equal_ones_the_lowest_is_taken(seed, beta, n):
    random = np.random.default_rng(seed)
    scores = random.integers(0, 8, (n, 3)) / 8
    labels = random.integers(-1, 2, (n, 3)).astype(np.int8)
    at = metric_adaptive_thresholds(scores, labels, beta)
    for k in range(3):
        if not (labels[:, k] == 1).any():
            assert at[k] == np.inf
            continue
        tried = {t: f_beta(scores[:, k], labels[:, k], t, beta) for t in np.arange(0, 1.01, 1 / 16)}
        best = max(tried.values())
        assert f_beta(scores[:, k], labels[:, k], at[k], beta) == pytest.approx(best, rel=1e-12)
        known = labels[:, k] >= 0
        first = min(t for t, f in tried.items() if f > best - 1e-12)
        np.testing.assert_array_equal((scores[:, k] >= at[k])[known], (scores[:, k] >= first)[known])


def test_beta_is_squared():
    """The first entry alone has F 1.25 / (.25 * 4 + 1); a denominator of beta P + R would take the first six."""
    scores = np.arange(20.0)[::-1, None].copy()
    labels = np.array([[1, 0, 0, 0, 1, 1, *[0] * 13, 1]], np.int8).T
    assert metric_adaptive_thresholds(torch.from_numpy(scores), labels, beta=0.5).tolist() == [18.5]
    assert metric_adaptive_thresholds(scores, labels, beta=0.5**0.5).tolist() == [13.5]


def test_wrong_input_is_refused():
    refused(lambda: metric_adaptive_thresholds(np.zeros((2, 3)), np.zeros((2, 2))), "shape", "(2, 2)")
    refused(lambda: metric_adaptive_thresholds(np.zeros((2, 3)), np.zeros((2, 3)), -1), "beta")
    labels = np.array([[1, 0], [0, 1], [-1, 1]])
    for wrong in (np.nan, np.inf):
        scores = np.zeros((3, 2))
        scores[1, 1] = wrong
        refused(lambda scores=scores: metric_adaptive_thresholds(scores, labels), "row 1, label 1", "finite")
        scores[1, 1], scores[2, 0] = 0, wrong
        assert np.isfinite(metric_adaptive_thresholds(scores, labels)).all(), (
            "an unknown entry counts for nothing"
        )
    refused(lambda: metric_adaptive_thresholds(np.zeros((3, 2)), 2 * labels), "labels is 2 in row 0, label 0")
