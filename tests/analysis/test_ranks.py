"""Ranks and intervals against slow loops and the worked example of Demsar (JMLR 7, 2006), table 6."""

import numpy as np
import pytest
from scipy.stats import friedmanchisquare

from labelwise.analysis import compare_ranks, gap_share, mean_difference
from labelwise.errors import UserError

DEMSAR = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)
NAMES = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")


def test_the_example_of_demsar():
    found = compare_ranks(NAMES, -DEMSAR)
    means = dict(zip(found.names, found.mean_ranks.round(3), strict=True))
    assert means == {"C4.5": 3.143, "C4.5+m": 2.000, "C4.5+cf": 2.893, "C4.5+m+cf": 1.964}
    assert found.names[0] == "C4.5+m+cf"
    assert round(found.chi_square, 2) == 9.28
    assert round(found.f_statistic, 2) == 3.69
    assert round(found.critical_difference, 2) == 1.25
    assert round(compare_ranks(NAMES, -DEMSAR, level=0.1).critical_difference, 2) == 1.12
    assert 0.01 < found.f_p < 0.05
    assert found.cliques == ((0, 3),)


def slow_ranks(row):
    return [1 + sum(other > x for other in row) + (sum(other == x for other in row) - 1) / 2 for x in row]


def test_ranks_and_statistic_equal_a_slow_loop():
    scores = np.random.default_rng(0).random((9, 5)).round(2)
    found = compare_ranks("abcde", scores)
    ranks = np.array([slow_ranks(row) for row in scores])
    means = sorted(ranks.mean(0))
    assert found.mean_ranks == pytest.approx(means)
    n, m = scores.shape
    chi = 12 * n / (m * (m + 1)) * (sum(r * r for r in means) - m * (m + 1) ** 2 / 4)
    assert found.chi_square == pytest.approx(chi)


def test_without_ties_the_statistic_is_scipys():
    scores = np.random.default_rng(1).random((12, 4))
    expected = friedmanchisquare(*scores.T)
    found = compare_ranks("abcd", scores)
    assert (found.chi_square, found.chi_square_p) == pytest.approx((expected.statistic, expected.pvalue))


def test_cliques_are_the_largest_groups_within_the_critical_difference():
    scores = np.tile([5.0, 4.0, 3.0, 2.0, 1.0], (30, 1))
    found = compare_ranks("abcde", scores)
    assert 1 < found.critical_difference < 2
    assert found.cliques == ((0, 1), (1, 2), (2, 3), (3, 4))
    assert found.f_statistic == np.inf
    assert found.f_p == 0


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(UserError, match="'b' has no score in block 1"):
        compare_ranks("ab", [[1, 2], [3, np.nan]])
    with pytest.raises(UserError, match="at least 2"):
        compare_ranks("a", [[1], [2]])


def test_mean_difference_equals_a_slow_loop():
    from labelwise._random import generator

    scores, reference = np.random.default_rng(2).random((2, 6, 3))
    found = mean_difference(scores, reference, n=500)
    gains = [
        np.mean([a - b for a, b in zip(x, y, strict=True)]) for x, y in zip(scores, reference, strict=True)
    ]
    drawn = generator(0, "blocks").integers(0, 6, (500, 6))
    means = sorted(np.mean([gains[i] for i in draw]) for draw in drawn)
    assert found.value == pytest.approx(np.mean(gains))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])))
    assert found.low < found.value < found.high


def test_mean_difference_of_equal_learners_is_nothing():
    found = mean_difference([0.2, 0.7], [0.2, 0.7], n=50)
    assert (found.value, found.low, found.high) == (0, 0, 0)
    with pytest.raises(UserError, match="block 1"):
        mean_difference([0.2, np.nan], [0.2, 0.7])
    with pytest.raises(UserError, match="two of the same"):
        mean_difference([0.2, 0.3], [0.2])


def test_gap_share():
    shares = gap_share([0.5, 0.3, 0.7, 0.5], [0.4, 0.4, 0.4, 0.499], [0.6, 0.6, 0.6, 0.5])
    np.testing.assert_allclose(shares, [0.5, -0.5, 1.5, np.nan])
