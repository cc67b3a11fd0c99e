"""Exact bounds and evidence, beside slow sums over every possibility."""

from fractions import Fraction
from itertools import permutations
from math import comb, exp, inf, log, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.completion.exact import Bounds, hypergeometric_bounds, log_evidence, ratio_of, sum_of
from labelwise.completion.order import RandomOrder


def tails(T, N, n, x):
    """P(X >= x) and P(X <= x) of the hypergeometric distribution, exactly."""
    p = [Fraction(comb(T, k) * comb(N - T, n - k), comb(N, n)) for k in range(n + 1)]
    return sum(p[x:]), sum(p[: x + 1])


def test_a_tail_that_is_just_as_large_as_allowed_is_kept():
    """Of 25 with 19 positives, two that are none: 15 of 300 pairs, which is .05."""
    assert tails(19, 25, 2, 0)[1] == Fraction(1, 20)
    assert hypergeometric_bounds(0, 2, 25, 0.9) == (0, 19)
    assert hypergeometric_bounds(2, 2, 25, 0.9) == (6, 25)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_bounds_are_those_of_the_tails(data):
    N = data.draw(st.integers(1, 25))
    n = data.draw(st.integers(0, N))
    x = data.draw(st.integers(0, n))
    kept = [T for T in range(x, N - (n - x) + 1) if min(tails(T, N, n, x)) >= Fraction(1, 20)] or list(
        range(N + 1)
    )
    assert hypergeometric_bounds(x, n, N, 0.9) == (kept[0], kept[-1])


@pytest.mark.parametrize(("N", "T", "n"), [(40, 7, 12), (200, 3, 50), (60, 58, 20)])
def test_bounds_cover_at_least_what_they_say(N, T, n):
    covered = sum(
        comb(T, x) * comb(N - T, n - x) / comb(N, n)
        for x in range(max(0, n - (N - T)), min(n, T) + 1)
        if hypergeometric_bounds(x, n, N)[0] <= T <= hypergeometric_bounds(x, n, N)[1]
    )
    assert covered >= 0.95


def falling(a, k):
    return prod(a - j for j in range(k)) if k <= a else 0


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_evidence_is_the_mean_of_likelihood_ratios(data):
    N = data.draw(st.integers(2, 30))
    most = data.draw(st.integers(0, N - 1))
    y = data.draw(st.lists(st.integers(0, 1), min_size=1, max_size=N))
    for n, value in enumerate(log_evidence(y, N, most), start=1):
        S = sum(y[:n])
        F = n - S
        above = [falling(T, S) * falling(N - T, F) for T in range(most + 1, N + 1)]
        below = falling(most, S) * falling(N - most, F)
        mean = sum(above) / len(above)
        expected = -inf if mean == 0 else inf if below == 0 else log(mean / below)
        assert value == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("T", [0, 2, 3])
def test_evidence_exceeds_its_bound_with_the_probability_of_ville(T):
    """Over every order of a population in which the null is true."""
    N, most, alpha = 7, 3, 0.25
    orders = set(permutations([1] * T + [0] * (N - T)))
    ever = np.mean([log_evidence(order, N, most).max() >= -log(alpha) for order in orders])
    assert ever <= alpha
    # Its mean is 1 at most after any number of answers, and just 1 where T is the most of the null.
    for n in range(1, N + 1):
        mean = np.mean([exp(log_evidence(order[:n], N, most)[-1]) for order in orders])
        assert mean <= 1 + 1e-9
        if most == T and n <= 3:
            assert mean == pytest.approx(1)


def test_sums_and_ratios_of_bounds():
    a, b = Bounds(10, 7, 15), Bounds(20, 16, 30)
    total = sum_of([a, b])
    assert total == pytest.approx((30, 30 - 5, 30 + np.hypot(5, 10)))
    assert sum_of([a]) == pytest.approx(a)
    ratio = ratio_of(a, Bounds(20, 20, 20))
    assert ratio == pytest.approx((0.5, 7 / 20, 15 / 20))
    one = ratio_of(Bounds(10, 10, 10), b)
    assert one == pytest.approx((0.5, 10 / 30, 10 / 16))
    both = ratio_of(a, b)
    assert both.lower < 7 / 20
    assert both.upper > 15 / 20
    zero = ratio_of(Bounds(0, 0, 3), b)
    assert zero.lower == 0
    assert 3 / 30 < zero.upper < 3 / 16 + 1e-9


def test_permanent_random_numbers_are_those_of_the_entry():
    order = RandomOrder(["a", "b", "c"], ["x", "y"], 3)
    block = order.of(slice(0, 3), slice(0, 2))
    other = RandomOrder(["c", "q", "a"], ["y"], 3)
    np.testing.assert_array_equal(other.of(np.array([0, 2]), np.array([0, 0])), block[[2, 0], 1])
    assert not (RandomOrder(["a", "b", "c"], ["x", "y"], 4).of(slice(0, 3), slice(0, 2)) == block).any()


def test_permanent_random_numbers_are_even():
    from scipy.stats import kstest

    block = RandomOrder(500, 40, 0).of(slice(0, 500), slice(0, 40))
    assert kstest(block.ravel(), "uniform").pvalue > 0.001
    assert abs(np.corrcoef(block[:, 0], block[:, 1])[0, 1]) < 0.15
    assert abs(np.corrcoef(block[0], block[1])[0, 1]) < 0.45
