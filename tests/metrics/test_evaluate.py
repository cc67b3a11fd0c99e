"""``evaluate``: scikit-learn's metrics on full data, slow loops under masks, and what it says it left out."""

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sk

from labelwise.errors import UserError
from labelwise.metrics import (
    METRICS,
    Evaluation,
    OracleCardinality,
    Threshold,
    TopK,
    average_precision,
    evaluate,
)
from tests.refusals import refusal


@st.composite
def judged(draw, states=(-1, 0, 1)):
    n, k = draw(st.integers(2, 12)), draw(st.integers(2, 7))
    Y = draw(hnp.arrays(np.int8, (n, k), elements=st.sampled_from(states)))
    scores = draw(hnp.arrays(np.float64, (n, k), elements=st.sampled_from([0, 0.125, 0.25, 0.5, 0.75, 1])))
    assume((Y == 1).any() and (Y == 0).any())
    return Y, scores


@settings(max_examples=150, deadline=None)
@given(judged(states=(0, 1)))
def test_full_data_agrees_with_scikit_learn(case):
    Y, scores = case
    n, n_labels = Y.shape
    found = evaluate(Y, scores, empty_labels="zero")
    predicted = (scores >= 0.5).astype(int)
    has, both = Y.any(axis=0), Y.any(axis=0) & ~Y.all(axis=0)
    some = Y.any(axis=1)
    expected = {
        "micro_f1": sk.f1_score(Y, predicted, average="micro", zero_division=0),
        "macro_f1": sk.f1_score(Y, predicted, average="macro", zero_division=0),
        "hamming_loss": sk.hamming_loss(Y, predicted),
        "coverage": (sk.coverage_error(Y, scores) * n - some.sum()) / (n * n_labels),
        "ranking_loss": sk.label_ranking_loss(Y, scores),
        "label_ranking_ap": sk.label_ranking_average_precision_score(Y, scores),
        "micro_auc": sk.roc_auc_score(Y.ravel(), scores.ravel()),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12), name
    if both.any():
        # One-class labels: none relevant counts as 0, all relevant is left out, since any score would do.
        ap = sk.average_precision_score(Y[:, both], scores[:, both]) * both.sum() / (both | ~has).sum()
        assert found["map"] == pytest.approx(ap, abs=1e-12)
        auc = np.mean([sk.roc_auc_score(Y[:, k], scores[:, k]) for k in np.flatnonzero(both)])
        assert found["macro_auc"] == pytest.approx(auc, abs=1e-12)
    else:
        assert np.isnan(found["macro_auc"])
        assert np.isnan(found["map"]) or found["map"] == 0


def slow_ranking(Y, scores):
    """Every ranking metric by loops over the known entries of each item."""
    rows = []
    for y, s in zip(Y, scores, strict=True):
        known = [k for k in range(len(y)) if y[k] >= 0]
        if not known:
            continue
        relevant, other = [k for k in known if y[k] == 1], [k for k in known if y[k] == 0]
        depth = {k: sum(s[j] >= s[k] for j in known) for k in known}
        top = max(s[k] for k in known)
        order = sorted(known, key=lambda k: (-s[k], k))
        row = {
            "one_error": float(not any(s[k] == top for k in relevant)),
            "coverage": max((depth[k] - 1 for k in relevant), default=0) / len(known),
            "ranking_loss": 0.0,
            "label_ranking_ap": 1.0,
        }
        if relevant and other:
            wrong = sum(s[j] >= s[k] for k in relevant for j in other)
            row["ranking_loss"] = wrong / (len(relevant) * len(other))
            shares = [sum(s[j] >= s[k] for j in relevant) / depth[k] for k in relevant]
            row["label_ranking_ap"] = sum(shares) / len(shares)
        for k in (1, 3, 5):
            if k >= len(y):
                # All labels lie within the depth, so that nothing is chosen.
                row[f"precision_at_{k}"] = row[f"recall_at_{k}"] = np.nan
                continue
            hits = sum(y[j] == 1 for j in order[:k])
            row[f"precision_at_{k}"] = hits / min(k, len(known))
            row[f"recall_at_{k}"] = hits / len(relevant) if relevant else np.nan
        rows.append(row)
    values = {name: [row[name] for row in rows if not np.isnan(row[name])] for name in rows[0]}
    return {name: np.mean(row) if row else np.nan for name, row in values.items()}


