"""Prototypes and angle statistics: against loops in float64, merged in any split and order."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.errors import UserError
from labelwise.summaries import AngleMoments, AngleStatistics, LabelMoments


@st.composite
def batches(draw):
    n, n_labels = draw(st.integers(1, 60)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    targets = random.choice(np.array([1, 0, -1], np.int8), (n, n_labels))
    bounds = np.unique([0, *draw(st.lists(st.integers(0, n), max_size=4)), n])
    parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    return random, targets, [parts[i] for i in draw(st.permutations(range(len(parts))))]


@settings(max_examples=100, deadline=None)
@given(batches())
def test_prototypes_equal_a_loop_and_merge_to_rounding(case):
    random, targets, parts = case
    features = random.standard_normal((len(targets), 7)).astype(np.float32)
    workers = []
    for part in parts:
        workers.append(LabelMoments(targets.shape[1], 7))
        workers[-1].update(features[part], targets[part])
    for other in workers[1:]:
        workers[0].merge(other)
    prototypes = workers[0].finalize()
    for label in range(targets.shape[1]):
        rows = [row for row in range(len(targets)) if targets[row, label] == 1]
        assert workers[0].counts[label] == len(rows)
        for column in range(7):
            exact = math.fsum(float(features[row, column]) for row in rows) / max(len(rows), 1)
            assert abs(prototypes[label, column] - exact) <= 1e-12


def test_prototypes_count_only_ones_and_keep_float32_exact():
    features = torch.tensor([[1e8, 1.0], [1.0, 1.0], [-1e8, 1.0]])
    moments = LabelMoments(3, 2)
    moments.update(features, torch.tensor([[1, -1, 0], [1, 0, -1], [1, 1, 0]], dtype=torch.int8))
    np.testing.assert_array_equal(moments.finalize(), [[1 / 3, 1], [-1e8, 1], [0, 0]])
    with pytest.raises(UserError, match="features has shape"):
        moments.update(features[:, :1], np.zeros((3, 3)))
    with pytest.raises(UserError, match="targets has shape"):
        moments.update(features, np.zeros((3, 2)))


def loop_moments(angles, targets, label, side):
    values = [float(angles[row, label]) for row in range(len(angles)) if targets[row, label] == side]
    mean = math.fsum(values) / max(len(values), 1)
    return len(values), mean, math.fsum((value - mean) ** 2 for value in values)


@settings(max_examples=100, deadline=None)
@given(batches(), st.sampled_from([1.0, 1e-4]))
def test_angle_moments_equal_a_loop_in_any_split_and_order(case, spread):
    random, targets, parts = case
    angles = (1.4 + spread * random.standard_normal(targets.shape)).astype(np.float32)
    workers = []
    for part in parts:
        workers.append(AngleMoments(targets.shape[1]))
        workers[-1].update(angles[part], targets[part])
    for other in workers[1:]:
        workers[0].merge(other)
    for label in range(targets.shape[1]):
        for side in (0, 1):
            count, mean, squares = loop_moments(angles, targets, label, side)
            assert workers[0].counts[side, label] == count
            assert workers[0].means[side, label] == pytest.approx(mean, rel=1e-12)
            assert workers[0].squares[side, label] == pytest.approx(squares, rel=1e-12 / spread, abs=1e-24)


def gathered(n=200, n_labels=3, seed=0):
    random = np.random.default_rng(seed)
    targets = random.choice(np.array([1, 0, -1], np.int8), (n, n_labels))
    angles = random.normal(1.3, 0.2, (n, n_labels))
    moments = AngleMoments(n_labels)
    moments.update(angles, targets)
    return angles, targets, moments


def test_variance_is_unbiased_and_the_first_refresh_is_taken_whole():
    angles, targets, moments = gathered()
    result = moments.finalize()
    for label in range(3):
        for side, name in ((0, "negative"), (1, "positive")):
            count, mean, squares = loop_moments(angles, targets, label, side)
            assert float(getattr(result, f"mean_{name}")[label]) == pytest.approx(mean, rel=1e-12)
            assert float(getattr(result, f"variance_{name}")[label]) == pytest.approx(
                squares / (count - 1), rel=1e-10
            )
            assert int(getattr(result, f"count_{name}")[label]) == count


def test_released_smoothing_starts_from_zero_and_centres_on_the_smoothed_mean():
    angles, targets, moments = gathered()
    result = moments.finalize(momentum=0.01, variance_floor=1e-9, from_zero=True)
    count, mean, _ = loop_moments(angles, targets, 0, 1)
    smoothed = 0.99 * mean
    values = [float(a) for a, t in zip(angles[:, 0], targets[:, 0], strict=True) if t == 1]
    variance = 0.99 * math.fsum((value - smoothed) ** 2 for value in values) / (count - 1)
    assert float(result.mean_positive[0]) == pytest.approx(smoothed, rel=1e-12)
    assert float(result.variance_positive[0]) == pytest.approx(variance, rel=1e-10)


def test_smoothing_mixes_the_previous_statistics_in_where_they_are_known():
    angles, _, moments = gathered()
    first = moments.finalize()
    later_angles, later_targets, later = gathered(seed=1)
    mixed = later.finalize(first, momentum=0.25)
    _, mean, _ = loop_moments(later_angles, later_targets, 2, 0)
    assert float(mixed.mean_negative[2]) == pytest.approx(0.75 * mean + 0.25 * float(first.mean_negative[2]))
    few = AngleMoments(3)
    few.update(angles[:1], np.array([[1, 0, 0]], np.int8))
    whole = later.finalize(few.finalize(), momentum=0.25)
    assert float(whole.mean_negative[2]) == pytest.approx(mean, rel=1e-12)


def test_too_few_entries_give_the_identity_and_no_variance_is_below_the_floor():
    moments = AngleMoments(4)
    targets = np.array([[1, 1, -1, 1], [0, 1, -1, 1], [0, 0, -1, 0], [0, -1, -1, 0]], np.int8)
    angles = np.array([[0.5, 0.5, 9, 1.0], [1.0, 0.9, 9, 1.0], [1.5, 1.4, 9, 1.5], [2.0, 9, 9, 1.5]])
    moments.update(angles, targets)
    result = moments.finalize(variance_floor=1e-3)
    for label in (0, 1, 2):
        assert float(result.variance_negative[label]) == float(result.variance_positive[label])
    assert float(result.variance_positive[0]) == pytest.approx(0.25)
    assert float(result.variance_negative[1]) == pytest.approx(0.08)
    assert float(result.mean_positive[2]) == float(result.mean_negative[2]) == pytest.approx(math.pi / 2)
    assert float(result.variance_positive[3]) == float(result.variance_negative[3]) == 1e-3


def test_statistics_are_made_from_keywords_of_any_kind():
    keywords = {
        "mean_negative": [1.2],
        "mean_positive": np.array([0.8], np.float32),
        "variance_negative": torch.tensor([0.0144]),
        "variance_positive": torch.tensor([0.0324], dtype=torch.float64),
    }
    made = AngleStatistics(**keywords)
    kinds = [getattr(made, name).dtype for name in keywords]
    assert kinds == [torch.float64, torch.float32, torch.float32, torch.float64]
    again = AngleStatistics(**made.to(dtype=torch.float32).tensors())
    assert float(again.mean_negative[0]) == np.float32(1.2)
    ones = AngleStatistics.identity(5)
    torch.testing.assert_close(ones.variance_negative, ones.variance_positive)
    with pytest.raises(UserError, match="variance_negative"):
        AngleStatistics(**{**keywords, "variance_negative": [0.0]})
    with pytest.raises(UserError, match="variance_positive"):
        AngleStatistics(**{**keywords, "variance_positive": [1.0, 2.0]})


def test_nan_angles_are_refused_unless_masked():
    angles = np.array([[1.0, np.nan]])
    AngleMoments(2).update(angles, np.array([[1, -1]]))
    with pytest.raises(UserError, match="row 0, label 1"):
        AngleMoments(2).update(angles, np.array([[1, 0]]))


def test_few_and_many_entries_of_a_label_give_the_same_moments():
    random = np.random.default_rng(3)
    angles = random.normal(1.2, 0.1, (500, 4))
    targets = (random.random((500, 4)) < 0.05).astype(np.int8)
    few, many = AngleMoments(4), AngleMoments(4)
    few.update(angles, targets)
    many.update(angles, 1 - targets)
    np.testing.assert_allclose(few.means, many.means[::-1], rtol=1e-12)
    np.testing.assert_allclose(few.squares, many.squares[::-1], rtol=1e-12)
    for label in range(4):
        count, mean, squares = loop_moments(angles, targets, label, 1)
        assert (few.counts[1, label], few.means[1, label]) == (count, pytest.approx(mean, rel=1e-12))
        assert few.squares[1, label] == pytest.approx(squares, rel=1e-12)
