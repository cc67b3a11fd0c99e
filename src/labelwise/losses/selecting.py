"""Weights of unknown entries by their label's share and their score."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.checks import check_pair, check_range


@torch.no_grad()
def selective_weights(
    logits: Tensor,
    labels: Tensor,
    prior: Tensor,
    prior_threshold: float = 0.5,
    likeliest: float = 1.0,
) -> Tensor:
    """Weights of CSL: 0 for unknown entries that may well be relevant, else 1.

    An unknown entry (-1) weighs 0 where its label's prior is above ``prior_threshold``, or where it is among the
    ``likeliest`` B unknown entries of the batch of highest score, those of such labels not counted. They are selected
    over the whole batch. The prior is to be the mean score of a model trained on the known entries alone: counts of
    given labels say what annotators look for. (Ben-Baruch et al., CVPR 2022, whose code counts the entries of such
    labels too.)

    Args:
        logits: (B, K), floating-point; they get no gradient.
        labels: (B, K), values in {1, 0, -1}.
        prior: (K,) in [0, 1].
        prior_threshold: prior above which a label's unknown entries weigh nothing, in [0, 1].
        likeliest: how many entries an item, on average, weigh nothing for their score, at least 0.

    Returns:
        (B, K) of 1 and 0, float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    check_pair(logits, labels)
    check_range("prior_threshold", prior_threshold, 0, 1)
    check_range("likeliest", likeliest, 0)
    if prior.shape != logits.shape[-1:]:
        raise UserError(
            f"prior has shape {tuple(prior.shape)}: it must be one number a label, ({logits.shape[-1]},)"
        )
    # On an accelerator the look would wait for everything before.
    if prior.device.type == "cpu" and not bool(((prior >= 0) & (prior <= 1)).all()):
        raise UserError("prior holds a number outside of [0, 1]: give each label's share of positives")
    wide = logits if logits.dtype == torch.float64 else logits.float()
    dropped = (labels == -1) & (prior.to(logits.device) > prior_threshold)
    candidates = (labels == -1) & ~dropped
    count = min(int(likeliest * len(logits) + 1e-6), logits.numel())
    if count:
        # Fewer candidates than places are all chosen: the rest of the places go to entries that weigh 1 anyway.
        order = wide.masked_fill(~candidates, -torch.inf).flatten().topk(count, sorted=False).indices
        chosen = torch.zeros_like(candidates).flatten().index_fill_(0, order, True).view_as(candidates)
        dropped = dropped | (chosen & candidates)
    return (~dropped).to(wide.dtype)
