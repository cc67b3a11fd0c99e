"""Small networks: their formula, mixtures of rows, the closed form that they start from, and what they learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from labelwise.ensemble import SmallNetwork, fit_small
from labelwise.ensemble import small as module
from labelwise.ensemble.small import mixed
from labelwise.models import InputScaling, side_by_side


def test_the_formula_by_a_slow_loop():
    network = SmallNetwork(3, 2, 4).double()
    random = np.random.default_rng(0)
    for parameter in network.parameters():
        parameter.data = torch.tensor(random.standard_normal(parameter.shape))
    network.centre.copy_(torch.tensor([0.1, -0.2, 0.3]))
    network.gain.fill_(1.7)
    x = random.standard_normal((5, 3))
    W, b = network.linear.weight.detach().numpy(), network.linear.bias.detach().numpy()
    U, c = network.inner.weight.detach().numpy(), network.inner.bias.detach().numpy()
    V = network.outer.weight.detach().numpy()
    found = network(torch.tensor(x)).detach().numpy()
    for i in range(5):
        z = [1.7 * (x[i, j] - (0.1, -0.2, 0.3)[j]) for j in range(3)]
        h = [sum(U[u, j] * z[j] for j in range(3)) + c[u] for u in range(4)]
        h = [value * (1 + math.erf(value / math.sqrt(2))) / 2 for value in h]
        for k in range(2):
            want = sum(W[k, j] * z[j] for j in range(3)) + b[k] + sum(V[k, u] * h[u] for u in range(4))
            assert found[i, k] == pytest.approx(want, abs=1e-6)


def rows(n=80, D=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, D)).astype(np.float32)


def test_mixtures_lie_between_two_rows_in_every_form():
    X = rows()
    dense = mixed(X, 3, 1)
    for i in range(len(X)):
        # On the segment from row i to some other row.
        best = min(
            np.linalg.norm(dense[i] - X[i] - (w := (dense[i] - X[i]) @ d / (d @ d + 1e-12)) * d)
            + max(0, -w, w - 1)
            for d in X - X[i]
        )
        assert best < 1e-5
    np.testing.assert_allclose(mixed(sp.csr_matrix(X), 3, 1).toarray(), dense, atol=1e-6)
    blocks = mixed(side_by_side({"a": X[:, :2], "b": sp.csr_matrix(X[:, 2:])}), 3, 1)
    np.testing.assert_allclose(blocks.toarray(), dense, atol=1e-6)
    assert not np.array_equal(mixed(X, 3, 2), dense)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_a_linear_teacher_is_learnt_by_the_start(form, monkeypatch):
    monkeypatch.setattr(module, "_LAMBDA", 1e-8)
    monkeypatch.setattr(module, "RATE", 1e-12)
    X, W = 3 * rows() + 1, np.random.default_rng(1).standard_normal((6, 2))
    scaling = InputScaling.fit(X, "standardise")
    taught = fit_small(SmallNetwork(6, 2, 0), form(X), lambda R: dense_of(R) @ W + 0.5, scaling)
    new = rows(seed=9)
    with torch.no_grad():
        found = taught(torch.from_numpy(scaling.transform(new))).numpy()
    np.testing.assert_allclose(found, new @ W + 0.5, atol=1e-3)


def dense_of(R):
    return R.toarray() if hasattr(R, "toarray") else R


def test_the_hidden_layer_learns_what_the_linear_part_cannot():
    X = rows(400, 2)
    wave = lambda R: 4 * np.sign(R[:, :1] * R[:, 1:])  # noqa: E731
    new, errors = rows(400, 2, seed=5), []
    for hidden in (0, 64):
        network = fit_small(SmallNetwork(2, 1, hidden), X, wave, None)
        with torch.no_grad():
            p = torch.sigmoid(network(torch.from_numpy(new))).numpy()
        errors.append(np.abs(p - 1 / (1 + np.exp(-wave(new)))).mean())
    assert errors[1] < 0.6 * errors[0]


def test_one_seed_one_network_and_nobody_elses_generator_moves():
    X, new = rows(), [SmallNetwork(6, 1, 8) for _ in range(3)]
    before = torch.get_rng_state()
    one, two, other = (
        fit_small(network, X, lambda R: R[:, :1], None, seed).state_dict()
        for network, seed in zip(new, (1, 1, 2), strict=True)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["inner.weight"], other["inner.weight"])


def test_many_rows_are_not_mixed(monkeypatch):
    seen = []
    monkeypatch.setattr(module, "_MOST_ROWS", 100)

    def scores(R):
        seen.append(len(R))
        return R[:, :1]

    fit_small(SmallNetwork(6, 1, 0), rows(80), scores, None)
    assert seen == [80]


def test_constant_rows_and_scores_are_no_error():
    network = fit_small(
        SmallNetwork(3, 1, 4), np.ones((20, 3), np.float32), lambda R: np.zeros((len(R), 1)), None
    )
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_wide_rows_start_without_a_closed_form(monkeypatch):
    monkeypatch.setattr(module, "_WIDEST_START", 4)
    network = fit_small(SmallNetwork(6, 1, 0), rows(), lambda R: 3 * R[:, :1], None)
    assert float(network.linear.weight[0, 0].detach()) > 0.1
