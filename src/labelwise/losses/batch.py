"""Losses as one number: the reducer, EPR's and HML's sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.checks import check_choice, check_pair, mark_codes
from labelwise.losses.cross_entropy import positives
from labelwise.losses.pointwise import working_dtype


def reduce(values: Tensor, weights: Tensor | None = None, how: str = "mean") -> Tensor:
    """Reduce unreduced losses to one number.

    Entry weights, masks and sampled negatives belong here.

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
    # All weights may be 0: the loss is then 0, with a gradient of 0.
    return weighted.sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)


def _mean(values: Tensor) -> Tensor:
    """Return the mean, with a gradient of one number, expanded.

    The gradient of torch's ``mean`` fills a whole tensor.
    """
    if values.dtype in (torch.float32, torch.float64):
        return values.sum() / values.numel()
    return values.mean()  # a sum in half precision would overflow


Total = Callable[[Tensor], Tensor]
"""The sum of a tensor's entries; over all processes where several share a batch."""


def expected_positives(probabilities: Tensor, expected: float | Tensor) -> Tensor:
    """Squared excess of predicted positives per item (EPR, ROLE), over K^2.

    R = (mean_i sum_k p_ik - kappa)^2 / K^2 with kappa the expected number of relevant labels per item. It
    reads no labels, so unknown entries do not matter. (Cole et al., CVPR 2021: kappa = 1.5 for VOC, 2.9 for
    COCO; there it is added without the 1/(BK) of the other terms.)

    Args:
        probabilities: (B, K) in [0, 1], floating-point, B at least 1.
        expected: kappa, or the labels' priors, (K,), whose sum is kappa.

    Returns:
        A scalar, float32 (float64 for float64 probabilities).

    Raises:
        UserError: probabilities that are not a floating-point (B, K) with at least one row and label, or an
            ``expected`` that is neither one number nor (K,).
    """
    check_pair(probabilities, None)
    if probabilities.ndim != 2 or not probabilities.numel():
        raise UserError(f"probabilities must be (B, K) and not empty, got shape {tuple(probabilities.shape)}")
    labels = probabilities.shape[1]
    total = probabilities.to(working_dtype(probabilities)).sum(1).mean()
    if isinstance(expected, Tensor):
        if expected.numel() != 1 and expected.shape != (labels,):
            raise UserError(
                f"expected has shape {tuple(expected.shape)}: it must be one number or ({labels},)"
            )
        expected = expected.to(total).sum()
    return (total - expected).square() / labels**2


def expected_positives_with_logits(
    logits: Tensor, expected: float, *, total: Total = torch.sum, processes: int = 1
) -> Tensor:
    """Squared excess of predicted positives of logits, in half the time.

    It is ``expected_positives(sigmoid(logits), expected)``, with its gradient in closed form.

    The gradient in a logit is 2 (mean_i sum_k p_ik - kappa) p (1 - p) / (K^2 B). Where several processes share a
    batch, each gets its part's gradient such that the mean over processes is the gradient on the whole batch,
    whatever share of the rows each holds. (Cole et al., CVPR 2021.)

    Args:
        logits: (B, K), floating-point; a process may hold no row.
        expected: kappa, the expected number of relevant labels per item.
        total: the sum over the whole batch; over all processes where several share it.
        processes: how many share it.

    Returns:
        A scalar, float32 (float64 for float64 logits).

    Raises:
        UserError: logits that are not (B, K).
    """
    if logits.ndim != 2:
        raise UserError(f"logits must be (B, K), got shape {tuple(logits.shape)}")
    value: Tensor = _ExpectedPositives.apply(logits, expected, total, processes)  # type: ignore[no-untyped-call]
    return value


def excess_positives(
    probabilities: Tensor, expected: float, *, total: Total = torch.sum, processes: int = 1
) -> float | Tensor:
    """Return the mean number of predicted positives minus the expected one.

    A number on the CPU; on an accelerator, where a number would have to be waited for, a scalar there.

    Args:
        probabilities: (B, K) in [0, 1], float32 or float64.
        expected: kappa, the expected number of relevant labels per item.
        total: the sum over the whole batch; over all processes where several share it.
        processes: how many share it.
    """
    predicted, rows = total(probabilities), _rows(probabilities, total, processes)
    if predicted.device.type == "cpu":
        return float(predicted) / rows - expected
    return predicted / rows - expected


def gradient_balance(logits: Tensor, labels: Tensor, *, total: Total = torch.sum) -> Tensor:
    """Return the adaptive loss of HML: how far the signs' gradients differ.

    It is |sum over positives of (1 - p) - sum over negatives of p|.

    p = sigmoid(logits), summed over all entries of the batch; unknown entries (-1) count as negatives. The
    terms are the sizes of the entries' gradients; their difference equals the number of positives minus the
    expected one, sum p. HML lets this reach scale and margin only: pass logits of detached cosines. (Ke et
    al., ECCV 2022.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        total: the sum over the whole batch; over all processes where several share it.

    Returns:
        A scalar of at least 0, not normalised, float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, or logits that are not floating-point.
    """
    check_pair(logits, labels)
    dtype = working_dtype(logits)
    known = positives(labels, dtype)
    mark_codes(known, labels)
    return total(known - torch.sigmoid(logits.to(dtype))).abs()


def _rows(values: Tensor, total: Total, processes: int) -> float:
    """Return the number of rows of the whole batch."""
    return len(values) if processes == 1 else float(total(values.new_tensor(float(len(values)))))


class _ExpectedPositives(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, expected: float, total: Total, processes: int) -> Tensor:
        p = torch.sigmoid(logits.to(working_dtype(logits)))
        # Gradients are averaged over processes, so each counts as if all held its even share of the rows.
        rows, labels = _rows(p, total, processes) / processes, p.shape[1]
        over = excess_positives(p, expected, total=total, processes=processes)
        if ctx.needs_input_grad[0]:
            slope = torch.addcmul(p, p, p, value=-1).mul_(2 * over / (rows * labels**2))
            ctx.save_for_backward(slope)
            ctx.dtype = logits.dtype
        return torch.as_tensor((over / labels) ** 2, dtype=p.dtype, device=p.device)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return (slope * grad).to(ctx.dtype), None, None, None
