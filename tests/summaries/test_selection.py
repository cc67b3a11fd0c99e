"""Exact selections: against a full sort, in any split and any order of merging, on ties and at the edges."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.errors import UserError
from labelwise.summaries import ScoreHistogram, Thresholds, TopScores
from tests.memory import cost_of


def by_sorting(scores, ids, counts, largest, mask):
    """The definition: rank every allowed entry by score, then by id, and take the first of them."""
    chosen = []
    for label, count in enumerate(counts):
        sign = -1 if largest else 1
        allowed = [row for row in range(len(ids)) if mask[row, label]]
        ranked = sorted(allowed, key=lambda row: (sign * float(scores[row, label]), ids[row]))
        chosen.append(sorted(int(ids[row]) for row in ranked[:count]))
    return chosen


def selected_ids(thresholds: Thresholds, scores, ids, mask):
    chosen = thresholds.select(scores, ids) & mask
    return [sorted(ids[chosen[:, label]].tolist()) for label in range(scores.shape[1])]


def top(parts, counts, largest, merged):
    """Gather parts in one summary, or one each and merge them in the order given."""
    summaries = [TopScores(counts, largest=largest) for _ in (parts if merged else [None])]
    for number, (scores, ids, mask) in enumerate(parts):
        summaries[number if merged else 0].update(scores, ids, mask)
    for other in summaries[1:]:
        summaries[0].merge(other)
    return summaries[0].finalize()


def histogram(parts, counts, largest, score_passes):
    """Gather each part in a worker of its own; after each pass merge, settle, and send copies out."""
    leader = ScoreHistogram(counts, largest=largest, score_passes=score_passes)
    passes = 0
    for _ in leader.passes:
        passes += 1
        workers = [copy.deepcopy(leader) for _ in parts[1:]]
        leader.update(*parts[0])
        for worker, part in zip(workers, parts[1:], strict=True):
            worker.update(*part)
        for worker in workers:
            leader.merge(worker)
        leader.next_pass()
    assert passes <= score_passes + 3
    return leader.finalize()


@st.composite
def selections(draw):
    n, n_labels = draw(st.integers(1, 40)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    if draw(st.booleans()):
        scores = random.choice(np.array([-np.inf, -1.5, -0.0, 0.0, 1e-40, 2, np.inf]), (n, n_labels)).astype(
            dtype
        )
    else:
        scores = random.standard_normal((n, n_labels)).astype(dtype)
    ids = random.permutation(1000)[:n]
    mask = random.random((n, n_labels)) < draw(st.sampled_from([0.5, 1.0]))
    counts = random.integers(0, n + 3, n_labels)
    bounds = np.unique([0, *draw(st.lists(st.integers(0, n), max_size=4)), n])
    parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
    order = draw(st.permutations(range(len(parts))))
    return scores, ids, mask, counts, [parts[i] for i in order], draw(st.booleans())


@settings(max_examples=100, deadline=None)
@given(selections(), st.booleans())
def test_top_scores_equal_sorting_in_any_split_and_order(case, merged):
    scores, ids, mask, counts, parts, largest = case
    result = top([(scores[p], ids[p], mask[p]) for p in parts], counts, largest, merged)
    expected = by_sorting(scores, ids, counts, largest, mask)
    assert [found.tolist() for found in result.ids] == expected
    assert selected_ids(result.thresholds, scores, ids, mask) == expected
    where = {item: row for row, item in enumerate(ids.tolist())}
    for label, (found, values) in enumerate(zip(result.ids, result.scores, strict=True)):
        assert values.dtype == scores.dtype
        np.testing.assert_array_equal(values, scores[[where[item] for item in found.tolist()], label])


@settings(max_examples=100, deadline=None)
@given(selections(), st.sampled_from([2, 3]))
def test_histograms_equal_sorting_in_any_split_and_order(case, score_passes):
    scores, ids, mask, counts, parts, largest = case
    scores = scores.astype(np.float32)
    result = histogram([(scores[p], ids[p], mask[p]) for p in parts], counts, largest, score_passes)
    assert selected_ids(result, scores, ids, mask) == by_sorting(scores, ids, counts, largest, mask)


@pytest.mark.parametrize("scores", ["descending", "ascending", "constant", "random"])
def test_top_scores_over_many_blocks_stay_within_twice_the_selection(scores):
    n, count = 200_000, 500
    values = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    values = {"descending": -np.sort(-values), "ascending": np.sort(values), "constant": values * 0}.get(
        scores, values
    )
    matrix = np.stack([values, -values], axis=1)
    summary = TopScores([count, 0])
    for start in range(0, n, 1000):
        summary.update(matrix[start : start + 1000], start)
        assert len(summary._ids[0]) <= 2 * count + 256
        assert len(summary._ids[1]) == 0
    found = summary.finalize()
    np.testing.assert_array_equal(found.ids[0], np.sort(np.argsort(-values, kind="stable")[:count]))
    assert found.thresholds.scores[0] == np.partition(values, n - count)[n - count]


def first_pass(n):
    summary = ScoreHistogram([n // 10] * 4)
    random = np.random.default_rng(0)
    for _ in summary.passes:
        for start in range(0, n, 1000):
            summary.update(random.standard_normal((1000, 4), dtype=np.float32), start)
        break


def test_histogram_memory_does_not_depend_on_the_number_of_items():
    cost_of(first_pass, 1000)
    assert cost_of(first_pass, 200_000).peak < 1.1 * cost_of(first_pass, 2000).peak


def test_histogram_takes_three_passes_without_ties_and_counts_the_scores_of_ties_exactly():
    scores = np.random.default_rng(1).standard_normal((1000, 2)).astype(np.float32)
    summary, passes = ScoreHistogram([100, 1]), 0
    for _ in summary.passes:
        summary.update(scores, 0)
        summary.next_pass()
        passes += 1
    assert passes == 3
    np.testing.assert_array_equal(summary.finalize().scores, -np.sort(-scores, axis=0)[[99, 0], [0, 1]])


def test_tensors_half_precision_and_layouts_give_the_same():
    scores = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    expected = top([(scores.numpy(), np.arange(300), None)], [10] * 5, True, False)
    for other in (scores, scores.T.contiguous().T, scores.clone().requires_grad_(), scores.double()):
        found = top([(other, torch.arange(300), torch.ones(300, 5, dtype=torch.bool))], [10] * 5, True, False)
        assert [ids.tolist() for ids in found.ids] == [ids.tolist() for ids in expected.ids]
    for dtype in (torch.float16, torch.bfloat16):
        coarse = scores.to(dtype)
        found = top([(coarse, 0, None)], [10] * 5, True, False)
        order = np.argsort(-coarse.float().numpy(), axis=0, kind="stable")[:10]
        assert [ids.tolist() for ids in found.ids] == np.sort(order, axis=0).T.tolist()


def test_float64_scores_are_not_rounded():
    scores = np.array([[1.0], [1.0 + 1e-12], [1.0 + 2e-12]])
    assert top([(scores, 0, None)], [1], True, False).ids[0].tolist() == [2]
    first, second = TopScores([1]), TopScores([1])
    first.update(np.ones((1, 1), np.float32), 0)
    second.update(scores[1:], 1)
    first.merge(second)
    assert first.finalize().ids[0].tolist() == [2]


def test_finalize_does_not_end_the_gathering():
    summary = TopScores([2])
    summary.update(np.array([[3.0], [1.0], [2.0]]), 0)
    assert summary.finalize().ids[0].tolist() == [0, 2]
    summary.update(np.array([[9.0]]), 3)
    assert summary.finalize().ids[0].tolist() == [0, 3]


@pytest.mark.parametrize("kind", [TopScores, ScoreHistogram])
def test_what_cannot_be_ranked_is_refused_with_its_place(kind):
    scores = np.zeros((4, 3), np.float32)
    scores[2, 1] = np.nan
    with pytest.raises(UserError, match="row 2, label 1"):
        kind([1, 1, 1]).update(scores, 0)
    kind([1, 1, 1]).update(scores, 0, ~np.isnan(scores))
    with pytest.raises(UserError, match="one column per label"):
        kind([1, 1]).update(scores, 0)
    with pytest.raises(UserError, match="label 1"):
        kind([1, -1])
    with pytest.raises(UserError, match="ids"):
        kind([1, 1, 1]).update(scores, np.arange(3))
    with pytest.raises(UserError, match="merged"):
        kind([1, 1]).merge(kind([1, 2]))


def test_a_histogram_is_used_in_order():
    summary = ScoreHistogram([1])
    with pytest.raises(UserError, match="pass 0"):
        summary.finalize()
    with pytest.raises(UserError, match="below 2"):
        summary.update(np.zeros((1, 1), np.float32), 2**32)
    other = ScoreHistogram([1])
    other.update(np.zeros((1, 1), np.float32), 0)
    other.next_pass()
    with pytest.raises(UserError, match="same pass"):
        summary.merge(other)
