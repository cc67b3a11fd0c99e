"""The angular losses against slow loops, and at the ends of the cosine's range."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

from labelwise import losses
from tests.refusals import refusal

MARGIN_ON = ["none", "positives", "negatives", "both"]
LABELS = 4


def moments(dtype: torch.dtype = torch.float64) -> SimpleNamespace:
    return SimpleNamespace(
        mean_negative=torch.tensor([1.2, 1.4, 1.5, 1.1], dtype=dtype),
        mean_positive=torch.tensor([0.8, 0.9, 0.6, 1.0], dtype=dtype),
        variance_negative=torch.tensor([0.0144, 0.02, 0.01, 0.03], dtype=dtype),
        variance_positive=torch.tensor([0.0324, 0.01, 0.05, 0.03], dtype=dtype),
    )


ONE = SimpleNamespace(
    mean_negative=torch.tensor([1.2], dtype=torch.float64),
    mean_positive=torch.tensor([0.8], dtype=torch.float64),
    variance_negative=torch.tensor([0.0144], dtype=torch.float64),
    variance_positive=torch.tensor([0.0324], dtype=torch.float64),
)


def batch(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(11)
    cosines = torch.rand(6, LABELS, generator=seeded, dtype=torch.float64) * 1.9 - 0.95
    if kind != "fractions":
        labels = torch.randint(-1, 2, (6, LABELS), generator=seeded)
        return cosines, labels if kind == "labels" else labels.float()
    return cosines, torch.rand(6, LABELS, generator=seeded, dtype=torch.float64)


def cross_entropy(x: float, t: float) -> float:
    return math.log1p(math.exp(x)) - t * x


def share(y: float, margin_on: str) -> float:
    return {"none": 0.0, "positives": y, "negatives": 1 - y, "both": 1.0}[margin_on]


def psi(theta: float, k: int, side: str) -> float:
    angles = moments()
    mean_variance = (angles.variance_negative[k].item() + angles.variance_positive[k].item()) / 2
    a = math.sqrt(mean_variance / getattr(angles, f"variance_{side}")[k].item())
    return a * theta + (1 - a) * getattr(angles, f"mean_{side}")[k].item()


def slow_logit(name: str, c: float, y: float, k: int, margin_on: str) -> float:
    theta, m = math.acos(c), share(y, margin_on)
    if name == "hyperspherical":
        return 20 * math.cos(theta + 0.3 * m)
    if name == "binary_angular_margin":
        return 20 * (c - 0.4 * m)
    mixed = y * psi(theta, k, "positive") + (1 - y) * psi(theta, k, "negative")
    return 20 * (math.cos(mixed) - 0.4 * m)


def call(
    name: str, cosines: torch.Tensor, targets: torch.Tensor, *rest: object, **more: object
) -> torch.Tensor:
    if name == "balanced_binary_angular_margin":
        return losses.balanced_binary_angular_margin(cosines, targets, moments(), *rest, **more)  # type: ignore[arg-type]
    return getattr(losses, name)(cosines, targets, *rest, **more)  # type: ignore[no-any-return]


NAMES = ["hyperspherical", "binary_angular_margin", "balanced_binary_angular_margin"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("margin_on", MARGIN_ON)
@pytest.mark.parametrize("kind", ["labels", "float labels", "fractions"])
def test_equals_the_formula(name: str, margin_on: str, kind: str) -> None:
    cosines, targets = batch(kind)
    slow = torch.empty_like(cosines)
    for i in range(len(cosines)):
        for k in range(LABELS):
            y = max(targets[i, k].item(), 0)
            slow[i, k] = cross_entropy(slow_logit(name, cosines[i, k].item(), y, k, margin_on), y)
    values = call(name, cosines, targets, margin_on=margin_on)
    torch.testing.assert_close(values, slow, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("margin_on", MARGIN_ON)
@pytest.mark.parametrize("kind", ["labels", "fractions"])
def test_gradcheck_in_cosines_scale_and_margin(name: str, margin_on: str, kind: str) -> None:
    cosines, targets = batch(kind)
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda c, s, m: call(name, c, targets, s, m, margin_on), (cosines.requires_grad_(), scale, margin)
    )


def plain(
    name: str, c: torch.Tensor, y: torch.Tensor, s: torch.Tensor, m: torch.Tensor, margin_on: str
) -> torch.Tensor:
    """Return the loss through autograd, for labels in {0, 1}."""
    carried = {"none": 0 * y, "positives": y, "negatives": 1 - y, "both": 0 * y + 1}[margin_on] * m
    theta = c.acos()
    if name == "hyperspherical":
        logits = s * (theta + carried).cos()
    elif name == "binary_angular_margin":
        logits = s * (c - carried)
    else:
        angles = moments()
        spread = (angles.variance_negative + angles.variance_positive) / 2
        negative = angles.mean_negative + (spread / angles.variance_negative).sqrt() * (
            theta - angles.mean_negative
        )
        positive = angles.mean_positive + (spread / angles.variance_positive).sqrt() * (
            theta - angles.mean_positive
        )
        logits = s * ((y * positive + (1 - y) * negative).cos() - carried)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("margin_on", MARGIN_ON)
@pytest.mark.parametrize("learned", ["c", "s", "m", "cs", "cm", "csm"])
@pytest.mark.parametrize("how", ["mean", "weighted"])
def test_gradients_over_many_blocks_equal_autograd(
    name: str, margin_on: str, learned: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("labelwise.losses.pointwise._ENTRIES_PER_THREAD", 1)
    cosines, labels = batch("labels")
    labels = labels.clamp(min=0)
    weights = None if how == "mean" else torch.linspace(0.1, 2, labels.numel()).view_as(labels).double()
    given = {"c": cosines, "s": torch.tensor([5.0]).double(), "m": torch.tensor(0.3).double()}
    leaves = [given[key].requires_grad_() for key in learned]
    c, s, m = given.values()
    slow = losses.reduce(plain(name, c, labels.double(), s, m, margin_on), weights, how)
    expected = torch.autograd.grad(slow, leaves, allow_unused=True, materialize_grads=True)
    value = losses.reduce(call(name, c, labels, s, m, margin_on), weights, how)
    for _ in range(2):
        found = torch.autograd.grad(value, leaves, retain_graph=True)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_gradcheck_of_logits_and_scores() -> None:
    cosines, _ = batch("labels")
    cosines.requires_grad_()
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.hyperspherical_logits, (cosines, scale, margin))
    assert torch.autograd.gradcheck(lambda c: losses.balanced_cosine(c, moments()), cosines)


def test_hyperspherical_known_values() -> None:
    cosines = torch.tensor([[0.6, -0.1, 0.2, 0.0]], dtype=torch.float64)
    p = losses.hyperspherical_logits(cosines).sigmoid()[0].tolist()
    assert p == pytest.approx([0.998814, 0.000413078, 0.122427, 0.0027038], abs=5e-7)
    half = losses.hyperspherical_logits(torch.tensor([[math.sin(0.3)]], dtype=torch.float64))
    assert half.item() == pytest.approx(0, abs=1e-12)


def test_balanced_known_values() -> None:
    theta = torch.tensor([[1.3]], dtype=torch.float64)
    assert losses.balanced_angles(theta, ONE, "negative").item() == pytest.approx(1.3274755, abs=5e-8)
    assert losses.balanced_angles(theta, ONE, "positive").item() == pytest.approx(1.2249183, abs=5e-8)
    for target, logit in ((1, -1.2195431), (0, 4.8185393)):
        value = losses.balanced_binary_angular_margin(theta.cos(), torch.tensor([[target]]), ONE)
        assert value.item() == pytest.approx(cross_entropy(logit, target), abs=1e-6)
    score = losses.balanced_cosine(theta.cos(), ONE)
    assert score.item() == pytest.approx(math.cos((1.3274755 + 1.2249183) / 2), abs=1e-7)


def test_balanced_angles_have_one_variance_and_their_own_means() -> None:
    spread = torch.randn(20000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spread = (spread - spread.mean()) / spread.std()
    for side, mean, variance in (("negative", 1.2, 0.0144), ("positive", 0.8, 0.0324)):
        mapped = losses.balanced_angles(mean + math.sqrt(variance) * spread, ONE, side)
        assert mapped.mean().item() == pytest.approx(mean)
        assert mapped.var().item() == pytest.approx((0.0144 + 0.0324) / 2)


def test_balanced_is_plain_where_variances_are_equal_or_unusable() -> None:
    cosines, targets = batch("fractions")
    plain = losses.binary_angular_margin(cosines, targets)
    equal = moments()
    equal.variance_positive = equal.variance_negative
    torch.testing.assert_close(losses.balanced_binary_angular_margin(cosines, targets, equal), plain)
    torch.testing.assert_close(losses.balanced_cosine(cosines, equal), cosines)
    broken = moments()
    broken.variance_positive = torch.tensor([0.0, math.nan, math.inf, 0.0])
    torch.testing.assert_close(losses.balanced_binary_angular_margin(cosines, targets, broken), plain)
    missing = moments()
    missing.mean_positive = torch.full((LABELS,), math.nan)
    torch.testing.assert_close(losses.balanced_binary_angular_margin(cosines, targets, missing), plain)


def test_score_needs_no_label_and_keeps_the_order_of_items() -> None:
    cosines = torch.linspace(-0.9, 0.9, 50, dtype=torch.float64)[:, None].expand(50, LABELS)
    assert (losses.balanced_cosine(cosines, moments()).diff(dim=0) > 0).all()


@pytest.mark.parametrize("name", [*NAMES, "hyperspherical_logits", "balanced_cosine"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("autocast", [False, True])
def test_ends_of_the_range_are_finite(name: str, dtype: torch.dtype, autocast: bool) -> None:
    ends = torch.tensor([1.0, -1.0, 1.01, -1.01], dtype=dtype)
    cosines = ends.repeat(4, 1).requires_grad_()
    targets = torch.tensor([[1.0], [0.0], [0.5], [-1.0]]).expand(4, LABELS)
    scale, margin = torch.tensor(20.0, requires_grad=True), torch.tensor(0.3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        if name == "hyperspherical_logits":
            values = losses.hyperspherical_logits(cosines, scale, margin)
        elif name == "balanced_cosine":
            values = losses.balanced_cosine(cosines, moments())
        else:
            values = call(name, cosines, targets, scale, margin)
    assert values.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    values.sum().backward()
    assert torch.isfinite(values).all()
    for leaf in (cosines, scale, margin) if name != "balanced_cosine" else (cosines,):
        assert leaf.grad is not None
        assert leaf.grad.dtype == leaf.dtype
        assert torch.isfinite(leaf.grad).all()


def test_values_at_the_ends_are_exact_though_slopes_are_held() -> None:
    cosines = torch.tensor([[1.0, -1.0]], requires_grad=True)
    logits = losses.hyperspherical_logits(cosines)
    logits.sum().backward()
    assert logits[0].tolist() == pytest.approx([20 * math.cos(0.3), -20 * math.cos(0.3)], rel=1e-6)
    assert cosines.grad is not None
    assert cosines.grad[0, 0].item() == pytest.approx(20 * (math.cos(0.3) + 1000 * math.sin(0.3)), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_through_normalised_features_is_bounded_at_the_ends(name: str) -> None:
    weights = torch.eye(LABELS)
    features = (weights[:1] * 3.0).requires_grad_()
    cosines = torch.nn.functional.normalize(features, dim=1) @ weights.t()
    call(name, cosines, torch.zeros(1, LABELS)).sum().backward()
    assert features.grad is not None
    assert features.grad.norm() < 100


def test_scale_and_margin_may_be_floats_or_tensors() -> None:
    cosines, targets = batch("labels")
    by_float = losses.hyperspherical(cosines, targets, 12.0, 0.25)
    by_tensor = losses.hyperspherical(
        cosines, targets, torch.tensor(12.0), torch.nn.Parameter(torch.tensor([0.25], dtype=torch.float64))
    )
    torch.testing.assert_close(by_float, by_tensor.detach())


def test_wrong_input_is_refused_in_one_line() -> None:
    cosines, targets = batch("labels")
    short = moments()
    short.mean_positive = torch.zeros(3)
    for attempt, message in (
        (lambda: losses.hyperspherical(cosines, targets, margin_on="positive"), "did you mean 'positives'"),
        (lambda: losses.hyperspherical(cosines, targets, scale=math.inf), "scale"),
        (
            lambda: losses.binary_angular_margin(cosines, targets, margin=torch.zeros(4)),
            "margin must be one number",
        ),
        (lambda: losses.binary_angular_margin(cosines[:2], targets), r"\(6, 4\).*\(2, 4\)"),
        (lambda: losses.balanced_binary_angular_margin(cosines, targets, short), "angles.mean_positive"),
        (lambda: losses.balanced_angles(cosines, moments(), "positives"), "did you mean 'positive'"),
    ):
        with refusal(message):
            attempt()
