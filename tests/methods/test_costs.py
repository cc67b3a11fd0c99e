"""The passes of an item in an epoch, counted on the network's backbone, are what the registry says.

A forward pass counts one, a backward two, a refresh's pass one a pool. Asked are the items that pace an epoch: the
unlabelled ones of a semi-supervised problem for every method that learns from them, and the labelled ones for the
methods that leave the others out, in whose epochs these must cost nothing but the pass of a refresh.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from labelwise import engine, methods
from labelwise.methods import Budget, Problem
from labelwise.models import Network

N, D, K, EPOCHS = 48, 5, 3, 6
FULL = (np.random.default_rng(2).random((N, K)) < 0.4).astype(np.int8)
FULL[:4] = [[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]]
HEAVIER = {"softmatch", "flatmatch", "mime", "drml", "em_apl", "cap", "bbam", "mat"}


class Passes(Counter):
    """Counts by item, shared by a network and its copies."""

    def __deepcopy__(self, memo):
        return self


class Counted(nn.Module):
    """A backbone that counts who passes it; an item's first coordinate is its number."""

    n_features = 6

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(D, self.n_features)
        self.passes = Passes()

    def forward(self, x):
        who = x[:, 0].long().tolist()
        self.passes.update(who)
        z = torch.tanh(self.layer(x[:, 1:]))
        if z.requires_grad:
            z.register_hook(lambda _: self.passes.update(2 * who))
        return z


class Numbered:
    """Items that carry their number; both views are the item."""

    shape = (D + 1,)

    def __init__(self):
        values = np.random.default_rng(0).standard_normal((N, D))
        self.items = np.column_stack([np.arange(N), values]).astype(np.float32)

    def __len__(self):
        return N

    def batch(self, index, view, *, seed, epoch):
        return torch.from_numpy(self.items[index])


def labels_for(spec):
    """Return a setting that the method takes, semi-supervised if it can be, and its labels."""
    if "semi_supervised" in spec.settings:
        return "semi_supervised", np.where(np.arange(N)[:, None] < 16, FULL, np.int8(-1))
    single = np.full_like(FULL, -1)
    single[np.arange(N), np.arange(N) % K] = 1
    return "single_positive", single


def epochs_of(name, **hyperparameters):
    """Return (method, each epoch's counts by item, an array (N,), its refresh included)."""
    cls = methods.get(name)
    setting, labels = labels_for(cls.spec)
    problem = Problem(labels, setting, FULL.mean(0), "all", 0, Budget(EPOCHS, 12, 0.01), true_labels=FULL)
    method = cls(problem, hyperparameters)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = Counted()
        network = Network(backbone, method.head(backbone.n_features))
    seen = []

    def at_the_end_of_an_epoch(network, method):
        seen.append(np.array([backbone.passes[i] for i in range(N)]))
        backbone.passes.clear()
        return 0.0

    settings = engine.Settings(device="cpu")
    engine.train(network, method, Numbered(), settings, criterion=at_the_end_of_an_epoch)
    return method, seen


@pytest.mark.parametrize("name", [m for m in methods.names() if methods.get(m).spec.passes])
def test_an_epoch_costs_what_the_registry_says(name):
    method, seen = epochs_of(name)
    groups, last = method.problem.groups, method.plan()[-1]
    pacer = [group for group in last.mixture if len(groups[group])][-1]
    asked = groups[pacer]
    spec = method.spec
    np.testing.assert_array_equal(seen[-1][asked], spec.passes)
    # A stage of zero epochs between others takes one pass more, once.
    once = sum(not stage.epochs for stage in method.plan())
    assert sum((epoch[asked] > spec.passes).any() for epoch in seen) <= once
    for epoch in seen:
        assert (epoch[asked] <= spec.passes + once).all()
    others = np.setdiff1d(np.arange(N), np.concatenate([groups[group] for group in last.mixture]))
    assert (seen[-1][others] <= (1 if last.refresh else 0)).all()
    assert spec.passes == 3 or name in HEAVIER


def test_a_refresh_from_two_networks_costs_a_pass_more():
    """The released form of S2ML2-BBAM: scores of the averaged network, angles of the raw one."""
    method, seen = epochs_of("bbam", statistics_from="raw")
    np.testing.assert_array_equal(seen[-1][method.problem.groups["unfair"]], 5)


def test_a_closed_form_takes_one_pass_in_all():
    method, seen = epochs_of("ridge")
    assert seen == []
    assert method.spec.passes == 0
