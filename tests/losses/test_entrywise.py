"""Every loss on logits against a slow loop written from its formula."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from labelwise import losses
from labelwise.errors import UserError
from tests.refusals import refusal


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x)) if x > 0 else x - math.log1p(math.exp(x))


def cross_entropy(x: float, t: float) -> float:
    return -t * log_sigmoid(x) - (1 - t) * log_sigmoid(-x)


def entropy(x: float) -> float:
    p = 1 / (1 + math.exp(-x))
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def weak(x: float, y: float, labels: int) -> float:
    return cross_entropy(x, max(y, 0)) / (labels - 1 if y < 0 and labels > 1 else 1)


def asymmetric(x: float, y: float, gn: float, gp: float, clip: float) -> float:
    p = 1 / (1 + math.exp(-x))
    if y == 1:
        return -((1 - p) ** gp) * math.log(p)
    m = max(p - clip, 0)
    return -(m**gn) * math.log(1 - m)


def hill(x: float, y: float, m: float, gamma: float, height: float, negatives: str = "plain") -> float:
    if y == 1:
        return -((1 - 1 / (1 + math.exp(m - x))) ** gamma) * log_sigmoid(x - m)
    p = 1 / (1 + math.exp(-x))
    return cross_entropy(x, 0) if y == 0 and negatives == "plain" else (height - p) * p**2


def robust(x: float, y: float, w: float, b: float, mu: float, s: float, q2: float, q3: float) -> float:
    if y >= 0:
        return cross_entropy(x, y)
    p = 1 / (1 + math.exp(-x))
    k, v = 1 / (1 + math.exp(-w * p - b)), math.exp(-(((p - mu) / s) ** 2) / 2)
    yes = (1 - p**q2) / q2 if q2 else -log_sigmoid(x)
    no = (1 - (1 - p) ** q3) / q3 if q3 else -log_sigmoid(-x)
    return v * (k * yes + (1 - k) * no)


def self_paced(
    x: float, y: float, tau: float, m: float, gamma: float, correct: bool = True, negatives: str = "plain"
) -> float:
    if y == 1 or (y == -1 and correct and 1 / (1 + math.exp(-x)) > tau):
        x = x - m * (y == 1)
        return -((1 / (1 + math.exp(x))) ** gamma) * log_sigmoid(x)
    focal = -((1 / (1 + math.exp(-x))) ** gamma) * log_sigmoid(-x)
    return cross_entropy(x, 0) if y == 0 and negatives == "plain" else focal


Entry = Callable[[float, float, int], float]
CASES: dict[str, tuple[Callable[[torch.Tensor, torch.Tensor], torch.Tensor], Entry]] = {
    "assume_negative": (losses.assume_negative, lambda x, y, _: cross_entropy(x, max(y, 0))),
    "weak_assume_negative": (losses.weak_assume_negative, weak),
    "ignore_unknown": (losses.ignore_unknown, lambda x, y, _: 0 if y < 0 else cross_entropy(x, y)),
    "label_smoothing": (
        losses.label_smoothing,
        lambda x, y, _: cross_entropy(x, {1: 0.9, 0: 0.1, -1: 0.1}[int(y)]),
    ),
    "label_smoothing, each its own": (
        lambda x, y: losses.label_smoothing(x, y, positive=0, negative=0.05, unknown=0.2),
        lambda x, y, _: cross_entropy(x, {1: 1.0, 0: 0.05, -1: 0.2}[int(y)]),
    ),
    "entropy_maximization": (
        losses.entropy_maximization,
        lambda x, y, _: -0.2 * entropy(x) if y < 0 else cross_entropy(x, y),
    ),
    "entropy_minimization": (
        losses.entropy_minimization,
        lambda x, y, _: entropy(x) if y < 0 else cross_entropy(x, y),
    ),
    "focal": (losses.focal, lambda x, y, _: asymmetric(x, y, 2, 2, 0)),
    "focal, gamma=.5": (lambda x, y: losses.focal(x, y, 0.5), lambda x, y, _: asymmetric(x, y, 0.5, 0.5, 0)),
    "asymmetric": (losses.asymmetric, lambda x, y, _: asymmetric(x, y, 4, 0, 0.05)),
    "asymmetric, without detaching": (
        lambda x, y: losses.asymmetric(x, y, 1.5, 1, 0.1, detach_focus=False),
        lambda x, y, _: asymmetric(x, y, 1.5, 1, 0.1),
    ),
    "partial_asymmetric": (
        losses.partial_asymmetric,
        lambda x, y, _: asymmetric(x, y, {1: 0, 0: 1, -1: 4}[int(y)], 0, 0),
    ),
    "partial_asymmetric, without detaching": (
        lambda x, y: losses.partial_asymmetric(x, y, 1.5, 1, 2.5, 0.1, detach_focus=False),
        lambda x, y, _: asymmetric(x, y, {1: 0, 0: 1.5, -1: 2.5}[int(y)], 1, 0.1),
    ),
    "partial_asymmetric, unknown unfocused": (
        lambda x, y: losses.partial_asymmetric(x, y, 2, 1, 0, 0.1, detach_focus=False),
        lambda x, y, _: asymmetric(x, y, {1: 0, 0: 2, -1: 0}[int(y)], 1, 0.1),
    ),
    "hill": (losses.hill, lambda x, y, _: hill(x, y, 1, 2, 1.5)),
    "hill, for known negatives too": (
        lambda x, y: losses.hill(x, y, 0.5, 0.5, 1.2, negatives="hill"),
        lambda x, y, _: hill(x, y, 0.5, 0.5, 1.2, "hill"),
    ),
    "generalized_robust": (
        losses.generalized_robust,
        lambda x, y, _: robust(x, y, 0, -2, 0.5, 2, 0.01, 1),
    ),
    "generalized_robust, late": (
        lambda x, y: losses.generalized_robust(x, y, 9, -8, 0.8, 0.5, 0.5, 1.5),
        lambda x, y, _: robust(x, y, 9, -8, 0.8, 0.5, 0.5, 1.5),
    ),
    "generalized_robust, cross-entropy": (
        lambda x, y: losses.generalized_robust(x, y, width=1e4, positive_power=0, negative_power=0),
        lambda x, y, _: robust(x, y, 0, -2, 0.5, 1e4, 0, 0),
    ),
    "self_paced_correction": (losses.self_paced_correction, lambda x, y, _: self_paced(x, y, 0.6, 1, 2)),
    "self_paced_correction, before": (
        lambda x, y: losses.self_paced_correction(x, y, correct=False),
        lambda x, y, _: self_paced(x, y, 0.6, 1, 2, correct=False),
    ),
    "self_paced_correction, focal negatives": (
        lambda x, y: losses.self_paced_correction(x, y, 0.3, 0.5, 1.5, negatives="focal"),
        lambda x, y, _: self_paced(x, y, 0.3, 0.5, 1.5, negatives="focal"),
    ),
    "soft_targets": (losses.soft_targets, lambda x, y, _: cross_entropy(x, max(y, 0))),
}


def batch(rows: int = 7, labels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(3)
    logits = torch.randn(rows, labels, generator=seeded, dtype=torch.float64) * 4
    return logits, torch.randint(-1, 2, (rows, labels), generator=seeded, dtype=torch.int8)


@pytest.mark.parametrize("name", CASES)
def test_equals_the_formula(name: str) -> None:
    loss, entry = CASES[name]
    logits, labels = batch()
    slow = [
        [entry(x, y, 5) for x, y in zip(xs, ys, strict=True)]
        for xs, ys in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    torch.testing.assert_close(
        loss(logits, labels), torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-9
    )


def test_soft_targets_may_be_fractions() -> None:
    logits, _ = batch()
    targets = torch.rand(logits.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    slow = [
        [cross_entropy(x, t) for x, t in zip(xs, ts, strict=True)]
        for xs, ts in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    values = losses.soft_targets(logits, targets)
    torch.testing.assert_close(values, torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-9)


DETACHED = {"asymmetric", "partial_asymmetric", "generalized_robust", "generalized_robust, late"}
"""Losses whose weights are constants for the gradient: their gradients have tests of their own."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in DETACHED])
def test_gradcheck(name: str) -> None:
    logits, labels = batch(3, 4)
    assert torch.autograd.gradcheck(lambda x: CASES[name][0](x, labels), logits.requires_grad_())