@settings(max_examples=150, deadline=None)
@given(judged())
def test_masked_ranking_metrics_are_the_slow_loops(case):
    Y, scores = case
    found = evaluate(Y, scores)
    for name, value in slow_ranking(Y, scores).items():
        assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@settings(max_examples=100, deadline=None)
@given(judged())
def test_masked_decision_metrics_are_the_slow_loops(case):
    Y, scores = case
    found = evaluate(Y, scores, Threshold(0.25))
    # A label of which positives alone are known among unknown entries is no part of any figure.
    rows = (Y >= 0).any(axis=1)
    measured = [set(Y[rows, k]) != {1, -1} for k in range(Y.shape[1])]
    known = (Y >= 0) & measured
    y, p = Y[known], (scores >= 0.25)[known]
    hits = sum(a == 1 and b for a, b in zip(y, p, strict=True))
    if not ((y == 1).any() or p.any()):
        assert np.isnan(found["micro_f1"])
        return
    assert found["micro_f1"] == pytest.approx(2 * hits / ((y == 1).sum() + p.sum()), abs=1e-12)
    assert found["hamming_loss"] == pytest.approx(np.mean((y == 1) != p), abs=1e-12)
    f1 = []
    for k in range(Y.shape[1]):
        m = Y[:, k] >= 0
        if (Y[m, k] == 1).any() and measured[k]:
            f1.append(sk.f1_score(Y[m, k], scores[m, k] >= 0.25, zero_division=0))
    assert found["macro_f1"] == pytest.approx(np.mean(f1) if f1 else np.nan, abs=1e-12, nan_ok=True)
    assert found.n_unknown == (Y == -1).sum()
    assert found.n_items_left_out == (Y == -1).all(axis=1).sum()
    assert found.n_items + found.n_items_left_out == len(Y)


def test_unknown_entries_change_nothing_but_the_counts():
    rng = np.random.default_rng(1)
    Y, scores = (rng.random((30, 6)) < 0.3).astype(int), rng.random((30, 6))
    padded = evaluate(np.vstack([Y, np.full((4, 6), -1)]), np.vstack([scores, rng.random((4, 6))]))
    assert dict(padded) == dict(evaluate(Y, scores))
    assert (padded.n_unknown, padded.n_items, padded.n_items_left_out) == (24, 30, 4)
    assert padded.n_items_partly_known == 0
    assert padded.notes == ()


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    Y, scores = rng.integers(-1, 2, (50, 6)), rng.random((50, 6)).round(1)
    whole = evaluate(Y, scores, TopK(2))
    monkeypatch.setattr("labelwise.annotations.matrix.BLOCK_ENTRIES", 13)
    blocks = evaluate(Y, scores, TopK(2))
    for name in METRICS:
        assert blocks[name] == pytest.approx(whole[name], abs=1e-14)


def test_oracle_count_identity():
    """METHODS 0.1: when as many are predicted as are true, Hamming = 2 (1 - micro-F1) cardinality / K."""
    rng = np.random.default_rng(3)
    Y, scores = (rng.random((200, 8)) < 0.25).astype(int), rng.random((200, 8))
    found = evaluate(Y, scores, OracleCardinality())
    cardinality = Y.sum(axis=1).mean()
    assert found["hamming_loss"] == pytest.approx(2 * (1 - found["micro_f1"]) * cardinality / 8, abs=1e-12)
    assert found.rule == "oracle_cardinality"


def test_one_error_counts_items_without_a_relevant_label_and_forgives_ties():
    Y = [[1, 0], [0, 0], [1, 0], [0, 1]]
    scores = [[0.9, 0.1], [0.2, 0.1], [0.5, 0.5], [0.7, 0.3]]
    assert evaluate(Y, scores)["one_error"] == 2 / 4


