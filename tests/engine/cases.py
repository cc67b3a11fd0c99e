"""Small runs of the engine, built anew at every call as a fresh process would."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.methods import Budget, Method, MethodSpec, Problem
from labelwise.models import MLP, Network, build_backbone

N, D, K = 60, 6, 3
PRIOR = np.array([0.3, 0.2, 0.4])


class Stop(Exception):
    """Interrupts a run from outside, as a kill does: nothing is saved."""


def items(seed=0):
    random = np.random.default_rng(seed)
    X = random.standard_normal((N, D)).astype(np.float32)
    raw = X @ np.random.default_rng(7).standard_normal((D, K))
    return X, (raw > np.quantile(raw, 0.7, axis=0)).astype(np.int8)


def labels(kind):
    _, Y = items()
    if kind == "full":
        return Y
    if kind == "partial_positive":
        return np.where(Y == 1, Y, np.int8(-1))
    Y = np.where(np.arange(N)[:, None] < 20, Y, np.int8(-1))
    Y[30, 1], Y[31, 0] = 1, 0
    return Y


def kind_for(method):
    spec = methods.get(method).spec if isinstance(method, str) else method.spec
    return "partial" if "partial" in spec.settings else "full"


def make(
    method,
    *,
    tune="head",
    epochs=4,
    batch=16,
    rate=0.01,
    kind=None,
    hyperparameters=None,
    dropout=0.2,
    net=None,
):
    """Return new (network, method) objects, drawn from one seed."""
    cls = methods.get(method) if isinstance(method, str) else method
    Y = labels(kind or kind_for(cls))
    setting = {"full": "full", "partial_positive": "partial_positive"}.get(kind or kind_for(cls), "partial")
    truth = items()[1] if "true_labels" in cls.spec.needs else None
    problem = Problem(Y, setting, PRIOR, tune, 0, Budget(epochs, batch, rate), truth)
    made = cls(problem, hyperparameters)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if net is not None:
            backbone = net()
        elif tune == "head":
            backbone = build_backbone("features", (D,))
        else:
            backbone = MLP((D,), hidden=(8,), dropout=dropout)
        network = Network(backbone, made.head(backbone.n_features))
    return network, made


def run(method, directory=None, *, settings=None, make_options=None, X=None, **options):
    """Train from new objects; return (result, the last run seen)."""
    network, made = make(method, **(make_options or {}))
    config = {"device": "cpu", "directory": directory, "checkpoint_seconds": 1e9, **(settings or {})}
    seen = {}
    given = options.pop("on_step", None)

    def on_step(state):
        seen["run"] = state
        if given is not None:
            given(state)

    source = as_source(items()[0] if X is None else X)
    result = engine.train(network, made, source, engine.Settings(**config), on_step=on_step, **options)
    return result, seen.get("run")


def stop_at(step, save_at=None):
    """Return an ``on_step`` that saves after step ``save_at`` and raises after ``step``, counted from 1."""
    count = [0]

    def on_step(state):
        count[0] += 1
        if count[0] == save_at:
            state.save()
        if count[0] == step:
            raise Stop

    return on_step


def steps_of(method, **options):
    """Return the number of steps that a whole run takes."""
    count = [0]
    run(method, on_step=lambda _: count.__setitem__(0, count[0] + 1), **options)
    return count[0]


def course(result):
    """Return a history without its clock."""
    clock = {"seconds", "items_per_second"}
    return [{k: v for k, v in record.items() if k not in clock} for record in result.history]


def assert_same(one, other):
    """Assert that two results are equal to the bit: weights, buffers, statistics, history."""
    for a, b in ((one.network, other.network), (one.method, other.method)):
        left, right = a.state_dict(), b.state_dict()
        assert left.keys() == right.keys()
        for name, value in left.items():
            assert torch.equal(value, right[name]), name
    assert course(one) == course(other)


def assert_same_items(one, other):
    """Assert that two runs' item states are equal to the bit (NaN equals NaN)."""
    assert list(one.state) == list(other.state)
    for name in one.state:
        np.testing.assert_array_equal(one.state[name], other.state[name])


class Plain(Method):
    """Cross-entropy with any plan, for tests of the engine alone."""

    spec = MethodSpec(
        id="toy_plain", title="t", paper="p", assumption="a", settings=frozenset(methods.SETTINGS), passes=3
    )

    def loss(self, batch):
        target = (batch.labels == 1).float()
        return self.mean(
            nn.functional.binary_cross_entropy_with_logits(batch.scores, target, reduction="none"), batch
        )
