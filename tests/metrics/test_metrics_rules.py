"""Decision rules: each against a slow loop, its name, its round trip and its refusals."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelwise.errors import UserError
from labelwise.metrics import (
    OracleCardinality,
    PerLabelThreshold,
    PriorMatched,
    Threshold,
    TopK,
    learn_thresholds,
    rule_from_dict,
)

RULES = [
    (Threshold(0.3), "threshold(0.3)"),
    (PerLabelThreshold([0.2, np.inf, -1.5]), "per_label_threshold"),
    (PerLabelThreshold(np.array([0.1, 0.2, 0.3]), name="learnt_thresholds"), "learnt_thresholds"),
    (PriorMatched([0.5, 0, 1]), "prior_matched"),
    (TopK(2), "top_k(2)"),
    (OracleCardinality(), "oracle_cardinality"),
]
tied = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 9), st.just(3)), elements=st.sampled_from([0, 0.25, 0.5, 1])
)


@pytest.mark.parametrize(("rule", "name"), RULES, ids=[name for _, name in RULES])
def test_round_trip_name_and_output(rule, name):
    assert rule.name == name
    read = rule_from_dict(json.loads(json.dumps(rule.to_dict(), allow_nan=False)))
    assert read == rule
    assert hash(read) == hash(rule)
    rng = np.random.default_rng(0)
    scores, Y = rng.random((20, 3)), rng.integers(-1, 2, (20, 3))
    predicted = rule.apply(scores, Y)
    assert predicted.dtype == np.int8
    assert set(np.unique(predicted)) <= {0, 1}
    np.testing.assert_array_equal(predicted, read.apply(scores, Y))
    with pytest.raises(UserError, match="nan at row 0, label 1"):
        rule.apply([[0.1, np.nan, 0.2]], [[1, 0, 0]])


def test_thresholds_accept_equality():
    np.testing.assert_array_equal(Threshold(0.5).apply([[0.5, 0.49]]), [[1, 0]])
    np.testing.assert_array_equal(PerLabelThreshold([0.5, np.inf]).apply([[0.5, 9e9]]), [[1, 0]])


def test_float32_scores_are_compared_without_rounding_the_threshold():
    below = np.float32(0.7)
    assert float(below) < 0.7
    assert Threshold(0.7).apply(np.array([[below]])) == [[0]]


def pick(scores, count, among):
    """Indices of the ``count`` highest of ``scores`` among some, lower index first."""
    return set(sorted(among, key=lambda i: (-scores[i], i))[:count])


@settings(max_examples=80, deadline=None)
@given(tied, st.integers(1, 4))
def test_top_k_takes_the_highest_with_ties_by_label(scores, k):
    predicted = TopK(k).apply(scores)
    for row, found in zip(scores, predicted, strict=True):
        assert set(np.flatnonzero(found)) == pick(row, k, range(3))


@settings(max_examples=80, deadline=None)
@given(tied, st.tuples(*[st.floats(0, 1)] * 3))
def test_prior_matched_takes_exactly_the_count_with_ties_by_row(scores, prior):
    predicted = PriorMatched(prior).apply(scores)
    for k, share in enumerate(prior):
        count = int(np.floor(share * len(scores) + 0.5))
        assert set(np.flatnonzero(predicted[:, k])) == pick(scores[:, k], count, range(len(scores)))


@settings(max_examples=80, deadline=None)
@given(tied, st.data())
def test_oracle_takes_the_true_count_of_known_entries(scores, data):
    Y = data.draw(hnp.arrays(np.int8, scores.shape, elements=st.sampled_from([-1, 0, 1])))
    predicted = OracleCardinality().apply(scores, Y)
    for row, y, found in zip(scores, Y, predicted, strict=True):
        assert set(np.flatnonzero(found)) == pick(row, (y == 1).sum(), np.flatnonzero(y >= 0))


def test_prior_thresholds_predict_one_item_at_a_time():
    rng = np.random.default_rng(1)
    scores, prior = rng.random((50, 3)), [0.3, 0.0, 1.0]
    rule = PriorMatched.fit(scores, prior)
    assert isinstance(rule, PerLabelThreshold)
    assert rule.name == "prior_matched"
    singly = np.vstack([rule.apply(scores[i : i + 1]) for i in range(50)])
    np.testing.assert_array_equal(singly, PriorMatched(prior).apply(scores))
    np.testing.assert_array_equal(singly.sum(axis=0), [15, 0, 50])


def test_float_products_do_not_lose_an_item():
    # .29 * 100 = 28.999999999999996
    assert PriorMatched([0.29]).apply(np.arange(100.0)[:, None]).sum() == 29


def slow_best_f1(y, s):
    """The best F1 over every way to cut the sorted scores."""
    best = 0.0
    for cut in set(s):
        hits, said = sum((s >= cut) & (y == 1)), sum(s >= cut)
        best = max(best, 2 * hits / (said + sum(y == 1)))
    return best


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_unshrunk_thresholds_reach_the_best_f1_of_each_label(data):
    shape = (data.draw(st.integers(2, 12)), 2)
    Y = data.draw(hnp.arrays(np.int8, shape, elements=st.sampled_from([-1, 0, 1])))
    scores = data.draw(
        hnp.arrays(np.float64, shape, elements=st.sampled_from([0, 1 / 3, 0.5, np.nextafter(0.5, 1), 1]))
    )
    Y[:2] = [[0, 0], [1, 1]]
    predicted = learn_thresholds(Y, scores, shrinkage=0).apply(scores)
    for k in range(2):
        # Rows with positives only are not judged where all negatives lie in full rows.
        rows = np.ones(len(Y), bool)
        partial = (Y == -1).any(axis=1)
        if not ((Y == 0).any(axis=1) & partial).any():
            rows = ~partial
        m = (Y[:, k] >= 0) & rows
        y, p, s = Y[m, k], predicted[m, k], scores[m, k]
        found = 2 * (y & p).sum() / (y.sum() + p.sum())
        assert found == pytest.approx(slow_best_f1(y, s), abs=1e-12)


def test_rare_labels_are_shrunk_by_their_positives_and_empty_ones_take_the_global_threshold():
    rng = np.random.default_rng(2)
    n = 400
    Y = np.zeros((n, 3), np.int8)
    Y[:200, 0] = Y[:4, 1] = 1
    scores = rng.random((n, 3)) * 0.4 + 0.5 * Y
    free = np.array(learn_thresholds(Y, scores, shrinkage=0).values)
    shrunk = np.array(learn_thresholds(Y, scores, shrinkage=4).values)
    common = free[2]
    assert shrunk[2] == common
    np.testing.assert_allclose(shrunk[:2], common + np.array([200 / 204, 4 / 8]) * (free[:2] - common))
    # Halfway between the lowest score accepted and the next lower one.
    assert free[0] == pytest.approx((scores[:200, 0].min() + scores[200:, 0].max()) / 2)
    assert learn_thresholds(Y, scores).name == "learnt_thresholds"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Threshold(np.nan), "Threshold got value=nan"),
        (lambda: PerLabelThreshold([0.1, np.nan]), "nan for label 1"),
        (lambda: PerLabelThreshold([-np.inf]), "-inf for label 0"),
        (lambda: PerLabelThreshold([]), r"shape \(0,\)"),
        (lambda: PriorMatched([0.1, 1.2]), "prior 1.2 for label 1: give a share"),
        (lambda: PriorMatched([[0.1]]), r"prior of shape \(1, 1\)"),
        (lambda: PriorMatched([]), r"prior of shape \(0,\)"),
        (lambda: TopK(0), "TopK got k=0"),
        (lambda: TopK(1.5), "TopK got k=1.5"),
        (lambda: TopK(True), "TopK got k=True"),
        (
            lambda: OracleCardinality().apply([[0.1]]),
            "oracle_cardinality reads .* from the truth: give Y_true",
        ),
        (lambda: PerLabelThreshold([0.1]).apply([[0.1, 0.2]]), "scores has 2 labels but the rule"),
        (lambda: PriorMatched([0.1]).apply([[0.1, 0.2]]), "prior_matched has 1"),
        (lambda: PriorMatched.fit([[0.1, 0.2]], [0.1]), "prior_matched has 1"),
        (
            lambda: rule_from_dict({"rule": "treshold"}),
            "no decision rule 'treshold': did you mean 'threshold'",
        ),
        (lambda: rule_from_dict({}), "no decision rule None"),
        (lambda: rule_from_dict({"rule": "top_k"}), "'top_k' cannot be read"),
        (lambda: rule_from_dict({"rule": "top_k", "k": 1, "x": 2}), "'top_k' cannot be read from k, x"),
        (lambda: rule_from_dict({"rule": "top_k", "k": "x"}), "'top_k' cannot be read"),
        (lambda: learn_thresholds([[1, 0]], [[0.1, 0.2]]), "no label has both .* give a prior"),
        (lambda: learn_thresholds([[1], [0]], [[0.1], [0.2]], shrinkage=-1), "shrinkage is -1"),
    ],
)
def test_mistakes_get_one_line(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
