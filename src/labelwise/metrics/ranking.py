"""Average precision of each label, and one score for a ranking."""

from __future__ import annotations

import sys
import warnings
from typing import Literal, NamedTuple, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, near
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair
from labelwise.metrics.measurable import check_judgeable, check_negatives, judgeable


class Cuts(NamedTuple):
    """Counts of one label at each distinct score of its positives.

    They go from the highest down; there are c of them.
    """

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
    """Return the cuts of one label.

    They are made from the scores of its known positives and of its known negatives.
    """
    low_to_high, counts = np.unique(positive, return_counts=True)
    negative = np.sort(negative)
    below = np.searchsorted(negative, low_to_high, "left")
    not_above = np.searchsorted(negative, low_to_high, "right")
    # The next lower score of either class, so that a threshold lies between two scores that occur.
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
    """Return the average precision, as scikit-learn has it.

    AP = sum over cuts of (R_i - R_{i-1}) P_i; NaN unless both classes are known.
    """
    if not (c.n_positive and c.n_negative):
        return float("nan")
    gained = np.diff(c.true_positives, prepend=0)
    precision = c.true_positives / (c.true_positives + c.false_positives)
    return float(gained @ precision / c.n_positive)


def cut_auc(c: Cuts) -> float:
    """Return the area under the ROC curve.

    It is the share of (positive, negative) pairs in the right order, ties half; NaN without both.
    """
    if not (c.n_positive and c.n_negative):
        return float("nan")
    gained = np.diff(c.true_positives, prepend=0)
    wrong = (c.false_positives + c.negatives_above) / 2
    return float(1 - gained @ wrong / (c.n_positive * c.n_negative))


def cut_best_threshold(c: Cuts) -> float:
    """Return the threshold of the highest F1.

    It is the highest such one, halfway down to the next lower score.
    """
    f1 = 2 * c.true_positives / (c.n_positive + c.true_positives + c.false_positives)
    best = int(np.argmax(f1))
    value, lower = float(c.values[best]), float(c.next_lower[best])
    # Floats side by side have no middle, and at the lower one its own item would be predicted.
    middle = lower + (value - lower) / 2
    return middle if middle > lower else value


EmptyLabels = Literal["omit", "zero"]


def average_precision(Y_true: ArrayLike, scores: ArrayLike, **meanings: Unpack[Meanings]) -> Floats:
    """Return the average precision of each label over its known entries.

    AP_k = sum_i (R_i - R_{i-1}) P_i over the distinct scores, highest first: equal scores are one step, as in
    ``sklearn.metrics.average_precision_score``.

    Args:
        Y_true: (n, K) of 1, 0 and -1 (unknown, left out).
        scores: (n, K) finite; only their order within a label matters.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label of which not both classes are known, since any score would do there.

    Raises:
        UserError: positives are known and no negative is; a value outside the three states, a score that is not
            finite, shapes that differ.
    """
    Y, s = check_pair(Y_true, scores, **meanings)
    check_negatives(Y)
    return each_average_precision(Y, s)


def each_average_precision(Y: Labels, scores: Scores) -> Floats:
    """Return the AP of each label, (K,), of checked arguments.

    It is NaN unless both classes are known.
    """
    return np.array([cut_average_precision(label_cuts(Y, scores, k)) for k in range(Y.shape[1])])


def weighted_average_precision(Y: Labels, scores: Scores, weights: Floats) -> Floats:
    """Return the AP of each label (K,), each row counted as often as its weight (n,) says.

    A row of weight 2 is the row twice. NaN unless both classes are known in rows of some weight.
    """
    from sklearn.metrics import average_precision_score

    values = np.full(Y.shape[1], np.nan)
    for k, labels in enumerate(Y.T):
        known = (labels >= 0) & (weights > 0)
        if (labels[known] == 1).any() and (labels[known] == 0).any():
            values[k] = average_precision_score(labels[known], scores[known, k], sample_weight=weights[known])
    return values


