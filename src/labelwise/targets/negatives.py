"""Hard negatives: of each label, those most similar to its prototype, in proportion to its positives."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import TopScores
from labelwise.targets.chunks import Chunks, as_labels, matrix_chunks


def hard_negatives(
    similarities: ArrayLike | torch.Tensor, labels: ArrayLike | torch.Tensor, ratio: float
) -> NDArray[np.bool_]:
    """Return which negatives to keep, (n, K) bool: S2ML2-BBAM's negative sampling.

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
    """Return what ``hard_negatives`` would, reading the similarities chunk by chunk, once.

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
    """Return how many negatives each label keeps, (K,): ``min(int(ratio #positives), #negatives)``."""
    if not (ratio >= 0 and np.isfinite(ratio)):
        raise UserError(f"ratio is {ratio}: give a finite number of negatives per positive, at least 0.")
    wanted = (ratio * np.count_nonzero(labels == 1, axis=0)).astype(np.int64)
    counts: NDArray[np.int64] = np.minimum(wanted, np.count_nonzero(labels == 0, axis=0))
    return counts