def test_labels_without_a_class_are_named_and_left_out_or_zero():
    Y = np.array([[1, 0, 1], [0, 0, 1], [1, 0, -1]])
    scores = np.array([[0.9, 0.1, 0.8], [0.1, 0.2, 0.6], [0.8, 0.1, 0.2]])
    found = evaluate(Y, scores, label_names=["cat", "dog", "cow"])
    assert found.labels_without_positive == ("dog",)
    assert found.labels_without_negative == ("cow",)
    assert found.labels_left_out == ("dog", "cow")
    assert found["map"] == found["macro_f1"] == found["macro_auc"] == 1.0
    zero = evaluate(Y, scores, label_names=["cat", "dog", "cow"], empty_labels="zero")
    # The cow is positive wherever it is known: nothing of it can be judged, under either protocol.
    assert zero["map"] == zero["macro_f1"] == pytest.approx(1 / 2)
    assert zero.labels_left_out == ("cow",)
    assert (found.n_labels_judged, zero.n_labels_judged) == (1, 2)
    assert "mAP is the mean of 1 of 3 labels" in str(found)
    assert "no known positive, left out of macro averages: dog" in str(found)
    assert "no known positive, counted as 0: dog" in str(zero)
    assert "left out: 1 unknown entries" in str(found)
    assert "cow" in str(found)


def test_result_is_a_frozen_mapping_that_goes_to_json():
    Y, scores = np.array([[1, 0, 0], [0, 1, -1], [0, 1, 0]]), np.random.default_rng(0).random((3, 3))
    found = evaluate(Y, scores)
    assert isinstance(found, Evaluation)
    assert tuple(found) == METRICS
    assert len(found) == len(METRICS)
    data = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert data["metrics"] == {name: None if np.isnan(value) else value for name, value in found.items()}
    again = Evaluation.from_dict(data)
    assert again.notes == found.notes != ()
    earlier = {
        key: value for key, value in data.items() if not key.startswith(("n_items_p", "n_labels", "notes"))
    }
    assert Evaluation.from_dict(earlier).n_items_partly_known == 0
    assert data["rule"] == "threshold(0.5)"
    assert data["per_label"]["average_precision"][2] is None
    assert data["per_label"]["positives"] == [1, 2, 0]
    assert data["labels_left_out"] == ["2"]
    np.testing.assert_array_equal(found.per_label.average_precision, average_precision(Y, scores))
    with pytest.raises(AttributeError):
        found.rule = "other"


def test_labels_of_positives_alone_leave_every_figure():
    """A partly verified table: half of the labels were only ever confirmed. Scores are noise."""
    random = np.random.default_rng(0)
    Y, noise = (random.random((400, 8)) < 0.2).astype(int), random.random((400, 8))
    confirmed = Y.copy()
    confirmed[:, 4:][Y[:, 4:] == 0] = -1
    found, half = evaluate(confirmed, noise), evaluate(Y[:, :4], noise[:, :4])
    for name in ("map", "micro_f1", "macro_f1", "hamming_loss", "macro_auc"):
        assert found[name] == pytest.approx(half[name], abs=1e-12), name
    assert found["micro_auc"] == pytest.approx(0.5, abs=0.05)
    assert found.n_labels_judged == 4
    assert found.labels_left_out == ("4", "5", "6", "7")
    assert np.isnan(found.per_label.average_precision[4:]).all()
    assert np.isnan(found.per_label.f1[4:]).all()


def test_a_label_that_every_item_has_keeps_its_f1():
    Y, scores = np.array([[1, 1], [0, 1], [1, 1]]), np.array([[0.9, 0.9], [0.1, 0.2], [0.8, 0.7]])
    found = evaluate(Y, scores)
    assert found["macro_f1"] == pytest.approx((1 + 4 / 5) / 2)
    assert found["micro_f1"] == pytest.approx(2 * 4 / (5 + 4))
    assert found["map"] == 1.0
    assert found.n_labels_judged == 1