@pytest.mark.parametrize("gamma_negative", [0.0, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("gamma_positive", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_asymmetric_gradients(gamma_negative: float, gamma_positive: float, clip: float) -> None:
    logits, labels = batch(4, 4)
    logits.requires_grad_()

    def loss(x: torch.Tensor) -> torch.Tensor:
        return losses.asymmetric(x, labels, gamma_negative, gamma_positive, clip, detach_focus=False)

    assert torch.autograd.gradcheck(loss, logits)
    # With detached weights the gradient is the weight times that of the logarithm alone.
    p = logits.sigmoid()
    m = (p - clip).clamp(min=0)
    positive = labels == 1
    weight = torch.where(positive, (1 - p) ** gamma_positive, m**gamma_negative).detach()
    (expected,) = torch.autograd.grad(
        (weight * torch.where(positive, -p.log(), -(1 - m).log())).sum(), logits
    )
    values = losses.asymmetric(logits, labels, gamma_negative, gamma_positive, clip)
    (found,) = torch.autograd.grad(values.sum(), logits)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("logit", "label", "gamma_positive", "expected"),
    [
        (0, 1, 0, 0.693147),
        (0, 1, 1, 0.346574),
        (0, 0, 0, 0.0245151),
        (-2, -1, 0, 1.64476e-6),
        (-4, 0, 0, 0.0),
        (2, 1, 0, 0.126928),
    ],
)
def test_asymmetric_published_values(
    logit: float, label: int, gamma_positive: float, expected: float
) -> None:
    values = losses.asymmetric(
        torch.tensor([[float(logit)]]), torch.tensor([[label]]), gamma_positive=gamma_positive
    )
    assert values.item() == pytest.approx(expected, rel=1e-5, abs=1e-12)


def test_entropy_maximization_known_value_and_sign() -> None:
    p = torch.tensor([[0.8, 0.5, 0.1]], dtype=torch.float64)
    values = losses.entropy_maximization(torch.logit(p), torch.tensor([[1, -1, -1]]), alpha=0.2)
    assert losses.reduce(values).item() == pytest.approx(0.0064992, abs=5e-8)
    assert (values[0, 1:] < 0).all()


def test_soft_label_value_of_asymmetric_pseudo_labelling() -> None:
    logit = torch.logit(torch.tensor([[0.1]], dtype=torch.float64))
    assert 0.02 * losses.soft_targets(logit, torch.tensor([[0.03]])).item() == pytest.approx(
        0.00342555, abs=5e-9
    )


def test_focal_is_asymmetric_with_equal_exponents_and_no_clip() -> None:
    logits, labels = batch()
    both = losses.asymmetric(logits, labels, 2, 2, clip=0, detach_focus=False)
    assert torch.equal(losses.focal(logits, labels), both)
    torch.testing.assert_close(losses.focal(logits, labels, 0), losses.assume_negative(logits, labels))


def test_partial_asymmetric_is_asymmetric_with_each_states_exponent() -> None:
    logits, labels = batch()
    unknown = labels == -1
    for clip in (0.0, 0.1):
        found = losses.partial_asymmetric(logits.requires_grad_(), labels, 2, 1, 3, clip)
        of_known, of_unknown = (losses.asymmetric(logits, labels, gamma, 1, clip) for gamma in (2, 3))
        want = torch.where(unknown, of_unknown, of_known)
        torch.testing.assert_close(found, want, rtol=1e-12, atol=1e-12)
        slopes = [torch.autograd.grad(values.sum(), logits)[0] for values in (found, want)]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-12)


def test_hill_is_assume_negative_on_known_entries_without_margin_and_focus() -> None:
    logits, labels = batch()
    known = labels >= 0
    values = losses.hill(logits, labels, margin=0, gamma=0)
    torch.testing.assert_close(values[known], losses.assume_negative(logits, labels)[known])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_hill_lets_go_of_unknown_entries_that_are_nearly_yes_or_no(dtype: torch.dtype) -> None:
    """The slope is 3 p^2 (1 - p)^2, also where p is 1 but for rounding."""
    logits = torch.tensor([[-18.0, -2.0, 0.0, 2.0, 18.0]], dtype=dtype, requires_grad=True)
    losses.hill(logits, torch.full((1, 5), -1)).sum().backward()
    exact = [3 * math.exp(2 * log_sigmoid(x) + 2 * log_sigmoid(-x)) for x in logits[0].tolist()]
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx(exact, rel=1e-5)
    assert logits.grad[0].argmax() == 2


@pytest.mark.parametrize("powers", [(0.01, 1.0), (0.7, 1.5), (0.0, 0.0), (2.0, 0.0)])
def test_the_belief_and_weight_of_generalized_robust_have_no_gradient(powers: tuple[float, float]) -> None:
    logits, labels = batch()
    logits.requires_grad_()
    p = logits.sigmoid()
    k, v = torch.sigmoid(9 * p - 4).detach(), torch.exp(-(((p - 0.8) / 0.5) ** 2) / 2).detach()
    yes, no = ((1 - part**q) / q if q else -part.log() for part, q in zip((p, 1 - p), powers, strict=True))
    known = torch.where(labels == 1, -p.log(), -(1 - p).log())
    expected = torch.where(labels == -1, v * (k * yes + (1 - k) * no), known)
    (want,) = torch.autograd.grad(expected.sum(), logits)
    (found,) = torch.autograd.grad(
        losses.generalized_robust(logits, labels, 9, -4, 0.8, 0.5, *powers).sum(), logits
    )
    torch.testing.assert_close(found, want, rtol=1e-8, atol=1e-10)


def test_self_paced_correction_turns_unknown_entries_alone() -> None:
    logits = torch.tensor([[3.0, 3.0, 0.3, 3.0]], requires_grad=True)
    losses.self_paced_correction(logits, torch.tensor([[-1, 0, -1, 1]])).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0] < 0).tolist() == [True, False, False, True]


