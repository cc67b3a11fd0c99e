"""Which labels go together: for the model, and in the labels that are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from labelwise.annotations import as_matrix

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelCorrelation:
    """How labels go together; the diagonal and what is undefined are NaN."""

    names: tuple[str, ...]
    learnt: Floats
    """(K, K) in [-1, 1]."""
    known: Floats | None
    """(K, K) in [-1, 1]; None where the labels cannot tell."""
    learnt_from: str
    """``"class weights"`` or ``"predictions"``."""


def weight_correlation(head: nn.Module) -> Floats | None:
    """Return the cosines (K, K) between the label weights W_i and W_j of a head; None for one without weights.

    HML draws Corr(i, j) = sigmoid(s cos(angle(W_i, W_j) + m)), which ranks the pairs just so. The coordinate of a
    constant is left out.
    """
    weight = getattr(head, "weight", None)
    if weight is None or weight.ndim != 2:
        return None
    rows: Floats = weight.detach().double().cpu().numpy()
    rows = rows[:, : rows.shape[1] - bool(getattr(head, "constant", False))]
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return _without_diagonal(unit @ unit.T)


def output_correlation(outputs: ArrayLike) -> Floats:
    """Return the Pearson correlations (K, K) between a head's outputs (n, K) of two labels; NaN for a constant one."""
    values = np.asarray(outputs, dtype=np.float64)
    centred = values - values.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _without_diagonal(centred.T @ centred / np.outer(size, size))


def known_correlation(Y: ArrayLike, *, least: int = 5, chunk: int = 8192) -> Floats | None:
    """Return how known labels go together, (K, K).

    Where negatives are known: phi_ij over the items of which both labels are known (Pearson's correlation of two
    binary labels). Where only positives are: n_ij / sqrt(n_i n_j), with n_ij the items with both. Pairs are NaN where
    a label has fewer than ``least`` positives among them. None where no item shows two labels: nothing tells then.
    """
    labels = as_matrix(Y)
    n_labels = labels.shape[1]
    both, first, together = (np.zeros((n_labels, n_labels)) for _ in range(3))
    for start in range(0, len(labels), chunk):
        part = labels[start : start + chunk]
        positive, known = (part == 1).astype(np.float32), (part >= 0).astype(np.float32)
        both += positive.T @ positive
        first += positive.T @ known
        together += known.T @ known
    if not (both[~np.eye(n_labels, dtype=bool)] > 0).any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        if (labels == 0).any():
            second = first.T
            spread = np.sqrt(first * (together - first) * second * (together - second))
            found = np.where(spread > 0, (together * both - first * second) / spread, np.nan)
            few = (first < least) | (second < least)
        else:
            counts = np.diag(both)
            found = both / np.sqrt(np.outer(counts, counts))
            few = np.minimum.outer(counts, counts) < least
    return _without_diagonal(np.where(few, np.nan, found))


def strongest(values: Any, most: int, *, least: float = 0.05) -> list[tuple[int, int, float]]:
    """Return the ``most`` pairs (i, j, value), i < j, of highest value above ``least``, the highest first."""
    matrix = np.asarray(values, dtype=np.float64)
    i, j = np.triu_indices(len(matrix), 1)
    found = matrix[i, j]
    order = np.argsort(-np.where(np.isnan(found), -np.inf, found), kind="stable")[:most]
    return [(int(i[at]), int(j[at]), float(found[at])) for at in order if found[at] > least]


def _without_diagonal(values: Floats) -> Floats:
    result = np.clip(values, -1, 1)
    np.fill_diagonal(result, np.nan)
    return result
