"""Average precision over known entries, and what can stand for it when every known entry is positive."""

from __future__ import annotations

from typing import Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, near
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair
from labelwise.metrics.cuts import cut_average_precision, label_cuts
from labelwise.metrics.measurable import check_negatives

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
    """Return the AP of each label of checked labels and scores, (K,); NaN unless both classes are known."""
    return np.array([cut_average_precision(label_cuts(Y, scores, k)) for k in range(Y.shape[1])])


def mean_over_labels(values: Floats, has_positive: NDArray[np.bool_], empty_labels: EmptyLabels) -> float:
    """Return the mean of ``values`` (K,) over the labels that have one; NaN where none has.

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
    """Return the mean of ``average_precision`` over the labels of which both classes are known, in [0, 1].

    ``empty_labels`` says what becomes of labels without a known positive: ``"omit"`` leaves them out (NaN
    when that leaves none), ``"zero"`` counts them as AP 0, as the published protocol does. Labels without a known
    negative are always left out; ``evaluate`` names them and counts the others. Raises ``UserError`` where
    positives are known and no negative is: every score would look perfect.
    """
    Y, s = check_pair(Y_true, scores, **meanings)
    check_negatives(Y)
    return mean_over_labels(each_average_precision(Y, s), (Y == 1).any(axis=0), empty_labels)


def observed_average_precision(Y: ArrayLike, scores: ArrayLike, **meanings: Unpack[Meanings]) -> Floats:
    """Return the average precision of each label with unknown entries counted as absent.

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
