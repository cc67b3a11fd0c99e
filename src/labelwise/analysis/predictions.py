"""The EM+APL poster's view of predictions: how far scores of relevant entries lie from those of irrelevant ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise import metrics
from labelwise._random import generator
from labelwise.analysis.columns import Columns, densities
from labelwise.annotations import as_matrix
from labelwise.errors import UserError

_FOLDS = 5
Diagrams = list[tuple[str, metrics.Reliability]]
"""Reliability diagrams with their titles."""


def wasserstein_distances(scores: ArrayLike, Y_true: ArrayLike) -> NDArray[np.float64]:
    """Return each label's first Wasserstein distance between the scores of its positives and of its negatives.

    W_k = integral over s of |F+_k(s) - F-_k(s)|, the distribution functions of the two groups of known entries
    (Zhou et al., ECCV 2022, "distinguishability of the predictions").

    Args:
        scores: (n, K) in [0, 1].
        Y_true: (n, K) of 1, 0 and -1.

    Returns:
        (K,) in [0, 1]; NaN for a label without a known entry of either sign.

    Raises:
        UserError: shapes that differ.
    """
    from scipy.stats import wasserstein_distance

    values, labels = _pair(scores, Y_true)
    found = np.full(labels.shape[1], np.nan)
    for k in range(labels.shape[1]):
        positives, negatives = (values[labels[:, k] == state, k] for state in (1, 0))
        if len(positives) and len(negatives):
            found[k] = wasserstein_distance(positives, negatives)
    return found


def prediction_densities(scores: ArrayLike, Y_true: ArrayLike, label: int, *, bins: int = 40) -> Columns:
    """Return the densities of one label's scores on its known positives and negatives (Zhou et al., ECCV 2022).

    Returns:
        Columns ``group`` ("positives", "negatives"), ``low``, ``high`` and ``density`` over ``bins`` bins of [0, 1].

    Raises:
        UserError: shapes that differ, or a label that does not exist.
    """
    values, labels = _pair(scores, Y_true)
    if not 0 <= label < labels.shape[1]:
        raise UserError(f"label={label}: give a column of Y_true, 0 to {labels.shape[1] - 1}")
    groups = {"positives": 1, "negatives": 0}
    return densities(
        {name: values[labels[:, label] == state, label] for name, state in groups.items()},
        np.linspace(0, 1, bins + 1),
    )


def _pair(scores: ArrayLike, Y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    values, labels = np.asarray(scores, dtype=np.float64), as_matrix(Y)
    if values.shape != labels.shape:
        raise UserError(f"scores has shape {values.shape}, Y_true {labels.shape}: give one score an entry")
    return values, labels


def score_reliability(labels: ArrayLike, scores: ArrayLike, title: str) -> Diagrams:
    """Return the reliability diagram of scores, or nothing where the labels do not identify it.

    Args:
        labels: (n, K) of 1, 0 and -1.
        scores: (n, K) in [0, 1].
        title: The diagram's title.
    """
    matrix = as_matrix(labels)
    identified = metrics.judgeable(matrix)
    if not identified.calibration:
        return []
    return [(title, metrics.reliability(matrix[identified.rows], np.asarray(scores)[identified.rows]))]


def held_out_reliability(labels: ArrayLike, scores: ArrayLike, *, calibrated: bool, seed: int) -> Diagrams:
    """Return the diagrams of held-out scores as they are and, for a model that calibrates, calibrated.

    Calibration is judged on rows that it was not fitted to, five parts taking turns.
    """
    diagrams = score_reliability(labels, scores, "Before calibration" if calibrated else "Scores")
    if not diagrams or not calibrated:
        return diagrams
    rows = metrics.judgeable(as_matrix(labels)).rows
    Y = as_matrix(labels)[rows]
    after = _cross_calibrated(Y, np.asarray(scores, dtype=np.float64)[rows], seed)
    return diagrams if after is None else [*diagrams, ("After calibration", metrics.reliability(Y, after))]


def _cross_calibrated(
    Y: NDArray[np.int8], scores: NDArray[np.float64], seed: int
) -> NDArray[np.float64] | None:
    result = np.empty_like(scores)
    order = generator(seed, "reliability").permutation(len(Y))
    for fold in range(_FOLDS):
        test = np.zeros(len(Y), bool)
        test[order[fold::_FOLDS]] = True
        if not metrics.judgeable(Y[~test]).calibration:
            return None
        result[test] = metrics.PlattCalibration.fit(Y[~test], scores[~test]).apply(scores[test])
    return result
