"""Logits whose pointwise loss is that of a hierarchy of labels."""

from __future__ import annotations

from torch import Tensor

from labelwise.annotations import Hierarchy
from labelwise.errors import UserError
from labelwise.losses.checks import check_pair


def coherent(logits: Tensor, labels: Tensor, hierarchy: Hierarchy) -> Tensor:
    """Return each label's maximum over itself and those below it, (B, K).

    Of a relevant entry it is the maximum over the *relevant* ones among them. Binary cross-entropy of the result is the
    loss of C-HMCNN (Giunchiglia and Lukasiewicz, NeurIPS 2020),

        BCE((1 - y) MCM(p) + y MCM(y p), y),   MCM(p)_i = max over i and its descendants j of p_j,

    and any other loss of entries one by one takes the same form. So a leaf that is wrong is taught as a leaf, and a
    relevant parent teaches the leaf that is relevant, not the one that scores highest. Taken by levels: depth steps of
    (B, edges), and no (B, K, K). An unknown entry has the maximum over all.

    Args:
        logits: (B, K) floating-point; cosines will do.
        labels: (B, K) of 1, 0 and -1, closed under the hierarchy (``Hierarchy.close``).
        hierarchy: over these K labels.

    Raises:
        UserError: Shapes that differ, logits that are not floating-point, or another number of labels than the
            hierarchy's.
    """
    check_pair(logits, labels)
    known = len(hierarchy.label_names)
    if logits.ndim != 2 or logits.shape[1] != known:
        raise UserError(
            f"logits or cosines have shape {tuple(logits.shape)}: the hierarchy needs (B, {known})"
        )
    relevant = labels == 1
    every = _highest(logits, hierarchy)
    shown = _highest(logits.masked_fill(~relevant, -float("inf")), hierarchy)
    return shown.where(relevant, every)


def _highest(values: Tensor, hierarchy: Hierarchy) -> Tensor:
    for children, parents in hierarchy.levels:
        target = values.new_tensor(parents, dtype=int).expand(len(values), -1)  # type: ignore[arg-type]
        values = values.scatter_reduce(1, target, values[:, children], "amax", include_self=True)
    return values
