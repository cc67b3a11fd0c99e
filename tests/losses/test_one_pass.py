"""Losses that do in one pass what two functions say: the same values and gradients, also in several blocks."""

import math

import pytest
import torch

from labelwise import losses
from labelwise.errors import UserError
from labelwise.losses import pointwise


@pytest.fixture(params=[False, True], ids=["one block", "blocks"])
def blocked(request, monkeypatch):
    if request.param:
        monkeypatch.setattr(pointwise, "_ENTRIES_PER_THREAD", 8)
    return request.param


def drawn(seed, rows=9, labels=5):
    random = torch.Generator().manual_seed(seed)
    scores = 2 * torch.rand(rows, labels, generator=random) - 1
    return scores, torch.randint(-1, 2, (rows, labels), generator=random, dtype=torch.int8), random


def gradients(loss, *inputs):
    leaves = [value.clone().requires_grad_() for value in inputs]
    value = loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@pytest.mark.parametrize("seed", range(3))
def test_hml_with_its_balance_is_the_sum_of_both(seed, blocked):
    cosines, labels, _ = drawn(seed)
    scale, margin = torch.tensor(18.0), torch.tensor(0.25)

    def two(c, s, m):
        values = losses.hyperspherical(c, labels, scale=s.detach(), margin=m.detach())
        adaptive = losses.hyperspherical_logits(c.detach(), scale=s, margin=m)
        return values.mean() + losses.gradient_balance(adaptive, labels) / labels.numel()

    def one(c, s, m):
        values, missed = losses.hyperspherical_with_balance(c, labels, s, m)
        return values.mean() + missed.abs() / labels.numel()

    for ours, theirs in zip(
        gradients(one, cosines, scale, margin), gradients(two, cosines, scale, margin), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=1e-7)


def test_missed_positives_are_counted_by_a_loop():
    cosines, labels, _ = drawn(4)
    _, missed = losses.hyperspherical_with_balance(
        cosines.double(), labels, torch.tensor(20.0), torch.tensor(0.3)
    )
    total = 0.0
    for c, y in zip(cosines.flatten().tolist(), labels.flatten().tolist(), strict=True):
        total += max(y, 0) - 1 / (1 + math.exp(-20 * math.cos(math.acos(c) + 0.3)))
    assert float(missed) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_em_with_soft_labels_is_a_choice_between_two_losses(seed, blocked):
    logits, labels, random = drawn(seed)
    soft = torch.where(torch.rand(logits.shape, generator=random) < 0.5, torch.rand(logits.shape), math.nan)
    soft[0] = 0.0

    def two(x):
        negatives = losses.soft_targets(x, torch.nan_to_num(soft))
        values = losses.entropy_maximization(x, labels, alpha=0.3)
        return torch.where(torch.isnan(soft), values, 0.15 * negatives).mean()

    def one(x):
        return losses.entropy_maximization_with_soft(x, labels, soft, alpha=0.3, beta=0.15).mean()

    for ours, theirs in zip(gradients(one, 6 * logits), gradients(two, 6 * logits), strict=True):
        assert torch.equal(ours, theirs)


def test_soft_labels_outside_of_shares_are_refused():
    logits, labels, _ = drawn(0)
    with pytest.raises(UserError, match="lies between 0 and 1"):
        losses.entropy_maximization_with_soft(logits, labels, torch.full(logits.shape, 1.5))
