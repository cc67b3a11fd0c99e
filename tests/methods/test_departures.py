"""Every method says what it does otherwise than its paper, or is compared with a plain loop over its formula."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.engine.batches import make_batches
from labelwise.methods import Budget, MethodSpec, Problem
from labelwise.models import Network, build_backbone

DOCS = Path(__file__).parents[2] / "docs"
N, D, K = 23, 4, 3


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_departures", DOCS / "make_departures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_the_generated_one(maker):
    committed = (DOCS / "departures.md").read_text(encoding="utf-8")
    assert committed == maker.page(), "docs/departures.md is old: python docs/make_departures.py"


@pytest.mark.parametrize("name", methods.names())
def test_a_method_states_its_departures_or_has_none_and_a_comparison(name, maker):
    departures = methods.get(name).spec.departures
    assert departures is not None, f"{name}: say what it does otherwise than its paper, or departures=()"
    assert departures or name in COMPARED, (
        f"{name} says that it has no departures: compare it with its formula"
    )
    page = maker.page()
    for departure in departures:
        assert departure.what.endswith(".")
        assert departure.why.endswith(".")
        (row,) = [line for line in page.splitlines() if f"| {maker._cell(departure.what)} |" in line]
        assert f"`{name}`" in row


@pytest.mark.parametrize("name", methods.names())
def test_an_option_is_one_that_the_method_or_the_classifier_has(name):
    spec, classifier = methods.get(name).spec, inspect.signature(lw.MultiLabelClassifier).parameters
    for departure in spec.departures or ():
        for option in (departure.option or "").split(", ") if departure.option else ():
            known, _, value = re.match(r"(\w+)(=?)(.*)", option).groups()
            assert known in {*spec.hyperparameters, *classifier}, option
            if value and known in spec.hyperparameters:
                given = (
                    value.strip('"') if value.startswith('"') else {"True": True, "False": False}.get(value)
                )
                spec.resolve({known: float(value) if given is None else given})


def problem(setting):
    random = np.random.default_rng(0)
    X = random.normal(size=(N, D)).astype(np.float32)
    full = (X[:, :K] + random.normal(size=(N, K)) > 0.2).astype(np.int8)
    if setting == "full":
        return X, full
    return X, np.where((full == 1) & (random.random(full.shape) < 0.7), np.int8(1), np.int8(-1))


def plain_loop(X, y, theta, batches, *, low, high, rate):
    """Adam (.9, .999, 1e-8) on the mean cross-entropy of logits against 1 -> high, all else -> low; numpy, float64."""
    theta = [t.astype(float) for t in theta]
    first, second = ([np.zeros_like(t) for t in theta] for _ in range(2))
    t, course = 0, []
    for epoch in batches:
        total = 0.0
        for rows in epoch:
            t += 1
            target = np.where(y[rows] == 1, high, low)
            p = 1 / (1 + np.exp(-(X[rows] @ theta[0].T + theta[1])))
            total += (-target * np.log(p) - (1 - target) * np.log(1 - p)).mean() * len(rows)
            slope = (p - target) / p.size
            for i, gradient in enumerate((slope.T @ X[rows], slope.sum(0))):
                first[i] = 0.9 * first[i] + 0.1 * gradient
                second[i] = 0.999 * second[i] + 0.001 * gradient**2
                theta[i] -= rate * first[i] / (1 - 0.9**t) / (np.sqrt(second[i] / (1 - 0.999**t)) + 1e-8)
        course.append(total / sum(map(len, epoch)))
    return theta, course


def compare_with_adam(name, low=0.0, high=1.0):
    epochs, size, rate = 4, 5, 0.03
    settings = {"full", "partial_positive"} & methods.get(name).spec.settings
    for setting in sorted(settings):
        X, y = problem(setting)
        method = methods.get(name)(Problem(y, setting, None, "all", 0, Budget(epochs, size, rate)))
        (group,) = method.plan()[0].mixture
        keys = [{"seed": 0, "stage": 0, "epoch": epoch} for epoch in range(epochs)]
        composed = [make_batches({group: np.arange(N)}, {group: size}, **key) for key in keys]
        batches = [[members[group] for members in epoch] for epoch in composed]
        torch.manual_seed(0)
        network = Network(build_backbone("features", (D,)), method.head(D))
        start = [p.detach().numpy().copy() for p in network.head.parameters()]
        theta, course = plain_loop(X.astype(float), y, start, batches, low=low, high=high, rate=rate)
        result = engine.train(network, method, as_source(X), engine.Settings(device="cpu"))
        for want, found in zip(theta, network.head.parameters(), strict=True):
            np.testing.assert_allclose(found.detach().numpy(), want, atol=2e-6)
        np.testing.assert_allclose([r["loss"] for r in result.history], course, rtol=1e-6)
        assert course[0] - course[-1] > 0.03


COMPARED = {
    "bce": lambda: compare_with_adam("bce"),
    "an": lambda: compare_with_adam("an"),
    "label_smoothing": lambda: compare_with_adam("label_smoothing", 0.1, 0.9),
}


@pytest.mark.parametrize("name", COMPARED)
def test_a_method_without_departures_equals_a_plain_loop(name):
    assert methods.get(name).spec.departures == (), f"{name} has departures: the comparison is of no use"
    COMPARED[name]()


def test_a_method_of_ones_own_need_not_say_anything_and_then_fails_here():
    spec = MethodSpec(id="x", title="t", paper="p", assumption="a", settings=frozenset({"full"}), passes=3)
    assert spec.departures is None