def test_metrics_of_partly_known_items_say_what_they_rest_on():
    random = np.random.default_rng(5)
    Y, scores = (random.random((90, 6)) < 0.3).astype(int), random.random((90, 6))
    Y[:40, 1] = -1
    found = evaluate(Y, scores)
    assert found.n_items_partly_known == 40
    assert any("90 items, of which 40 are partly known" in note for note in found.notes)
    assert "40 are partly known" in str(found)
    assert not any("partly" in note for note in evaluate(Y, scores, metrics=["map", "micro_f1"]).notes)


def test_depths_that_take_in_every_label_have_no_value():
    random = np.random.default_rng(6)
    found = evaluate((random.random((50, 3)) < 0.4).astype(int), random.random((50, 3)))
    for name in ("precision_at_3", "recall_at_3", "precision_at_5", "recall_at_5"):
        assert np.isnan(found[name])
        assert name not in str(found)
    assert 0 < found["recall_at_1"] < 1
    assert any("only 3 labels" in note for note in found.notes)


def test_positives_beside_fully_known_items_are_pointed_out():
    random = np.random.default_rng(7)
    Y, scores = (random.random((60, 4)) < 0.4).astype(int), random.random((60, 4))
    Y[20:, 0] = 0
    Y[20:][Y[20:] == 0] = -1
    alone = ((Y[20:] == 1).any(axis=1) & (Y[20:] == -1).any(axis=1)).sum()
    assert any(f"{alone} items hold nothing but positives" in note for note in evaluate(Y, scores).notes)
    fair, full = evaluate(Y, scores, fair_rows=True), evaluate(Y[:20], scores[:20])
    assert dict(fair) == dict(full)
    assert (fair.n_items, fair.n_items_left_out) == (20, 40)
    assert "they were left out" in fair.notes[-1]


def test_logits_rank_where_float32_probabilities_tie():
    """Logits from 20 to 40: their sigmoids are 1 in float32, and from 37 on in float64."""
    random = np.random.default_rng(8)
    Y = (random.random((200, 4)) < 0.4).astype(int)
    logits = (20 + 20 * random.random((200, 4)) * (0.5 + 0.5 * Y)).astype(np.float32)
    p = 1 / (1 + np.exp(-logits))
    assert (p == 1).all()
    found, tied = evaluate(Y, logits, input="logit"), evaluate(Y, p)
    raw = evaluate(Y, logits, metrics=[name for name in METRICS if name not in ("micro_f1", "macro_f1")])
    for name in ("map", "macro_auc", "one_error", "label_ranking_ap"):
        assert found[name] == raw[name]
    assert found["map"] > tied["map"] + 0.2
    assert found["micro_f1"] == tied["micro_f1"]
    assert evaluate(Y, logits, TopK(1), input="logit")["micro_f1"] > 0.3
    with pytest.raises(UserError, match="did you mean 'logit'"):
        evaluate(Y, logits, input="logits")


@pytest.mark.parametrize("name", METRICS)
def test_one_metric_alone_is_the_same(name):
    rng = np.random.default_rng(4)
    Y, scores = rng.integers(-1, 2, (40, 6)), rng.random((40, 6))
    assert dict(evaluate(Y, scores, metrics=[name])) == {name: evaluate(Y, scores)[name]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": ["mpa"]}, "there is no metric 'mpa': did you mean 'map'"),
        ({"label_names": ["a"]}, "label_names has 1 names for 2 labels"),
        ({"empty_labels": "no", "metrics": ["map"]}, "empty_labels is 'no'"),
        ({"Y_true": [[1, -1], [-1, 1]]}, "no known negative .* observed_average_precision"),
        ({"Y_true": [[0, -1], [0, 0]]}, "no known positive"),
        ({"Y_true": [[1, 3], [0, 0]]}, "Y_true holds 3 at row 0"),
        ({"scores": [[1, 0], [np.nan, 0]], "label_names": ["a", "b"]}, "nan at row 1, label 'a'"),
    ],
)
def test_mistakes_get_one_line(change, message):
    arguments = {"Y_true": [[1, 0], [0, 1]], "scores": [[0.9, 0.1], [0.2, 0.7]], **change}
    with refusal(message):
        evaluate(arguments.pop("Y_true"), arguments.pop("scores"), **arguments)
