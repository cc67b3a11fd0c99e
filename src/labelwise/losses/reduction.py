"""The one reducer."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.checks import check_choice


def reduce(values: Tensor, weights: Tensor | None = None, how: str = "mean") -> Tensor:
    """Return one number from the unreduced losses: where entry weights, masks and sampled negatives belong.

    With l the values and w the weights (1 without any): "mean" is sum(w l)/(B K), over all entries, also
    those of weight 0; "sum" is sum(w l); "weighted" is sum(w l)/sum(w), and 0 where all weights are 0.

    Args:
        values: (B, K) losses, finite also where the weight is 0.
        weights: non-negative, numbers or bool, of the shape of ``values`` or one that broadcasts to it ((K,),
            (B, 1)).
        how: "mean", "sum" or "weighted".

    Returns:
        A scalar of the dtype of ``values``.

    Raises:
        UserError: another ``how``, "weighted" without weights, weights of another shape, or the mean of no
            values.
    """
    check_choice("how", how, ("mean", "sum", "weighted"))
    if how == "mean" and not values.numel():
        raise UserError(
            f"values of shape {tuple(values.shape)} have no mean: pass at least one item and label"
        )
    if weights is None:
        if how == "weighted":
            raise UserError('how="weighted" needs weights: pass them, or use how="mean"')
        return values.sum() if how == "sum" else _mean(values)
    try:
        weights = torch.broadcast_to(weights.to(values), values.shape)
    except RuntimeError:
        shapes = f"{tuple(weights.shape)} and values {tuple(values.shape)}"
        raise UserError(f"weights have shape {shapes}: they must broadcast to the values") from None
    weighted = values * weights
    if how == "mean":
        return _mean(weighted)
    if how == "sum":
        return weighted.sum()
    return weighted.sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)


def _mean(values: Tensor) -> Tensor:
    """Return the mean, with a gradient that is one number, expanded; that of ``mean`` fills a whole tensor."""
    if values.dtype in (torch.float32, torch.float64):
        return values.sum() / values.numel()
    return values.mean()  # a sum in half precision would overflow
