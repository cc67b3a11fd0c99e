"""Given labels that a model doubts."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import labelwise as lw
from labelwise.completion import find_label_issues, label_quality_scores
from tests.refusals import refused


def problem(seed=0, n=80, k=3, unknown=0.2):
    random = np.random.default_rng(seed)
    labels = random.choice([1, 0, -1], size=(n, k), p=[0.4 * (1 - unknown), 0.6 * (1 - unknown), unknown])
    scores = np.clip(
        0.5 + 0.25 * np.where(labels == 1, 1, -1) + 0.3 * random.normal(size=(n, k)), 0.001, 0.999
    )
    return labels.astype(np.int8), scores


def by_the_formula(labels, scores):
    """Prune by noise rate, entry by entry."""
    issues = set()
    for k in range(labels.shape[1]):
        rows = [i for i in range(len(labels)) if labels[i, k] >= 0]
        ones = [scores[i, k] for i in rows if labels[i, k] == 1]
        zeros = [1 - scores[i, k] for i in rows if labels[i, k] == 0]
        if not ones or not zeros:
            continue
        t1, t0 = sum(ones) / len(ones), sum(zeros) / len(zeros)
        count = {(i, j): 0 for i in (0, 1) for j in (0, 1)}
        for i in rows:
            p = scores[i, k]
            true = None
            if p >= t1 and 1 - p >= t0:
                true = int(p >= 0.5)
            elif p >= t1:
                true = 1
            elif 1 - p >= t0:
                true = 0
            if true is not None:
                count[labels[i, k], true] += 1
        for state in (0, 1):
            total = count[state, 0] + count[state, 1]
            given_rows = [i for i in rows if labels[i, k] == state]
            wrong = round(len(given_rows) * count[state, 1 - state] / total) if total else 0
            own = {i: scores[i, k] if state else 1 - scores[i, k] for i in given_rows}
            issues |= {(i, k) for i in sorted(given_rows, key=own.get)[:wrong]}
    return issues


@pytest.mark.parametrize("seed", range(5))
def test_pruning_by_noise_rate_is_the_papers_count_of_the_least_confident(seed) -> None:
    labels, scores = problem(seed)
    assert {tuple(entry) for entry in np.argwhere(find_label_issues(labels, scores))} == by_the_formula(
        labels, scores
    )


@pytest.mark.parametrize("seed", range(4))
def test_on_known_entries_it_agrees_with_cleanlab(seed) -> None:
    filters = pytest.importorskip("cleanlab.multilabel_classification.filter")
    labels, scores = problem(seed, n=200, unknown=0.0)
    rows = [np.flatnonzero(row).tolist() for row in labels]
    for kind in ("prune_by_noise_rate", "confident_learning", "predicted_neq_given"):
        # By itself it forks, which hangs now and then in a process with threads.
        found = filters.find_multilabel_issues_per_class(rows, scores, filter_by=kind, n_jobs=1)
        expected = np.array(found)
        ours = find_label_issues(labels, scores, filter_by=kind)
        # cleanlab drops what the model would decide as given.
        ours &= (scores >= 0.5) != (labels == 1)
        assert (ours != expected).sum() <= 2  # counts are rounded otherwise
    ranks = pytest.importorskip("cleanlab.multilabel_classification.rank")
    np.testing.assert_allclose(
        label_quality_scores(labels, scores), ranks.get_label_quality_scores_per_class(rows, scores)
    )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.sampled_from(["prune_by_noise_rate", "confident_learning", "low_self_confidence"]),
)
def test_unknown_entries_are_no_issue_and_change_nothing(seed, kind) -> None:
    labels, scores = problem(seed, n=30)
    issues = find_label_issues(labels, scores, filter_by=kind)
    assert not issues[labels < 0].any()
    other = np.where(labels < 0, 1 - scores, scores)
    assert (find_label_issues(labels, other, filter_by=kind) == issues).all()
    assert (find_label_issues(labels, np.where(labels < 0, np.nan, scores), filter_by=kind) == issues).all()
    order = np.random.default_rng(seed).permutation(30)
    assert find_label_issues(labels[order], scores[order], filter_by=kind).sum() == issues.sum()


def test_indices_are_the_mask_ranked_by_quality() -> None:
    labels, scores = problem()
    mask = find_label_issues(labels, scores)
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy", "likelihood_ratio"):
        entries = find_label_issues(labels, scores, return_indices_ranked_by=method)
        quality = label_quality_scores(labels, scores, method=method)
        assert {tuple(entry) for entry in entries} == {tuple(entry) for entry in np.argwhere(mask)}
        values = quality[tuple(entries.T)]
        assert (np.diff(values) >= 0).all()
        assert np.isnan(quality[labels < 0]).all()
        assert ((quality[labels >= 0] >= 0) & (quality[labels >= 0] <= 1)).all()


def test_quality_by_the_formulas() -> None:
    labels, scores = [[1, 0], [0, -1], [0, 1]], [[0.2, 0.3], [0.4, 0.9], [0.1, 0.6]]
    assert label_quality_scores(labels, scores)[:, 0].tolist() == pytest.approx([0.2, 0.6, 0.9])
    q = label_quality_scores(labels, scores, method="likelihood_ratio")[0, 0]
    share = 1.5 / 4
    odds = (0.2 / 0.8) / (share / (1 - share))
    assert q == pytest.approx(odds / (1 + odds))
    entropy = -(0.2 * math.log2(0.2) + 0.8 * math.log2(0.8)) / 0.2
    assert label_quality_scores(labels, scores, method="confidence_weighted_entropy")[0, 0] == pytest.approx(
        1 / (1 + entropy)
    )


def test_numbers_of_issues_can_be_given() -> None:
    labels, scores = problem(unknown=0)
    issues = find_label_issues(labels, scores, num_to_remove_per_class=[[3, 0], [0, 2], [1, 1]])
    assert [[int((issues & (labels == state))[:, k].sum()) for state in (0, 1)] for k in range(3)] == [
        [3, 0],
        [0, 2],
        [1, 1],
    ]
    half = find_label_issues(labels, scores, frac_noise=0.5)
    whole = find_label_issues(labels, scores)
    assert 0 < half.sum() < whole.sum()
    assert not (half & ~whole).any()
    assert not find_label_issues(labels, scores, min_examples_per_class=81).any()


def test_a_label_of_one_state_has_no_issues_but_a_ranking() -> None:
    labels = np.array([[1], [1], [-1], [1]])
    scores = np.array([[0.9], [0.1], [0.9], [0.6]])
    assert not find_label_issues(labels, scores).any()
    assert find_label_issues(labels, scores, filter_by="predicted_neq_given").ravel().tolist() == [0, 1, 0, 0]
    assert np.nanargmin(label_quality_scores(labels, scores)) == 1


def test_planted_mistakes_come_first() -> None:
    random = np.random.default_rng(0)
    X = random.normal(size=(400, 8)).astype(np.float32)
    Y = (X @ random.normal(size=(8, 3)) > 0.5).astype(np.int8)
    wrong = np.zeros(Y.shape, bool)
    wrong.ravel()[random.choice(Y.size, 40, replace=False)] = True
    given_labels = np.where(wrong, 1 - Y, Y).astype(np.int8)
    model = lw.MultiLabelClassifier("ridge").fit(X, given_labels)
    left_out = lw.completion.left_out_scores(model, X, given_labels)
    entries = lw.find_label_issues(given_labels, left_out.scores, return_indices_ranked_by="self_confidence")
    assert wrong[tuple(entries[:30].T)].mean() > 0.9


def test_what_cannot_be_is_refused() -> None:
    labels, scores = [[1, 0]], [[0.5, 0.5]]
    refused(lambda: find_label_issues(labels, [[0.5]]), "labels has shape (1, 2) but scores (1, 1)")
    refused(lambda: find_label_issues(labels, [[0.5, 1.5]]), "scores holds 1.5 at row 0, label 1")
    refused(lambda: find_label_issues(labels, scores, filter_by="prune"), "there is no filter 'prune'")
    refused(lambda: find_label_issues(labels, scores, frac_noise=0), "frac_noise is 0")
    refused(
        lambda: find_label_issues(labels, scores, return_indices_ranked_by="margin"),
        "there is no ranking 'margin'",
    )
    refused(lambda: label_quality_scores(labels, scores, method="margin"), "there is no ranking 'margin'")
    refused(lambda: find_label_issues(labels, scores, num_to_remove_per_class=[1, 2]), "of shape (2, 2)")
