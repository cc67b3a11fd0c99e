"""Losses that doubt an assumed negative where the score says otherwise."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.losses.checks import check_choice, check_range
from labelwise.losses.cross_entropy import cross_entropy, positives, unknowns
from labelwise.losses.pointwise import Needs, pointwise


def generalized_robust(
    logits: Tensor,
    labels: Tensor,
    slope: float = 0.0,
    offset: float = -2.0,
    center: float = 0.5,
    width: float = 2.0,
    positive_power: float = 0.01,
    negative_power: float = 1.0,
) -> Tensor:
    """GR loss: unknown entries are relevant by a soft belief.

    -log p where the label is 1, -log(1 - p) where it is 0, and v [k (1 - p^q2) / q2 + (1 - k) (1 - (1 - p)^q3) / q3]
    where it is unknown (-1), with p = sigmoid(logits), q2 = ``positive_power`` and q3 = ``negative_power``. The belief
    k = sigmoid(slope p + offset) that the entry is relevant and its weight v = exp(-((p - center) / width)^2 / 2) are
    constants for the gradient. A power of 0 is cross-entropy, one of 1 is the absolute error. (Chen et al., Boosting
    Single Positive Multi-label Classification with Generalized Robust Loss, IJCAI 2024, where slope, offset, center
    and width move from epoch to epoch; its code has log(p + 1e-7) and no known negatives.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        slope: w of the belief, finite.
        offset: b of the belief, finite.
        center: mu of the weight, finite.
        width: s of the weight, above 0.
        positive_power: q2, of the part that takes an unknown entry for relevant, at least 0.
        negative_power: q3, of the part that takes it for irrelevant, at least 0.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    for name, value in (("slope", slope), ("offset", offset), ("center", center)):
        check_range(name, value, -1e6)
    check_range("width", width, 1e-6)
    check_range("positive_power", positive_power, 0)
    check_range("negative_power", negative_power, 0)

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        y, unknown = positives(labels, x.dtype), unknowns(labels, x.dtype)
        p = torch.sigmoid(x)
        value, known_slope = cross_entropy(x, y, needs[0])
        belief = torch.sigmoid(p.mul(slope).add_(offset))
        weight = p.sub(center).div_(width).square_().mul_(-0.5).exp_()
        yes, no = _box_cox(x, positive_power), _box_cox(-x, negative_power)
        value.lerp_(torch.lerp(no, yes, belief).mul_(weight), unknown)
        if known_slope is None:
            return value, None
        # p^q = exp(-q (-log p)), of which nothing is lost where p is 0 but for rounding.
        q = torch.sigmoid(-x)
        up = torch.nn.functional.softplus(-x).mul_(-positive_power).exp_().mul_(q).neg_()
        down = torch.nn.functional.softplus(x).mul_(-negative_power).exp_().mul_(p)
        return value, known_slope.lerp_(torch.lerp(down, up, belief).mul_(weight), unknown)

    return pointwise(rule, logits, labels)


def _box_cox(x: Tensor, power: float) -> Tensor:
    """Return (1 - p^power) / power with p = sigmoid(x), -log p at 0."""
    loss = torch.nn.functional.softplus(-x)
    return loss if power == 0 else loss.mul_(-power).expm1_().div_(-power)


def self_paced_correction(
    logits: Tensor,
    labels: Tensor,
    threshold: float = 0.6,
    margin: float = 1.0,
    gamma: float = 2.0,
    correct: bool = True,
    negatives: str = "plain",
) -> Tensor:
    """SPLC: unknown entries above a threshold count as relevant.

    With t = 1 where the label is 1, or unknown (-1) with p = sigmoid(logits) above ``threshold``, and q = sigmoid of
    the logits, less ``margin`` where the label is 1: (1 - q)^gamma (-log q) where t is 1, q^gamma (-log(1 - q)) where
    it is unknown and t is 0, and -log(1 - q) where it is 0, or the focal form too. A turned entry has no margin; t is
    decided anew in every call. The focal factors have their gradient. (Zhang et al., 2021, arXiv 2112.07368, whose
    code sums over entries, and turns known negatives too.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        threshold: probability above which an unknown entry counts as relevant, in [0, 1].
        margin: what is taken off the logits of relevant entries, at least 0.
        gamma: focusing exponent, at least 0.
        correct: whether entries are turned at all; the recipe does so from the second epoch on.
        negatives: loss of entries known to be irrelevant: ``"plain"`` cross-entropy, or ``"focal"``.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    check_range("threshold", threshold, 0, 1)
    check_range("margin", margin, 0)
    check_range("gamma", gamma, 0)
    check_choice("negatives", negatives, ("plain", "focal"))

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        y, unknown = positives(labels, x.dtype), unknowns(labels, x.dtype)
        shifted = torch.sub(x, y, alpha=margin)
        target = y
        if correct:
            target = torch.addcmul(y, unknown, (torch.sigmoid(x) > threshold).to(x.dtype))
        yes, up = _focused(shifted, gamma, needs[0])
        no, down = _focused(-shifted, gamma, needs[0])
        if negatives == "plain":
            plain, slope = cross_entropy(-shifted, torch.ones_like(x), needs[0])
            no = torch.lerp(plain, no, unknown)
            if slope is not None and down is not None:
                down = torch.lerp(slope, down, unknown)
        value = torch.lerp(no, yes, target)
        if up is None or down is None:
            return value, None
        return value, torch.lerp(down.neg_(), up, target)

    return pointwise(rule, logits, labels)


def _focused(x: Tensor, gamma: float, need: bool) -> tuple[Tensor, Tensor | None]:
    """Return (1 - p)^gamma (-log p) with p = sigmoid(x), and its slope where needed."""
    loss, q = torch.nn.functional.softplus(-x), torch.sigmoid(-x)
    focus = q.pow(gamma)
    value = focus * loss
    if not need:
        return value, None
    slope = torch.sigmoid(x).mul_(loss).mul_(-gamma).sub_(q).mul_(focus)
    return value, slope
