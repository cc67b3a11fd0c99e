"""Losses of whole lines: every relevant entry above every irrelevant one."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from labelwise.errors import UserError
from labelwise.losses.checks import (
    check_choice,
    check_label_weights,
    check_pair,
    check_range,
    line_of_no_code,
)
from labelwise.losses.pointwise import working_dtype

_LINES = {"items": 1, "labels": 0}


def pairwise(
    logits: Tensor,
    labels: Tensor,
    over: str = "items",
    temperature_positive: float = 1.0,
    temperature_negative: float = 1.0,
    zero: bool = False,
    weights: Tensor | None = None,
) -> Tensor:
    """Pairwise log-sum-exp losses of items or labels: LSEP, two-way, ZLPR.

    For a line (the entries of an item, or of a label in this batch) with relevant entries P and irrelevant ones N, N* =
    Tn log sum_N e^(x / Tn) and P* = Tp log sum_P e^(-x / Tp): softplus(N* + P*), and with ``zero`` softplus(N*) +
    softplus(P*), which ranks both against a score of 0. Unknown entries (-1) are in neither. A line that compares
    nothing costs 0: one without P or without N, with ``zero`` one without either; ``compared_lines`` names the others.
    (Two-way: Kobayashi, CVPR 2023, Tp 4 and Tn 1 over items and labels, whose code masks with -100; LSEP: Li et al.,
    CVPR 2017, temperatures 1; ZLPR: Su et al., 2022, with ``zero``.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}; fractions are in neither set.
        over: ``"items"`` or ``"labels"``.
        temperature_positive: Tp, above 0.
        temperature_negative: Tn, above 0.
        zero: whether a score of 0 lies between the two sets.
        weights: (K,), what an entry of P counts in its sum, at least 0; 1 without.

    Returns:
        (B,) or (K,) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    check_pair(logits, labels)
    check_choice("over", over, tuple(_LINES))
    check_range("temperature_positive", temperature_positive, 1e-6)
    check_range("temperature_negative", temperature_negative, 1e-6)
    if logits.ndim != 2:
        raise UserError(f"logits must be (B, K), got shape {tuple(logits.shape)}")
    if weights is not None:
        check_label_weights(weights, logits.shape[1])
    dim, x = _LINES[over], logits.to(working_dtype(logits))
    added = None if weights is None else weights.to(x).clamp(min=torch.finfo(x.dtype).tiny).log().expand_as(x)
    yes, no = labels == 1, labels == 0
    above, has_yes = _soft_maximum(-x, yes, temperature_positive, dim, added)
    below, has_no = _soft_maximum(x, no, temperature_negative, dim)
    if zero:
        values = softplus(above).masked_fill(~has_yes, 0.0) + softplus(below).masked_fill(~has_no, 0.0)
    else:
        values = softplus(above + below).masked_fill(~(has_yes & has_no), 0.0)
    wrong = line_of_no_code(labels, dim)
    return values if wrong is None else values.masked_fill(wrong, torch.nan)


def compared_lines(labels: Tensor, over: str = "items", zero: bool = False) -> Tensor:
    """Mark the lines that ``pairwise`` compares.

    They have a relevant and an irrelevant entry; with ``zero`` either.

    Args:
        labels: (B, K), values in {1, 0, -1}.
        over: ``"items"`` or ``"labels"``.
        zero: whether a score of 0 lies between the two sets.

    Returns:
        (B,) or (K,) bool.

    Raises:
        UserError: another ``over``, or labels that are not (B, K).
    """
    check_choice("over", over, tuple(_LINES))
    if labels.ndim != 2:
        raise UserError(f"labels must be (B, K), got shape {tuple(labels.shape)}")
    yes, no = (labels == 1).any(_LINES[over]), (labels == 0).any(_LINES[over])
    return yes | no if zero else yes & no


def _soft_maximum(
    x: Tensor, members: Tensor, temperature: float, dim: int, added: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return T log sum e^(x / T) over each line's members, and which lines have any.

    A line without members gives a finite number without a meaning: -inf has no gradient.
    """
    present = members.any(dim, keepdim=True)
    # By 1 nothing is divided or multiplied: an operation costs as much as its numbers where a batch is small.
    scaled = x if temperature == 1 else x / temperature
    if added is not None:
        scaled = scaled + added
    # Present and no member: of two truth values the greater one.
    maximum = scaled.masked_fill(present > members, -math.inf).logsumexp(dim)
    return maximum if temperature == 1 else temperature * maximum, present.squeeze(dim)
