"""Thresholds of pseudo-labels by the metric that they reach on known entries."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries.arrays import as_array, refuse_codes


def metric_adaptive_thresholds(
    scores: ArrayLike | torch.Tensor, labels: ArrayLike | torch.Tensor, beta: float = 1.0
) -> NDArray[np.float64]:
    """Return each label's threshold of highest F-beta on its known entries.

    F_beta = (1 + beta^2) TP / (beta^2 P + predicted) of the entries with a score of at least the threshold, P the known
    positives; of equal ones the threshold that predicts most. It lies halfway to the next lower score. A label without
    a known positive has the threshold inf: nothing shows what its positives score. (Xiao et al., Semi-Supervised
    Multi-Label Learning with Dual-decoupling Learning and Metric-adaptive Thresholding, ECCV 2024, whose code tries 100
    thresholds, has beta for beta^2, and takes every entry of a label without a positive for relevant.)

    Args:
        scores: (n, K), finite where the label is known, of any range: those of rows that the model did not train on
            are honest.
        labels: (n, K), values in {1, 0, -1}; unknown entries (-1) count for nothing.
        beta: weight of recall beside precision, at least 0.

    Returns:
        (K,) thresholds, float64.

    Raises:
        UserError: shapes that differ, other codes, scores of known entries that are not finite, or a beta that is none.
    """
    s, y = as_array(scores).astype(np.float64), as_array(labels)
    if s.ndim != 2 or s.shape != y.shape:
        raise UserError(f"scores have shape {s.shape} and labels {y.shape}: both must be (n, K)")
    if not (np.isfinite(beta) and beta >= 0):
        raise UserError(f"beta is {beta}: give a number of at least 0")
    refuse_codes("labels", y)
    wrong = (y >= 0) & ~np.isfinite(s)
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise UserError(f"scores hold {s[row, label]} in row {row}, label {label}: give finite numbers")
    return np.array(
        [_best_threshold(s[y[:, k] >= 0, k], y[y[:, k] >= 0, k] == 1, beta) for k in range(s.shape[1])]
    )


def _best_threshold(scores: NDArray[np.float64], positive: NDArray[np.bool_], beta: float) -> float:
    """Return one label's threshold, inf without a positive."""
    if not positive.any():
        return np.inf
    order = np.argsort(-scores, kind="stable")
    down, hits = scores[order], np.cumsum(positive[order])
    predicted = np.arange(1, len(down) + 1)
    f = (1 + beta**2) * hits / (beta**2 * hits[-1] + predicted)
    # A threshold takes all entries of one score or none.
    f[:-1][down[:-1] == down[1:]] = -1.0
    last = len(f) - 1 - int(np.argmax(f[::-1]))
    lowest = float(down[last])
    following = float(down[last + 1]) if last + 1 < len(down) else lowest
    middle = following + (lowest - following) / 2
    # Rounding may put the middle of two neighbours at the lower one.
    return middle if middle > following else lowest
