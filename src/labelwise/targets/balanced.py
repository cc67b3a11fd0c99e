"""Refresh of BBAM: four cheap passes over stored features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import AngleMoments, AngleStatistics, LabelMoments, TopScores, as_array
from labelwise.targets.chunks import Chunks, as_labels, cosine_chunks
from labelwise.targets.negatives import negative_counts
from labelwise.targets.pseudo_labels import pseudo_labels_from_chunks


@dataclass(frozen=True, eq=False)
class BalancedTargets:
    """Targets and statistics of one epoch.

    Attributes:
        pseudo: (n, K) int8, known labels and pseudo-labels; -1 where masked.
        keep: (n, K) bool, the entries that enter the loss: all positives and the hard negatives.
        prototypes: (K, D) float64, mean feature of each label's positives; zeros without positives.
        angles: the angle statistics of each label's positives and negatives to its prototype.
    """

    pseudo: NDArray[np.int8]
    keep: NDArray[np.bool_]
    prototypes: NDArray[np.float64]
    angles: AngleStatistics


def balanced_refresh(
    features: ArrayLike | torch.Tensor,
    labels: ArrayLike | torch.Tensor,
    weight: ArrayLike | torch.Tensor,
    prior: ArrayLike | torch.Tensor,
    *,
    positive_share: float = 1.0,
    negative_share: float = 1.0,
    negative_ratio: float = 5.0,
    previous: AngleStatistics | None = None,
    momentum: float = 0.01,
    variance_floor: float = 1e-3,
    from_zero: bool = False,
    negatives_of: Literal["all", "kept"] = "all",
    pseudo: ArrayLike | torch.Tensor | None = None,
    chunk_rows: int = 8192,
) -> BalancedTargets:
    """Refresh targets and angle statistics from stored features (S2ML2-BBAM).

    Pseudo-labels, prototypes, angles and hard negatives, in this order:

    1. Unknown entries get class-aware pseudo-labels from ``cos(z_i, W_k)``, which no truth enters:
       ``int(prior_k #unknown_k)`` positives of label k (``pseudo_labels_from_chunks``). Known entries stay.
    2. Prototypes are the mean features of the positives, known and pseudo.
    3. Angle statistics are those of ``arccos cos(z_i, c_k)`` over all unmasked entries (or the kept ones).
    4. The hard negatives are the ``min(int(negative_ratio N_k), #negatives)`` with the highest cosine to c_k.

    Beyond features and result, memory is a few chunks and the selected entries. With the released two-model
    form, call once with the averaged model's features to get ``pseudo``, then with the raw model's and
    ``pseudo``.

    Args:
        features: (n, D) stored features, an array or memory map of floats; read ``chunk_rows`` at a time.
        labels: (n, K) in {1, 0, -1}, the labels given.
        weight: (K, D), the class weights of a cosine head without bias (features may carry a constant
            coordinate).
        prior: (K,) in [0, 1], expected share of positives of each label among its unknown entries.
        positive_share: see ``class_aware_pseudo_labels``.
        negative_share: see ``class_aware_pseudo_labels``.
        negative_ratio: kept negatives per positive (eta, 5).
        previous: the angle statistics of the refresh before, or None.
        momentum: weight of the previous statistics (gamma, .01).
        variance_floor: see ``AngleMoments.finalize``.
        from_zero: see ``AngleMoments.finalize``.
        negatives_of: which negatives the angle statistics rest on: ``"all"`` unmasked ones, as released, or
            those ``"kept"``, as the paper's slides have it.
        pseudo: (n, K) in {1, 0, -1}, to be taken instead of step 1.
        chunk_rows: rows of a chunk.

    Raises:
        UserError: shapes that do not fit, NaN or infinite features (row named), a prior outside [0, 1].
    """
    z = as_array(features)
    w = as_array(weight)
    y = as_labels("labels", labels, len(w))
    if z.ndim != 2 or w.ndim != 2 or z.shape[1] != w.shape[1] or len(z) != len(y):
        raise UserError(
            f"features {z.shape}, labels {y.shape} and weight {w.shape} do not fit: (n, D), (n, K), (K, D)."
        )
    if negatives_of not in ("all", "kept"):
        raise UserError(f"negatives_of is {negatives_of!r}: give 'all' or 'kept'.")

    if pseudo is None:
        scores = cosine_chunks(z, w, chunk_rows)
        targets = pseudo_labels_from_chunks(scores, len(z), prior, positive_share, negative_share, labels=y)
    else:
        targets = as_labels("pseudo", pseudo, len(w))

    moments = LabelMoments(*w.shape)
    for start in range(0, len(z), chunk_rows):
        moments.update(z[start : start + chunk_rows], targets[start : start + chunk_rows])
    prototypes = moments.finalize()

    similarities = cosine_chunks(z, prototypes, chunk_rows)
    angles = AngleMoments(len(w))
    negatives = TopScores(negative_counts(targets, negative_ratio))
    for rows, cosines in similarities():
        part = targets[rows]
        negatives.update(cosines, rows.start, part == 0)
        # The kept negatives are known after the last chunk, and need a second pass.
        if negatives_of == "all":
            angles.update(_angles(cosines), part)
    keep = targets == 1
    for label, ids in enumerate(negatives.finalize().ids):
        keep[ids, label] = True
    if negatives_of == "kept":
        _gather_kept(angles, similarities, targets, keep)
    statistics = angles.finalize(
        previous, momentum=momentum, variance_floor=variance_floor, from_zero=from_zero
    )
    return BalancedTargets(targets, keep, prototypes, statistics)


def _gather_kept(
    angles: AngleMoments, similarities: Chunks, targets: NDArray[np.int8], keep: NDArray[np.bool_]
) -> None:
    for rows, cosines in similarities():
        angles.update(_angles(cosines), np.where(keep[rows], targets[rows], np.int8(-1)))


def _angles(cosines: NDArray[Any]) -> NDArray[Any]:
    angles: NDArray[Any] = np.arccos(np.clip(cosines, -1, 1))
    return angles
