"""A method, its network and a short training run, drawn from one seed."""

from __future__ import annotations

import numpy as np
import torch

from labelwise import engine, methods
from labelwise.annotations import simulate
from labelwise.data import as_source
from labelwise.methods import Budget, Problem
from labelwise.models import MLP, Network, build_backbone

N, D, K = 48, 5, 4
TRUTH = (np.random.default_rng(4).random((N, K)) < 0.35).astype(np.int8)
TRUTH[:4] = [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 1]]
X = np.random.default_rng(5).standard_normal((N, D)).astype(np.float32)


def shown(setting):
    if setting == "semi_supervised":
        return np.where(np.arange(N)[:, None] < 16, TRUTH, np.int8(-1))
    if setting == "single_positive":
        return simulate.single_positive(TRUTH, seed=0)
    return simulate.partial(TRUTH, 0.6, seed=0) if setting == "partial" else TRUTH


def widest(name):
    """Return the setting, of those a method takes, that leaves most unknown."""
    order = ("semi_supervised", "single_positive", "partial", "full")
    return next(s for s in order if s in methods.get(name).spec.settings)


def make(
    name, *, setting=None, labels=None, epochs=4, rate=0.02, tune="head", truth=None, batch=16, **options
):
    """Return (network, method), drawn from one seed."""
    setting = setting or widest(name)
    labels = shown(setting) if labels is None else labels
    prior = np.full(labels.shape[1], 0.35)
    problem = Problem(labels, setting, prior, tune, 0, Budget(epochs, batch, rate), truth)
    method = methods.get(name)(problem, options)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = (
            build_backbone("features", (D,)) if tune == "head" else MLP((D,), hidden=(8,), norm="batch")
        )
        return Network(backbone, method.head(backbone.n_features)), method


def train(network, method, **options):
    """Train, and return (result, the run at its last step)."""
    seen = {}
    on_step = options.pop("on_step", None)

    def watch(run):
        seen["run"] = run
        if on_step is not None:
            on_step(run)

    settings = engine.Settings(device="cpu")
    source = as_source(X[: method.problem.n_items])
    return engine.train(network, method, source, settings, on_step=watch, **options), seen.get("run")
