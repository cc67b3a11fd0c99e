"""Shapes of methods that the interface must carry, each trained, interrupted and resumed to the bit."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from labelwise._random import generator
from labelwise.methods import MethodSpec
from labelwise.methods.base import Optimiser
from labelwise.models import SmallCNN
from labelwise.targets import Slot
from tests.engine.cases import (
    PRIOR,
    N,
    Plain,
    Stop,
    assert_same,
    assert_same_items,
    make,
    run,
    steps_of,
    stop_at,
)


def spec(name):
    return MethodSpec(
        id=name, title="t", paper="p", assumption="a", settings=frozenset(("full", "partial")), passes=3
    )


def bce(logits, target):
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


class TwoOptimisers(Plain):
    """Two gradients in turn: the head on the labels, then the backbone towards the head's certainty (DRML's shape)."""

    spec = spec("toy_two_optimisers")

    def plan(self):
        optimisers = {
            "head": self.optimiser(parameters=("head",), schedule="one_cycle"),
            "body": self.optimiser(parameters=("backbone",), name="adam", learning_rate=0.003),
        }
        return [self.stage("train", 4, optimisers=optimisers, mixture={"all": 16}, ema=0.9)]

    def step(self, batch, trainer):
        trainer.forward(batch)
        loss = self.loss(batch)
        trainer.backward(loss)
        trainer.update("head")
        trainer.forward(batch)
        entropy = functional.softplus(batch.scores).mean()
        trainer.backward(entropy)
        trainer.update("body")
        return (loss + entropy).detach()


class Perturbed(Plain):
    """A second gradient at weights moved along the first (FlatMatch's shape)."""

    spec = spec("toy_perturbed")

    def step(self, batch, trainer):
        held = [p for o in trainer.optimisers.values() for g in o.param_groups for p in g["params"]]
        trainer.forward(batch)
        trainer.backward(self.loss(batch))
        norm = torch.stack([p.grad.norm() for p in held]).norm() + 1e-12
        moves = [0.05 * p.grad / norm for p in held]
        with torch.no_grad():
            for p, move in zip(held, moves, strict=True):
                p += move
                p.grad = None
        trainer.forward(batch)
        loss = self.loss(batch)
        trainer.backward(loss)
        with torch.no_grad():
            for p, move in zip(held, moves, strict=True):
                p -= move
        trainer.update()
        return loss.detach()


class Flips(Plain):
    """Unknown entries whose loss is large become positive for good (the large-loss family's permanent correction)."""

    spec = spec("toy_flips")

    def plan(self):
        return [self.stage("train", 4, mixture={"all": 16})]

    def slots(self):
        return {"flipped": Slot("bool"), "flips": Slot("int32", per="item")}

    def loss(self, batch):
        flipped = batch.state["flipped"]
        target = ((batch.labels == 1) | flipped).float()
        values = bce(batch.scores, target)
        if batch.epoch > 1:
            unknown = (batch.labels == -1) & ~flipped
            worst = unknown & (values >= values.detach().masked_fill(~unknown, 0).max())
            batch.write("flipped", flipped | worst)
            batch.write("flips", batch.state["flips"] + worst.sum(1))
            values = values.masked_fill(worst, 0.0)
        return self.mean(values, batch)


class Estimator(Plain):
    """A learnable estimate of every entry, held as item state with its own Adam moments by row (ROLE's shape)."""

    spec = spec("toy_estimator")
    RATE, BETAS, EPS = 0.05, (0.9, 0.999), 1e-8

    def plan(self):
        return [self.stage("train", 4, mixture={"all": 16}, refresh=True)]

    def slots(self):
        return {
            "theta": Slot("float32"),
            "first": Slot("float32"),
            "second": Slot("float32"),
            "steps": Slot("int32", per="item"),
        }

    def refresh(self, pools):
        pool = pools("raw")
        if pool.epoch == 1:
            start = generator(self.problem.seed, "theta").uniform(0.4, 0.6, self.problem.labels.shape)
            start = np.where(self.problem.labels == 1, 0.995, start)
            pool.state.write("theta", np.log(start / (1 - start)).astype(np.float32))

    def step(self, batch, trainer):
        theta = batch.state["theta"].clone().requires_grad_()
        trainer.forward(batch)
        estimate, p = torch.sigmoid(theta), torch.sigmoid(batch.scores)
        expected = torch.tensor(PRIOR.sum(), dtype=torch.float32)
        balance = ((estimate.sum(1).mean() - expected) / len(PRIOR)) ** 2
        loss = (bce(batch.scores, estimate.detach()) + bce(theta, p.detach())).mean() + balance
        trainer.backward(loss)
        trainer.update()
        self._adam(batch, theta)
        return loss.detach()

    def _adam(self, batch, theta):
        """Move the batch's rows; a row that is not in it keeps its moments."""
        (one, two), steps = self.BETAS, batch.state["steps"] + 1
        first = one * batch.state["first"] + (1 - one) * theta.grad
        second = two * batch.state["second"] + (1 - two) * theta.grad**2
        t = steps[:, None].float()
        move = (first / (1 - one**t)) / ((second / (1 - two**t)).sqrt() + self.EPS)
        for name, values in {
            "theta": theta.detach() - self.RATE * move,
            "first": first,
            "second": second,
            "steps": steps,
        }.items():
            batch.write(name, values)


class LinearInit(Plain):
    """The head alone, then everything at a tenth of the rate (role_linear_init's shape)."""

    spec = spec("toy_linear_init")

    def plan(self):
        head = {"main": self.optimiser(parameters=("head",))}
        whole = {"main": self.optimiser(rates={"backbone": 0.1}, weight_decay=0.01)}
        return [
            self.stage("linear", 2, mixture={"all": 16}, optimisers=head),
            self.stage("end to end", 2, mixture={"all": 16}, optimisers=whole),
        ]


class Learns(Plain):
    """A learnable number of the method's own and a statistic that inference needs."""

    spec = spec("toy_learns")

    def __init__(self, problem, hyperparameters=None):
        super().__init__(problem, hyperparameters)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("centre", torch.zeros(problem.n_labels))

    def loss(self, batch):
        self.centre.lerp_(batch.scores.detach().mean(0), 0.1)
        return self.mean(bce(self.scale * batch.scores, (batch.labels == 1).float()), batch)

    def score(self, outputs):
        return torch.sigmoid(self.scale * outputs.scores - self.centre)


SKETCHES = [TwoOptimisers, Perturbed, Flips, Estimator, LinearInit]


@pytest.mark.parametrize("method", SKETCHES)
def test_sketch_trains_and_resumes_to_the_bit(method, tmp_path):
    options = {"make_options": {"tune": "all"}}
    whole, last = run(method, **options)
    assert whole.history[-1]["loss"] < whole.history[0]["loss"]
    total = steps_of(method, **options)
    assert total == 4 * -(-N // 16) or method is Perturbed
    for stop, saved in (
        (2, 1),
        (total // 2, total // 2 - 1),
        (total // 2 + 2, total // 2),
        (total, total - 2),
    ):
        folder = tmp_path / f"{stop}"
        with pytest.raises(Stop):
            run(method, folder, on_step=stop_at(stop, saved), **options)
        again, state = run(method, folder, **options)
        assert_same(whole, again)
        assert_same_items(last, state)


def test_the_first_stage_of_two_moves_the_head_alone(tmp_path):
    kept = {}

    def watch(state):
        kept.setdefault(state.stage.name, {k: v.clone() for k, v in state.network.state_dict().items()})

    fresh, _ = make(LinearInit, tune="all", net=Pictures)
    result, _ = run(LinearInit, make_options={"tune": "all", "net": Pictures}, X=pictures(), on_step=watch)
    for name, value in fresh.state_dict().items():
        same_then = torch.equal(value, kept["linear"][name])
        assert same_then == name.startswith("backbone"), name
        assert not torch.equal(value, result.network.state_dict()[name]), name
    assert all(p.requires_grad and p.grad is None for p in result.network.parameters())
    with pytest.raises(Stop):
        run(
            LinearInit,
            tmp_path,
            make_options={"tune": "all", "net": Pictures},
            X=pictures(),
            on_step=stop_at(10, 9),
        )
    again, _ = run(LinearInit, tmp_path, make_options={"tune": "all", "net": Pictures}, X=pictures())
    assert_same(result, again)


def pictures():
    return np.random.default_rng(0).random((N, 1, 8, 8)).astype(np.float32)


class Pictures(SmallCNN):
    def __init__(self):
        super().__init__((1, 8, 8), widths=(8, 8), dropout=0.1)


def test_flips_are_permanent_and_never_touch_known_entries():
    _, state = run(Flips, make_options={"tune": "all"})
    flipped, counts = state.state["flipped"], state.state["flips"]
    assert flipped.any()
    assert not flipped[state.labels != -1].any()
    np.testing.assert_array_equal(flipped.sum(1), counts)


def test_rows_of_the_estimator_move_when_they_are_in_a_batch_and_not_otherwise():
    thetas = []
    _, state = run(
        Estimator,
        make_options={"tune": "all"},
        on_step=lambda s: thetas.append((s._rows.copy(), s.state["theta"].copy())),
    )
    for (_, before), (seen, after) in pairwise(thetas):
        moved = (before != after).any(1)
        assert set(np.flatnonzero(moved)) == set(seen.tolist())
    assert state.state["steps"].tolist() == [4] * N
    want = state.state["theta"].copy()
    start = generator(0, "theta").uniform(0.4, 0.6, state.labels.shape)
    assert not np.allclose(want, np.log(start / (1 - start)))


def test_optimisers_step_by_name_and_gradients_do_not_leak():
    """After the head's update the backbone has not moved, and no gradient of the first loss is left."""
    seen = []

    class Watched(TwoOptimisers):
        def step(self, batch, trainer):
            before = {k: v.clone() for k, v in trainer.network.state_dict().items()}
            trainer.forward(batch)
            trainer.backward(self.loss(batch))
            trainer.update("head")
            after = trainer.network.state_dict()
            seen.append({k: torch.equal(before[k], after[k]) for k in before})
            assert all(p.grad is None for p in trainer.network.parameters())
            return torch.zeros(())

    run(Watched, make_options={"tune": "all"})
    for same in seen:
        assert all(is_same == name.startswith("backbone") for name, is_same in same.items())


def test_several_optimisers_and_accumulation_do_not_go_together():
    with pytest.raises(ValueError, match="several optimisers"):
        run(TwoOptimisers, make_options={"tune": "all"}, settings={"accumulate": 2})


def test_an_optimiser_that_holds_nothing_is_named():
    class Nothing(Plain):
        def plan(self):
            return [self.stage("train", 1, optimisers={"main": Optimiser(0.1, parameters=("hed",))})]

    with pytest.raises(ValueError, match="hed"):
        run(Nothing)


def test_a_methods_own_parameters_and_buffers_resume(tmp_path):
    whole, _ = run(Learns, make_options={"tune": "all"})
    assert float(whole.method.scale.detach()) != 2.0
    assert bool((whole.method.centre != 0).all())
    with pytest.raises(Stop):
        run(Learns, tmp_path, make_options={"tune": "all"}, on_step=stop_at(5, 3))
    again, _ = run(Learns, tmp_path, make_options={"tune": "all"})
    assert_same(whole, again)