def test_one_label_weighs_an_unknown_entry_fully() -> None:
    logits = torch.tensor([[0.3]])
    labels = torch.tensor([[-1]])
    assert torch.equal(losses.weak_assume_negative(logits, labels), losses.assume_negative(logits, labels))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    extremes = torch.tensor([-60000.0, -104.0, -20.0, 0.0, 20.0, 104.0, 60000.0]).to(dtype)
    logits = extremes.repeat(3, 1).requires_grad_()
    labels = torch.tensor([[1], [0], [-1]]).expand(3, 7)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = CASES[name][0](logits, labels)
    assert values.dtype == torch.float32
    values.sum().backward()
    assert torch.isfinite(values).all()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype
    assert torch.isfinite(logits.grad).all()


def test_losses_of_nearly_right_entries_keep_their_precision() -> None:
    logits = torch.tensor([[15.0, -15.0, 15.0, -15.0]])
    labels = torch.tensor([[1, 0, -1, -1]])
    exact = losses.entropy_maximization(logits.double(), labels)
    torch.testing.assert_close(losses.entropy_maximization(logits, labels).double(), exact, rtol=3e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_the_dtype_of_labels_does_not_matter_nor_do_they_change(name: str, dtype: torch.dtype) -> None:
    logits, labels = batch()
    given, before = labels.to(dtype), logits.clone()
    assert torch.equal(CASES[name][0](logits, given), CASES[name][0](logits, labels))
    assert torch.equal(given, labels.to(dtype))
    assert torch.equal(logits, before)


@pytest.mark.parametrize("name", CASES)
def test_large_strided_and_empty_batches_equal_small_ones(name: str) -> None:
    seeded = torch.Generator().manual_seed(5)
    logits = torch.randn(3, 700_001, generator=seeded).t().requires_grad_()
    labels = torch.randint(-1, 2, (700_001, 3), generator=seeded, dtype=torch.int8)
    loss = CASES[name][0]
    values = loss(logits, labels)
    (slope,) = torch.autograd.grad(values.sum(), logits)
    tail = logits[-9:].detach().requires_grad_()
    few = loss(tail, labels[-9:])
    (few_slope,) = torch.autograd.grad(few.sum(), tail)
    torch.testing.assert_close(values[-9:], few)
    torch.testing.assert_close(slope[-9:], few_slope)
    none = loss(torch.empty(0, 3, requires_grad=True), torch.empty(0, 3))
    assert none.shape == (0, 3)
    none.sum().backward()


def test_wrong_input_is_refused_in_one_line() -> None:
    logits, labels = batch()
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: losses.assume_negative(logits, labels[:, :2]), r"\(7, 2\).*\(7, 5\)"),
        (lambda: losses.assume_negative(labels, labels), "floating-point"),
        (lambda: losses.assume_negative(logits[0, 0], labels[0, 0]), "batch"),
        (lambda: losses.soft_targets(logits, logits.clone().requires_grad_()), "detach"),
        (lambda: losses.label_smoothing(logits, labels, unknown=1.5), r"unknown must be in \[0, 1\]"),
        (lambda: losses.focal(logits, labels, -1), "gamma"),
        (lambda: losses.asymmetric(logits, labels, clip=1), "clip"),
        (lambda: losses.partial_asymmetric(logits, labels, gamma_unknown=-1), "gamma_unknown"),
        (lambda: losses.hill(logits, labels, margin=-1), "margin"),
        (lambda: losses.hill(logits, labels, gamma=-1), "gamma"),
        (lambda: losses.hill(logits, labels, hill_lambda=0.5), "hill_lambda"),
        (lambda: losses.hill(logits, labels, negatives="none"), "negatives='none'.*plain"),
        (lambda: losses.generalized_robust(logits, labels, slope=math.inf), "slope"),
        (lambda: losses.generalized_robust(logits, labels, width=0), "width"),
        (lambda: losses.generalized_robust(logits, labels, positive_power=-1), "positive_power"),
        (lambda: losses.generalized_robust(logits, labels, negative_power=math.nan), "negative_power"),
        (lambda: losses.self_paced_correction(logits, labels, 1.5), r"threshold must be in \[0, 1\]"),
        (lambda: losses.self_paced_correction(logits, labels, margin=-1), "margin"),
        (lambda: losses.self_paced_correction(logits, labels, gamma=-1), "gamma"),
        (lambda: losses.self_paced_correction(logits, labels, negatives="hill"), "negatives='hill'.*plain"),
        (lambda: losses.entropy_maximization(logits, labels, math.nan), "alpha"),
    ]
    for call, message in cases:
        with refusal(message):
            call()


def test_a_second_derivative_is_refused_not_wrong() -> None:
    logits, labels = batch()
    total = losses.assume_negative(logits.requires_grad_(), labels).sum()
    with pytest.raises(UserError, match="differentiable once"):
        torch.autograd.grad(total, logits, create_graph=True)
