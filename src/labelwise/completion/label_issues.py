"""Given labels that a model doubts: confident learning, label by label, over known entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from labelwise.annotations import as_matrix
from labelwise.errors import UserError, near, shown

RankBy = Literal["self_confidence", "normalized_margin", "confidence_weighted_entropy", "likelihood_ratio"]
FilterBy = Literal["prune_by_noise_rate", "confident_learning", "predicted_neq_given", "low_self_confidence"]
_CLIP = 1e-12
_SAME = {
    "prune_by_class": "prune_by_noise_rate",
    "both": "prune_by_noise_rate",
    "low_normalized_margin": "low_self_confidence",
}
"""Filters of many classes that choose the same entries of one label, which has two."""


def label_quality_scores(
    labels: Any, scores: Any, *, method: RankBy = "self_confidence"
) -> NDArray[np.float64]:
    """Return how far each given entry is to be trusted; low is doubtful.

    With p the probability of the state that is given, which is the score of a given 1 and one minus it of a given 0:

    - ``self_confidence``: p. Right where every entry is as likely to be wrong as any other.
    - ``normalized_margin``: p - (1 - p), brought to [0, 1]; the same order.
    - ``confidence_weighted_entropy``: -[p log p + (1 - p) log(1 - p)] / log 2 / p, brought to [0, 1] so that low is
      doubtful; for entries of p below one half the same order.
    - ``likelihood_ratio``: the odds p / (1 - p) over the odds of that state among the label's known entries, as a
      share q / (1 + q). Right where the labels' positives (and negatives) are as likely to be wrong in each label,
      however rare it is.

    Args:
        labels: (n, K) of 1, 0 and -1.
        scores: (n, K) probabilities in [0, 1] of models that did not see the row; NaN where there is none.
        method: Name of the score.

    Returns:
        (n, K) float64 in [0, 1], NaN in unknown entries and without a score.

    Raises:
        UserError: For shapes that differ, scores outside [0, 1] and an unknown ``method``.
    """
    if method not in get_args(RankBy):
        raise UserError(f"there is no ranking {shown(method)}; {near(str(method), get_args(RankBy))}")
    matrix, p = _checked(labels, scores)
    return _quality(matrix, p, method)


def find_label_issues(
    labels: Any,
    scores: Any,
    *,
    return_indices_ranked_by: RankBy | None = None,
    filter_by: FilterBy | Literal["prune_by_class", "both", "low_normalized_margin"] = "prune_by_noise_rate",
    frac_noise: float = 1.0,
    num_to_remove_per_class: Sequence[Sequence[int]] | None = None,
    min_examples_per_class: int = 1,
) -> NDArray[np.bool_] | NDArray[np.int64]:
    """Return the given entries that are likely to be wrong.

    Confident learning (Northcutt et al. 2021, eqs. 1 to 3), one label at a time as a problem of two classes, over its
    known entries. With t_1 the mean score of given positives and t_0 the mean of one minus the score of given
    negatives, an entry counts as truly 1 where its score is at least t_1, as truly 0 where one minus it is at least
    t_0 (where both hold, as the likelier). C_ij counts given i that count as truly j; of the n_i given i,
    n_i C_ij / (C_i0 + C_i1) are estimated to be wrong.

    Args:
        labels: (n, K) of 1, 0 and -1; unknown entries are never an issue.
        scores: (n, K) probabilities in [0, 1] of models that did not see the row (``left_out_scores``); NaN where
            there is none.
        return_indices_ranked_by: None for a mask; else how the entries are ranked, by ``label_quality_scores``.
        filter_by: Which entries are issues:

            - ``prune_by_noise_rate`` (for two classes the same as ``prune_by_class`` and ``both``): of each given
              state as many as are estimated to be wrong, those of the lowest self-confidence;
            - ``confident_learning``: those that C counts as wrong;
            - ``predicted_neq_given``: those of self-confidence below one half;
            - ``low_self_confidence`` (the same as ``low_normalized_margin``): as many as are estimated to be wrong of
              either state together, those of the lowest self-confidence.
        frac_noise: Share of the estimated number that is returned, in (0, 1]; the least confident first.
        num_to_remove_per_class: (K, 2) numbers of given 0 and given 1 to return, in the place of the estimate.
        min_examples_per_class: Of a state that is given less often in a label none is an issue.

    Returns:
        (n, K) bool; or (m, 2) int64, row and label of each issue, the most doubtful first.

    Raises:
        UserError: For shapes that differ, scores outside [0, 1] and values that an argument cannot have.

    A label of which one state alone is given says nothing of how many are wrong: it has no issues but by
    ``predicted_neq_given``. Its entries can be ranked by ``label_quality_scores``.
    """
    kind = _SAME.get(filter_by, filter_by)
    if kind not in get_args(FilterBy):
        raise UserError(
            f"there is no filter {shown(filter_by)}; {near(str(filter_by), (*get_args(FilterBy), *_SAME))}"
        )
    if not 0 < frac_noise <= 1:
        raise UserError(f"frac_noise is {shown(frac_noise)}: give a share above 0 and at most 1")
    if return_indices_ranked_by not in (None, *get_args(RankBy)):
        raise UserError(
            f"there is no ranking {shown(return_indices_ranked_by)};"
            f" {near(str(return_indices_ranked_by), get_args(RankBy))}"
        )
    matrix, p = _checked(labels, scores)
    numbers = _numbers(num_to_remove_per_class, matrix.shape[1])
    confidence = _quality(matrix, p, "self_confidence")
    issues = np.zeros(matrix.shape, bool)
    for k in range(matrix.shape[1]):
        wanted = None if numbers is None else numbers[k]
        rows = np.flatnonzero(matrix[:, k] >= 0)
        found = _issues(matrix[rows, k], p[rows, k], confidence[rows, k], kind, frac_noise, wanted)
        for state in (0, 1):
            if (matrix[rows, k] == state).sum() < min_examples_per_class:
                found &= matrix[rows, k] != state
        issues[rows[found], k] = True
    if return_indices_ranked_by is None:
        return issues
    entries = np.argwhere(issues)
    quality = _quality(matrix, p, return_indices_ranked_by)[issues]
    return np.asarray(entries[np.argsort(quality, kind="stable")], np.int64)


def confident_joint(labels: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return C (2, 2) of one label's known entries: given state by counted state."""
    return _joint(labels, _counted(labels, scores))


