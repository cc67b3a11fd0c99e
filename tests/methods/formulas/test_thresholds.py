"""MAT: its held-out rows, its targets and its loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.methods.formulas.cases import Stored, batch, build, many, sigmoid


def made(**options):
    labels, random = many()
    method = build("mat", labels, **options)
    return method, labels, random.normal(size=labels.shape)


def highest_f_half(scores, labels):
    """The lowest threshold, between two scores, of highest F_.5 on the known entries; inf without a positive."""
    known = [(s, y) for s, y in zip(scores.tolist(), labels.tolist(), strict=True) if y >= 0]
    best, at = 0.0, np.inf
    levels = sorted({s for s, _ in known})
    for below, level in zip([levels[0], *levels], levels, strict=False):
        found = [y for s, y in known if s >= level]
        precision, recall = sum(found) / len(found), sum(found) / max(sum(y for _, y in known), 1)
        f = 1.25 * precision * recall / (0.25 * precision + recall) if sum(found) else 0.0
        if f > best:
            best, at = f, (below + level) / 2
    return at


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
        at = highest_f_half(wide[rows, k], labels[rows, k])
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
        total = 0.0
        for x, y in zip(scores.ravel(), used.ravel(), strict=True):
            p = sigmoid(x)
            low = max(p - 0.1, 0.0)
            total += {1: -(1 - p) * math.log(p), 0: -(low**2) * math.log(1 - low), -1: 0.0}[int(y)]
        assert float(found) == pytest.approx(total / 9, rel=1e-9)
