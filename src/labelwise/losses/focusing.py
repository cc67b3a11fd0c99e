"""Focusing losses: entries that are already right weigh less."""

from __future__ import annotations

import torch
from torch import Tensor

from labelwise.losses.checks import check_choice, check_range
from labelwise.losses.cross_entropy import cross_entropy, positives, unknowns
from labelwise.losses.pointwise import Needs, pointwise


def focal(logits: Tensor, labels: Tensor, gamma: float = 2.0) -> Tensor:
    """Focal loss: entries that are already right weigh less.

    It is -(1 - p)^gamma log p on relevant entries, -p^gamma log(1 - p) on all others.

    p = sigmoid(logits). An unknown entry (-1) counts as irrelevant; there is no class weight. (Lin et al.,
    ICCV 2017.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        gamma: focusing exponent, at least 0; 0 is ``assume_negative``.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or a negative gamma.
    """
    check_range("gamma", gamma, 0)
    return asymmetric(logits, labels, gamma, gamma, clip=0.0, detach_focus=False)


def asymmetric(
    logits: Tensor,
    labels: Tensor,
    gamma_negative: float = 4.0,
    gamma_positive: float = 0.0,
    clip: float = 0.05,
    detach_focus: bool = True,
) -> Tensor:
    """Asymmetric loss (ASL): focal, with easy negatives cut off.

    Each side has its own exponent.

    -(1 - p)^gamma_positive log p on relevant entries, -m^gamma_negative log(1 - m) with m = max(p - clip, 0)
    on all others, p = sigmoid(logits). An unknown entry (-1) counts as irrelevant. With ``detach_focus`` the
    focusing weights are constants for the gradient, as in the published recipe. The paper sums over all
    entries: judge its learning rates with ``reduce(..., how="sum")``. (Ridnik et al., ICCV 2021.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        gamma_negative: exponent for entries that are not relevant, at least 0.
        gamma_positive: exponent for relevant entries, at least 0.
        clip: probability under which a negative costs nothing, in [0, 1).
        detach_focus: whether the focusing weights get no gradient.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    return _asymmetric(logits, labels, gamma_negative, gamma_positive, gamma_negative, clip, detach_focus)


def partial_asymmetric(
    logits: Tensor,
    labels: Tensor,
    gamma_negative: float = 1.0,
    gamma_positive: float = 0.0,
    gamma_unknown: float = 4.0,
    clip: float = 0.0,
    detach_focus: bool = True,
) -> Tensor:
    """Partial asymmetric loss (P-ASL): unknown entries have an exponent of their own.

    -(1 - p)^gamma_positive log p on relevant entries, -m^gamma log(1 - m) with m = max(p - clip, 0) on all others,
    gamma = gamma_negative on known negatives and gamma_unknown on unknown entries (-1), p = sigmoid(logits). What
    unknown entries weigh beside this, none or a chosen part of them (``selective_weights``), belongs in ``reduce``.
    (Ben-Baruch et al., Multi-label Classification with Partial Annotations using Class-aware Selective Loss, CVPR 2022,
    whose code sums over entries.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        gamma_negative: exponent of known negatives, at least 0.
        gamma_positive: exponent of relevant entries, at least 0.
        gamma_unknown: exponent of unknown entries, at least 0.
        clip: probability under which a negative costs nothing, in [0, 1).
        detach_focus: whether the focusing weights get no gradient, as in the released code.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    return _asymmetric(logits, labels, gamma_negative, gamma_positive, gamma_unknown, clip, detach_focus)


def _asymmetric(
    logits: Tensor,
    labels: Tensor,
    gamma_negative: float,
    gamma_positive: float,
    gamma_unknown: float,
    clip: float,
    detach_focus: bool,
) -> Tensor:
    """Return the focused cross-entropy with an exponent for each state of a label."""
    check_range("gamma_negative", gamma_negative, 0)
    check_range("gamma_positive", gamma_positive, 0)
    check_range("gamma_unknown", gamma_unknown, 0)
    check_range("clip", clip, 0, 0.999)

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        # u is the wrong answer's logit, q its probability, m what the cut leaves of q (all, if relevant).
        # Where nothing is cut, -log(1 - m) has no bound: it is relu(u) - log(1 - min(q, 1 - q)).
        y = positives(labels, x.dtype)
        side = torch.rsub(y, 1, alpha=2)
        u = x * side
        q = torch.sigmoid(u)
        right = 1 - q
        m, bound, loss = q, right, torch.relu(u)
        if clip:
            other = 1 - y
            m, bound, loss = torch.sub(q, other, alpha=clip).relu_(), other.add_(right), loss.mul_(y)
        loss.sub_(torch.minimum(m, bound).neg_().log1p_())
        weight = _power(m, gamma_negative)
        if gamma_unknown != gamma_negative:
            unknown = unknowns(labels, x.dtype)
            weight = weight.lerp_(_power(m, gamma_unknown), unknown)
        if gamma_positive != gamma_negative:
            weight = weight.lerp_(_power(m, gamma_positive), y)
        value = weight * loss
        if not needs[0]:
            return value, None
        tiny = torch.finfo(x.dtype).tiny
        slope = weight.mul_(q)
        if clip:
            slope.mul_((right + tiny).div_((1 - m).add_(tiny)))
            if gamma_negative == 0 or gamma_unknown == 0:
                slope.mul_(m.sign())
        if not detach_focus:
            gamma = gamma_negative + y * (gamma_positive - gamma_negative)
            if gamma_unknown != gamma_negative:
                gamma.add_(unknown, alpha=gamma_unknown - gamma_negative)
            slope.addcmul_(q * right, gamma.mul_(value).div_(m.clamp(min=tiny)))
        return value, slope.mul_(side)

    return pointwise(rule, logits, labels)


def hill(
    logits: Tensor,
    labels: Tensor,
    margin: float = 1.0,
    gamma: float = 2.0,
    hill_lambda: float = 1.5,
    negatives: str = "plain",
) -> Tensor:
    """Hill loss: focal margin on relevant entries, hill on unknown ones.

    (1 - q)^gamma (-log q) with q = sigmoid(logits - margin) where the label is 1, (hill_lambda - p) p^2 with p =
    sigmoid(logits) where it is unknown (-1), and -log(1 - p) where it is 0, or the hill too. With 1.5 the slope of
    the hill is 3 p^2 (1 - p)^2: an unknown entry that looks relevant is no longer pushed down. The focal factor has
    its gradient. (Zhang et al., 2021, arXiv 2112.07368, whose code sums over entries and has no known negatives.)

    Args:
        logits: (B, K), floating-point.
        labels: (B, K), values in {1, 0, -1}.
        margin: what is taken off the logits of relevant entries, at least 0.
        gamma: focusing exponent of relevant entries, at least 0.
        hill_lambda: lambda of the hill, at least 1; below 1.5 the hill falls again before p = 1.
        negatives: loss of entries known to be irrelevant: ``"plain"`` cross-entropy, or ``"hill"``.

    Returns:
        (B, K) losses in [0, inf), float32 (float64 for float64 logits).

    Raises:
        UserError: shapes that differ, logits that are not floating-point, or an argument outside its range.
    """
    check_range("margin", margin, 0)
    check_range("gamma", gamma, 0)
    check_range("hill_lambda", hill_lambda, 1)
    check_choice("negatives", negatives, ("plain", "hill"))

    def rule(x: Tensor, labels: Tensor, needs: Needs) -> tuple[Tensor, Tensor | None]:
        y = positives(labels, x.dtype)
        on_hill = 1 - y if negatives == "hill" else unknowns(labels, x.dtype)
        shifted = torch.sub(x, y, alpha=margin)
        plain, slope = cross_entropy(shifted, y, needs[0])
        focus = torch.sigmoid(-shifted).pow_(gamma).mul_(y)
        weight = (1 - y).add_(focus)
        p = torch.sigmoid(x)
        value = (weight * plain).lerp_((hill_lambda - p).mul_(p).mul_(p), on_hill)
        if slope is None:
            return value, None
        # From q = 1 - p, not from p: the two factors of the hill's slope that vanish at p = 1 keep their precision.
        q = torch.sigmoid(-x)
        by_hill = p.square_().mul_(q).mul_(q.mul(3).add_(2 * hill_lambda - 3))
        slope.mul_(weight).sub_(focus.mul_(torch.sigmoid(shifted)).mul_(plain), alpha=gamma)
        return value, slope.lerp_(by_hill, on_hill)

    return pointwise(rule, logits, labels)


def _power(base: Tensor, exponent: float) -> Tensor:
    """Return base ** exponent as a new tensor.

    The published exponent, 4, goes by squaring: many times faster.
    """
    return base.square().square_() if exponent == 4 else base.pow(exponent)
