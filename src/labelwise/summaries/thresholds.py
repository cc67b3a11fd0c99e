"""The result of an exact selection: a score and an item id per label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.summaries.arrays import Scores, as_ids, as_scores

ALL_IDS = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Thresholds:
    """Where each label's selection ends: the last selected score, and among its ties the last selected item
    id.

    Items are ranked by score (highest first, or lowest first), ties by the lower id. So the pair (score, id)
    of the last item selected tells exactly the selected from the others, whoever holds the scores.

    Attributes:
        scores: (K,) float32 or float64. Where fewer items than asked for were seen, the infinity that selects
            all; where none were asked for, the one that selects none.
        last_ids: (K,) int64, the highest id selected among the items that score exactly ``scores``.
        largest: True if the highest scores are selected, False if the lowest.

    """

    scores: Scores
    last_ids: NDArray[np.int64]
    largest: bool

    def select(
        self, scores: ArrayLike | torch.Tensor, ids: ArrayLike | torch.Tensor | int
    ) -> NDArray[np.bool_]:
        """Return which entries of ``scores`` (b, K) of the items ``ids`` ((b,), or the first of a run) are
        selected.

        Scores are compared in the dtype of the thresholds, so that a histogram's float32 thresholds meet
        float32.
        """
        values = as_scores("scores", scores, len(self.scores))
        if self.scores.dtype == np.float32:
            values = values.astype(np.float32, copy=False)
        rows = as_ids(ids, len(values))[:, None]
        beyond = values > self.scores if self.largest else values < self.scores
        chosen: NDArray[np.bool_] = beyond | ((values == self.scores) & (rows <= self.last_ids))
        return chosen
