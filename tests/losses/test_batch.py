"""Scalars over a batch, the reducer, and the example."""

from __future__ import annotations

import math

import pytest
import torch

from labelwise import losses
from tests.refusals import refusal


def test_expected_positives_equals_the_formula() -> None:
    p = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slow = (sum(sum(row) for row in p.tolist()) / 6 - 1.7) ** 2 / 25
    assert losses.expected_positives(p, 1.7).item() == pytest.approx(slow, rel=1e-12)
    priors = torch.tensor([0.1, 0.4, 0.5, 0.3, 0.4])
    assert losses.expected_positives(p, priors).item() == pytest.approx(slow, rel=1e-6)
    assert torch.autograd.gradcheck(lambda x: losses.expected_positives(x, 1.7), p.requires_grad_())


def test_expected_positives_of_logits_is_that_of_their_probabilities() -> None:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    p = logits.sigmoid()
    value = losses.expected_positives_with_logits(logits, 1.7)
    assert value.item() == pytest.approx(losses.expected_positives(p, 1.7).item(), rel=1e-12)
    assert losses.excess_positives(p, 1.7) == pytest.approx(p.sum().item() / 6 - 1.7, rel=1e-12)
    assert torch.autograd.gradcheck(
        lambda x: losses.expected_positives_with_logits(x, 1.7), logits.requires_grad_()
    )


def test_parts_of_a_batch_get_gradients_whose_mean_is_that_of_the_whole() -> None:
    seeded = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=seeded, dtype=torch.float64)
    labels = torch.randint(-1, 2, (6, 5), generator=seeded)
    whole = logits.clone().requires_grad_()
    R = losses.expected_positives_with_logits(whole, 1.7)
    R.backward()
    assert whole.grad is not None
    p = logits.sigmoid()
    for part in (slice(0, 4), slice(4, 6)):
        here = logits[part].clone().requires_grad_()
        sums = {p[part].numel(): p.sum(), 1: torch.tensor(6.0)}
        value = losses.expected_positives_with_logits(
            here, 1.7, total=lambda x, sums=sums: sums[x.numel()], processes=2
        )
        value.backward()
        assert value.item() == pytest.approx(R.item(), rel=1e-12)
        assert here.grad is not None
        torch.testing.assert_close(here.grad / 2, whole.grad[part])
    other = labels.eq(1).sum() - p.sum()
    balance = losses.gradient_balance(logits[:4], labels[:4], total=lambda x: other)
    assert balance.item() == pytest.approx(losses.gradient_balance(logits, labels).item(), rel=1e-12)


def test_gradient_balance_equals_the_formula_and_the_identity() -> None:
    seeded = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, generator=seeded, dtype=torch.float64)
    labels = torch.randint(-1, 2, (6, 5), generator=seeded)
    p = logits.sigmoid()
    slow = 0.0
    for i in range(6):
        for k in range(5):
            slow += (1 - p[i, k].item()) if labels[i, k] == 1 else -p[i, k].item()
    found = losses.gradient_balance(logits, labels).item()
    assert found == pytest.approx(abs(slow), rel=1e-12)
    assert found == pytest.approx(abs((labels == 1).sum().item() - p.sum().item()), rel=1e-12)
    assert torch.autograd.gradcheck(lambda x: losses.gradient_balance(x, labels), logits.requires_grad_())


def test_gradient_balance_known_value_and_direction_of_the_margin() -> None:
    cosines = torch.tensor([[0.6, -0.1, 0.2]], dtype=torch.float64)
    labels = torch.tensor([[1, -1, -1]])
    scale = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    margin = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    balance = losses.gradient_balance(losses.hyperspherical_logits(cosines, scale, margin), labels)
    assert balance.item() == pytest.approx(0.121654, abs=5e-7)
    balance.backward()
    # Negatives dominate (the sum is -.1217), so descent must widen the margin.
    assert margin.grad is not None
    assert margin.grad.item() < 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_scalars_in_half_precision_sum_in_single(dtype: torch.dtype) -> None:
    logits = torch.full((3000, 40), -3.0, dtype=dtype, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        balance = losses.gradient_balance(logits, torch.full((3000, 40), -1))
        positives = losses.expected_positives(torch.full((3000, 40), 0.5, dtype=dtype), 1.0)
    assert balance.dtype == positives.dtype == torch.float32
    assert balance.item() == pytest.approx(120000 / (1 + math.exp(3)), rel=1e-4)
    assert positives.item() == pytest.approx(19**2 / 1600)
    balance.backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_reduce() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 6.0]], requires_grad=True)
    weights = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert losses.reduce(values).item() == 3
    assert losses.reduce(values, how="sum").item() == 12
    assert losses.reduce(values, weights).item() == 5.5 / 4
    assert losses.reduce(values, weights, "sum").item() == 5.5
    assert losses.reduce(values, weights, "weighted").item() == 5.5 / 2
    assert losses.reduce(values, torch.tensor([True, False]), "weighted").item() == 2
    nothing = losses.reduce(values, torch.zeros(2, 1), "weighted")
    nothing.backward()
    assert nothing.item() == 0
    assert values.grad is not None
    assert torch.equal(values.grad, torch.zeros(2, 2))


def test_wrong_input_is_refused_in_one_line() -> None:
    values = torch.ones(2, 3)
    for call, message in (
        (lambda: losses.reduce(values, how="avg"), "how='avg'"),
        (lambda: losses.reduce(values, how="weighted"), "needs weights"),
        (lambda: losses.reduce(values, torch.ones(2)), r"\(2,\).*\(2, 3\)"),
        (lambda: losses.reduce(values[:0]), "no mean"),
        (lambda: losses.expected_positives(values[0], 1.0), r"\(B, K\)"),
        (lambda: losses.expected_positives(values, torch.ones(2)), "expected"),
        (lambda: losses.expected_positives_with_logits(values[0], 1.0), r"\(B, K\)"),
        (lambda: losses.gradient_balance(values, torch.ones(2, 2)), "shape"),
    ):
        with refusal(message):
            call()
