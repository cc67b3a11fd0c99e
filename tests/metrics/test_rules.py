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
    PlattCalibration,
    PriorMatched,
    Threshold,
    TopK,
    decide,
    evaluate,
    learn_thresholds,
    rule_from_dict,
)
from labelwise.metrics.thresholds import FIXED, STEPS, _least_shrunk, _thresholds
from tests.refusals import refusal

RULES = [
    (Threshold(0.3), "threshold(0.3)"),
    (PerLabelThreshold([0.2, np.inf, -1.5]), "per_label_threshold"),
    (PerLabelThreshold(np.array([0.1, 0.2, 0.3]), name="learnt_thresholds"), "learnt_thresholds"),
    (PerLabelThreshold.at_logits([20.0, np.inf, -1.5], "far"), "far"),
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


def noisy(n=300, seed=0, shares=(0.5, 0.3, 0.05, 0.02)):
    """Labels and the logits that made them: calibrated, with two rare labels."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 2, (n, len(shares))) + np.log(np.array(shares) / (1 - np.array(shares)))
    return (random.random(z.shape) < 1 / (1 + np.exp(-z))).astype(np.int8), z


def slow_thresholds(Y, z, own, least):
    """The formula by loops over every cut of the sorted logits, for labels that have both classes."""
    n, n_labels = Y.shape

    def cut(down, count):
        return (down[count - 1] + down[count]) / 2 if count < n else down[-1]

    best, common = -1.0, None
    flat = sorted({z[i, k] for i in range(n) for k in range(n_labels)}, reverse=True)
    for place, value in enumerate(flat):
        hits = calls = 0
        for i in range(n):
            for k in range(n_labels):
                calls += z[i, k] >= value
                hits += z[i, k] >= value and Y[i, k] == 1
        f1 = 2 * hits / (calls + (Y == 1).sum())
        if f1 > best:
            best, common = f1, (value + flat[place + 1]) / 2 if place + 1 < len(flat) else value
    found = []
    for k in range(n_labels):
        down = sorted(z[:, k], reverse=True)
        p = [1 / (1 + np.exp(-value)) for value in down]
        expected = [2 * sum(p[: m + 1]) / (m + 1 + sum(p)) for m in range(n)]
        at = common + own * (cut(down, int(np.argmax(expected)) + 1) - common)
        if least:
            at = min(at, cut(down, max(1, int(least * (Y[:, k] == 1).sum() + 0.5))))
        found.append(at)
    return found


@pytest.mark.parametrize("step", [*STEPS, *FIXED.values()])
def test_thresholds_are_the_slow_loops(step):
    Y, z = noisy(40, shares=(0.5, 0.3, 0.1))
    both = np.ones(3, bool)
    np.testing.assert_allclose(
        _thresholds(Y, z, both, [step])[step], slow_thresholds(Y, z, *step), atol=1e-12
    )


@pytest.mark.parametrize("goal", ["auto", "micro-f1", "macro-f1"])
def test_learnt_thresholds_are_those_of_calibrated_logits(goal):
    Y, z = noisy()
    rule = learn_thresholds(Y, 2 * z + 1, goal=goal, input="logit")
    calibration = PlattCalibration.fit(Y, 2 * z + 1, input="logit")
    calibrated = calibration.logits(2 * z + 1)
    step = FIXED.get(goal) or _least_shrunk(Y, calibrated, np.ones(4, bool))
    at = _thresholds(Y, calibrated, np.ones(4, bool), [step])[step]
    predicted = rule.apply_to_logits(2 * z + 1)
    np.testing.assert_array_equal(predicted, calibrated >= at)
    # Probabilities of the same scores decide the same.
    p = 1 / (1 + np.exp(-(2 * z + 1)))
    np.testing.assert_array_equal(rule.apply(p), predicted)
    np.testing.assert_array_equal(learn_thresholds(Y, p, goal=goal).apply(p), predicted)


def test_goals_reach_what_they_are_named_after():
    (Y, z), (Y_new, z_new) = noisy(2000), noisy(20_000, seed=1)
    figures = {
        goal: evaluate(Y_new, z_new, learn_thresholds(Y, z, goal=goal, input="logit"), input="logit")
        for goal in ("micro-f1", "auto", "macro-f1")
    }
    micro = [found["micro_f1"] for found in figures.values()]
    macro = [found["macro_f1"] for found in figures.values()]
    assert micro[0] >= micro[1] - 0.002 >= micro[2] - 0.004
    assert macro[0] <= macro[1] + 0.002 <= macro[2] + 0.004
    assert macro[2] > macro[0] + 0.02


def test_rare_labels_are_predicted_even_where_few_rows_are_known():
    Y, z = noisy(120, seed=3, shares=(0.4, 0.3, 0.04, 0.04, 0.04))
    shrunk = learn_thresholds(Y, 1 / (1 + np.exp(-z)), shrinkage=10).apply(1 / (1 + np.exp(-z))).sum(axis=0)
    chosen = learn_thresholds(Y, z, input="logit").apply_to_logits(z).sum(axis=0)
    assert (chosen[Y.any(axis=0)] > 0).all()
    assert (chosen > 0).sum() >= (shrunk > 0).sum()


def test_a_label_of_one_class_takes_the_common_threshold_on_the_common_scale():
    Y, z = noisy(400, shares=(0.5, 0.3, 0.4))
    whole = learn_thresholds(Y[:, :2], z[:, :2], goal="micro-f1", input="logit")
    for state in (0, 1):
        Y[:, 2] = state
        found = learn_thresholds(Y, z, goal="micro-f1", input="logit")
        assert found.logits[:2] == pytest.approx(whole.logits)
        assert min(whole.logits) - 0.5 < found.logits[2] < max(whole.logits) + 0.5


def test_rows_of_positives_alone_and_the_rest_of_the_codes_change_nothing():
    Y, z = noisy()
    want = learn_thresholds(Y, z, input="logit")
    assert learn_thresholds(2 * Y - 1, z, input="logit", minus_one="absent") == want
    alone = np.where(Y == 1, 1, -1)
    alone[(Y == 1).all(axis=1), 0] = -1
    assert learn_thresholds(np.vstack([Y, alone]), np.vstack([z, z]), input="logit") == want


def test_thresholds_at_logits_decide_where_probabilities_are_all_one():
    logits = np.linspace(20, 40, 50)[:, None]
    rule = PriorMatched.fit(logits, [0.2], input="logit")
    assert rule.apply(np.ones((50, 1), np.float32)).all()
    assert decide(rule, logits).sum() == 10
    assert decide(TopK(1), logits).all()
    assert decide(Threshold(0.5), logits).all()
    assert rule_from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_any_rule_of_ones_own_sees_probabilities():
    class Own:
        name = "own"

        def apply(self, scores, Y_true=None):
            assert scores.dtype == np.float32
            assert ((scores >= 0) & (scores <= 1)).all()
            return (scores > 0.9).astype(np.int8)

    np.testing.assert_array_equal(decide(Own(), [[-3.0, 3.0]]), [[0, 1]])


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
        (lambda: learn_thresholds([[1], [0]], [[0.1], [0.2]], goal="f1"), "goal is 'f1': there are: auto"),
        (lambda: learn_thresholds([[1], [0]], [[3], [0.2]]), 'holds 3 at row 0, label 0.*input="logit"'),
        (lambda: learn_thresholds([[1], [0]], [[1], [0]], input="logits"), "did you mean 'logit'"),
        (lambda: PriorMatched.fit([[0.1]], [0.1], input="x"), "input is 'x'"),
        (lambda: PerLabelThreshold([0.5], logits=[0.0, 1.0]), "logits 0.0, 1.0: give one number per label"),
        (lambda: PerLabelThreshold([0.5], logits=[np.nan]), "give one number per label"),
    ],
)
def test_mistakes_get_one_line(make, message):
    with refusal(message):
        make()
