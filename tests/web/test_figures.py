"""The figures of the panel, by their definitions."""

from __future__ import annotations

import math

import pytest

from labelwise.web.figures import interval, precision_of


def tail(n, k, p):
    """P(X >= k) of a binomial, term by term."""
    return sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))


@pytest.mark.parametrize(("yes", "n"), [(0, 5), (3, 7), (24, 31), (9, 9), (1, 1)])
def test_the_interval_is_where_either_tail_has_a_fortieth(yes, n):
    low, high = interval(yes, n)
    assert low == 0 if yes == 0 else tail(n, yes, low) == pytest.approx(0.025, abs=1e-9)
    assert high == 1 if yes == n else 1 - tail(n, yes + 1, high) == pytest.approx(0.025, abs=1e-9)


def test_ten_more_answers_are_taken_at_the_same_share():
    found = precision_of(15, 5)
    low, high = interval(15 + 8, 30)
    assert (found["value"], found["next_low"], found["next_high"]) == (0.75, round(low, 4), round(high, 4))
    assert precision_of(0, 0) is None
