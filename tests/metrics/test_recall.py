"""The rule of a wanted recall: its formula, its guarantee, and where the guarantee ends."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelwise import metrics, simulate
from labelwise.errors import UserError
from labelwise.metrics import positives_for, recall_thresholds, rule_from_dict


def slow(positives, recall):
    """Return s_(floor((1 - recall)(m + 1))), counted from 1, or minus infinity where that is s_(0)."""
    for j, value in reversed(list(enumerate(sorted(positives), start=1))):
        if j <= round((1 - recall) * (len(positives) + 1), 9):
            return value
    return -math.inf


@given(
    st.lists(st.floats(-50, 50), min_size=1, max_size=40),
    st.sampled_from([0.5, 0.75, 0.8, 0.9, 0.95]),
)
def test_the_threshold_is_the_formula_s_and_reads_no_negative(scores, recall):
    x = np.array(scores)[:, None]
    rule = recall_thresholds(np.ones((len(x), 1), int), x, recall, input="logit")
    expected = slow(scores, recall)
    assert rule.logits[0] == (metrics.recall.ALWAYS if expected == -math.inf else expected)
    assert rule.name == f"recall({recall:g})"
    others = np.vstack([x, x * 0 - 60, x * 0 + 60])
    Y = np.repeat([1, 0, -1], len(x))[:, None]
    assert recall_thresholds(Y, others, recall, input="logit").logits == rule.logits
    predicted = metrics.decide(rule, x)
    assert predicted.mean() >= recall - 1e-9, "of the very positives it was learnt on too"


def test_a_recall_of_nine_tenths_takes_nine_positives():
    assert positives_for(0.9) == 9
    assert positives_for(0.95) == 19
    assert positives_for(0.5) == 1
    for m in (8, 9):
        rule = recall_thresholds(np.ones((m, 1), int), np.arange(m)[:, None] / 10, 0.9)
        assert (rule.values[0] == 0.0) == (m == 9), "the lowest of 9 scores is 0"
        assert (rule.values[0] < 0) == (m == 8), "predicted for every item"
    # Saved as JSON, which has no minus infinity.
    again = rule_from_dict(recall_thresholds([[1]], [[0.3]]).to_dict())
    assert (again.apply([[0.0]]) == 1).all()


def test_a_label_without_a_positive_is_never_predicted():
    rule = recall_thresholds([[1, -1]] * 9, [[0.5, 0.9]] * 9)
    assert rule.values[1] == np.inf


def drawn(random, n):
    """Return scores and truth: the score tells the label, and the positives' scores vary."""
    truth = random.random(n) < 0.4
    return truth, np.where(truth, 1.0, -1.0) + random.standard_normal(n)


@pytest.mark.parametrize("recall", [0.8, 0.9])
def test_the_guarantee_holds_on_average_over_draws_for_positives_noted_at_random(recall):
    random, kept = np.random.default_rng(0), []
    for _ in range(1500):
        truth, score = drawn(random, 60)
        noted = truth & (random.random(60) < 0.5)
        if not noted.any():
            continue
        rule = recall_thresholds(np.where(noted, 1, -1)[:, None], score[:, None], recall, input="logit")
        new, fresh = drawn(random, 60)
        kept.append((fresh[new] >= rule.logits[0]).mean())
    mean, error = np.mean(kept), np.std(kept) / len(kept) ** 0.5
    assert mean >= recall - 3 * error
    # No more cautious than one rank: m is 12 on average.
    assert mean <= recall + 0.1


def test_the_guarantee_breaks_where_striking_positives_are_noted_more():
    """A positive is noted the more likely the higher it scores: others are missed more often than 1 - recall."""
    random, noted_kept, all_kept = np.random.default_rng(1), [], []
    for _ in range(300):
        truth, score = drawn(random, 400)
        weights = np.exp(score)[:, None]
        noted = simulate.biased_positives(truth[None].astype(int), weights.T, positives=60, seed=0)[0] == 1
        rule = recall_thresholds(np.where(noted, 1, -1)[:, None], score[:, None], 0.9, input="logit")
        noted_kept.append((score[noted] >= rule.logits[0]).mean())
        all_kept.append((score[truth] >= rule.logits[0]).mean())
    assert np.mean(noted_kept) > 0.9
    assert np.mean(all_kept) < 0.85


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"recall": 1}, "recall=1: give a share above 0 and below 1"),
        ({"recall": 0}, "recall=0: give a share"),
        ({"recall": "much"}, "recall='much': give a share"),
        ({"recall": float("nan")}, "recall=nan: give a share"),
        ({"Y": [[0], [-1]]}, "no known positive"),
        ({"input": "score"}, "input is 'score'"),
    ],
)
def test_what_it_cannot_use_is_refused(given_, message):
    with pytest.raises(UserError, match=message):
        recall_thresholds(**{"Y": [[1], [0]], "scores": [[0.1], [0.2]], **given_})
