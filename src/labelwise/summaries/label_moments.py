"""Positive counts and feature sums of each label: prototypes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from labelwise.annotations import row_blocks
from labelwise.errors import UserError
from labelwise.summaries.arrays import as_array, refuse_codes


class LabelMoments:
    """Gather, for each label, how many items carry it and the sum of their features.

    The prototype of label k is the mean feature of its positives,
    ``c_k = sum_{i: y_ik = 1} z_i / #{i: y_ik = 1}``
    (S2ML2-BBAM), of features as they are (not normalised). Every product and sum is in float64: float32
    features enter exactly, and a different split of the batches moves the result by rounding only (below
    1e-12 relative to the mean magnitude of the features).

    Attributes:
        counts: (K,) int64, positives seen of each label.
        sums: (K, D) float64, their features' sums.

    """

    def __init__(self, n_labels: int, n_features: int) -> None:
        self.counts = np.zeros(n_labels, np.int64)
        self.sums = np.zeros((n_labels, n_features))

    def update(self, features: ArrayLike | torch.Tensor, targets: ArrayLike | torch.Tensor) -> None:
        """Take in features (b, D) and targets (b, K); an entry counts only where its target is exactly 1."""
        z, y = as_array(features), as_array(targets)
        n_labels, n_features = self.sums.shape
        if z.ndim != 2 or z.shape[1] != n_features:
            raise UserError(f"features has shape {z.shape}: give (rows, {n_features}).")
        if y.shape != (len(z), n_labels):
            raise UserError(
                f"targets has shape {y.shape}: give ({len(z)}, {n_labels}), one column per label."
            )
        refuse_codes("targets", y)
        for rows in row_blocks(len(z), n_features):
            positive = y[rows] == 1
            # Positives are few: a sparse product reads only their rows of the features.
            matrix = sparse.csr_matrix(positive, dtype=np.float64)
            self.counts += np.count_nonzero(positive, axis=0)
            self.sums += matrix.T @ z[rows].astype(np.float64)

    def merge(self, other: LabelMoments) -> None:
        """Take in what another summary has gathered of other items."""
        if self.sums.shape != other.sums.shape:
            raise UserError(
                f"LabelMoments of shapes {self.sums.shape} and {other.sums.shape} cannot be merged."
            )
        self.counts += other.counts
        self.sums += other.sums

    def finalize(self) -> NDArray[np.float64]:
        """Return the prototypes (K, D) float64; a row of zeros for a label without positives."""
        return self.sums / np.maximum(self.counts, 1)[:, None]
