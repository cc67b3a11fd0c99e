"""Ridge where few rows are labelled: a choice of lambda by ranks alone is then mostly chance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.models.ridge.solver import RidgeSolution, solve_ridge
from labelwise.models.ridge.tuning import count_thresholds, entries_of
from labelwise.models.scaling import FeatureMatrix

Array: TypeAlias = npt.NDArray[Any]

FEWEST, MOST = 20, 100
"""Rows with a known entry for which two criteria are better than one."""


def needs_steadying(Y: Array) -> bool:
    """Return whether ``Y`` (n, K) in {1, 0, -1} has 20 to 100 rows with a known entry, and a known negative.

    Leave-one-out scores of rare positives come from models with fewer of them, whose scores are smaller: the more so
    the larger lambda is. Average precision takes that for worse ranks, and prefers small lambdas whatever they do to
    new rows. Squared error does not, but its own choice of a scaling is worse.
    """
    known = int((Y != -1).any(axis=1).sum())
    return FEWEST <= known <= MOST and bool((Y == 0).any())


def solve_steady_ridge(
    X: FeatureMatrix, Y: Array, *, tuned: RidgeSolution | None = None, groups: Array | None = None
) -> RidgeSolution:
    """Return the mean of ridge tuned by average precision and by squared error.

    Both read the first one's scaling. Label by label, with m and s the mean and the deviation of leave-one-out scores
    over known entries, p for precision and e for error: ``f = m_e + ((f_p - m_p) s_e / s_p + f_e - m_e) / 2``.

    Args:
        X: (n, D) dense, sparse or ``FeatureBlocks``.
        Y: (n, K) in {1, 0, -1}.
        tuned: What ``solve_ridge`` gave for them, solved here where it is None.
        groups: (n,) numbers of rows that are left out together.

    Raises:
        UserError: As ``solve_ridge``.
    """
    tuned = solve_ridge(X, Y, groups=groups) if tuned is None else tuned
    other = solve_ridge(X, Y, scalings=[tuned.scaling], criterion="squared_error", groups=groups)
    entries = entries_of(Y, None, 1.0)
    counts = entries.weights(np.arange(Y.shape[1])) > 0
    (mean, spread), (middle, wanted) = (
        _moments(one.loo_scores[entries.rows], counts) for one in (tuned, other)
    )
    factor = np.divide(wanted, spread, out=np.ones_like(spread), where=(spread > 0) & (wanted > 0)) / 2

    def of(first: Array, second: Array, shift: Array | float = 0.0) -> npt.NDArray[np.float32]:
        return np.asarray(factor * first + second / 2 + shift, np.float32)

    shift = middle / 2 - factor * mean
    scores = of(tuned.loo_scores, other.loo_scores, shift)
    return replace(
        tuned,
        weight=np.ascontiguousarray(of(tuned.weight.T, other.weight.T).T),
        bias=of(tuned.bias, other.bias, shift),
        lambdas_averaged=(*tuned.lambdas_averaged, *other.lambdas_averaged),
        loo_scores=scores,
        thresholds=count_thresholds(scores[entries.rows], entries).astype(np.float32),
        exact=tuned.exact and other.exact,
        criterion="average_precision and squared_error",
    )


def _moments(scores: Array, counts: Array) -> tuple[Array, Array]:
    """Return mean and deviation (K,) of the entries of ``scores`` (m, K) that count, 0 of a label without any."""
    number = np.maximum(counts.sum(axis=0), 1)
    mean = np.where(counts, scores, 0.0).sum(axis=0) / number
    return mean, np.sqrt(np.where(counts, np.square(scores - mean), 0.0).sum(axis=0) / number)
