"""MAT: its held-out rows, its targets and its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import losses, targets
from tests.methods.formulas.cases import Stored, batch, build, many


def made(**options):
    labels, random = many()
    method = build("mat", labels, **options)
    return method, labels, random.normal(size=labels.shape)


def test_held_out_rows_train_nothing_and_are_those_of_the_seed():
    method, _, _ = made(held_share=0.25)
    groups = method.problem.groups
    taught, held, fair = (groups[name] for name in ("taught", "held", "fair"))
    assert len(held) == round(0.25 * len(fair))
    np.testing.assert_array_equal(np.sort([*taught, *held]), fair)
    for stage in method.plan():
        assert "fair" not in stage.mixture
        assert not np.isin(np.concatenate([groups[name] for name in stage.mixture]), held).any()
        assert set(stage.views) == set(stage.mixture)
    assert (method.start_labels()[held] == -1).all()
    np.testing.assert_array_equal(made(held_share=0.25)[0].problem.groups["held"], held)
    assert not len(made(held_share=0.0)[0].problem.groups["held"])


def test_targets_are_by_the_held_out_rows_thresholds():
    method, labels, scores = made()
    held, fair = method.problem.groups["held"], method.problem.groups["fair"]
    method.problem.labels[held, 0] = 0
    method.problem.labels[:, 1][labels[:, 1] == 1] = 0
    pool = Stored(method, scores=scores)
    method.refresh({"averaged": pool}.__getitem__)
    target, wide = pool.state["target"], scores.astype(np.float32).astype(float)
    np.testing.assert_array_equal(target[labels >= 0], labels[labels >= 0])
    for k in range(labels.shape[1]):
        rows = fair if k == 0 else held
        (at,) = targets.metric_adaptive_thresholds(wide[rows][:, [k]], labels[rows][:, [k]], 0.5)
        unknown = labels[:, k] == -1
        np.testing.assert_array_equal(target[unknown, k], wide[unknown, k] >= at)
        assert (at == np.inf) == (k == 1)
    assert target[labels == -1].any()


def test_the_loss_is_asymmetric_on_the_targets():
    random = np.random.default_rng(0)
    labels = np.array([[1, 0, -1], [-1, 1, -1], [0, -1, 1]], np.int8)
    target = np.where(labels == -1, random.integers(0, 2, labels.shape), labels).astype(np.int8)
    scores = random.normal(size=labels.shape)
    method = build("mat", labels, gamma_negative=2, gamma_positive=1, clip=0.1)
    for stage, used in (("warm-up", labels), ("pseudo-labels", target)):
        found = method.loss(batch(scores, labels, state={"target": target}, stage=stage))
        values = losses.asymmetric(torch.from_numpy(scores), torch.from_numpy(used), 2, 1, 0.1)
        assert float(found) == pytest.approx(float(values[torch.from_numpy(used) >= 0].sum()) / 9, rel=1e-9)