def mean_over_labels(values: Floats, has_positive: NDArray[np.bool_], empty_labels: EmptyLabels) -> float:
    """Return the mean of ``values`` (K,) over labels that have one.

    It is NaN where none has.

    Labels without a known positive are left out (``"omit"``) or count as 0 (``"zero"``).
    """
    if empty_labels not in ("omit", "zero"):
        raise UserError(f"empty_labels is {empty_labels!r}: {near(str(empty_labels), ('omit', 'zero'))}")
    if empty_labels == "zero":
        values = np.where(has_positive, values, 0.0)
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def mean_average_precision(
    Y_true: ArrayLike,
    scores: ArrayLike,
    *,
    empty_labels: EmptyLabels = "omit",
    **meanings: Unpack[Meanings],
) -> float:
    """Return the mean average precision (mAP), in [0, 1].

    It is over the labels of which both classes are known.

    ``empty_labels`` says what becomes of labels without a known positive: ``"omit"`` leaves them out (NaN
    when that leaves none), ``"zero"`` counts them as AP 0, as the published protocol does. Labels without a known
    negative are always left out; ``evaluate`` names them and counts the others.

    Raises:
        UserError: Where positives are known and no negative is: every score would look perfect.
    """
    Y, s = check_pair(Y_true, scores, **meanings)
    check_negatives(Y)
    return mean_over_labels(each_average_precision(Y, s), (Y == 1).any(axis=0), empty_labels)


def observed_average_precision(Y: ArrayLike, scores: ArrayLike, **meanings: Unpack[Meanings]) -> Floats:
    """Return average precision with unknown entries counted as absent.

    For choosing among models when no negative is known (single and partial positives). It is biased in
    level, and sound for ranking models *when positives are observed at random given the label*; give it
    validation rows only. Items with no known entry at all tell nothing and are left out.

    Args:
        Y: (n, K) of 1, 0 and -1; -1 counts as absent in every item that has a known entry.
        scores: (n, K) finite.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label without a known positive, and for one that is positive in every item
        that has a known entry, where any score would do.
    """
    labels, s = check_pair(Y, scores, "Y", **meanings)
    rows = (labels >= 0).any(axis=1)
    return each_average_precision((labels[rows] == 1).astype(np.int8), s[rows])


_INNER = ("labelwise", "sklearn", "joblib")
_warned: set[tuple[str, int]] = set()


class ObservedAveragePrecisionWarning(UserWarning):
    """Observed average precision takes the place of average precision.

    The latter cannot be measured on the labels at hand.
    """


def ranking_score(
    Y: ArrayLike,
    scores: ArrayLike,
    *,
    warn: bool = True,
    sample_weight: ArrayLike | None = None,
    **meanings: Unpack[Meanings],
) -> float:
    """Return mAP where the labels identify it, else its observed form.

    That is the mean of observed average precision.

    Both are means over the labels that have one, in [0, 1], on the rows that ``judgeable(Y)`` names. Observed average
    precision compares models and is biased in level; ``ObservedAveragePrecisionWarning`` says that it was taken, once
    for each line that asks, however many splits a search has.

    Args:
        Y: (n, K) of 1, 0 and -1.
        scores: (n, K) finite; only their order within a label matters.
        warn: whether to say that observed average precision was taken.
        sample_weight: (n,) >= 0, how often each row counts; None: once.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Raises:
        UserError: no positive is known, or neither figure is defined for any label.
    """
    labels, s = check_pair(Y, scores, "Y", **meanings)
    if not (labels >= 0).any():
        raise UserError(
            "Y has no known entry, so nothing can be judged: if it is part of a split, labelwise.annotations.split"
            " gives each part its share of the labelled items"
        )
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    can = judgeable(labels)
    if can.average_precision:
        judged = labels[can.rows], s[can.rows]
        if weights is not None:
            return mean_over_labels(
                weighted_average_precision(*judged, weights[can.rows]), can.labels, "omit"
            )
        return mean_over_labels(each_average_precision(*judged), can.labels, "omit")
    if not can.observed_average_precision:
        check_judgeable(labels, "Y")
    values = observed_average_precision(labels, s)
    if weights is not None:
        rows = (labels >= 0).any(axis=1)
        observed = (labels[rows] == 1).astype(np.int8)
        values = weighted_average_precision(observed, s[rows], weights[rows])
    if np.isnan(values).all():
        raise UserError(
            "every label of Y is relevant wherever a row has a known entry, so every score would look perfect: give"
            " fully labelled items"
        )
    if warn:
        _warn_once("the score is the mean of observed average precision (unknown counted as absent)", labels)
    return float(np.nanmean(values))


def _warn_once(words: str, labels: Labels) -> None:
    """Warn once for each line of a user that asks.

    It is the line outside this library and scikit-learn: a search asks many times.
    """
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame = frame.f_back
    place = (frame.f_code.co_filename, frame.f_lineno)
    if place in _warned:
        return
    _warned.add(place)
    reason = "no negative is known" if not (labels == 0).any() else "no label has both classes known"
    warnings.warn_explicit(
        f"{reason}, so {words}: it compares models if positives are observed at random, and its level is biased",
        ObservedAveragePrecisionWarning,
        *place,
    )
