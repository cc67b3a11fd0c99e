"""Scalars over a whole batch; the engine sums their parts where a batch is spread over ranks."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.errors import UserError
from labelwise.losses.checks import check_pair, mark_codes
from labelwise.losses.cross_entropy import positives
from labelwise.losses.pointwise import working_dtype


def expected_positives(probabilities: Tensor, expected: float | Tensor) -> Tensor:
    """Squared distance of the mean number of predicted positives from the expected one, over K^2 (EPR, ROLE).

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


def gradient_balance(logits: Tensor, labels: Tensor) -> Tensor:
    """Return |sum over positives of (1 - p) - sum over negatives of p|, the adaptive loss of HML.

    p = sigmoid(logits), summed over all entries of the batch; unknown entries (-1) count as negatives. The
    terms are the sizes of the entries' gradients; their difference equals the number of positives minus the
    expected one, sum p. HML lets this reach scale and margin only: pass logits of detached cosines. (Ke et
    al., ECCV 2022.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.

    Returns:
        A scalar of at least 0, not normalised, float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, or logits that are not floating-point.
    """
    check_pair(logits, labels)
    dtype = working_dtype(logits)
    known = positives(labels, dtype)
    mark_codes(known, labels)
    return (known - torch.sigmoid(logits.to(dtype))).sum().abs()
