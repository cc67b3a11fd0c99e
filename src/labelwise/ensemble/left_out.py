"""Scores of rows by the fit without them, from the fit with them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.ensemble.known import KnownEntries

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]


def left_out_scores(known: KnownEntries, fitted: npt.NDArray[Any], leverage: npt.NDArray[Any]) -> Matrix:
    """Return leave-one-out scores (m, K) float32 of a linear fit; twins are left out together.

    With e the residual and h the leverage, the fit without g equal rows gives them ``f - h / (1 - g h) sum(e)``, sums
    over these rows; g is 1 for a row without twins. To that ``sum(y - mean y) / (count - g)`` is added: leaving a
    positive out lowers the intercept and leaving a negative out raises it, which says nothing about the row. Entries
    that do not count keep the fit's own score, but for those of twins.

    Args:
        known: The entries of the fit.
        fitted: (m, K), its scores of these rows.
        leverage: (m, 1) or (m, K), the diagonal of the map from targets to fitted values, intercept included.
    """
    residual = known.targets - fitted
    shift = known.targets - known.means.astype(np.float32)
    size = np.ones((1, 1))
    if known.mask is not None:
        residual *= known.mask
        shift *= known.mask
    if known.twins is not None:
        counts = np.ones((len(known), 1)) if known.mask is None else known.mask.astype(np.float64)
        residual, shift, size = (_twin_sums(known.twins, one) for one in (residual, shift, counts))
        leverage = _twin_sums(known.twins, leverage) / np.bincount(known.twins)[known.twins, None]
    scores = fitted - leverage / np.maximum(1 - size * leverage, 1e-6) * residual
    scores += shift / np.maximum(known.counts - size, 1)
    return np.asarray(scores, np.float32)


def leave_one_out_r2(scores: Matrix, known: KnownEntries) -> Double:
    """Return each label's ``1 - SSE / SST`` (K,) of left-out scores (m, K) over its entries.

    It is 0 for a label without a known positive or a known negative.
    """
    squares = np.square(known.targets - scores)
    if known.mask is not None:
        squares *= known.mask
    error = squares.sum(axis=0, dtype=np.float64)
    total = known.positives * (1 - known.means)
    return np.where(known.both, 1 - error / np.where(known.both, total, 1.0), 0.0)


def macro(label_r2: Double) -> float:
    """Return the mean over labels that have an R2, 0 where none has."""
    scored = label_r2 != 0
    return float(label_r2[scored].mean()) if scored.any() else 0.0


def _twin_sums(twins: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the sum of ``values`` (m, c) over the twins of each row."""
    m = len(twins)
    member = sp.csr_array((np.ones(m), twins, np.arange(m + 1)), shape=(m, int(twins.max(initial=0)) + 1))
    return np.asarray(member @ (member.T @ values))
