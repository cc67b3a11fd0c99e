"""What a threshold does to one label: counts at every score that a positive has, from two sorts.

AP, AUC and the best F1 change only where the threshold passes a positive, so one pass over the distinct
scores of the positives gives all three, ties included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelwise.metrics.checks import Floats, Labels, Scores


class Cuts(NamedTuple):
    """Counts at each distinct score of the positives, from the highest down; c of them."""

    values: Scores
    """(c,) the distinct scores of the positives, descending."""
    true_positives: NDArray[np.int64]
    """(c,) positives that score at least the value."""
    false_positives: NDArray[np.int64]
    """(c,) negatives that score at least the value."""
    negatives_above: NDArray[np.int64]
    """(c,) negatives that score more than the value."""
    next_lower: Floats
    """(c,) the highest score below the value, of either class; the value itself where there is none."""
    n_positive: int
    n_negative: int


def cuts(positive: Scores, negative: Scores) -> Cuts:
    """Return the cuts of one label from the scores of its known positives and of its known negatives."""
    low_to_high, counts = np.unique(positive, return_counts=True)
    negative = np.sort(negative)
    below = np.searchsorted(negative, low_to_high, "left")
    not_above = np.searchsorted(negative, low_to_high, "right")
    lower = np.concatenate([low_to_high[:1], low_to_high[:-1]]).astype(np.float64)
    if len(negative):
        nearest = negative[np.maximum(below - 1, 0)]
        lower[1:] = np.where(below[1:] > 0, np.maximum(lower[1:], nearest[1:]), lower[1:])
        lower[:1] = np.where(below[:1] > 0, nearest[:1], lower[:1])
    return Cuts(
        low_to_high[::-1],
        np.cumsum(counts[::-1]),
        (len(negative) - below)[::-1],
        (len(negative) - not_above)[::-1],
        lower[::-1],
        len(positive),
        len(negative),
    )


def label_cuts(Y: Labels, scores: Scores, k: int) -> Cuts:
    """Return the cuts of label ``k`` over its known entries."""
    y, s = Y[:, k], scores[:, k]
    return cuts(s[y == 1], s[y == 0])


def cut_average_precision(c: Cuts) -> float:
    """Return AP = sum over cuts of (R_i - R_{i-1}) P_i, as scikit-learn has it; NaN unless both classes are known."""
    if not (c.n_positive and c.n_negative):
        return float("nan")
    gained = np.diff(c.true_positives, prepend=0)
    precision = c.true_positives / (c.true_positives + c.false_positives)
    return float(gained @ precision / c.n_positive)


def cut_auc(c: Cuts) -> float:
    """Return the share of (positive, negative) pairs in the right order, ties half; NaN without both."""
    if not (c.n_positive and c.n_negative):
        return float("nan")
    gained = np.diff(c.true_positives, prepend=0)
    wrong = (c.false_positives + c.negatives_above) / 2
    return float(1 - gained @ wrong / (c.n_positive * c.n_negative))


def cut_best_threshold(c: Cuts) -> float:
    """Return the threshold of the highest F1 (the highest such one), halfway down to the next lower score."""
    f1 = 2 * c.true_positives / (c.n_positive + c.true_positives + c.false_positives)
    best = int(np.argmax(f1))
    value, lower = float(c.values[best]), float(c.next_lower[best])
    middle = lower + (value - lower) / 2
    return middle if middle > lower else value
