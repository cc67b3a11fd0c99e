"""ROLE's label estimator: its gradient, its row updates against dense Adam, its start, its bytes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from labelwise import engine
from labelwise.data import as_source
from labelwise.methods import get
from labelwise.methods.role import adam, catch_up_momentum
from labelwise.models import Network, build_backbone
from labelwise.targets import ItemState
from tests.methods.single_positive_cases import LABELS, LOGITS, PRIOR, SCRATCH, batch, build, judge, world

BCE = torch.nn.functional.binary_cross_entropy_with_logits


def test_the_estimators_slope_is_the_gradient_of_the_loss_times_its_entries():
    """One step from zero moments: first = (1 - b1) g, whatever Adam makes of it."""
    theta = np.random.default_rng(4).normal(0, 1, LABELS.shape)
    free = torch.tensor(theta, requires_grad=True)
    y, p = torch.from_numpy(LABELS).double(), torch.sigmoid(torch.tensor(LOGITS))
    q = torch.sigmoid(free)
    known = BCE(free, y.clamp(min=0), reduction="none") * (y >= 0)
    agree = -(p * torch.log(q) + (1 - p) * torch.log(1 - q))
    excess = (q.sum(1).mean() - PRIOR.sum()) ** 2 / len(PRIOR) ** 2
    (0.5 * (known.mean() + agree.mean() + excess) * LABELS.size).backward()
    method = build("role", dense=False)
    zeros = np.zeros(LABELS.shape, np.float32)
    made = batch(
        LOGITS,
        dtype=torch.float32,
        state={
            "theta": theta.astype(np.float32),
            "first": zeros,
            "second": zeros,
            "steps": np.zeros(6, np.int32),
        },
    )
    method.move(made, 0.5)
    np.testing.assert_allclose(made.written["first"], 0.1 * free.grad.numpy(), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(made.written["second"], 0.001 * free.grad.numpy() ** 2, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(
        made.written["theta"], theta - 0.5 * np.sign(free.grad.numpy()), rtol=1e-4, atol=1e-4
    )
    assert made.written["steps"].tolist() == [1] * 6


def slopes(steps, rows, K, seed=0):
    return np.random.default_rng(seed).normal(size=(steps, rows, K)).astype(np.float32)


def table(rows, K):
    theta = np.random.default_rng(1).normal(size=(rows, K)).astype(np.float32)
    return {
        "theta": torch.from_numpy(theta),
        "first": torch.zeros(rows, K),
        "second": torch.zeros(rows, K),
        "steps": torch.zeros(rows, dtype=torch.int32),
    }


def test_rows_touched_in_every_step_move_as_under_torchs_adam():
    state, given = table(5, 3), slopes(60, 5, 3)
    reference = torch.nn.Parameter(state["theta"].clone())
    optimiser = torch.optim.Adam([reference], lr=0.03)
    for slope in given:
        state["steps"] += 1
        adam(
            *(state[k] for k in ("theta", "first", "second")),
            state["steps"][:, None],
            torch.from_numpy(slope),
            0.03,
        )
        reference.grad = torch.from_numpy(slope)
        optimiser.step()
    torch.testing.assert_close(state["theta"], reference.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [40, 400])
def test_dense_rows_touched_now_and_then_are_where_dense_adam_has_them_when_read(rows):
    """Dense Adam moves every row in every step; the same movement, made up in closed form when a row is read."""
    state, random = table(rows, 3), np.random.default_rng(2)
    reference = torch.nn.Parameter(state["theta"].clone())
    optimiser = torch.optim.Adam([reference], lr=0.03)
    for now in range(1, 301):
        index = torch.from_numpy(random.choice(rows, 4, replace=False))
        slope = torch.from_numpy(random.normal(size=(4, 3)).astype(np.float32))
        part = {k: v[index] for k, v in state.items()}
        catch_up_momentum(part, now, 0.03)
        torch.testing.assert_close(part["theta"], reference.detach()[index], rtol=1e-4, atol=1e-4)
        part["steps"].fill_(now)
        adam(*(part[k] for k in ("theta", "first", "second")), part["steps"][:, None], slope, 0.03)
        for name, values in part.items():
            state[name][index] = values
        reference.grad = torch.zeros_like(reference)
        reference.grad[index] = slope
        optimiser.step()


def run(method="role", n=64, on_step=None, epochs=3, **hyperparameters):
    (X, Y, _), _ = world(0, n=n, test=1, K=3, cardinality=1.5)
    made = build(method, Y, "single_positive", epochs=epochs, tune="all", **hyperparameters)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network(build_backbone("features", (X.shape[1],)), made.head(X.shape[1]))
    engine.train(network, made, as_source(X), engine.Settings(device="cpu"), on_step=on_step)
    return Y


@pytest.mark.parametrize("dense", [True, False])
def test_a_step_never_touches_rows_outside_its_batch(dense):
    states = []

    def watch(state):
        arrays = {k: v.copy() for k, v in state.state.arrays().items()}
        states.append((set(state._rows.tolist()), arrays, int(state.method.updates)))

    run(on_step=watch, dense=dense)
    assert len(states) == 3 * 16
    for (_, before, _), (seen, after, updates) in pairwise(states):
        for name in before:
            moved = (before[name] != after[name]).reshape(64, -1).any(1)
            assert set(np.flatnonzero(moved)) == seen, name
        steps = after["steps"][sorted(seen)]
        assert (steps == updates).all() if dense else len(set(steps)) == 1


def test_estimates_start_near_a_half_where_unknown_and_sure_where_known():
    seen = []
    labels = run(on_step=lambda s: seen.append((s._rows, s.state["theta"].copy())), estimator_rate=0.0)
    q = 1 / (1 + np.exp(-seen[-1][1]))
    np.testing.assert_allclose(q[labels == 1], 0.995, rtol=1e-5)
    unknown = q[labels == -1]
    assert unknown.min() >= 0.4 - 1e-6
    assert unknown.max() <= 0.6 + 1e-6
    assert unknown.std() > 0.04
    run(on_step=lambda s: seen.append((s._rows, s.state["theta"].copy())), estimator_rate=0.0)
    np.testing.assert_array_equal(seen[0][1], seen[-1][1])


def test_an_items_start_does_not_depend_on_how_many_there_are():
    few, many = ([] for _ in range(2))
    run(n=64, epochs=1, on_step=lambda s: few.append(s.state["theta"].copy()), estimator_rate=0.0)
    run(n=90, epochs=1, on_step=lambda s: many.append(s.state["theta"].copy()), estimator_rate=0.0)
    unknown = (np.abs(few[0]) < 1) & (np.abs(many[0][:64]) < 1)
    np.testing.assert_array_equal(few[0][unknown], many[0][:64][unknown])


def test_the_second_stage_goes_on_with_the_estimates_of_the_first():
    kept = {}

    def watch(state):
        kept.setdefault(state.stage.name, []).append(state.state["theta"].copy())

    run("role_linear_init", epochs=10, on_step=watch)
    last, first = kept["linear"][-1], kept["end to end"][0]
    assert (last != first).any(1).sum() == 4


def test_twelve_bytes_an_entry():
    method = build("role")
    state = ItemState(method.slots(), 100, 50)
    per_entry = sum(v.nbytes for v in state.arrays().values() if v.ndim == 2)
    assert per_entry == 12 * 100 * 50
    assert sum(v.nbytes for v in state.arrays().values()) - per_entry == 4 * 100


def test_the_estimates_recover_hidden_positives():
    """Trained, the estimator ranks the unknown positives of the training items above the unknown negatives."""
    (X, Y, truth), _ = world(3, n=300, test=1, noise=0.3)
    spec = get("role").spec
    assert spec.needs == {"prior"}
    made = build("role", Y, "single_positive", epochs=12, tune="all")
    made.problem.prior[:] = truth.mean(0)
    network = Network(build_backbone("features", (X.shape[1],)), made.head(X.shape[1]))
    held = {}
    engine.train(
        network,
        made,
        as_source(X),
        engine.Settings(device="cpu"),
        on_step=lambda s: held.__setitem__("theta", s.state["theta"]),
    )
    theta, unknown = held["theta"], Y == -1
    wins = (theta[unknown & (truth == 1)][:, None] > theta[unknown & (truth == 0)][None]).mean()
    assert wins > 0.75


@pytest.mark.slow
def test_lazy_steps_need_a_larger_rate_than_dense_ones():
    """At the published rate a lazy estimator hardly moves; thirty times the rate makes up for it."""
    given = [world(seed) for seed in range(4)]
    dense, lazy, faster = (
        np.mean([judge("role", w, options, **SCRATCH)[0] for w in given])
        for options in ({}, {"dense": False}, {"dense": False, "estimator_rate": 300})
    )
    assert dense > lazy + 0.2
    assert abs(dense - faster) < 0.3
