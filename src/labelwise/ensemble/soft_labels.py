"""Soft labels: what a teacher says of unknown entries, and how much it knows.

A whole network trains on them beside the labels that were given. The teacher's scores are of models that did not see
the entry, so that its calibration holds for the unknown ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import expit, xlogy

from labelwise.metrics import PlattCalibration, judgeable

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

_STEPS, _FARTHEST = 60, 40.0


@dataclass(frozen=True, eq=False)
class SoftLabels:
    """Targets of all entries, and their weights in a loss.

    Attributes:
        target: (n, K) float32: a known label as it is given, else the probability of being relevant.
        weight: (n, K) float32: 1 of a known label, else ``1 - H(p)``, the bits that the teacher knows of it.
    """

    target: Matrix
    weight: Matrix

    @classmethod
    def of(
        cls, left_out: npt.NDArray[Any], labels: npt.NDArray[Any], share: npt.NDArray[Any] | None = None
    ) -> Self:
        """Make soft labels of left-out logits.

        Args:
            left_out: (n, K) finite logits by models that did not see the row.
            labels: (n, K) in {1, 0, -1}.
            share: (K,) the expected share of positives among each label's unknown entries, or None. It counts where
                no negative is known; without it an unknown entry counts as relevant as often as entries like it are
                shown, in rows that show anything.
        """
        labels = np.asarray(labels)
        logits, unknown = calibrated(left_out, labels), labels == -1
        if share is not None and not (labels == 0).any():
            logits = logits + shift_to(logits, unknown, np.asarray(share, np.float64))
        probability = expit(logits)
        target = np.where(unknown, probability, labels).astype(np.float32)
        weight = np.where(unknown, 1 - entropy(probability), 1.0).astype(np.float32)
        return cls(target, weight)


def calibrated(left_out: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Double:
    """Return calibrated logits (n, K) float64 of left-out ones, by Platt's method.

    Where no negative is known, an unknown entry of a row with a known one counts as absent. Logits of which no label
    shows both signs stay as they are.
    """
    labels, logits = np.asarray(labels), np.asarray(left_out, np.float64)
    if not (labels == 0).any():
        shown = (labels == 1).any(axis=1, keepdims=True)
        labels = np.where(shown, np.maximum(labels, 0), -1).astype(np.int8)
    if not judgeable(labels).calibration:
        return logits
    return np.asarray(PlattCalibration.fit(labels, logits, input="logit").logits(logits))


def shift_to(logits: Double, chosen: npt.NDArray[np.bool_], share: Double) -> Double:
    """Return the shifts (K,) that give the chosen entries of each label the mean probability ``share``.

    By bisection; 0 for a label without a chosen entry, and at most 40 either way.
    """
    counts = chosen.sum(axis=0)
    low, high = (np.full(logits.shape[1], end) for end in (-_FARTHEST, _FARTHEST))
    for _ in range(_STEPS):
        middle = (low + high) / 2
        mean = np.where(chosen, expit(logits + middle), 0.0).sum(axis=0) / np.maximum(counts, 1)
        low, high = np.where(mean < share, middle, low), np.where(mean < share, high, middle)
    return np.asarray(np.where(counts > 0, (low + high) / 2, 0.0))


def entropy(probability: Double) -> Double:
    """Return the entropy of yes or no in bits, from 0 to 1."""
    nats = -(xlogy(probability, probability) + xlogy(1 - probability, 1 - probability))
    return np.asarray(nats / np.log(2))