def _joint(labels: NDArray[Any], counted: NDArray[np.int8]) -> NDArray[np.int64]:
    return np.array([[np.sum((labels == i) & (counted == j)) for j in (0, 1)] for i in (0, 1)])


def _counted(labels: NDArray[Any], p: NDArray[Any]) -> NDArray[np.int8]:
    """Return the state as which each entry counts, -1 where neither is confident."""
    positive = p >= p[labels == 1].mean()
    negative = 1 - p >= (1 - p[labels == 0]).mean()
    likelier = np.where(p >= 0.5, 1, 0)
    return np.where(positive & negative, likelier, np.where(positive, 1, np.where(negative, 0, -1))).astype(
        np.int8
    )


def _issues(
    labels: NDArray[np.int8],
    p: NDArray[np.float64],
    confidence: NDArray[np.float64],
    kind: str,
    share: float,
    wanted: NDArray[np.int64] | None,
) -> NDArray[np.bool_]:
    """Return which known entries of one label are issues."""
    found = np.zeros(len(labels), bool)
    if kind == "predicted_neq_given":
        found = confidence < 0.5
        return _lowest(confidence, found, round(share * int(found.sum()))) if share < 1 else found
    if not ((labels == 1).any() and (labels == 0).any()):
        return found
    counted = _counted(labels, p)
    if kind == "confident_learning":
        found = (counted >= 0) & (counted != labels)
        return _lowest(confidence, found, round(share * int(found.sum()))) if share < 1 else found
    joint = _joint(labels, counted)
    sums = joint.sum(axis=1)
    wrong = [(labels == i).sum() * joint[i, 1 - i] / sums[i] if sums[i] else 0.0 for i in (0, 1)]
    numbers = [round(share * float(count)) for count in wrong] if wanted is None else [int(n) for n in wanted]
    if kind == "low_self_confidence":
        return _lowest(confidence, np.ones(len(labels), bool), sum(numbers))
    for state in (0, 1):
        found |= _lowest(confidence, labels == state, numbers[state])
    return found


def _lowest(values: NDArray[np.float64], among: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
    """Return the ``count`` lowest values of some, the earlier row of equal ones."""
    chosen = np.zeros(len(values), bool)
    rows = np.flatnonzero(among)
    chosen[rows[np.argsort(values[rows], kind="stable")[:count]]] = True
    return chosen


def _checked(labels: Any, scores: Any) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return labels and scores; entries without a score become unknown."""
    matrix = as_matrix(labels, argument="labels")
    p = np.asarray(scores, np.float64)
    if p.shape != matrix.shape:
        raise UserError(f"labels has shape {matrix.shape} but scores {p.shape}: give one score an entry")
    if ((p < 0) | (p > 1)).any():
        row, k = np.argwhere((p < 0) | (p > 1))[0]
        raise UserError(f"scores holds {p[row, k]:g} at row {row}, label {k}: give probabilities in [0, 1]")
    return np.where(np.isnan(p), -1, matrix).astype(np.int8), p


def _numbers(given: Any, n_labels: int) -> NDArray[np.int64] | None:
    if given is None:
        return None
    numbers = np.asarray(given)
    if numbers.shape != (n_labels, 2) or numbers.dtype.kind not in "iu" or (numbers < 0).any():
        raise UserError(
            f"num_to_remove_per_class must be whole numbers from 0 of shape ({n_labels}, 2), given 0 and given 1 of"
            f" each label, not {shown(given)}"
        )
    return numbers.astype(np.int64)


def _quality(matrix: NDArray[np.int8], scores: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    known = matrix >= 0
    p = np.where(matrix == 1, scores, 1 - scores)
    if method == "likelihood_ratio":
        count = known.sum(axis=0)
        # One more of either state, so that a label of one state alone has a share too.
        share = ((matrix == 1).sum(axis=0) + 0.5) / (count + 1)
        prior = np.where(matrix == 1, share, 1 - share)
        p = 1 / (1 + np.exp(logit(prior) - logit(p.clip(_CLIP, 1 - _CLIP))))
    elif method == "confidence_weighted_entropy":
        q = p.clip(_CLIP, 1 - _CLIP)
        entropy = -(q * np.log2(q) + (1 - q) * np.log2(1 - q)) / q
        p = 1 / (1 + entropy)
    return np.where(known, p, np.nan)
