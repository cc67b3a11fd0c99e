"""Leave-one-out scores of linear fits, from one fit to all rows."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from labelwise.ensemble.known import KnownEntries
from labelwise.models import RidgeSolution

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]


def left_out_scores(known: KnownEntries, fitted: npt.NDArray[Any], leverage: npt.NDArray[Any]) -> Matrix:
    """Return leave-one-out scores (m, K) float32 of a linear fit.

    Twins, rows with the same features, are left out together.

    With e the residual and h the leverage, the fit without g equal rows gives them ``f - h / (1 - g h)
    sum(e)``, sums over these rows; g is 1 for a row without twins. To that ``sum(y - mean y) / (count - g)``
    is added: leaving a positive out lowers the intercept and leaving a negative out raises it, which says
    nothing about the row. Entries that do not count keep the fit's own score, but for those of twins.

    Args:
        known: The entries of the fit.
        fitted: (m, K), its scores of these rows.
        leverage: (m, 1) or (m, K), the diagonal of the map from targets to fitted values, intercept included.
    """
    residual = known.targets - fitted
    if known.mask is not None:
        residual *= known.mask
    if known.twins is not None:
        residual = over_twins(known, residual)
        leverage = over_twins(known, leverage) / np.bincount(known.twins)[known.twins, None]
    scores = fitted - leverage / np.maximum(1 - _sizes(known) * leverage, 1e-6) * residual
    return np.asarray(scores + intercept_shift(known), np.float32)


def intercept_shift(known: KnownEntries) -> npt.NDArray[Any]:
    """Return how far leaving a row out lowers the targets' mean (m, K).

    Twins are left out with it.
    """
    deviation = known.targets - known.means.astype(np.float32)
    if known.mask is not None:
        deviation *= known.mask
    return np.asarray(over_twins(known, deviation) / np.maximum(known.counts - _sizes(known), 1))


def left_out_moves(X: Any, solution: RidgeSolution, share: Double) -> Matrix:
    """Return how far leaving each row out moves the ridge's ``share`` (K,) of an output, (n, K)."""
    return np.asarray((solution.loo_scores - solution.predict(X)) * share.astype(np.float32))


def over_twins(known: KnownEntries, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return sums of ``values`` (m, c) over each row and its twins."""
    if known.twins is None:
        return values
    m = len(known)
    member = sp.csr_array((np.ones(m), known.twins, np.arange(m + 1)), shape=(m, int(known.twins.max()) + 1))
    return np.asarray(member @ (member.T @ values))


def _sizes(known: KnownEntries) -> npt.NDArray[Any]:
    """Return the number of entries that twins have together.

    It is (m, K), or what broadcasts to that.
    """
    if known.twins is None:
        return np.ones((1, 1))
    counts = np.ones((len(known), 1)) if known.mask is None else known.mask.astype(np.float64)
    return over_twins(known, counts)


def leave_one_out_r2(scores: Matrix, known: KnownEntries) -> Double:
    """Return each label's R2 (K,) of left-out scores (m, K).

    That is ``1 - SSE / SST`` over its entries, and 0 for a label without a known positive or a known
    negative.
    """
    squares = np.square(known.targets - scores)
    if known.mask is not None:
        squares *= known.mask
    error = squares.sum(axis=0, dtype=np.float64)
    total = (
        known.squares - known.positives * known.means if known.soft else known.positives * (1 - known.means)
    )
    return np.where(known.both, 1 - error / np.where(known.both, total, 1.0), 0.0)


def macro(label_r2: Double) -> float:
    """Return the mean over labels with an R2, 0 where none has."""
    scored = label_r2 != 0
    return float(label_r2[scored].mean()) if scored.any() else 0.0
