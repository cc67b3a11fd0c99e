"""The loss of C-HMCNN, beside a slow loop."""

import math

import numpy as np
import pytest
import torch

from labelwise import losses
from labelwise.annotations import Hierarchy
from tests.refusals import refused

H = Hierarchy.of({"a": ["c", "d"], "b": "c", "c": "e", "d": "e"}, ["a", "b", "c", "d", "e", "f"])
BELOW = {0: [0], 1: [1], 2: [0, 1, 2], 3: [0, 3], 4: [0, 1, 2, 3, 4], 5: [5]}


def case(seed=0, rows=40):
    random = np.random.default_rng(seed)
    x = torch.tensor(random.standard_normal((rows, 6)) * 3, dtype=torch.float64)
    Y = np.where(random.random((rows, 6)) < 0.3, 1, -1) * (random.random((rows, 6)) < 0.6)
    Y = np.where(Y == 0, -1, np.where(random.random((rows, 6)) < 0.5, Y, 1)).astype(np.int8)
    Y[random.random((rows, 6)) < 0.3] = 0
    closing = H.close(Y)
    good = np.setdiff1d(np.arange(rows), closing.contradictions[:, 0])
    return x[good], torch.tensor(closing.matrix[good])


def test_cross_entropy_of_it_is_the_paper_s_loss():
    x, y = case()
    p = torch.sigmoid(x)
    values = losses.ignore_unknown(losses.coherent(x, y, H), y)
    assert {-1, 0, 1} == set(y.unique().tolist())
    for i in range(len(x)):
        for k in range(6):
            if y[i, k] == -1:
                assert values[i, k] == 0
                continue
            if y[i, k] == 1:
                t = max(float(p[i, j]) * bool(y[i, j] == 1) for j in BELOW[k])
                expected = -math.log(t)
            else:
                expected = -math.log1p(-max(float(p[i, j]) for j in BELOW[k]))
            assert float(values[i, k]) == pytest.approx(expected, rel=1e-9)


def test_gradients_and_half_precision():
    x, y = case(1, 8)
    assert torch.autograd.gradcheck(
        lambda z: losses.ignore_unknown(losses.coherent(z, y, H), y), x.requires_grad_(True)
    )
    for dtype in (torch.float16, torch.bfloat16):
        z = x.detach().to(dtype).requires_grad_(True)
        loss = losses.ignore_unknown(losses.coherent(z, y, H), y).mean()
        loss.backward()
        assert torch.isfinite(z.grad).all()
        assert torch.isfinite(loss)
    extreme = torch.full((1, 6), 1e4, requires_grad=True)
    losses.ignore_unknown(losses.coherent(extreme, y[:1], H), y[:1]).sum().backward()
    assert torch.isfinite(extreme.grad).all()


def test_scores_of_other_labels_are_refused():
    """Columns that the hierarchy does not know, or that it lacks, would be taken for others."""
    for columns in (5, 7):
        x, y = torch.zeros(2, columns), torch.zeros(2, columns)
        refused(lambda x=x, y=y: losses.coherent(x, y, H), f"(2, {columns})", "(B, 6)")
    refused(lambda: losses.coherent(torch.zeros(6), torch.zeros(6), H), "(6,)", "(B, 6)")


def test_a_relevant_parent_teaches_its_relevant_child():
    x = torch.tensor([[0.0, 5.0, 1.0, 0.0, 0.0, 0.0]], requires_grad=True)
    y = torch.tensor([[1, 0, 1, 1, 1, -1]])
    out = losses.coherent(x, y, H)
    assert out[0].tolist() == [0.0, 5.0, 1.0, 0.0, 1.0, 0.0]
    flat = Hierarchy.of({}, H.label_names)
    torch.testing.assert_close(losses.coherent(x, y, flat), x)
