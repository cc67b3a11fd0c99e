"""Correlation of labels in weights, outputs and known labels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from labelwise.analysis.columns import Columns
from labelwise.annotations import as_matrix
from labelwise.classifier import MultiLabelClassifier
from labelwise.errors import UserError
from labelwise.models import label_weights

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LabelCorrelation:
    """Correlations of labels; the diagonal and undefined ones are NaN."""

    names: tuple[str, ...]
    learnt: Floats
    """(K, K) in [-1, 1]."""
    known: Floats | None
    """(K, K) in [-1, 1]; None where the labels cannot tell."""
    learnt_from: str
    """``"class weights"`` or ``"predictions"``."""


def weight_correlation(head: nn.Module) -> Floats | None:
    """Return the cosines (K, K) between the label weights of a head.

    None for a head without one weight a label.

    HML draws Corr(i, j) = sigmoid(s cos(angle(W_i, W_j) + m)), which ranks the pairs just so. The coordinate of a
    constant is left out.
    """
    weight = label_weights(head)
    if weight is None:
        return None
    rows: Floats = weight.double().cpu().numpy()
    # A row of zeros points nowhere: its cosines are 0 then, not NaN.
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return _without_diagonal(unit @ unit.T)


def output_correlation(outputs: ArrayLike) -> Floats:
    """Return Pearson correlations (K, K) between columns of outputs (n, K).

    NaN for a constant column.
    """
    values = np.asarray(outputs, dtype=np.float64)
    centred = values - values.mean(axis=0)
    size = np.sqrt((centred**2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return _without_diagonal(centred.T @ centred / np.outer(size, size))


def known_correlation(Y: ArrayLike, *, least: int = 5, chunk: int = 8192) -> Floats | None:
    """Return the correlation (K, K) of known labels.

    Where negatives are known: phi_ij over the items of which both labels are known (Pearson's correlation of two
    binary labels). Where only positives are: n_ij / sqrt(n_i n_j), with n_ij the items with both. Pairs are NaN where
    a label has fewer than ``least`` positives among them. None where no item shows two labels: nothing tells then.
    """
    labels = as_matrix(Y)
    n_labels = labels.shape[1]
    both, first, together = (np.zeros((n_labels, n_labels)) for _ in range(3))
    for start in range(0, len(labels), chunk):
        part = labels[start : start + chunk]
        # Counts of a chunk are exact in float32, whose products are twice as fast; sums of chunks are in float64.
        positive, known = (part == 1).astype(np.float32), (part >= 0).astype(np.float32)
        both += positive.T @ positive
        first += positive.T @ known
        together += known.T @ known
    if not (both[~np.eye(n_labels, dtype=bool)] > 0).any():
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        if (labels == 0).any():
            # first[i, j]: positives of i whose j is known; its transpose is the same of j.
            second = first.T
            spread = np.sqrt(first * (together - first) * second * (together - second))
            values = np.where(spread > 0, (together * both - first * second) / spread, np.nan)
            few = (first < least) | (second < least)
        else:
            counts = np.diag(both)
            values = both / np.sqrt(np.outer(counts, counts))
            few = np.minimum.outer(counts, counts) < least
    return _without_diagonal(np.where(few, np.nan, values))


def strongest(values: Any, most: int, *, least: float = 0.05) -> list[tuple[int, int, float]]:
    """Return the ``most`` pairs of highest value above ``least``.

    Pairs are (i, j, value) with i < j, the highest value first.
    """
    matrix = np.asarray(values, dtype=np.float64)
    i, j = np.triu_indices(len(matrix), 1)
    pairs = matrix[i, j]
    order = np.argsort(-np.where(np.isnan(pairs), -np.inf, pairs), kind="stable")[:most]
    return [(int(i[at]), int(j[at]), float(pairs[at])) for at in order if pairs[at] > least]


def correlation_pairs(
    model: MultiLabelClassifier,
    *,
    scale: float = 20.0,
    margin: float = 0.3,
    least: float = 0.5,
    most: int = 60,
) -> Columns:
    """Return the pairs of labels with the most similar weights.

    Corr(i, j) = sigmoid(s cos(angle(W_i, W_j) + m)), where a constant coordinate of the weights is left out (Ke et
    al., ECCV 2022, equation 8).

    Args:
        model: a fitted classifier whose head has one weight a label.
        scale: s.
        margin: m, in radians.
        least: pairs of a lower correlation are left out; the paper shows those above .95.
        most: pairs kept at most, the strongest.

    Returns:
        Columns ``first`` and ``second`` (names), ``cosine`` and ``correlation``, the strongest pair first.

    Raises:
        UserError: a head without one weight a label, or no pair at ``least``.
    """
    cosines = weight_correlation(model.fitted_.network.head)
    if cosines is None:
        raise UserError(
            f"method {model.method_!r} has no weight for each label: take one with a linear or cosine head"
        )
    pairs = [
        (i, j, c, 1 / (1 + math.exp(-scale * math.cos(math.acos(c) + margin))))
        for i, j, c in strongest(cosines, most, least=-1.0)
    ]
    strong = [pair for pair in pairs if pair[3] >= least]
    if not strong:
        raise UserError(
            f"no pair of labels has a correlation of {least:g}: the strongest has {pairs[0][3]:.2g}; lower least"
            if pairs
            else "there is one label: nothing to correlate it with"
        )
    names = np.array(model.label_names_, dtype=str)
    first, second, cosine, correlation = (np.array(values) for values in zip(*strong, strict=True))
    return {"first": names[first], "second": names[second], "cosine": cosine, "correlation": correlation}


def _without_diagonal(values: Floats) -> Floats:
    # Rounding leaves correlations of 1 a little above it.
    result = np.clip(values, -1, 1)
    np.fill_diagonal(result, np.nan)
    return result
