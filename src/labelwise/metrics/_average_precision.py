"""Average precision over known entries, and what can stand for it when every known entry is positive."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from labelwise.errors import UserError, near
from labelwise.metrics._cuts import cut_average_precision, label_cuts
from labelwise.metrics._inputs import Floats, check_pair

EmptyLabels = Literal["omit", "zero"]


def average_precision(Y_true: ArrayLike, scores: ArrayLike) -> Floats:
    """Return the average precision of each label over its known entries.

    AP_k = sum_i (R_i - R_{i-1}) P_i over the distinct scores, highest first: equal scores are one step, as in
    ``sklearn.metrics.average_precision_score``.

    Args:
        Y_true: (n, K) of 1, 0 and -1 (unknown, left out).
        scores: (n, K) finite; only their order within a label matters.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label without a known positive, 1 for one without a known negative.

    Raises:
        UserError: a value outside the three states, a score that is not finite, shapes that differ.
    """
    Y, s = check_pair(Y_true, scores)
    return np.array([cut_average_precision(label_cuts(Y, s, k)) for k in range(Y.shape[1])])


def mean_over_labels(values: Floats, empty_labels: EmptyLabels) -> float:
    """Return the mean of ``values`` (K,) without its NaNs (``"omit"``) or with them as 0 (``"zero"``)."""
    if empty_labels not in ("omit", "zero"):
        raise UserError(f"empty_labels is {empty_labels!r}: {near(str(empty_labels), ('omit', 'zero'))}")
    if empty_labels == "zero":
        return float(np.nan_to_num(values, nan=0.0).mean())
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def mean_average_precision(
    Y_true: ArrayLike, scores: ArrayLike, *, empty_labels: EmptyLabels = "omit"
) -> float:
    """Return the mean over labels of :func:`average_precision`, in [0, 1].

    ``empty_labels`` says what becomes of labels without a known positive: ``"omit"`` leaves them out (NaN
    when that leaves none), ``"zero"`` counts them as AP 0, as the published protocol does.
    """
    return mean_over_labels(average_precision(Y_true, scores), empty_labels)


def observed_average_precision(Y: ArrayLike, scores: ArrayLike) -> Floats:
    """Return the average precision of each label with unknown entries counted as absent.

    For choosing among models when no negative is known (single and partial positives). It is biased in
    level, and sound for ranking models *when positives are observed at random given the label*; give it
    validation rows only. Items with no known entry at all tell nothing and are left out.

    Args:
        Y: (n, K) of 1, 0 and -1; -1 counts as absent in every item that has a known entry.
        scores: (n, K) finite.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label without a known positive.
    """
    labels, s = check_pair(Y, scores, "Y")
    rows = (labels >= 0).any(axis=1)
    observed = (labels[rows] == 1).astype(np.int8)
    s = s[rows]
    return np.array([cut_average_precision(label_cuts(observed, s, k)) for k in range(labels.shape[1])])
