"""Losses of rows and columns, and the selection of unknown entries, against slow loops."""

from __future__ import annotations

import math

import pytest
import torch

from labelwise import losses
from tests.refusals import refusal


def batch(rows: int = 7, labels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    seeded = torch.Generator().manual_seed(3)
    logits = torch.randn(rows, labels, generator=seeded, dtype=torch.float64) * 3
    codes = torch.randint(-1, 2, (rows, labels), generator=seeded, dtype=torch.int8)
    codes[0], codes[1], codes[2] = 1, 0, -1
    codes[:, 0] = -1
    return logits, codes


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def line(
    xs: list[float], ys: list[int], tp: float, tn: float, zero: bool, ws: list[float] | None = None
) -> float | None:
    """Return a line's loss, None where it compares nothing."""
    ws = ws or [1.0] * len(xs)
    up = sum(w * math.exp(-x / tp) for x, y, w in zip(xs, ys, ws, strict=True) if y == 1)
    down = sum(math.exp(x / tn) for x, y in zip(xs, ys, strict=True) if y == 0)
    if zero:
        return None if not up and not down else math.log1p(up**tp) + math.log1p(down**tn)
    return math.log1p(up**tp * down**tn) if up and down else None


@pytest.mark.parametrize("over", ["items", "labels"])
@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("temperatures", [(1.0, 1.0), (4.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("weighed", [False, True])
def test_pairwise_equals_the_formula(
    over: str, zero: bool, temperatures: tuple[float, float], weighed: bool
) -> None:
    logits, labels = batch()
    weights = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.1]) if weighed else None
    values = losses.pairwise(logits, labels, over, *temperatures, zero=zero, weights=weights)
    table, codes = (
        (logits.tolist(), labels.tolist()) if over == "items" else (logits.T.tolist(), labels.T.tolist())
    )
    compared = losses.compared_lines(labels, over, zero).tolist()
    for i, (xs, ys) in enumerate(zip(table, codes, strict=True)):
        each = None if weights is None else weights.double().tolist()
        ws = each if over == "items" or each is None else [each[i]] * len(xs)
        want = line(xs, ys, *temperatures, zero, ws)
        assert (want is not None) == compared[i]
        assert values[i].item() == pytest.approx(want or 0.0, rel=1e-6 if weighed else 1e-9)
    assert not all(compared)
    assert torch.autograd.gradcheck(
        lambda x: losses.pairwise(x, labels, over, *temperatures, zero=zero, weights=weights),
        logits.requires_grad_(),
    )


def test_lsep_counts_every_pair_and_unknown_entries_get_no_gradient() -> None:
    logits, labels = batch()
    for xs, ys, value in zip(
        logits.tolist(), labels.tolist(), losses.pairwise(logits, labels).tolist(), strict=True
    ):
        pairs = [
            math.exp(n - p)
            for n, y_n in zip(xs, ys, strict=True)
            for p, y_p in zip(xs, ys, strict=True)
            if (y_n, y_p) == (0, 1)
        ]
        assert value == pytest.approx(math.log1p(sum(pairs)), rel=1e-9)
    losses.pairwise(logits.requires_grad_(), labels, zero=True).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[labels == -1] == 0).all()


def test_masked_entries_never_leak_however_low_the_scores() -> None:
    """The released mask of -100 is a score like others once logits reach it."""
    logits = torch.tensor([[-300.0, -310.0, 0.0, 0.0]], dtype=torch.float64)
    labels = torch.tensor([[0, 1, -1, -1]])
    assert losses.pairwise(logits, labels).item() == pytest.approx(10 + math.log1p(math.exp(-10)), rel=1e-12)


def slow_vpu(
    logits: torch.Tensor, labels: torch.Tensor, gamma: float, scale: float, least: float, negatives: str
) -> list[float]:
    n, found = len(logits), []
    for xs, ys in zip(logits.T.tolist(), labels.T.tolist(), strict=True):
        middle = sum(xs) / n
        spread = math.sqrt(sum((x - middle) ** 2 for x in xs) / n)
        d = max(min(scale * spread, 1.0), least)
        m = sum(sigmoid(x / d) for x in xs) / n
        high = [math.log(sigmoid(x / d)) for x, y in zip(xs, ys, strict=True) if y == 1]
        low = [-math.log(1 - sigmoid(x)) for x, y in zip(xs, ys, strict=True) if y == 0]
        value = math.log(m) * m**gamma - (sum(high) / len(high) if high else 0)
        found.append(value + (sum(low) / len(low) if low and negatives == "plain" else 0))
    return found


@pytest.mark.parametrize("negatives", ["plain", "unlabelled"])
@pytest.mark.parametrize(("gamma", "scale", "least"), [(0.55, 1.0, 0.1), (0.85, 0.2, 0.1), (0.0, 0.05, 0.3)])
def test_variational_pu_equals_the_formula(negatives: str, gamma: float, scale: float, least: float) -> None:
    logits, labels = batch()
    values = losses.variational_pu(logits, labels, gamma, scale, least, negatives)
    assert values.tolist() == pytest.approx(
        slow_vpu(logits, labels, gamma, scale, least, negatives), rel=1e-9
    )


def test_variational_pu_gradcheck_where_nothing_is_held_constant() -> None:
    logits, labels = batch()
    assert torch.autograd.gradcheck(
        lambda x: losses.variational_pu(x, labels, gamma=0.0, scale=1e6), logits.requires_grad_()
    )


def test_spread_and_power_of_variational_pu_have_no_gradient() -> None:
    logits, labels = batch()
    logits.requires_grad_()
    d = logits.std(0, correction=0).mul(0.2).clamp(max=1).detach()
    m = torch.sigmoid(logits / d).mean(0)
    positive = labels == 1
    g = (torch.log(torch.sigmoid(logits / d)) * positive).sum(0) / positive.sum(0).clamp(min=1)
    want = torch.autograd.grad((m.log() * (m**0.55).detach() - g).sum(), logits)[0]
    values = losses.variational_pu(logits, labels, 0.55, 0.2, 1e-6, "unlabelled")
    torch.testing.assert_close(torch.autograd.grad(values.sum(), logits)[0], want, rtol=1e-8, atol=1e-12)


def test_a_dead_label_and_one_item_are_finite() -> None:
    for rows in (1, 4):
        logits = torch.full((rows, 2), 0.3, requires_grad=True)
        values = losses.variational_pu(logits, torch.tensor([[1, -1]]).expand(rows, 2))
        values.sum().backward()
        assert torch.isfinite(values).all()
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("prior_threshold", [0.5, 1.0])
@pytest.mark.parametrize("likeliest", [0.0, 0.3, 1.0, 50.0])
def test_selective_weights_equal_a_loop(prior_threshold: float, likeliest: float) -> None:
    logits, labels = batch()
    prior = torch.tensor([0.1, 0.9, 0.2, 0.5, 0.6])
    want = [[1.0] * 5 for _ in range(7)]
    open_entries = []
    for i in range(7):
        for k in range(5):
            if labels[i, k] == -1 and prior[k] > prior_threshold:
                want[i][k] = 0.0
            elif labels[i, k] == -1:
                open_entries.append((-logits[i, k].item(), i, k))
    for _, i, k in sorted(open_entries)[: int(likeliest * 7 + 1e-6)]:
        want[i][k] = 0.0
    found = losses.selective_weights(logits.requires_grad_(), labels, prior, prior_threshold, likeliest)
    assert found.tolist() == want
    assert not found.requires_grad


LINES = {
    "items": lambda x, y: losses.pairwise(x, y, "items", 4.0, 1.0),
    "labels": lambda x, y: losses.pairwise(x, y, "labels", 4.0, 1.0, weights=torch.tensor([0.0, *[1.0] * 6])),
    "zero": lambda x, y: losses.pairwise(x, y, zero=True),
    "variational_pu": losses.variational_pu,
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite(name: str, dtype: torch.dtype) -> None:
    extremes = torch.tensor([-60000.0, -104.0, -20.0, 0.0, 20.0, 104.0, 60000.0]).to(dtype)
    for labels in (
        torch.tensor([[1], [0], [-1]]).expand(3, 7),
        torch.tensor([[1, 0, -1, 1, 0, 1, 0]]).expand(3, 7),
        torch.tensor([[0, 1, 1, -1, 1, 0, 1]]).expand(3, 7),
    ):
        logits = extremes.repeat(3, 1).requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            values = LINES[name](logits, labels)
        assert values.dtype == torch.float32
        values.sum().backward()
        assert torch.isfinite(values).all()
        assert logits.grad is not None
        assert logits.grad.dtype == dtype
        assert torch.isfinite(logits.grad).all()


def test_wrong_input_is_refused_in_one_line() -> None:
    logits, labels = batch()
    prior = torch.full((5,), 0.3)
    for call, message in (
        (lambda: losses.pairwise(logits, labels, "rows"), "over='rows'"),
        (lambda: losses.compared_lines(labels, "rows"), "over='rows'"),
        (lambda: losses.pairwise(logits, labels, temperature_positive=0), "temperature_positive"),
        (lambda: losses.pairwise(logits, labels, temperature_negative=-1), "temperature_negative"),
        (lambda: losses.pairwise(logits[0], labels[0]), r"\(B, K\)"),
        (lambda: losses.variational_pu(logits[:0], labels[:0]), "at least one row"),
        (lambda: losses.variational_pu(logits, labels, gamma=-1), "gamma"),
        (lambda: losses.variational_pu(logits, labels, scale=0), "scale"),
        (lambda: losses.variational_pu(logits, labels, least_scale=0), "least_scale"),
        (lambda: losses.variational_pu(logits, labels, negatives="hill"), "negatives='hill'"),
        (lambda: losses.selective_weights(logits, labels, prior[:2]), r"\(2,\)"),
        (lambda: losses.selective_weights(logits, labels, prior, 1.5), "prior_threshold"),
        (lambda: losses.selective_weights(logits, labels, prior, likeliest=-1), "likeliest"),
        (lambda: losses.selective_weights(logits, labels[:2], prior), "shape"),
        (lambda: losses.selective_weights(logits, labels, 7 * prior), r"prior.*\[0, 1\]"),
        (lambda: losses.selective_weights(logits, labels, math.nan * prior), r"prior.*\[0, 1\]"),
        (lambda: losses.pairwise(logits, labels, weights=prior[:3]), r"weights.*\(3,\).*\(5,\)"),
        (lambda: losses.variational_pu(logits, labels, weights=prior[:3]), r"weights.*\(3,\).*\(5,\)"),
        (lambda: losses.variational_pu(logits, labels, weights=prior[:1]), r"weights.*\(1,\).*\(5,\)"),
        (lambda: losses.compared_lines(labels[0]), r"\(B, K\)"),
    ):
        with refusal(message):
            call()
