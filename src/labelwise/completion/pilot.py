"""First answers, that calibrate a ranking before any answer counts as evidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from labelwise.completion.entries import UNANSWERED, Entries
from labelwise.completion.order import RandomOrder
from labelwise.metrics import PlattCalibration

PILOT = 100
"""Answers that calibrate a ranking before the first one counts as evidence."""
_PART, _DEPTH, _ZONE = 20, 0.5, (0.55, 0.92)
_SLOPE, _OFFSET, _LABEL = (1.0, 0.3), (0.0, 1.5), (0.0, 1.5)
_STEPS = 15
Floats = NDArray[np.float64]


def pilot_entries(entries: Entries, size: int, seed: int) -> tuple[NDArray[np.int64], int]:
    """Return the places of the pilot's entries, and how many more there will be.

    They come in parts of twenty. The first is drawn with probability proportional to the score, among each label's
    best, half as many as it has known positives. Each later one is drawn where the answers so far say that entries are
    relevant with a probability of .55 to .92, in proportion to how little is known of it: there a ranking is cut, there
    a wrong offset of a label costs most, and three of four answers confirm a label that is missing.
    """
    size = min(max(size, 0), len(entries.rows))
    if not size:
        return np.zeros(0, np.int64), 0
    random = numbers_of(entries, entries.rows, entries.columns, f"{seed} pilot")
    chosen = _by_label(entries, min(_PART, size), random)
    while len(chosen) < size and not (_answers(entries, chosen) == UNANSWERED).any():
        p, deviation = _Line.fit(entries, chosen).of(entries)
        weight = np.where((p > _ZONE[0]) & (p < _ZONE[1]), deviation, 0.0)
        weight[chosen] = 0.0
        part = min(_PART, size - len(chosen))
        if (weight > 0).sum() < part:
            weight += 1e-6 * p * (1 - p) + 1e-12
            weight[chosen] = 0.0
        keys = np.full(len(p), np.inf)
        keys[weight > 0] = -np.log(random[weight > 0]) / weight[weight > 0]
        chosen = np.concatenate([chosen, np.argsort(keys, kind="stable")[:part]])
    return chosen, size - len(chosen)


def calibration_of(entries: Entries, pilot: NDArray[np.int64]) -> PlattCalibration | None:
    """Return the calibration that the pilot's answers give, None where they are of one kind or incomplete."""
    answers = _answers(entries, pilot)
    if not len(pilot) or (answers == UNANSWERED).any() or len(np.unique(answers[answers >= 0])) < 2:
        return None
    line = _Line.fit(entries, pilot)
    width = entries.Y.shape[1]
    slope, offset = max(float(line.weights[0]), 1e-3), line.weights[1] + line.weights[2:]
    return PlattCalibration([slope] * width, offset.tolist(), [False] * width, "logit")


def calibrated_logits(entries: Entries, calibration: PlattCalibration | None) -> Floats:
    """Return a copy of the logits, calibrated where there is a calibration."""
    if calibration is None:
        return entries.logits.copy()
    slope, offset = np.array(calibration.slope), np.array(calibration.offset)
    return np.asarray(slope[entries.columns] * entries.logits + offset[entries.columns])


def numbers_of(entries: Entries, rows: NDArray[np.int64], columns: NDArray[np.int64], seed: str) -> Floats:
    """Return the permanent random numbers of some entries."""
    used, at = np.unique(rows, return_inverse=True)
    order = RandomOrder([entries.items[row] for row in used.tolist()], entries.label_names, seed)
    return order.of(at, columns)


class _Line:
    """A calibration P(y = 1) = sigma(a x + b + u_k) of label k's logit x, with its uncertainty.

    a ~ N(1, .3^2), b ~ N(0, 1.5^2) and u_k ~ N(0, 1.5^2): the weights (a, b, u_1 ... u_K) are the most probable ones,
    their covariance is Laplace's.
    """

    def __init__(self, weights: Floats, covariance: Floats) -> None:
        self.weights, self.covariance = weights, covariance

    @classmethod
    def fit(cls, entries: Entries, places: NDArray[np.int64]) -> _Line:
        """Fit to the answers of some entries, those that were skipped left out."""
        answers = _answers(entries, places)
        places, y = places[answers >= 0], answers[answers >= 0].astype(np.float64)
        width = entries.Y.shape[1]
        Z = np.zeros((len(places), width + 2))
        Z[:, 0], Z[:, 1] = entries.logits[places], 1.0
        Z[np.arange(len(places)), 2 + entries.columns[places]] = 1.0
        mean = np.array([_SLOPE[0], _OFFSET[0], *[_LABEL[0]] * width])
        precision = np.array([_SLOPE[1], _OFFSET[1], *[_LABEL[1]] * width]) ** -2.0
        weights = mean.copy()
        for _ in range(_STEPS):
            p = expit(Z @ weights)
            curvature = (Z * (p * (1 - p))[:, None]).T @ Z + np.diag(precision)
            step = np.linalg.solve(curvature, Z.T @ (y - p) - precision * (weights - mean))
            # A full step can overshoot where p is near 0 or 1.
            weights += step * min(1.0, 3 / max(float(np.abs(step).max()), 1e-9))
        p = expit(Z @ weights)
        return cls(weights, np.linalg.inv((Z * (p * (1 - p))[:, None]).T @ Z + np.diag(precision)))

    def of(self, entries: Entries) -> tuple[Floats, Floats]:
        """Return probabilities of all entries, and the standard deviations of their logits."""
        w, V, x, k = self.weights, self.covariance, entries.logits, 2 + entries.columns
        variance = V[0, 0] * x * x + V[1, 1] + V[k, k] + 2 * (x * V[0, 1] + x * V[0, k] + V[1, k])
        return expit(w[0] * x + w[1] + w[k]), np.sqrt(np.maximum(variance, 1e-12))


def _answers(entries: Entries, places: NDArray[np.int64]) -> NDArray[np.int8]:
    return entries.answered.at(entries.rows[places], entries.columns[places])


def _by_label(entries: Entries, size: int, random: Floats) -> NDArray[np.int64]:
    columns = entries.columns
    p = expit(entries.logits)
    order = np.lexsort((-p, columns))
    starts = np.flatnonzero(np.diff(columns[order], prepend=-1))
    rank = np.empty(len(p), np.int64)
    rank[order] = np.arange(len(p)) - np.repeat(starts, np.diff(starts, append=len(p)))
    known = (entries.Y == 1).sum(axis=0)
    weight = np.maximum(p, 1e-12) * np.where(rank < _DEPTH * known[columns], 1.0, 1e-9)
    keys = -np.log(random) / weight
    return np.argsort(keys, kind="stable")[:size]
