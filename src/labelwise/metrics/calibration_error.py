"""How far predicted probabilities lie from observed shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.metrics.checks import Floats, Meanings, check_pair
from labelwise.metrics.measurable import check_negatives, positives_alone


@dataclass(frozen=True, eq=False)
class Reliability:
    """Known entries of all labels, binned by predicted probability into B bins of equal width."""

    edges: Floats
    """(B + 1,) from 0 to 1; a bin holds its lower edge, the last one both."""
    counts: NDArray[np.int64]
    """(B,) entries."""
    predicted: Floats
    """(B,) mean predicted probability; NaN in an empty bin."""
    observed: Floats
    """(B,) share of positives; NaN in an empty bin."""

    @property
    def expected_calibration_error(self) -> float:
        """Return sum_b count_b / n |observed_b - predicted_b|, in [0, 1]."""
        gaps = np.nan_to_num(np.abs(self.observed - self.predicted))
        return float(self.counts @ gaps / self.counts.sum())


def reliability(Y: ArrayLike, p: ArrayLike, bins: int = 10, **meanings: Unpack[Meanings]) -> Reliability:
    """Return the reliability diagram of ``p`` (n, K) in [0, 1] over the known entries of ``Y``.

    Labels of which positives alone are known are left out, since the share of positives there is 1 whatever it is in
    truth. ``meanings``: ``unlisted``, ``minus_one``, ``empty``, as in ``labelwise.annotations.parse``. Raises
    ``UserError`` where positives are known and no negative is.
    """
    if bins < 1:
        raise UserError(f"bins is {bins}: give at least 1")
    labels, s = check_pair(Y, p, "Y", **meanings)
    known = labels >= 0
    y, p_known = labels[known], s[known].astype(np.float64)
    if not len(y):
        raise UserError("Y has no known entry, so nothing can be judged: give labelled items")
    if p_known.min() < 0 or p_known.max() > 1:
        row, k = np.argwhere(known & ((s < 0) | (s > 1)))[0]
        raise UserError(f"p holds {s[row, k]:g} at row {row}, label {k}: give probabilities in [0, 1]")
    if (alone := positives_alone(labels)).any():
        check_negatives(labels, "Y")
        known &= ~alone
        y, p_known = labels[known], s[known].astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, p_known, "right") - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    sums = np.bincount(bin_of, weights=p_known, minlength=bins)
    hits = np.bincount(bin_of, weights=y == 1, minlength=bins)
    filled = counts > 0
    empty = np.full(bins, np.nan)
    return Reliability(
        edges,
        counts,
        np.divide(sums, counts, out=empty.copy(), where=filled),
        np.divide(hits, counts, out=empty.copy(), where=filled),
    )


def expected_calibration_error(
    Y: ArrayLike, p: ArrayLike, bins: int = 10, **meanings: Unpack[Meanings]
) -> float:
    """Return the expected calibration error of ``p`` (n, K) over known entries of all labels, in [0, 1].

    ECE = sum_b n_b / n |share of positives_b - mean probability_b|, over ``bins`` bins of equal width; what is left
    out and refused is what ``reliability`` leaves out and refuses.
    """
    return reliability(Y, p, bins, **meanings).expected_calibration_error
