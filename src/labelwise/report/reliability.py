"""Reliability of scores on items that the model did not see, before and after calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise import metrics
from labelwise._random import generator
from labelwise.annotations import as_matrix

_FOLDS = 5


def reliability_of(labels: ArrayLike, scores: ArrayLike, title: str) -> list[tuple[str, metrics.Reliability]]:
    """Return the diagram of scores (n, K) in [0, 1], or nothing where the labels do not identify it."""
    matrix = as_matrix(labels)
    can = metrics.judgeable(matrix)
    if not can.calibration:
        return []
    return [(title, metrics.reliability(matrix[can.rows], np.asarray(scores)[can.rows]))]


def held_out_reliability(
    labels: ArrayLike, scores: ArrayLike, *, calibrated: bool, seed: int
) -> list[tuple[str, metrics.Reliability]]:
    """Return the diagrams of held-out scores as the model gives them and, where it calibrates, calibrated.

    Calibration is judged on rows that it was not fitted to, five parts taking turns.
    """
    matrix = as_matrix(labels)
    can = metrics.judgeable(matrix)
    if not can.calibration:
        return []
    Y, s = matrix[can.rows], np.asarray(scores, dtype=np.float64)[can.rows]
    found = [("Before calibration" if calibrated else "Scores", metrics.reliability(Y, s))]
    after = _cross_calibrated(Y, s, seed) if calibrated else None
    return found if after is None else [*found, ("After calibration", metrics.reliability(Y, after))]


def _cross_calibrated(
    Y: NDArray[np.int8], scores: NDArray[np.float64], seed: int
) -> NDArray[np.float64] | None:
    result = np.empty_like(scores)
    order = generator(seed, "reliability").permutation(len(Y))
    for fold in range(_FOLDS):
        held = np.zeros(len(Y), bool)
        held[order[fold::_FOLDS]] = True
        if not metrics.judgeable(Y[~held]).calibration:
            return None
        result[held] = metrics.PlattCalibration.fit(Y[~held], scores[~held]).apply(scores[held])
    return result
