"""Label priors from what little single-positive annotations tell."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError
from labelwise.summaries import as_array


def expected_prior(
    observed_counts: ArrayLike | torch.Tensor, cardinality: float, n: int
) -> NDArray[np.float64]:
    """Return each label's prior (K,) float64 from observed positives and the expected labels per item.

    ``prior_k = cardinality count_k / sum_j count_j``, as if an item's observed positives were drawn evenly
    from its relevant labels. A prior that would exceed 1 becomes 1, and what it loses goes to the other
    labels in proportion to their counts, again and again, so that the priors sum to the cardinality.

    Args:
        observed_counts: (K,) positives observed of each label among n items, at least 0.
        cardinality: expected number of relevant labels per item, above 0; at least ``sum(counts) / n``, and
            at most the number of labels observed at all.
        n: number of items.

    """
    counts = as_array(observed_counts).astype(np.float64)
    if counts.ndim != 1 or not ((counts >= 0) & (counts <= n)).all():
        raise UserError(f"observed_counts must be one number per label, each between 0 and the {n} items.")
    seen = np.count_nonzero(counts)
    if not 0 < cardinality <= seen:
        raise UserError(
            f"cardinality is {cardinality}: give a number above 0, at most the {seen} labels observed."
        )
    if counts.sum() > cardinality * n * (1 + 1e-9):
        raise UserError(
            f"cardinality is {cardinality}, but {counts.sum():g} positives are observed on {n} items: "
            f"give at least {counts.sum() / n:g}."
        )
    full = np.zeros(len(counts), np.bool_)
    while True:
        rest = np.where(full, 0.0, counts)
        left = cardinality - np.count_nonzero(full)
        prior: NDArray[np.float64] = np.where(full, 1.0, rest * (left / max(rest.sum(), 1.0)))
        over = prior > 1
        if not over.any():
            return prior
        full |= over
