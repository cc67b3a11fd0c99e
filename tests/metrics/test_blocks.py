"""Evaluation by blocks of rows beside that of all scores at once, and beside slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.annotations import ListedStates
from labelwise.errors import UserError
from labelwise.metrics import (
    OracleCardinality,
    PerLabelThreshold,
    PriorMatched,
    Threshold,
    TopK,
    blocks,
    evaluate,
    evaluate_in_blocks,
    judgeable,
    observed_average_precision,
    observed_in_blocks,
)


def lists_of(Y, silent):
    """Return the relevant entries of a matrix as lists."""
    rows, labels = np.nonzero(Y == 1)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(Y)))])
    return ListedStates.of(indptr, labels, np.asarray(silent, np.int8), Y.shape[1])


@st.composite
def cases(draw):
    n, n_labels = draw(st.integers(1, 14)), draw(st.integers(2, 14))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    share = draw(st.sampled_from([0.1, 0.4, 0.9]))
    Y = (random.random((n, n_labels)) < share).astype(np.int8)
    # Few different scores, so that there are ties.
    values = draw(st.sampled_from([3, 40, 10**6]))
    scores = (random.integers(0, values, (n, n_labels)) / values).astype(draw(st.sampled_from(["f4", "f8"])))
    silent = np.where(random.random(n) < draw(st.sampled_from([0.0, 0.3])), -1, 0).astype(np.int8)
    return Y, silent, scores, draw(st.integers(1, 40))


RULES = [Threshold(0.4), TopK(2), OracleCardinality(), "own"]


@given(cases(), st.sampled_from(RULES))
def test_blocks_of_lists_are_as_all_at_once(case, rule):
    Y, silent, scores, entries = case
    if rule == "own":
        rule = PerLabelThreshold(np.linspace(0.2, 0.8, Y.shape[1]))
    lists = lists_of(Y, silent)
    dense = lists.dense()
    training = (np.arange(Y.shape[1]), 50)
    for ours, theirs in zip(vars(judgeable(lists)).values(), vars(judgeable(dense)).values(), strict=True):
        np.testing.assert_array_equal(ours, theirs)

    def run():
        return evaluate_in_blocks(lists, lambda rows: scores[rows], rule, training=training, entries=entries)

    try:
        expected = evaluate(dense, scores, rule, fair_rows=True, training=training)
    except UserError:
        with pytest.raises(UserError):
            run()
        return
    if not lists.whole.any():
        # Positives alone: nothing is fully known.
        return
    found = run()
    assert dict(found) == pytest.approx(dict(expected), nan_ok=True, abs=1e-12)
    assert list(found) == list(expected)
    for name, values in vars(expected.per_label).items():
        np.testing.assert_allclose(getattr(found.per_label, name), values, atol=1e-12, err_msg=name)
    for name in ("rule", "n_items", "n_items_left_out", "n_unknown", "n_items_positive_alone", "notes"):
        assert getattr(found, name) == getattr(expected, name), name


@settings(max_examples=40)
@given(cases())
def test_observed_average_precision_of_blocks(case):
    Y, silent, scores, entries = case
    lists = lists_of(Y, silent)
    found = observed_in_blocks(lists, lambda rows: scores[rows], entries=entries)
    np.testing.assert_allclose(found, observed_average_precision(lists.dense(), scores), atol=1e-12)


@settings(max_examples=40)
@given(cases(), st.integers(0, 14))
def test_counts_of_parts_are_merged(case, cut):
    Y, _, scores, _ = case
    lists = lists_of(Y, np.zeros(len(Y)))
    parts = [slice(0, cut), slice(cut, None)]
    passes = []
    for part in [slice(None), *parts]:
        one = blocks.FirstPass(Y.shape[1], Threshold(0.5), "probability", None)
        one.update(lists[part], scores[part])
        passes.append(one)
    whole, one, other = passes
    one.merge(other)
    assert one.item_figures() == pytest.approx(whole.item_figures(), nan_ok=True)
    assert one.top.finalize() == pytest.approx(whole.top.finalize())
    ranks = [blocks.RankCounts.of(one, Y.shape[1]) for _ in range(3)]
    for counts, part in zip(ranks, [slice(None), *parts], strict=True):
        counts.update(scores[part])
    ranks[1].merge(ranks[2])
    for ours, theirs in zip(ranks[1].finalize(), ranks[0].finalize(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_average_precision_and_auc_entry_by_entry():
    random = np.random.default_rng(0)
    Y, scores = (random.random((60, 5)) < 0.4).astype(np.int8), random.integers(0, 30, (60, 5)) / 30
    found = evaluate_in_blocks(
        lists_of(Y, np.zeros(60)), lambda rows: scores[rows], Threshold(0.5), entries=50
    )
    for k in range(5):
        positives, negatives = scores[Y[:, k] == 1, k], scores[Y[:, k] == 0, k]
        ap = 0.0
        for value in positives:
            hits = sum(other >= value for other in positives)
            ap += hits / (hits + sum(other >= value for other in negatives)) / len(positives)
        wins = sum((p > q) + 0.5 * (p == q) for p in positives for q in negatives)
        assert found.per_label.average_precision[k] == pytest.approx(ap)
        assert found.per_label.auc[k] == pytest.approx(wins / len(positives) / len(negatives))


def test_what_cannot_be_judged_in_blocks_is_refused():
    lists = lists_of(np.eye(3, dtype=np.int8), np.zeros(3))

    def scores(rows):
        return np.zeros((len(rows), 3))

    with pytest.raises(UserError, match="looks at all items"):
        evaluate_in_blocks(lists, scores, PriorMatched([0.5] * 3))
    with pytest.raises(UserError, match="no known negative"):
        evaluate_in_blocks(lists_of(np.eye(3, dtype=np.int8), [-1] * 3), scores, Threshold(0.5))
    with pytest.raises(UserError, match="scores came as"):
        evaluate_in_blocks(lists, lambda rows: np.zeros((1, 2)), Threshold(0.5))
