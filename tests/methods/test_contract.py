"""The contract, run over the registry and over a method of one's own."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import labelwise as lw
from labelwise import losses, methods
from labelwise.methods import SETTINGS, Hyperparameter, Method, MethodSpec, get
from tests.methods.contract import (
    CHECKS,
    check_hyperparameters,
    check_prior_is_asked_for,
    check_settings_outside,
    check_true_labels_are_asked_for,
)
from tests.refusals import refused

PAIRS = [(m, s) for m in methods.names() for s in SETTINGS if s in get(m).spec.settings]
FIRST = dict(reversed(PAIRS)).items()


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(("method", "setting"), PAIRS)
def test_contract(method, setting, check, tmp_path, few_trees):
    """All trees of ``auto`` are grown in its first setting: a contract is kept or broken by twenty as by 200."""
    if (method, setting) not in FIRST:
        few_trees()
    CHECKS[check](method, setting, tmp_path)


@pytest.mark.parametrize("method", methods.names())
def test_refusals(method):
    check_settings_outside(method)
    check_hyperparameters(method)
    check_prior_is_asked_for(method)
    check_true_labels_are_asked_for(method)


@pytest.mark.parametrize("method", methods.names())
def test_entry_says_all_that_a_reader_needs(method):
    spec = get(method).spec
    assert spec.id == method
    assert spec.title
    assert spec.paper
    assert spec.assumption
    assert spec.settings <= set(SETTINGS)
    assert spec.settings
    assert spec.passes >= 0
    for h in spec.hyperparameters.values():
        assert h.help
        assert h.source
        assert h.choices or isinstance(h.default, bool) or (h.low is not None and h.high is not None)


class Focal(Method):
    """A method of one's own: one class."""

    spec = MethodSpec(
        id="toy_focal",
        title="Focal loss, unknown as negative",
        paper="Lin et al., 2017",
        assumption="nearly every unknown entry is irrelevant",
        settings=frozenset(SETTINGS),
        passes=3,
        hyperparameters={"gamma": Hyperparameter(2.0, "focusing", low=0.0, high=10.0)},
    )

    def loss(self, batch):
        return self.mean(losses.focal(batch.scores, batch.labels, gamma=self.hp.gamma), batch)


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(methods, "_CLASSES", dict(methods._CLASSES))
    methods.register(Focal)
    return "toy_focal"


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_method_of_ones_own_passes_the_same_contract(toy, setting, tmp_path):
    assert toy in methods.names()
    for name, check in CHECKS.items():
        folder = tmp_path / name
        folder.mkdir()
        check(toy, setting, folder)
    check_settings_outside(toy)
    check_hyperparameters(toy)


def test_a_taken_id_is_refused(toy):
    methods.register(Focal)
    taken = type("Other", (Focal,), {})
    refused(lambda: methods.register(taken), "toy_focal")


def test_an_unknown_method_lists_near_names():
    refused(lambda: get("bbma"), "bbma", "bbam")


def test_no_method_moves_the_global_generator_when_it_is_built():
    before = torch.get_rng_state()
    for name in methods.names():
        get(name)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_room_but_methods_imports_a_method():
    """The engine, and all else, knows methods by the registry alone."""
    rooms = Path(lw.__file__).parent
    named = re.compile(rf"labelwise\.methods\.({'|'.join(methods.names())})\b")
    imports = [
        f"{path.relative_to(rooms)}: {line}"
        for path in rooms.rglob("*.py")
        if path.parts[len(rooms.parts)] != "methods"
        for line in path.read_text(encoding="utf-8").splitlines()
        if "import" in line and named.search(line)
    ]
    assert imports == []


@pytest.mark.parametrize("tune", ["all", "head"])
@pytest.mark.parametrize("name", ["bce", "mime"])
def test_pictures_are_learnt_without_the_global_generator(name, tune):
    """A head that reads maps gets weights when it is told so, and the search for a frozen backbone tries a head."""
    random = np.random.default_rng(0)
    X, Y = random.random((24, 1, 8, 8), dtype=np.float32), random.integers(0, 2, (24, 2)).astype(np.int8)
    before = torch.get_rng_state()

    def scores():
        model = lw.MultiLabelClassifier(name, "smallcnn", tune=tune, epochs=1, validation=None)
        return model.fit(X, Y).decision_scores(X)

    first = scores()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12345)
    np.testing.assert_array_equal(scores(), first)


K = 3


def rows(n=80, D=6):
    random = np.random.default_rng(1)
    X = random.normal(size=(n, D)).astype(np.float32)
    Y = (X[:, :K] + random.normal(size=(n, K)) > 0.3).astype(np.int8)
    Y[n // 2 :] = -1
    return X, Y


class Dropping(nn.Module):
    """A network whose dropout draws from torch's own generator."""

    n_features = 8

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Tanh())

    def forward(self, x):
        return self.body(x)


def test_fits_in_threads_are_the_fits_alone():
    """Initial weights and dropout come from generators that all threads share."""
    X, Y = rows()

    def fit(case):
        name, backbone = case
        options = {"backbone": backbone, "tune": "all", "prior": np.full(K, 0.4)}
        model = lw.MultiLabelClassifier(
            name, epochs=4, batch_size=8, validation=None, device="cpu", random_state=5, **options
        )
        return model.fit(X, Y).decision_scores(X)

    cases = [("mime", "features"), ("drml", "features"), ("ignore_unknown", Dropping())] * 2
    alone = [fit(case) for case in cases[:3]]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(3) as threads:
        together = list(threads.map(fit, cases))
    assert torch.equal(torch.get_rng_state(), before)
    for want, *found in zip(alone, together[:3], together[3:], strict=True):
        for scores in found:
            np.testing.assert_array_equal(scores, want)
