"""Angles: densities and variances are those of a loop over the entries, before and after balancing."""

import math

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise.analysis import angle_distributions
from labelwise.summaries import AngleStatistics


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    Y = rng.choice([-1, 0, 1], size=(60, 3), p=[0.3, 0.5, 0.2]).astype(np.int8)
    return np.clip(rng.normal(0.1, 0.2, size=Y.shape), -1, 1), Y


def slow_angles(cosines, Y, k, sign):
    return [math.degrees(math.acos(cosines[i, k])) for i in range(len(Y)) if Y[i, k] == sign]


def test_vdfd_is_the_difference_of_variances(data):
    cosines, Y = data
    found = angle_distributions(cosines, Y)
    for k in range(3):
        positive, negative = (np.var(slow_angles(cosines, Y, k, sign), ddof=1) for sign in (1, 0))
        assert found.vdfd[k] == pytest.approx(positive - negative)
    assert not found.assumed
    assert found.balanced_vdfd is None


def test_densities_count_the_known_entries(data):
    cosines, Y = data
    found = angle_distributions(cosines, Y, bins=7)
    for sign, density, n in (
        (1, found.positives, found.n_positives),
        (0, found.negatives, found.n_negatives),
    ):
        angles = [a for k in range(3) for a in slow_angles(cosines, Y, k, sign)]
        counts = np.histogram(angles, found.edges)[0]
        assert n == len(angles) == counts.sum()
        assert density * np.diff(found.edges) * n == pytest.approx(counts)


def test_balancing_is_the_line_of_each_side(data):
    cosines, Y = data
    mean, variance = {0: 1.5, 1: 1.3}, {0: 0.04, 1: 0.01}
    full = (
        {s: torch.full((3,), v) for s, v in mean.items()},
        {s: torch.full((3,), v) for s, v in variance.items()},
    )
    statistics = AngleStatistics(
        mean_negative=full[0][0], mean_positive=full[0][1],
        variance_negative=full[1][0], variance_positive=full[1][1],
    )  # fmt: skip
    found = angle_distributions(cosines, Y, statistics)
    middle = (variance[0] + variance[1]) / 2
    for k in range(3):
        sides = []
        for sign in (1, 0):
            psi = [
                math.degrees(
                    mean[sign] + math.sqrt(middle / variance[sign]) * (math.radians(theta) - mean[sign])
                )
                for theta in slow_angles(cosines, Y, k, sign)
            ]
            sides.append(np.var(psi, ddof=1))
        assert found.balanced_vdfd[k] == pytest.approx(sides[0] - sides[1], rel=1e-5)


def test_equal_variances_are_no_balancing(data):
    assert angle_distributions(*data, AngleStatistics.identity(3)).balanced_positives is None


def test_unknown_counts_as_negative_where_no_negative_is_known(data):
    cosines, Y = data
    Y = np.where(Y == 1, 1, -1)
    found = angle_distributions(cosines, Y)
    assert found.assumed
    assert found.n_negatives == (Y == -1).sum()


def test_labels_without_a_positive_are_left_out(data):
    cosines, Y = data
    Y[:, 1] = np.minimum(Y[:, 1], 0)
    found = angle_distributions(cosines, Y)
    assert found.n_negatives == (Y[:, [0, 2]] == 0).sum()
    assert math.isnan(found.vdfd[1])


def test_without_positives_there_is_nothing_to_see(data):
    cosines, _ = data
    assert angle_distributions(cosines, np.zeros((60, 3), np.int8)) is None


def test_shapes_that_differ_are_refused(data):
    with pytest.raises(lw.UserError, match="one cosine an entry"):
        angle_distributions(data[0][:5], data[1])
