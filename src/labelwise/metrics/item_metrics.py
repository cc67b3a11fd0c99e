"""Metrics that rank the labels of each item.

They are one-error, coverage, ranking loss, ranking AP (by items, and by labels), and precision and recall at k.
"""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from labelwise.annotations import row_blocks
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair
from labelwise.metrics.measurable import check_judgeable

DEPTHS = (1, 3, 5)
ITEM_METRICS = (
    "one_error",
    "coverage",
    "ranking_loss",
    "label_ranking_ap",
    *(f"{name}_at_{k}" for name in ("precision", "recall") for k in DEPTHS),
)
"""The names of the metrics that rank the labels of each item, in the order of a result."""


def ranking_metrics(Y: Labels, scores: Scores) -> dict[str, float]:
    """Return every per-item ranking metric, over the known entries of each item.

    Args:
        Y: (n, K) int8; every item has a known entry.
        scores: (n, K) finite.

    Returns:
        Means over items, in [0, 1]. With m_i known and P_i relevant labels of item i, and depth(s) the
        number of known labels that score at least s:

        - ``one_error``: no relevant label among those with the top score (so also an item with none
          relevant);
        - ``coverage``: (max depth of a relevant label - 1) / m_i, 0 with none relevant;
        - ``ranking_loss``: share of (relevant, irrelevant) pairs where the irrelevant scores at least as
          much, 0 where a class is missing;
        - ``label_ranking_ap``: mean over the relevant of (relevant within depth) / depth, 1 where a class is
          missing;
        - ``precision_at_k``: relevant among the top k / min(k, m_i), ties by the lower label index;
        - ``recall_at_k``: relevant among the top k / P_i, over items with a relevant label (NaN when there
          are none).

        At a depth of at least the number of labels nothing is chosen, and both are NaN.
    """
    n, n_labels = Y.shape
    totals = dict.fromkeys(("one_error", "coverage", "ranking_loss", "label_ranking_ap"), 0.0)
    precision, recall, n_relevant_items = np.zeros(len(DEPTHS)), np.zeros(len(DEPTHS)), 0
    for rows in row_blocks(n, n_labels):
        y, hits_so_far, depth = _ranked(Y[rows], scores[rows])
        relevant = y == 1
        m, p = (y >= 0).sum(axis=1), hits_so_far[:, -1]
        hits = np.take_along_axis(hits_so_far, depth - 1, axis=1)
        both, some = (p > 0) & (p < m), p > 0
        share = np.where(relevant, hits / depth, 0).sum(axis=1) / np.maximum(p, 1)
        wrong = np.where(relevant, depth - hits, 0).sum(axis=1) / np.maximum(p * (m - p), 1)
        deepest = np.where(relevant, depth, 1).max(axis=1)
        totals["one_error"] += float((hits[:, 0] == 0).sum())
        totals["coverage"] += float(((deepest - 1) / m).sum())
        totals["ranking_loss"] += float(wrong[both].sum())
        totals["label_ranking_ap"] += float(np.where(both, share, 1).sum())
        n_relevant_items += int(some.sum())
        for i, k in enumerate(DEPTHS):
            hits_at_k = hits_so_far[:, min(k, n_labels) - 1]
            precision[i] += (hits_at_k / np.minimum(k, m)).sum()
            recall[i] += (hits_at_k[some] / p[some]).sum()
    result = {name: total / n for name, total in totals.items()}
    result |= {f"precision_at_{k}": float(precision[i] / n) for i, k in enumerate(DEPTHS)}
    recall_means: Floats = recall / n_relevant_items if n_relevant_items else np.full(len(DEPTHS), np.nan)
    result |= {f"recall_at_{k}": float(recall_means[i]) for i, k in enumerate(DEPTHS)}
    # One object, so that results without a value there compare equal.
    trivial = [k for k in DEPTHS if k >= n_labels]
    return result | {f"{name}_at_{k}": np.nan for name in ("precision", "recall") for k in trivial}


def label_weighted_ranking_ap(Y_true: ArrayLike, scores: ArrayLike, **meanings: Unpack[Meanings]) -> float:
    """Return the label-weighted label-ranking average precision (lwlrap).

    The mean over all known relevant entries (i, k) of (relevant within depth_ik) / depth_ik, where depth_ik is the
    number of known labels of item i that score at least s_ik. Every relevant entry weighs the same, where
    ``label_ranking_ap`` has every item weigh the same: so an item without a relevant label does not count. The
    measure of challenges in audio tagging.

    Args:
        Y_true: (n, K) of 1, 0 and -1 (unknown, left out).
        scores: (n, K) finite; only their order within an item matters.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        A number in (0, 1].

    Raises:
        UserError: no positive is known, or no negative is; a value outside the three states, a score that is not
            finite, shapes that differ.
    """
    Y, s = check_pair(Y_true, scores, **meanings)
    check_judgeable(Y)
    total = 0.0
    for rows in row_blocks(*Y.shape):
        y, hits_so_far, depth = _ranked(Y[rows], s[rows])
        precision = np.take_along_axis(hits_so_far, depth - 1, axis=1) / depth
        total += float(precision[y == 1].sum())
    return total / int((Y == 1).sum())


def _ranked(Y: Labels, scores: Scores) -> tuple[Labels, np.ndarray, np.ndarray]:
    """Return each item's labels in order of score, with tie depths.

    Best score first and unknown last: the labels, the relevant ones so far, and the depth of each tie group.
    """
    n_labels = Y.shape[1]
    keys = np.where(Y >= 0, -scores, np.inf)
    # Stable: ties go to the lower label index, which precision and recall at k promise.
    order = np.argsort(keys, axis=1, kind="stable")
    keys, y = np.take_along_axis(keys, order, axis=1), np.take_along_axis(Y, order, axis=1)
    last = np.full(Y.shape, n_labels, dtype=np.int32)
    np.copyto(last[:, :-1], np.arange(1, n_labels, dtype=np.int32), where=keys[:, :-1] != keys[:, 1:])
    # From the right, so that each label takes the end of its own tie group.
    depth = np.minimum.accumulate(last[:, ::-1], axis=1)[:, ::-1]
    return y, np.cumsum(y == 1, axis=1, dtype=np.int32), depth
