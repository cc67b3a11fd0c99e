"""Negative targets: hard negatives (S2ML2-BBAM) and soft labels (APL)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import TopScores, as_array
from labelwise.targets.chunks import Chunks, as_labels, matrix_chunks


def hard_negatives(
    similarities: ArrayLike | torch.Tensor, labels: ArrayLike | torch.Tensor, ratio: float
) -> NDArray[np.bool_]:
    """Return the hard negatives of each label, (n, K) bool (S2ML2-BBAM).

    With ``N_k = #{i: y_ik = 1}``, label k keeps the ``min(int(ratio N_k), #{i: y_ik = 0})`` negatives
    with the highest similarity to its prototype, ties by the lower row. Unknown entries (-1) are neither
    counted nor kept.

    Args:
        similarities: (n, K), such as cosines to the prototypes; NaN is refused where the label is 0.
        labels: (n, K) in {1, 0, -1}.
        ratio: negatives per positive, at least 0 (S2ML2-BBAM: 5).
    """
    y = as_labels("labels", labels)
    return hard_negatives_from_chunks(matrix_chunks(similarities), y, ratio)


def hard_negatives_from_chunks(chunks: Chunks, labels: NDArray[np.int8], ratio: float) -> NDArray[np.bool_]:
    """Return the hard negatives, reading the similarities in chunks, once.

    ``chunks`` is a callable; each call yields ``(slice, similarities (b, K))`` over all items afresh.
    """
    top = TopScores(negative_counts(labels, ratio))
    for rows, similarities in chunks():
        top.update(similarities, rows.start, labels[rows] == 0)
    keep = np.zeros(labels.shape, np.bool_)
    for label, ids in enumerate(top.finalize().ids):
        keep[ids, label] = True
    return keep


def negative_counts(labels: NDArray[np.int8], ratio: float) -> NDArray[np.int64]:
    """Return the number of negatives that each label keeps, (K,).

    It is ``min(int(ratio #positives), #negatives)``.
    """
    if not (ratio >= 0 and np.isfinite(ratio)):
        raise UserError(f"ratio is {ratio}: give a finite number of negatives per positive, at least 0.")
    by_ratio = (ratio * np.count_nonzero(labels == 1, axis=0)).astype(np.int64)
    counts: NDArray[np.int64] = np.minimum(by_ratio, np.count_nonzero(labels == 0, axis=0))
    return counts


def self_paced_negatives(
    probabilities: ArrayLike | torch.Tensor | Chunks,
    soft_labels: ArrayLike | torch.Tensor,
    labels: ArrayLike | torch.Tensor,
    *,
    proportion: float = 0.9,
    rounds: int,
    unknown_at_start: ArrayLike | torch.Tensor | None = None,
) -> NDArray[np.floating[Any]]:
    """Return the soft labels after one more round of APL.

    APL is the asymmetric pseudo-labelling of Zhou et al. (ECCV 2022).

    Per label k, among the entries that are unknown and have no soft label yet, the
    ``m_k = int(proportion U_k / rounds)`` with the lowest probability (ties by the lower row) get that
    probability as their soft label, for good: a soft label once set is never revised. ``U_k`` counts the
    unknown entries at the *start*, so every round adds the same number, and after ``rounds`` rounds the
    proportion is used up; the caller makes no further ones. There are no positive pseudo-labels.

    Args:
        probabilities: (n, K) in [0, 1]; or a callable that yields ``(slice, probabilities (b, K))`` over all
            items.
        soft_labels: (n, K) float; NaN where there is none. Zero is a soft label like any other.
        labels: (n, K) in {1, 0, -1}; known entries take no part and get no soft label.
        proportion: share of the unknown entries to label in all (theta, .9).
        rounds: number of rounds in all: epochs - w of warm-up (10 - 5 on VOC and COCO).
        unknown_at_start: (K,) ints, ``U_k`` where ``labels`` has changed since; None counts them in
            ``labels``.

    Returns:
        A new array of the dtype of ``soft_labels`` (float16 at least; a probability is rounded to it).
    """
    y = as_labels("labels", labels)
    soft: NDArray[np.floating[Any]] = as_array(soft_labels).copy()
    if soft.shape != y.shape or soft.dtype.kind != "f":
        raise UserError(
            f"soft_labels has shape {soft.shape} and dtype {soft.dtype}: give floats of {y.shape}."
        )
    if not 0 <= proportion <= 1:
        raise UserError(f"proportion is {proportion}: give a share between 0 and 1.")
    if rounds < 1:
        raise UserError(f"rounds is {rounds}: give at least 1 (the epochs left after the warm-up).")
    # Counted at the start: each round adds the same number, whatever was frozen before.
    at_start = np.count_nonzero(y == -1, axis=0) if unknown_at_start is None else as_array(unknown_at_start)
    chunks = probabilities if callable(probabilities) else matrix_chunks(probabilities)

    lowest = TopScores((proportion * at_start / rounds).astype(np.int64), largest=False)
    for rows, scores in chunks():
        lowest.update(scores, rows.start, (y[rows] == -1) & np.isnan(soft[rows]))
    selection = lowest.finalize()
    for label, (ids, values) in enumerate(zip(selection.ids, selection.scores, strict=True)):
        soft[ids, label] = values
    return soft
