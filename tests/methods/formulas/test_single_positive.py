"""The losses of the methods of single and partial positives against slow loops."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise import methods
from tests.methods.single_positive_cases import (
    LABELS,
    LOGITS,
    PRIOR,
    THETA,
    TRUTH,
    batch,
    build,
    cross_entropy,
    mean,
    sigmoid,
    world,
)

WEIGHTS = np.array([0.5, 2.0, 0.5])


def excess_squared(scores):
    p = [[sigmoid(x) for x in row] for row in scores]
    return (sum(map(sum, p)) / len(p) - PRIOR.sum()) ** 2 / len(PRIOR) ** 2


@pytest.mark.parametrize("weights", [None, WEIGHTS])
class TestLosses:
    def check(self, name, entry, weights, **options):
        found = float(build(name, **options).loss(batch(LOGITS, weights=weights)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)

    def test_wan(self, weights):
        self.check("wan", lambda p, y, *_: cross_entropy(p, max(y, 0)) * (0.5 if y < 0 else 1), weights)

    @pytest.mark.parametrize("name", ["label_smoothing", "label_smoothing_linear_init"])
    def test_label_smoothing_moves_the_whole_mass(self, weights, name):
        self.check(name, lambda p, y, *_: cross_entropy(p, 0.8 if y == 1 else 0.2), weights, epsilon=0.2)

    def test_negative_label_smoothing_smooths_only_what_is_assumed(self, weights):
        target = {1: 1.0, 0: 0.0, -1: 0.2}
        self.check(
            "negative_label_smoothing", lambda p, y, *_: cross_entropy(p, target[y]), weights, epsilon=0.2
        )

    def test_entropy_minimization(self, weights):
        def entry(p, y, *_):
            return cross_entropy(p, y) if y >= 0 else 0.3 * cross_entropy(p, p)

        self.check("entropy_minimization", entry, weights, alpha=0.3)

    def test_focal(self, weights):
        def entry(p, y, *_):
            return -((1 - p) ** 1.5) * math.log(p) if y == 1 else -(p**1.5) * math.log(1 - p)

        self.check("focal", entry, weights, gamma=1.5)

    def test_asl(self, weights):
        def entry(p, y, *_):
            low = max(p - 0.1, 0)
            return -(1 - p) * math.log(p) if y == 1 else -(low**3) * math.log(1 - low)

        self.check("asl", entry, weights, gamma_negative=3, gamma_positive=1, clip=0.1)

    @pytest.mark.parametrize("negatives", ["plain", "hill"])
    def test_hill(self, weights, negatives):
        def entry(p, y, *_):
            q = sigmoid(math.log(p / (1 - p)) - 0.5)
            if y == 1:
                return -((1 - q) ** 3) * math.log(q)
            return cross_entropy(p, 0) if y == 0 and negatives == "plain" else (1.25 - p) * p**2

        self.check("hill", entry, weights, margin=0.5, gamma=3, hill_lambda=1.25, negatives=negatives)

    @pytest.mark.parametrize("epoch", [1, 2, 3])
    @pytest.mark.parametrize("negatives", ["plain", "focal"])
    def test_splc(self, weights, negatives, epoch):
        """With a warm-up of two epochs unknown entries turn in the third."""

        def entry(p, y, *_):
            if y == 1:
                q = sigmoid(math.log(p / (1 - p)) - 0.5)
                return -((1 - q) ** 3) * math.log(q)
            if y == -1 and p > 0.7 and epoch == 3:
                return -((1 - p) ** 3) * math.log(p)
            return cross_entropy(p, 0) * (1 if y == 0 and negatives == "plain" else p**3)

        options = {"margin": 0.5, "gamma": 3, "threshold": 0.7, "negatives": negatives, "warm_up_epochs": 2}
        found = float(build("splc", **options).loss(batch(LOGITS, weights=weights, epoch=epoch)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)

    @pytest.mark.parametrize("epoch", [1, 4, 8])
    def test_gr(self, weights, epoch):
        """Of 8 epochs: w and b have gone (e - 1)/8 of their way, mu and s e/8."""
        w, b = 0 + 10 * (epoch - 1) / 8, -2 - 6 * (epoch - 1) / 8
        mu, s = 0.5 + 0.3 * epoch / 8, 2 - 1.5 * epoch / 8

        def entry(p, y, *_):
            if y >= 0:
                return cross_entropy(p, y)
            k, v = sigmoid(w * p + b), math.exp(-(((p - mu) / s) ** 2) / 2)
            return v * (k * (1 - p**0.01) / 0.01 + (1 - k) * p)

        method = build("gr", epochs=8, slope_end=10, offset_end=-8)
        found = float(method.loss(batch(LOGITS, weights=weights, epoch=epoch)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)

    def test_oracle_uses_true_negatives_and_leaves_unknown_positives_out(self, weights):
        def entry(p, y, i, k):
            return cross_entropy(p, y) if y >= 0 else cross_entropy(p, 0) * (TRUTH[i, k] == 0)

        self.check("bce_single_positive_all_negatives", entry, weights)

    def test_epr_adds_its_regulariser_undivided(self, weights):
        want = mean(lambda p, y, *_: cross_entropy(p, y) if y >= 0 else 0, LOGITS, weights=weights)
        found = float(build("epr").loss(batch(LOGITS, weights=weights)))
        assert found == pytest.approx(want + excess_squared(LOGITS), rel=1e-9)

    @pytest.mark.parametrize("name", ["role", "role_linear_init"])
    def test_role(self, weights, name):
        def classifier(p, y, i, k):
            return cross_entropy(p, sigmoid(THETA[i, k])) + (cross_entropy(p, y) if y >= 0 else 0)

        def estimator(q, y, i, k):
            return cross_entropy(q, sigmoid(LOGITS[i, k])) + (cross_entropy(q, y) if y >= 0 else 0)

        want = mean(classifier, LOGITS, weights=weights) + mean(estimator, THETA)
        want = (want + excess_squared(LOGITS) + excess_squared(THETA)) / 2
        found = build(name).loss(batch(LOGITS, weights=weights, state={"theta": THETA}))
        assert float(found) == pytest.approx(want, rel=1e-5)

    @pytest.mark.parametrize("epoch", [1, 2, 3])
    @pytest.mark.parametrize("name", ["ll_r", "ll_ct", "ll_cp"])
    def test_large_losses(self, weights, name, epoch):
        """Of 7 unknown entries, floor(7 (e - 1) .3) are mistrusted in epoch e, or floor(7 * .3) anew."""
        unknown = np.argwhere(LABELS == -1)
        count = 0 if epoch == 1 else 2 if name == "ll_cp" else int(len(unknown) * 0.3 * (epoch - 1))
        worst = sorted(unknown.tolist(), key=lambda e: -cross_entropy(sigmoid(LOGITS[e[0], e[1]]), 0))[:count]
        assert len(worst) == count

        def entry(p, y, i, k):
            if [i, k] in worst:
                return 0.0 if name == "ll_r" else cross_entropy(p, 1)
            return cross_entropy(p, max(y, 0))

        made = batch(LOGITS, weights=weights, epoch=epoch, state={"flipped": np.zeros(LABELS.shape, bool)})
        found = float(build(name, rate=0.3).loss(made))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)
        if name == "ll_cp" and epoch > 1:
            assert sorted(np.argwhere(made.written["flipped"]).tolist()) == sorted(worst)


class TestSchedulesOfGr:
    def test_the_schedules_stand_still_while_the_head_trains_alone(self):
        method = build("gr", epochs=10, head_share=0.2)
        first, second = method.plan()
        assert (first.epochs, second.epochs) == (2, 8)
        assert first.optimisers["main"].parameters == ("head",)
        assert (first.ridge_start, second.ridge_start) == (True, False)
        start = {"slope": 0, "offset": -2, "center": 0.5, "width": 2}
        for epoch in (1, 2):
            assert method.schedule(first.name, epoch) == pytest.approx(start)
        assert method.schedule(second.name, 1) == pytest.approx(
            {**start, "center": 0.5 + 0.3 / 8, "width": 2 - 1.5 / 8}
        )
        assert method.schedule(second.name, 8) == pytest.approx(
            {"slope": 2 * 7 / 8, "offset": -2, "center": 0.8, "width": 0.5}
        )

    def test_all_epochs_may_be_the_heads(self):
        method = build("gr", epochs=3, head_share=1)
        (only,) = method.plan()
        assert only.epochs == 3
        assert method.schedule(only.name, 3)["width"] == 2


class Walk:
    """A trainer whose forward does nothing and whose update moves nothing."""

    def __init__(self, scores, weight):
        self.network = SimpleNamespace(head=SimpleNamespace(weight=weight))
        self.optimisers = {"main": torch.optim.Adam([scores], lr=0.01)}

    def forward(self, batch):
        pass

    def backward(self, loss):
        loss.backward()

    def update(self, *names):
        pass


@pytest.mark.parametrize(("name", "norm"), [("l1r", abs), ("l2r", lambda w: w * w)])
def test_the_penalty_is_the_norm_of_the_heads_weights(name, norm):
    weight = torch.tensor([[0.5, -2.0], [0.25, 1.0], [-0.125, 3.0]], requires_grad=True)
    made = batch(LOGITS, grad=True)
    found = float(build(name, weight=0.3).step(made, Walk(made.scores, weight)))
    want = mean(lambda p, y, *_: cross_entropy(p, max(y, 0)), LOGITS)
    assert found == pytest.approx(want + 0.3 * sum(norm(w) for w in weight.flatten().tolist()), rel=1e-6)
    slope = 0.3 * (weight.detach().sign() if name == "l1r" else 2 * weight.detach())
    torch.testing.assert_close(weight.grad, slope)


@pytest.mark.parametrize("name", ["epr", "role"])
def test_the_regularisers_gradient_is_that_of_its_formula(name):
    """d/dx of R = (mean_i sum_k p_ik - kappa)^2 / K^2 is 2 (mean_i sum_k p_ik - kappa) p (1 - p) / (n K^2)."""
    made = torch.tensor(LOGITS, requires_grad=True)
    (3 * build(name).balance(made)).backward()
    p = 1 / (1 + np.exp(-LOGITS))
    slope = 3 * 2 * (p.sum(1).mean() - PRIOR.sum()) * p * (1 - p) / (len(p) * p.shape[1] ** 2)
    np.testing.assert_allclose(made.grad.numpy(), slope, rtol=1e-9)


class TestLargeLosses:
    @pytest.mark.parametrize("size", [1, 3, 16])
    def test_batches_of_any_size_lose_the_same_share(self, size):
        """Rounding down would lose nothing in small batches, rounding up a third of an item's entries."""
        labels = np.full((240, 4), -1, np.int8)
        labels[:, 0] = 1
        method, total = build("ll_r", labels, "single_positive", rate=0.01), 0
        scores = np.random.default_rng(0).normal(size=labels.shape)
        for start in range(0, 240, size):
            rows = slice(start, start + size)
            made = batch(scores[rows], labels[rows], epoch=3, grad=True)
            method.loss(made).backward()
            total += int((made.scores.grad == 0).sum())
        assert total == pytest.approx(0.02 * 720, abs=1)

    @pytest.mark.parametrize("name", ["ll_r", "ll_ct", "ll_cp"])
    @pytest.mark.parametrize(("epoch", "rate"), [(2, 0.1), (3, 0.1), (2, 0.02), (4, 0.5)])
    def test_the_released_count_is_of_all_entries_and_rounds_up(self, name, epoch, rate):
        """Of 18 entries ceil(18 (e - 1) rate), for the permanent form ceil(18 rate) - 1; never more than unknown."""
        count = math.ceil(18 * rate) - 1 if name == "ll_cp" else math.ceil(round(18 * (epoch - 1) * rate, 9))
        unknown = sorted(np.argwhere(LABELS == -1).tolist(), key=lambda e: -LOGITS[e[0], e[1]])
        method = build(name, rate=rate, count="released")
        made = batch(LOGITS, epoch=epoch, state={"flipped": np.zeros(LABELS.shape, bool)}, grad=True)
        method.loss(made).backward()
        slope = made.scores.grad.numpy()
        turned = slope == 0 if name == "ll_r" else (slope < 0) & (LABELS == -1)
        assert sorted(np.argwhere(turned).tolist()) == sorted(unknown[: min(count, len(unknown))])
        assert float(method.carried) == 0

    def test_known_entries_are_never_mistrusted(self):
        made = batch(np.where(LABELS == 0, 9.0, LOGITS), epoch=8, grad=True)
        build("ll_r", rate=0.5).loss(made).backward()
        gradient = made.scores.grad.numpy()
        assert (gradient[LABELS >= 0] != 0).all()
        assert (gradient[LABELS == -1] == 0).all()

    def test_flips_are_permanent_and_go_on(self):
        method = build("ll_cp", rate=0.3)
        flipped = np.zeros(LABELS.shape, bool)
        for epoch, total in ((1, 0), (2, 2), (3, 3), (4, 4)):
            made = batch(LOGITS, epoch=epoch, state={"flipped": flipped})
            method.loss(made)
            now = made.written.get("flipped", flipped)
            assert (now | ~flipped).all()
            assert not now[LABELS != -1].any()
            assert now.sum() >= total
            flipped = now
        unmoved = batch(-9 * np.ones_like(LOGITS), epoch=1, state={"flipped": flipped}, grad=True)
        method.loss(unmoved).backward()
        assert (unmoved.scores.grad.numpy()[flipped] < 0).all()

    def test_over_a_run_the_stated_share_is_flipped_in_every_epoch_after_the_first(self, monkeypatch):
        (X, Y, _), _ = world(0, n=160, test=10)
        options = {"validation": None, "device": "cpu", "epochs": 4, "batch_size": 16}
        model = lw.MultiLabelClassifier("ll_cp", hyperparameters={"rate": 0.02}, **options)
        flips, loss = {}, methods.get("ll_cp").loss

        def watch(self, made):
            write, before = made.write, made.state["flipped"].clone()

            def count(name, values):
                flips[made.epoch] = flips.get(made.epoch, 0) + int((values & ~before).sum())
                write(name, values)

            made.write = count
            return loss(self, made)

        monkeypatch.setattr(methods.get("ll_cp"), "loss", watch)
        model.fit(X, Y)
        left = (Y == -1).sum()
        assert sorted(flips) == [2, 3, 4]
        for count in flips.values():
            assert count == pytest.approx(0.02 * left, abs=1.1)
            left -= count
