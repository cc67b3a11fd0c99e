"""Label-weighted ranking AP: scikit-learn's with items weighed by positives, a slow loop under masks, ties in both."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse
from sklearn.metrics import label_ranking_average_precision_score

from labelwise.metrics import METRICS, evaluate, label_weighted_ranking_ap
from tests.refusals import refusal


@st.composite
def judged(draw, states=(-1, 0, 1)):
    n, k = draw(st.integers(1, 12)), draw(st.integers(2, 7))
    Y = draw(hnp.arrays(np.int8, (n, k), elements=st.sampled_from(states)))
    # Few distinct values, so that ties are the rule.
    scores = draw(hnp.arrays(np.float64, (n, k), elements=st.sampled_from([0, 0.125, 0.25, 0.5, 1])))
    assume((Y == 1).any() and (Y == 0).any())
    return Y, scores


def slow(Y, scores):
    """The mean over known relevant entries of the precision at their rank within the item, from the definition."""
    found = []
    for ys, ss in zip(Y.tolist(), scores.tolist(), strict=True):
        known = [(y, s) for y, s in zip(ys, ss, strict=True) if y >= 0]
        for y, cut in known:
            above = [other for other, s in known if s >= cut]
            found += [sum(above) / len(above)] if y == 1 else []
    return sum(found) / len(found)


@settings(max_examples=150, deadline=None)
@given(judged())
def test_under_masks_it_is_the_slow_loop(case):
    assert label_weighted_ranking_ap(*case) == pytest.approx(slow(*case), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(judged(states=(0, 1)))
def test_on_full_data_it_is_scikit_learns_with_items_weighed_by_their_positives(case):
    Y, scores = case
    expected = label_ranking_average_precision_score(Y, scores, sample_weight=Y.sum(axis=1))
    assert label_weighted_ranking_ap(Y, scores) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_rows_in_every_dtype(dtype):
    random = np.random.default_rng(0)
    Y = (random.random((2_500, 250)) < 0.1).astype(np.int8)
    scores = (random.normal(size=Y.shape) + 2 * Y).astype(dtype)
    expected = label_ranking_average_precision_score(Y, scores.astype(float), sample_weight=Y.sum(axis=1))
    assert label_weighted_ranking_ap(Y, scores) == pytest.approx(expected, abs=1e-9)


def test_known_values():
    Y, scores = (
        np.array([[1, 0, 1, -1], [0, 0, 1, 0], [0, 0, 0, 0]]),
        [[4, 3, 2, 9], [1, 2, 3, 4], [1, 1, 1, 1]],
    )
    assert label_weighted_ranking_ap(Y, scores) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert label_weighted_ranking_ap(Y, np.maximum(Y, 0)) == 1
    assert label_weighted_ranking_ap([[1, 0, 0, 0]], np.zeros((1, 4))) == 0.25


def test_what_codes_mean_is_said_as_everywhere():
    Y, scores = np.array([[1, 0, 1], [0, 1, 0]]), [[1, 2, 3], [4, 5, 6]]
    expected = label_weighted_ranking_ap(Y, scores)
    assert label_weighted_ranking_ap(2 * Y - 1, scores, minus_one="absent") == expected
    assert label_weighted_ranking_ap(sparse.csr_matrix(Y), scores, unlisted="absent") == expected
    for wrong, message in (
        ([[0, 0, -1]], "no known positive"),
        ([[1, -1, 1]], "no known negative"),
        ([[1, 0, 2]], "Y_true holds 2 at row 0"),
        ([[1, 0]], r"scores has shape \(1, 3\)"),
    ):
        with refusal(message):
            label_weighted_ranking_ap(wrong, [[1, 2, 3]])


def test_evaluate_does_not_hold_it():
    """Its record is saved with every model, whose keys stay."""
    assert "label_weighted_ranking_ap" not in {*METRICS, *evaluate([[1, 0], [0, 1]], np.eye(2))}
