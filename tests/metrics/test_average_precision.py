"""Average precision: scikit-learn's on full data, a slow loop under masks, ties in both."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.metrics import average_precision_score

from labelwise.errors import UserError
from labelwise.metrics import (
    average_precision,
    mean_average_precision,
    observed_average_precision,
)
from tests.refusals import refusal


def slow_average_precision(y, s):
    """Sum over positives of precision at their score, from the definition; None unless both classes are known."""
    known = [(yi, si) for yi, si in zip(y, s, strict=True) if yi >= 0]
    relevant = [si for yi, si in known if yi == 1]
    if not relevant or len(relevant) == len(known):
        return None
    total = 0.0
    for cut in relevant:
        above = [yi for yi, si in known if si >= cut]
        total += sum(above) / len(above)
    return total / len(relevant)


@st.composite
def judged(draw, states=(-1, 0, 1)):
    n, k = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    Y = draw(hnp.arrays(np.int8, (n, k), elements=st.sampled_from(states)))
    # Few distinct values, so that ties are the rule.
    scores = draw(hnp.arrays(np.float64, (n, k), elements=st.sampled_from([0, 0.125, 0.25, 0.5, 1])))
    return Y, scores


@settings(max_examples=150, deadline=None)
@given(judged())
def test_masked_average_precision_is_the_slow_loop(case):
    Y, scores = case
    assume((Y == 0).any() or not (Y == 1).any())
    found = average_precision(Y, scores)
    for k in range(Y.shape[1]):
        expected = slow_average_precision(Y[:, k], scores[:, k])
        assert np.isnan(found[k]) if expected is None else found[k] == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100, deadline=None)
@given(judged(states=(0, 1)))
def test_full_average_precision_is_scikit_learns(case):
    Y, scores = case
    assume((Y == 0).any())
    found = average_precision(Y, scores)
    both = Y.any(axis=0) & ~Y.all(axis=0)
    for k in np.flatnonzero(both):
        assert found[k] == pytest.approx(average_precision_score(Y[:, k], scores[:, k]), abs=1e-12)
    assert np.isnan(found[~both]).all()
    mean = mean_average_precision(Y, scores)
    assert mean == pytest.approx(found[both].mean()) if both.any() else np.isnan(mean)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_large_full_data_agrees_in_every_dtype(dtype):
    rng = np.random.default_rng(0)
    Y = (rng.random((500, 4)) < 0.2).astype(int)
    scores = (rng.normal(size=Y.shape) + Y).astype(dtype)
    expected = average_precision_score(Y, scores.astype(np.float64), average=None)
    np.testing.assert_allclose(average_precision(Y, scores), expected, rtol=0, atol=1e-12)


def test_empty_labels_are_left_out_or_count_as_zero():
    Y, scores = [[1, 0], [0, 0]], [[0.9, 0.1], [0.2, 0.3]]
    assert mean_average_precision(Y, scores) == 1.0
    assert mean_average_precision(Y, scores, empty_labels="zero") == 0.5
    assert np.isnan(mean_average_precision([[0], [0]], [[0.1], [0.2]]))
    with pytest.raises(UserError, match="did you mean 'zero'"):
        mean_average_precision(Y, scores, empty_labels="zeros")


def test_observed_average_precision_counts_unknown_as_absent_in_items_with_labels():
    Y = np.array([[1, -1], [-1, 1], [-1, 1], [-1, -1]])
    scores = np.array([[0.5, 0.4], [0.6, 0.3], [0.1, 0.9], [0.99, 0.99]])
    # Label 0: its positive ranks second of three; label 1: first and third of three. Item 3 tells nothing.
    np.testing.assert_allclose(observed_average_precision(Y, scores), [1 / 2, (1 + 2 / 3) / 2])


def test_labels_without_a_known_negative_leave_the_mean():
    random = np.random.default_rng(0)
    Y, noise = (random.random((300, 6)) < 0.2).astype(int), random.random((300, 6))
    confirmed = Y.copy()
    confirmed[:, 3:][Y[:, 3:] == 0] = -1
    assert np.isnan(average_precision(confirmed, noise)[3:]).all()
    for empty in ("omit", "zero"):
        assert mean_average_precision(confirmed, noise, empty_labels=empty) == pytest.approx(
            mean_average_precision(Y[:, :3], noise[:, :3])
        )


@pytest.mark.parametrize("metric", [average_precision, mean_average_precision])
def test_noise_is_never_perfect_for_want_of_negatives(metric):
    """Positives alone, -1 for absent, and a sparse truth all look perfect where nothing is known to be absent."""
    random = np.random.default_rng(1)
    T, noise = (random.random((200, 4)) < 0.3).astype(int), random.random((200, 4))
    truth = metric(T, noise)
    refused = {
        "no known negative .* observed_average_precision": np.where(T == 1, 1, -1),
        "minus_one='absent' where -1 says": 2 * T - 1,
        "unlisted": sparse.csr_matrix(T),
    }
    for message, given_ in refused.items():
        with refusal(message):
            metric(given_, noise)
    np.testing.assert_array_equal(metric(2 * T - 1, noise, minus_one="absent"), truth)
    np.testing.assert_array_equal(metric(sparse.csr_matrix(T), noise, unlisted="absent"), truth)
    np.testing.assert_array_equal(metric(np.where(T == 1, 1, np.nan), noise, empty="absent"), truth)
    assert np.mean(truth) < 0.5


def test_observed_average_precision_is_undefined_where_all_that_is_judged_is_positive():
    """One label, positives alone: every item with a known entry is positive, and any score would do."""
    Y = np.array([[1], [-1], [1]])
    assert np.isnan(observed_average_precision(Y, [[0.1], [0.9], [0.2]])).all()


def test_nan_labels_are_unknown():
    assert average_precision([[1.0], [np.nan], [0.0]], [[0.5], [0.9], [0.1]]) == [1.0]


@pytest.mark.parametrize(
    ("Y", "scores", "message"),
    [
        ([[1, 2]], [[0.1, 0.2]], r"Y_true holds 2 at row 0.*label '1': write 1 for relevant"),
        (np.array([[1, -2]], np.int8), [[0.1, 0.2]], "Y_true holds -2 at row 0"),
        ([[1, 0.5]], [[0.1, 0.2]], r"Y_true holds 0\.5 at row 0"),
        (np.array([[1, 255]], np.uint8), [[0.1, 0.2]], "Y_true holds 255 at row 0"),
        ([[1, 0]], [[0.1, np.nan]], "scores holds nan at row 0, label 1: give finite scores"),
        ([[1], [0], [0]], [[1], [np.inf], [-np.inf]], r"inf at row 1, label 0 \(2 such rows: 1, 2\)"),
        ([[1, 0]], [[0.1]], r"scores has shape \(1, 1\) but Y_true has \(1, 2\)"),
        ([1, 0], [0.1, 0.2], r"Y_true must be \(items, labels\)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "Y_true is empty"),
        ([["a"]], [[0.1]], "Y_true holds 'a'"),
        ([[1]], [["a"]], "scores has dtype <U1: give numbers"),
    ],
)
def test_bad_input_is_named(Y, scores, message):
    with pytest.raises(UserError, match=message):
        average_precision(Y, scores)
