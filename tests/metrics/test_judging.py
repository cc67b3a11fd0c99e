"""What can be judged, spread measures, and bootstrap intervals."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelwise.errors import UserError
from labelwise.metrics import (
    ObservedAveragePrecisionWarning,
    average_precision,
    bootstrap,
    evaluate,
    judgeable,
    mean_average_precision,
    observed_average_precision,
    ranking_score,
    vca,
    vdfd,
)

FULL = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0]])


def test_full_labels_can_be_judged_label_by_label():
    can = judgeable(FULL)
    assert can.average_precision
    assert can.thresholds
    assert can.calibration
    assert can.prior
    assert not can.observed_average_precision
    np.testing.assert_array_equal(can.labels, [True, True, False])
    assert can.rows.all()
    assert "3 of 3 items (fully labelled items), for 2 of 3 labels" in str(can)


def test_positives_only_leave_observed_average_precision():
    can = judgeable(np.where(FULL == 1, 1, -1))
    assert can.observed_average_precision
    assert not any([can.average_precision, can.thresholds, can.calibration, can.prior])
    assert "No negative is known" in str(can)
    assert "observed at random given the label" in str(can)


def test_a_fully_labelled_part_is_used_as_such():
    can = judgeable(np.vstack([FULL, np.where(FULL == 1, 1, -1)]))
    np.testing.assert_array_equal(can.rows, [True] * 3 + [False] * 3)
    assert can.thresholds
    assert "are not measured on" in str(can)


def test_partial_labels_are_judged_under_their_assumption():
    can = judgeable([[1, 0, -1], [0, -1, 1], [-1, -1, -1]])
    np.testing.assert_array_equal(can.rows, [True, True, False])
    np.testing.assert_array_equal(can.labels, [True, False, False])
    assert "known at random" in str(can)


def test_semi_supervised_labels_are_judged_on_the_labelled_items():
    can = judgeable(np.vstack([FULL, np.full((2, 3), -1)]))
    assert can.rows.sum() == 3
    assert "not measured on" not in str(can)


@pytest.mark.parametrize("Y", [[[-1, -1]], [[0, -1]], [[0, 0]]])
def test_without_a_positive_nothing_can_be_judged(Y):
    can = judgeable(Y)
    assert not any([can.average_precision, can.observed_average_precision])
    assert str(can) == "No positive is known: nothing can be measured."


def test_constant_labels_cannot_be_judged():
    assert "No label has both classes known" in str(judgeable([[1, 0], [1, 0]]))


def test_vdfd_is_the_difference_of_unbiased_variances():
    rng = np.random.default_rng(0)
    Y, values = rng.integers(-1, 2, (60, 4)), rng.normal(5, 1, (60, 4))
    Y[:, 3] = 0
    Y[0, 3] = 1
    found = vdfd(values, Y)
    for k in range(3):
        expected = values[Y[:, k] == 1, k].var(ddof=1) - values[Y[:, k] == 0, k].var(ddof=1)
        assert found[k] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found[3])


def test_vca_is_the_variance_of_the_accuracies():
    assert vca([0.5, 1.0, np.nan]) == pytest.approx(0.0625)
    assert vca([0.8, 0.8]) == 0
    with pytest.raises(UserError, match=r"accuracies holds 2\.0"):
        vca([0.5, 2.0])
    with pytest.raises(UserError, match="no value"):
        vca([np.nan])


def test_bootstrap_of_average_precision_is_the_resampled_one():
    rng = np.random.default_rng(0)
    Y, scores = rng.integers(-1, 2, (40, 5)), rng.random((40, 5)).round(1)
    Y[:, 4] = 0
    Y[0, 4] = 1
    fast = bootstrap(Y, scores, "average_precision", n=60, seed=3)
    slow = bootstrap(Y, scores, average_precision, n=60, seed=3)
    np.testing.assert_allclose(fast.replicates, slow.replicates, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(fast.value, average_precision(Y, scores))
    assert np.isnan(fast.replicates[:, 4]).any()
    mean = bootstrap(Y, scores, n=60, seed=3)
    by_label = fast.mean()
    for name in ("value", "low", "high", "replicates"):
        np.testing.assert_array_equal(getattr(by_label, name), getattr(mean, name))
    np.testing.assert_allclose(mean.replicates, np.nanmean(slow.replicates, axis=1), rtol=0, atol=1e-12)
    assert mean.low < mean.value < mean.high
    assert mean.low == pytest.approx(np.quantile(mean.replicates, 0.025))


def test_bootstrap_leaves_out_what_average_precision_does():
    random = np.random.default_rng(4)
    Y, noise = (random.random((80, 4)) < 0.3).astype(int), random.random((80, 4))
    confirmed = Y.copy()
    confirmed[:, 2:][Y[:, 2:] == 0] = -1
    found, half = bootstrap(confirmed, noise, n=20), bootstrap(Y[:, :2], noise[:, :2], n=20)
    np.testing.assert_array_equal(found.replicates, half.replicates)
    assert np.isnan(bootstrap(confirmed, noise, "average_precision", n=5).replicates[:, 2:]).all()
    assert bootstrap(2 * Y - 1, noise, n=5, minus_one="absent").value == bootstrap(Y, noise, n=5).value
    for truth in (2 * Y - 1, np.where(Y == 1, 1, -1)):
        with pytest.raises(UserError, match="no known negative"):
            bootstrap(truth, noise, n=5)


def test_one_number_for_a_ranking():
    random = np.random.default_rng(5)
    Y, noise = (random.random((80, 4)) < 0.3).astype(int), random.random((80, 4))
    assert ranking_score(Y, noise) == mean_average_precision(Y, noise)
    positives = np.where(Y == 1, 1, -1)
    observed = np.nanmean(observed_average_precision(positives, noise))
    assert ranking_score(positives, noise, warn=False) == observed
    with pytest.warns(ObservedAveragePrecisionWarning, match="no negative is known"):
        assert ranking_score(positives, noise) == observed
    one_class = np.array([[1, 0, -1], [1, -1, 0], [1, 0, 0]])
    one_class[2, 0] = -1
    with pytest.warns(ObservedAveragePrecisionWarning, match="no label has both classes known"):
        ranking_score(one_class, random.random((3, 3)))
    for labels, message in (
        ([[-1, -1]], "no known entry"),
        ([[0, -1]], "no known positive"),
        ([[1], [1]], "every label of Y is relevant"),
    ):
        with pytest.raises(UserError, match=message):
            ranking_score(labels, np.zeros(np.shape(labels)))


@given(
    hnp.arrays(np.int8, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=st.sampled_from([-1, 0, 1]))
)
@settings(max_examples=60, deadline=None)
def test_no_figure_is_perfect_for_want_of_a_class(Y):
    """Constant scores rank nothing: whatever is known, no mean of APs exceeds the largest share of positives."""
    scores = np.zeros(Y.shape)
    judged = [k for k in range(Y.shape[1]) if {0, 1} <= set(Y[:, k])]
    share = max(((Y[:, k] == 1).sum() / (Y[:, k] >= 0).sum() for k in judged), default=np.nan)
    if (Y == 1).any() and not (Y == 0).any():
        with pytest.raises(UserError, match="no known negative"):
            mean_average_precision(Y, scores)
        return
    found = mean_average_precision(Y, scores)
    assert found <= share < 1 if judged else np.isnan(found)


def test_bootstrap_covers_and_repeats():
    rng = np.random.default_rng(1)
    Y = (rng.random((400, 3)) < 0.3).astype(int)
    scores = rng.normal(size=Y.shape) + Y
    first, again = bootstrap(Y, scores, n=100), bootstrap(Y, scores, n=100)
    np.testing.assert_array_equal(first.replicates, again.replicates)
    np.testing.assert_array_equal(first.replicates[:30], bootstrap(Y, scores, n=30).replicates)
    assert (first.replicates != bootstrap(Y, scores, n=100, seed=1).replicates).any()
    # The interval narrows as the root of the items.
    narrow = bootstrap(np.tile(Y, (4, 1)), np.tile(scores, (4, 1)), n=100)
    assert 1.6 < first.replicates.std() / narrow.replicates.std() < 2.5


def test_bootstrap_of_any_metric_goes_to_json():
    rng = np.random.default_rng(2)
    Y, scores = (rng.random((50, 3)) < 0.4).astype(int), rng.random((50, 3))
    found = bootstrap(Y, scores, lambda y, s: evaluate(y, s, metrics=["one_error"])["one_error"], n=20)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["value"] == evaluate(Y, scores)["one_error"]
    assert data["n"] == 20
    Y[:, 2] = 0
    per_label = bootstrap(Y, scores, "average_precision", n=5).to_dict()
    assert per_label["value"][2] is per_label["low"][2] is None
    assert per_label["low"][0] <= per_label["high"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metric": "mapp"}, "no bootstrap of 'mapp': did you mean 'map'"),
        ({"n": 0}, "n is 0"),
        ({"level": 95}, "level is 95"),
    ],
)
def test_bootstrap_mistakes_get_one_line(change, message):
    with pytest.raises(UserError, match=message):
        bootstrap([[1], [0]], [[0.1], [0.2]], **change)
