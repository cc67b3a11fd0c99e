"""Paired differences: the formula, Holm's correction, and what share of intervals hold the true difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labelwise.comparison import corrected_difference, holm
from tests.refusals import refused


def by_hand(values, others, share, level):
    d = [a - b for a, b in zip(values, others, strict=True)]
    J = len(d)
    mean = sum(d) / J
    variance = sum((one - mean) ** 2 for one in d) / (J - 1)
    error = math.sqrt((1 / J + share) * variance)
    half = stats.t(J - 1).ppf(1 - (1 - level) / 2) * error
    return mean, mean - half, mean + half, 2 * (1 - stats.t(J - 1).cdf(abs(mean) / error))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_interval_is_that_of_nadeau_and_bengio(level):
    random = np.random.default_rng(0)
    a, b = random.normal(0.7, 0.05, 10), random.normal(0.66, 0.05, 10)
    result = corrected_difference(a, b, 0.25, level)
    assert (result.value, result.low, result.high, result.p) == pytest.approx(by_hand(a, b, 0.25, level))
    back = corrected_difference(b, a, 0.25, level)
    assert (back.value, back.low, back.high) == pytest.approx((-result.value, -result.high, -result.low))


def test_differences_without_spread_are_none_or_certain():
    equal = corrected_difference([0.5, 0.6], [0.5, 0.6], 0.25)
    assert (equal.value, equal.low, equal.high, equal.p, equal.clear) == (0, 0, 0, 1, False)
    assert corrected_difference([0.5, 0.75], [0.25, 0.5], 0.25).p == 0


def test_what_is_no_pair_of_folds_is_refused():
    refused(lambda: corrected_difference([0.5], [0.4], 0.25), "at least two folds")
    refused(lambda: corrected_difference([0.5, np.nan], [0.4, 0.3], 0.25), "finite")
    refused(lambda: corrected_difference([0.5, 0.6], [0.4, 0.3], 0.25, 95), "level=95")
    refused(lambda: corrected_difference([0.5, 0.6], [0.4, 0.3], 0), "held_out_share=0")


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_the_step_down_procedure(values):
    """A hypothesis is refused at a level where it and all smaller ones pass their own bound."""
    adjusted = holm(values)
    ranked = sorted(values)
    for value, p in zip(values, adjusted, strict=True):
        place = ranked.index(value)
        bounds = [(len(values) - i) * ranked[i] for i in range(place + 1)]
        assert p == pytest.approx(min(1.0, max(bounds)))
        assert p >= value


def test_the_intervals_cover_the_true_difference_of_two_learners():
    """Two least-squares learners of 10 and 3 features, by five folds of 60 rows, 300 draws of the data.

    The truth is the mean difference on fresh rows of learners trained on as many rows as a fold leaves. The plain
    paired t-interval, which takes folds for independent, covers it more seldom.
    """
    random = np.random.default_rng(0)
    n, folds, draws, width = 60, 5, 300, 10
    w = random.normal(size=width) / np.sqrt(np.arange(1, width + 1))

    def data(count):
        X = random.normal(size=(count, width))
        return X, np.sign(X @ w + random.normal(size=count))

    def accuracy(X, y, X_test, y_test, used):
        solution = np.linalg.solve(X[:, :used].T @ X[:, :used] + 0.1 * np.eye(used), X[:, :used].T @ y)
        return float((np.sign(X_test[:, :used] @ solution) == y_test).mean())

    X_fresh, y_fresh = data(4000)
    pairs, true = [], []
    for _ in range(draws):
        X, y = data(n)
        parts = np.array_split(random.permutation(n), folds)
        figures = []
        for part in parts:
            train = np.setdiff1d(np.arange(n), part)
            figures.append([accuracy(X[train], y[train], X[part], y[part], used) for used in (width, 3)])
            if len(true) < draws:
                many = [accuracy(X[train], y[train], X_fresh, y_fresh, used) for used in (width, 3)]
                true.append(many[0] - many[1])
        pairs.append(np.array(figures).T)
    truth = float(np.mean(true))
    intervals = [corrected_difference(a, b, 1 / (folds - 1)) for a, b in pairs]
    covered = np.mean([one.low <= truth <= one.high for one in intervals])
    plain = np.mean(
        [
            abs(d.mean() - truth) <= stats.t(folds - 1).ppf(0.975) * d.std(ddof=1) / np.sqrt(folds)
            for d in (a - b for a, b in pairs)
        ]
    )
    assert 0.93 <= covered <= 0.999
    assert covered > plain
