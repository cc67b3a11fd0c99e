"""Two measures of balance between classes: VDFD and VCA."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from labelwise.errors import UserError
from labelwise.metrics.checks import Floats, Meanings, check_pair


def vdfd(values: ArrayLike, Y: ArrayLike, **meanings: Unpack[Meanings]) -> Floats:
    """Return the variance difference of each label's classes (VDFD).

    It is that between positives and negatives, over known entries.

    VDFD_k = var{v_ik : y_ik = 1} - var{v_ik : y_ik = 0}, variances unbiased (n - 1).

    Args:
        values: (n, K) finite: angles (radians) or scores.
        Y: (n, K) of 1, 0 and -1.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        (K,) float64, signed; NaN for a label with fewer than two known entries of either class.
    """
    labels, v = check_pair(Y, values, "Y", **meanings)

    def variance(state: int) -> Floats:
        mask = labels == state
        count = mask.sum(axis=0).astype(np.float64)
        mean = np.where(mask, v, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
        squares = (np.where(mask, v - mean, 0.0) ** 2).sum(axis=0)
        return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)

    return variance(1) - variance(0)


def vca(accuracies: ArrayLike) -> float:
    """Return the variance of class-wise accuracy (VCA).

    It is mean (a_c - mean a)^2 of ``accuracies`` (C,) in [0, 1].

    Classes without an accuracy (NaN) are left out.
    """
    a = np.asarray(accuracies, dtype=np.float64)
    a = a[~np.isnan(a)]
    if a.ndim != 1 or not len(a):
        raise UserError("accuracies has no value: give the accuracy of at least one class")
    if (a < 0).any() or (a > 1).any():
        raise UserError(f"accuracies holds {a[(a < 0) | (a > 1)][0]}: give shares in [0, 1]")
    return float(a.var())
