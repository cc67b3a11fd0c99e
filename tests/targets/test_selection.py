"""Pseudo-labels, hard negatives, self-paced soft labels: against their rules in loops, and their traps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.errors import UserError
from labelwise.targets import (
    class_aware_pseudo_labels,
    hard_negatives,
    hard_negatives_from_chunks,
    pseudo_labels_from_chunks,
    self_paced_negatives,
)


def chunked(scores, size):
    return lambda: (
        (slice(a, min(a + size, len(scores))), scores[a : a + size]) for a in range(0, len(scores), size)
    )


def slow_pseudo_labels(scores, prior, positive_share, negative_share, labels):
    result = np.array(labels)
    for label in range(scores.shape[1]):
        rows = [row for row in range(len(scores)) if labels[row, label] == -1]
        rows.sort(key=lambda row: (-scores[row, label], row))
        positives = int(prior[label] * len(rows))
        negatives = int(negative_share * (len(rows) - positives))
        for rank, row in enumerate(rows):
            if rank < int(positive_share * prior[label] * len(rows)):
                result[row, label] = 1
            elif rank >= len(rows) - negatives:
                result[row, label] = 0
    return result


matrices = st.tuples(st.integers(1, 30), st.integers(1, 4), st.integers(0, 2**32 - 1), st.booleans())


def draw_scores(shape):
    n, n_labels, seed, tied = shape
    random = np.random.default_rng(seed)
    scores = random.random((n, n_labels), dtype=np.float32)
    return random, np.round(scores, 1) if tied else scores


@settings(max_examples=100, deadline=None)
@given(
    matrices,
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 0.5, 0.998, 1.0]),
    st.integers(1, 31),
)
def test_pseudo_labels_equal_their_rule(shape, positive_share, negative_share, size):
    random, scores = draw_scores(shape)
    prior = random.choice([0.0, 0.1, 0.37, 1.0], scores.shape[1])
    labels = random.choice(np.array([-1, -1, 0, 1], np.int8), scores.shape)
    all_unknown = np.full(scores.shape, -1, np.int8)
    shares = (prior, positive_share, negative_share)
    found = class_aware_pseudo_labels(scores, *shares)
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, slow_pseudo_labels(scores, *shares, all_unknown))
    streamed = pseudo_labels_from_chunks(chunked(scores, size), len(scores), *shares, labels=labels)
    np.testing.assert_array_equal(streamed, slow_pseudo_labels(scores, *shares, labels))


def test_a_count_of_zero_means_no_positives_and_shares_of_one_mask_nothing():
    scores = np.random.default_rng(0).random((99, 3))
    found = class_aware_pseudo_labels(scores, [0.0, 0.01, 1.0])
    assert (found == 1).sum(axis=0).tolist() == [0, 0, 99]
    assert (found == 0).sum(axis=0).tolist() == [99, 99, 0]


def test_ties_go_to_the_lower_item():
    found = class_aware_pseudo_labels(torch.zeros(10, 1), torch.tensor([0.35]), 1.0, 0.5)
    assert found[:, 0].tolist() == [1, 1, 1, -1, -1, -1, -1, 0, 0, 0]


def test_pseudo_labels_name_what_is_wrong():
    with pytest.raises(UserError, match=r"prior is 1\.5 for label 1"):
        class_aware_pseudo_labels(np.zeros((3, 2)), [0.1, 1.5])
    with pytest.raises(UserError, match="prior is nan for label 0"):
        class_aware_pseudo_labels(np.zeros((3, 1)), [np.nan])
    with pytest.raises(UserError, match="negative_share is -1"):
        class_aware_pseudo_labels(np.zeros((3, 1)), [0.5], 1, -1)
    with pytest.raises(UserError, match="row 1, label 0"):
        class_aware_pseudo_labels(np.array([[0.0], [np.nan]]), [0.5])
    with pytest.raises(UserError, match="scores has shape"):
        class_aware_pseudo_labels(np.zeros((3, 2)), [0.5])


@settings(max_examples=100, deadline=None)
@given(matrices, st.sampled_from([0.0, 0.5, 2.0, 5.0]), st.integers(1, 31))
def test_hard_negatives_equal_their_rule(shape, ratio, size):
    random, similarities = draw_scores(shape)
    labels = random.choice(np.array([1, 0, 0, -1], np.int8), similarities.shape)
    expected = np.zeros(labels.shape, bool)
    for label in range(labels.shape[1]):
        rows = [row for row in range(len(labels)) if labels[row, label] == 0]
        rows.sort(key=lambda row: (-similarities[row, label], row))
        positives = sum(int(value == 1) for value in labels[:, label])
        for row in rows[: min(int(ratio * positives), len(rows))]:
            expected[row, label] = True
    np.testing.assert_array_equal(hard_negatives(similarities, labels, ratio), expected)
    np.testing.assert_array_equal(
        hard_negatives_from_chunks(chunked(similarities, size), labels, ratio), expected
    )


def test_unknown_entries_lower_no_count_and_are_never_negatives():
    labels = np.array([[1], [-1], [-1], [-1], [0], [0], [0]])
    similarities = np.array([[0.0], [9.0], [np.nan], [9.0], [0.3], [0.1], [0.2]])
    assert hard_negatives(similarities, labels, 2)[:, 0].tolist() == [False] * 4 + [True, False, True]
    with pytest.raises(UserError, match="labels is 2 in row 1, label 0"):
        hard_negatives(np.zeros((2, 1)), np.array([[0], [2]]), 1)
    with pytest.raises(UserError, match="ratio is nan"):
        hard_negatives(np.zeros((2, 1)), np.array([[0], [1]]), float("nan"))


def slow_round(probabilities, soft, labels, proportion, rounds):
    result = soft.copy()
    for label in range(labels.shape[1]):
        unknown = [row for row in range(len(labels)) if labels[row, label] == -1]
        rows = [row for row in unknown if np.isnan(soft[row, label])]
        rows.sort(key=lambda row: (probabilities[row, label], row))
        for row in rows[: int(proportion * len(unknown) / rounds)]:
            result[row, label] = probabilities[row, label]
    return result


@settings(max_examples=60, deadline=None)
@given(matrices, st.integers(1, 6), st.sampled_from([np.float16, np.float32]), st.integers(1, 31))
def test_self_paced_rounds_equal_their_rule(shape, rounds, dtype, size):
    random, probabilities = draw_scores(shape)
    labels = random.choice(np.array([1, 0, -1, -1, -1], np.int8), probabilities.shape)
    soft = np.full(labels.shape, np.nan, dtype)
    slow = soft
    for number in range(rounds):
        probabilities = np.roll(probabilities, number, axis=0)
        before = soft.copy()
        source = chunked(probabilities, size) if number % 2 else probabilities
        soft = self_paced_negatives(source, soft, labels, rounds=rounds)
        slow = slow_round(probabilities, slow, labels, 0.9, rounds)
        np.testing.assert_array_equal(soft, slow)
        frozen = ~np.isnan(before)
        np.testing.assert_array_equal(soft[frozen], before[frozen])
    assert soft.dtype == dtype
    assert np.isnan(soft[labels != -1]).all()


def test_a_soft_label_of_zero_is_set_and_ninety_percent_are_used_up():
    labels = np.full((100, 1), -1, np.int8)
    labels[0] = 1
    labels = np.vstack([labels, [[-1]]]).astype(np.int8)
    soft = np.full(labels.shape, np.nan, np.float32)
    for round_ in range(5):
        soft = self_paced_negatives(np.zeros(labels.shape), soft, labels, rounds=5)
        assert np.count_nonzero(soft == 0) == 18 * (round_ + 1)
    assert np.flatnonzero(~np.isnan(soft[:, 0])).tolist() == list(range(1, 91))


def test_rounds_count_the_unknown_entries_at_the_start():
    labels = np.full((10, 1), -1, np.int8)
    labels[5:] = 1
    soft = np.full(labels.shape, np.nan, np.float32)
    once = {"proportion": 1.0, "rounds": 5}
    fewer = self_paced_negatives(np.zeros((10, 1)), soft, labels, **once)
    more = self_paced_negatives(np.zeros((10, 1)), soft, labels, **once, unknown_at_start=[10])
    assert (np.count_nonzero(fewer == 0), np.count_nonzero(more == 0)) == (1, 2)
    assert np.isnan(soft).all()


def test_soft_labels_name_what_is_wrong():
    labels = np.full((2, 1), -1, np.int8)
    with pytest.raises(UserError, match="soft_labels"):
        self_paced_negatives(np.zeros((2, 1)), np.zeros((2, 1), int), labels, rounds=5)
    with pytest.raises(UserError, match="rounds is 0"):
        self_paced_negatives(np.zeros((2, 1)), np.zeros((2, 1)), labels, rounds=0)
    with pytest.raises(UserError, match="proportion is 2"):
        self_paced_negatives(np.zeros((2, 1)), np.zeros((2, 1)), labels, rounds=1, proportion=2)
