"""Per-label thresholds learnt where negatives are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from labelwise.errors import UserError
from labelwise.metrics._cuts import cut_best_threshold, cuts, label_cuts
from labelwise.metrics._inputs import check_pair
from labelwise.metrics._judgeable import judgeable
from labelwise.metrics._rules import PerLabelThreshold


def learn_thresholds(
    Y: ArrayLike, scores: ArrayLike, *, shrinkage: float = 10.0, label_names: Sequence[str] | None = None
) -> PerLabelThreshold:
    """Return the thresholds of each label's best F1, shrunk towards a global one for rare labels.

    Judged on the known entries of the rows that ``judgeable(Y)`` names.

    t_k = w_k t*_k + (1 - w_k) t*, with w_k = P_k / (P_k + shrinkage) and P_k the known positives of label k.
    t*_k has the highest F1 of label k, t* the highest micro-F1 of all labels with both classes known; each
    lies halfway between the lowest score it accepts and the next lower one. A label without both classes
    takes t*.

    Args:
        Y: (n, K) of 1, 0 and -1; give validation rows, not rows that the model was trained on.
        scores: (n, K) finite, on one scale for all labels (t* is shared).
        shrinkage: in positives, at least 0; at P_k = shrinkage a label's own threshold weighs half.
        label_names: K names, for messages.

    Returns:
        A rule named ``learnt_thresholds``.

    Raises:
        UserError: no label has both a known positive and a known negative.
    """
    if not (np.isfinite(shrinkage) and shrinkage >= 0):
        raise UserError(f"shrinkage is {shrinkage}: give a number of positives, at least 0")
    labels, s = check_pair(Y, scores, "Y", label_names)
    can = judgeable(labels)
    if not can.thresholds:
        raise UserError(
            "no label has both a known positive and a known negative, so thresholds cannot be learnt:"
            " give a prior (PriorMatched), a fixed Threshold, or some fully labelled items"
        )
    labels, s, both = labels[can.rows], s[can.rows], can.labels
    n_positive = (labels == 1).sum(axis=0)
    common = cut_best_threshold(cuts(s[(labels == 1) & both], s[(labels == 0) & both]))
    values = np.full(labels.shape[1], common)
    for k in np.flatnonzero(both):
        weight = n_positive[k] / (n_positive[k] + shrinkage)
        values[k] += weight * (cut_best_threshold(label_cuts(labels, s, int(k))) - common)
    return PerLabelThreshold(cast(Sequence[float], values), name="learnt_thresholds")
