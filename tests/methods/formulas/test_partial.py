"""Losses entry by entry of the methods of partial labels, against slow loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.methods.formulas.cases import (
    LABELS,
    LOGITS,
    WEIGHTS,
    Stored,
    batch,
    build,
    cross_entropy,
    many,
    mean,
    sigmoid,
)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
class TestLosses:
    def test_an(self, weights):
        want = mean(lambda x, y, *_: cross_entropy(sigmoid(x), max(y, 0)), LOGITS, weights=weights)
        assert float(build("an").loss(batch(LOGITS, weights=weights))) == pytest.approx(want, rel=1e-9)

    def test_ignore_unknown_is_the_weighted_mean_over_known_entries(self, weights):
        w = np.ones(3) if weights is None else weights
        total = mean(lambda x, y, *_: 0 if y < 0 else cross_entropy(sigmoid(x), y), LOGITS, weights=w)
        known = mean(lambda x, y, *_: float(y >= 0), LOGITS, weights=w)
        found = float(build("ignore_unknown").loss(batch(LOGITS, weights=weights)))
        assert found == pytest.approx(total / known, rel=1e-9)

    def test_bce(self, weights):
        full = np.maximum(LABELS, 0)
        want = mean(lambda x, y, *_: cross_entropy(sigmoid(x), y), LOGITS, full, weights)
        found = float(build("bce", full, "full").loss(batch(LOGITS, full, weights=weights)))
        assert found == pytest.approx(want, rel=1e-9)

    def test_em(self, weights):
        def entry(x, y, *_):
            p = sigmoid(x)
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            return cross_entropy(p, y) if y >= 0 else -0.3 * entropy

        found = float(build("em", alpha=0.3).loss(batch(LOGITS, weights=weights)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)

    def test_em_apl_with_frozen_entries_a_probability_of_zero_included(self, weights):
        soft = np.full(LABELS.shape, np.nan, np.float32)
        soft[0, 2], soft[1, 0], soft[4, 1] = 0.0, 0.125, 0.75

        def entry(x, y, i, k):
            p, q = sigmoid(x), float(soft[i, k])
            if not math.isnan(q):
                return 0.4 * (-q * math.log(p) - (1 - q) * math.log(1 - p))
            entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
            return cross_entropy(p, y) if y >= 0 else -0.2 * entropy

        found = build("em_apl", alpha=0.2, beta=0.4).loss(
            batch(LOGITS, state={"soft": soft}, weights=weights, epoch=7)
        )
        assert float(found) == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-9)

    @pytest.mark.parametrize("stage", ["warm-up", "pseudo-labels"])
    def test_cap(self, weights, stage):
        target = np.array([[1, 0, 0], [-1, 1, 0], [0, 1, 1], [1, 0, -1], [1, -1, 0], [0, 1, 1]], np.int8)

        def entry(x, y, i, k):
            t, p = (y if stage == "warm-up" else target[i, k]), sigmoid(x)
            if t < 0:
                return 0.0
            if t == 1:
                return -((1 - p) ** 1) * math.log(p)
            low = max(p - 0.1, 0.0)
            return -(low**3) * math.log(1 - low)

        method = build("cap", gamma_negative=3, gamma_positive=1, clip=0.1)
        state = {"target": target} if stage != "warm-up" else {"target": np.full_like(LABELS, -1)}
        found = float(method.loss(batch(LOGITS, state=state, weights=weights, stage=stage)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-7)


class TestSelfPacedNegatives:
    EPOCHS = 9

    def rounds(self, labels, setting, share=0.9, warm_up=0.5):
        method = build("em_apl", labels, setting, epochs=self.EPOCHS, negative_share=share, warm_up=warm_up)
        random = np.random.default_rng(1)
        pool = Stored(method, scores=random.normal(0, 2, labels.shape))
        kept = [pool.state["soft"].copy()]
        for epoch in range(1, self.EPOCHS + 3):
            pool.epoch, pool._scores = epoch, random.normal(0, 2, labels.shape)
            method.refresh(lambda _: pool)
            kept.append(pool.state["soft"].copy())
            yield method, pool, kept[-2], kept[-1]

    @pytest.mark.parametrize("setting", ["partial_positive", "partial"])
    @pytest.mark.parametrize(("share", "warm_up"), [(0.9, 0.5), (1.0, 0.2), (0.0, 0.5), (0.9, 0.0)])
    def test_each_epoch_freezes_its_share_of_the_least_likely(self, setting, share, warm_up):
        labels, _ = many()
        if setting == "partial_positive":
            labels = np.where(labels == 1, labels, np.int8(-1))
        counted = labels.copy()
        if setting == "partial":
            counted[(labels == -1).all(1)] = 0
        unknown = (counted == -1).sum(0)
        for method, pool, before, after in self.rounds(labels, setting, share, warm_up):
            new = np.isnan(before) & ~np.isnan(after)
            np.testing.assert_array_equal(after[~new], before[~new])
            assert not new[counted != -1].any()
            warm = max(1, round(warm_up * self.EPOCHS))
            rounds = self.EPOCHS - warm
            due = warm < pool.epoch <= self.EPOCHS
            np.testing.assert_array_equal(
                new.sum(0), [int(share * u / rounds) if due else 0 for u in unknown]
            )
            p = 1 / (1 + np.exp(-pool._scores.astype(np.float32)))
            for k in range(labels.shape[1]):
                left = np.isnan(after[:, k]) & (counted[:, k] == -1)
                if new[:, k].any() and left.any():
                    assert p[new[:, k], k].max() <= p[left, k].min()
                np.testing.assert_allclose(after[new[:, k], k], p[new[:, k], k], rtol=1e-5)
            if pool.epoch == self.EPOCHS:
                frozen = (~np.isnan(after)).sum(0)
                np.testing.assert_array_equal(frozen, [rounds * int(share * u / rounds) for u in unknown])
            assert method.warm_epochs == warm

    def test_a_probability_of_zero_stays_frozen(self):
        labels = np.where(many()[0] == 1, np.int8(1), np.int8(-1))
        method = build("em_apl", labels, "partial_positive", epochs=4, warm_up=0.25, negative_share=0.9)
        pool = Stored(method, scores=np.full(labels.shape, -200.0))
        frozen = []
        for epoch in (2, 3, 4):
            pool.epoch = epoch
            method.refresh(lambda _: pool)
            frozen.append((pool.state["soft"] == 0).sum(0))
        unknown = (labels == -1).sum(0)
        for at, count in enumerate(frozen, start=1):
            np.testing.assert_array_equal(count, [at * int(0.9 * u / 3) for u in unknown])
