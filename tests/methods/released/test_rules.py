"""Rows, rates and epochs as the papers' codes have them, for every method that shares the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.methods import Budget, Problem
from labelwise.models import MLP, Network

K = 3
POSITIVES = [n for n in methods.names() if "single_positive" in methods.get(n).spec.settings]
TRAINED = [n for n in POSITIVES if methods.get(n).spec.passes]


def positives():
    """One positive a row, and two rows without any (22% of the rows of NUS-WIDE have none)."""
    labels = np.full((12, K), -1, np.int8)
    labels[np.arange(10), np.arange(10) % K] = 1
    return labels


def build(name, labels, setting, *, tune="all", budget=None, **hyperparameters):
    budget = budget or Budget(10, 4, 0.1)
    truth = np.maximum(labels, 0)
    problem = Problem(labels, setting, np.full(labels.shape[1], 0.3), tune, 0, budget, truth)
    return methods.get(name)(problem, hyperparameters)


@pytest.mark.parametrize("name", TRAINED)
def test_where_no_negative_is_known_a_row_without_positives_is_trained_on(name):
    method = build(name, positives(), "single_positive")
    groups = method.problem.groups
    for stage in method.plan():
        rows = np.concatenate([groups[group] for group in stage.mixture])
        assert sorted(rows.tolist()) == list(range(12)), stage.name


def test_em_s_first_step_is_that_of_the_formula_over_all_rows():
    """One batch of all rows: -log p of observed entries, -alpha H(p) of all others, over B K."""
    labels, alpha = positives(), 0.3
    method = build("em", labels, "single_positive", budget=Budget(1, 12, 0.1), alpha=alpha)
    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    torch.manual_seed(0)
    network = Network(nn.Identity(), method.head(4))
    network.backbone.n_features = 4
    weight, bias = (p.detach().double().numpy() for p in network.head.parameters())
    total = 0.0
    for i in range(12):
        for k in range(K):
            p = 1 / (1 + math.exp(-(float(X[i].astype(float) @ weight[k]) + float(bias[k]))))
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            total += -math.log(p) if labels[i, k] == 1 else -alpha * entropy
    result = engine.train(network, method, as_source(X), engine.Settings(device="cpu"))
    assert result.history[0]["loss"] == pytest.approx(total / (12 * K), rel=1e-6)


@pytest.mark.parametrize("name", ["role_linear_init", "label_smoothing_linear_init"])
@pytest.mark.parametrize(("epochs", "first"), [(35, 25), (10, 7), (7, 5)])
def test_the_head_trains_for_25_of_35_epochs(name, epochs, first):
    stages = build(name, positives(), "single_positive", budget=Budget(epochs, 4, 0.1)).plan()
    assert [stage.epochs for stage in stages] == [first, epochs - first]


@pytest.mark.parametrize("name", [n for n in POSITIVES if n.startswith("role")])
def test_the_estimators_rate_follows_the_head_s_whatever_the_backbone_s(name, monkeypatch):
    """A pretrained backbone comes first among the parameters, at a rate of its own."""
    rates = []
    move = methods.get("role").move
    monkeypatch.setattr(
        methods.get("role"), "move", lambda self, batch, rate: rates.append(rate) or move(self, batch, rate)
    )
    budget = Budget(2, 12, 0.02, backbone_rate=0.1)
    method = build(name, positives(), "single_positive", budget=budget, estimator_rate=7.0)
    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    network = Network(MLP((4,), hidden=(5,)), method.head(5))
    result = engine.train(network, method, as_source(X), engine.Settings(device="cpu"))
    wanted = [0.02, 0.02] if name == "role" else [0.02, 0.002]
    np.testing.assert_allclose(rates, [7 * rate for rate in wanted])
    np.testing.assert_allclose([record["learning_rate"] for record in result.history], wanted)


@pytest.mark.parametrize("rate", [1e-5, 1e-2])
def test_their_rate_is_their_own_or_the_multiple_that_is_asked_for(rate):
    for asked, wanted in ((None, 1e-3), (10.0, 10 * rate)):
        method = build("hml", positives(), "single_positive", budget=Budget(1, 4, rate), adaptive_rate=asked)
        optimiser = method.plan()[0].optimisers["main"]
        assert optimiser.rates["method."] * optimiser.learning_rate == pytest.approx(wanted)
