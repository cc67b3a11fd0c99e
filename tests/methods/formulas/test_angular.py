"""HML, BAM and BBAM: losses and scores of cosines against slow loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labelwise.models import Outputs
from tests.methods.formulas.cases import (
    COSINES,
    LABELS,
    WEIGHTS,
    balanced,
    batch,
    build,
    cross_entropy,
    mean,
    sigmoid,
)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
class TestLosses:
    @pytest.mark.parametrize("margin_on", ["none", "positives", "negatives", "both"])
    def test_hml_fixed(self, weights, margin_on):
        def entry(c, y, *_):
            y = max(y, 0)
            m = 0.25 * {"none": 0, "positives": y, "negatives": 1 - y, "both": 1}[margin_on]
            return cross_entropy(sigmoid(12 * math.cos(math.acos(c) + m)), y)

        method = build("hml_fixed", scale=12, margin=0.25, margin_on=margin_on)
        found = float(method.loss(batch(COSINES, weights=weights)))
        assert found == pytest.approx(mean(entry, COSINES, weights=weights), rel=1e-9)

    @pytest.mark.parametrize("margin_on", ["none", "positives", "negatives", "both"])
    def test_bam_and_the_unbalanced_bbam(self, weights, margin_on):
        options = {"scale": 8, "margin": 0.3, "margin_on": margin_on}

        def entry(c, y, *_):
            y = max(y, 0)
            m = 0.3 * {"none": 0, "positives": y, "negatives": 1 - y, "both": 1}[margin_on]
            return cross_entropy(sigmoid(8 * (c - m)), y)

        want = mean(entry, COSINES, weights=weights)
        bam, bbam = build("bam", **options), build("bbam", balance=False, **options)
        assert float(bam.loss(batch(COSINES, weights=weights))) == pytest.approx(want, rel=1e-9)
        warm = float(bbam.loss(batch(COSINES, weights=weights, stage="warm-up")))
        known = mean(lambda c, y, *_: entry(c, y) if y >= 0 else 0.0, COSINES, weights=weights)
        assert warm == pytest.approx(known, rel=1e-9)
        positives = np.where(LABELS == 1, LABELS, np.int8(-1))
        alone = build("bbam", positives, "partial_positive", balance=False, **options)
        assumed = float(alone.loss(batch(COSINES, positives, weights=weights, stage="warm-up")))
        assert assumed == pytest.approx(mean(entry, COSINES, positives, weights), rel=1e-9)
        target = np.maximum(LABELS, 0)
        later = bbam.loss(batch(COSINES, weights=weights, stage="pseudo-labels", state={"target": target}))
        assert float(later) == pytest.approx(want, rel=1e-6)

    def test_bbam(self, weights):
        """psi = mu + a (theta - mu), a = sqrt(mean of both variances / variance), the sign's own statistics."""
        target = np.array([[1, 0, 0], [-1, 1, 0], [0, 1, 1], [1, 0, -1], [1, -1, 0], [0, 1, 1]], np.int8)
        method, (mean_n, mean_p, var_n, var_p) = balanced()

        def entry(c, _, i, k):
            y = target[i, k]
            if y < 0:
                return 0.0
            mu, var = (mean_p[k], var_p[k]) if y else (mean_n[k], var_n[k])
            a = math.sqrt((var_n[k] + var_p[k]) / 2 / var)
            psi = mu + a * (math.acos(c) - mu)
            return cross_entropy(sigmoid(20 * (math.cos(psi) - 0.4 * y)), y)

        found = method.loss(batch(COSINES, state={"target": target}, weights=weights, stage="pseudo-labels"))
        assert float(found) == pytest.approx(mean(entry, COSINES, weights=weights), rel=1e-6)


class TestHML:
    def step(self, **options):
        method = build("hml", scale=20, margin=0.3, **options)
        made = batch(COSINES, grad=True)
        loss = method.loss(made)
        loss.backward()
        return method, made, loss

    def test_loss(self):
        p = [[sigmoid(20 * math.cos(math.acos(c) + 0.3)) for c in row] for row in COSINES]
        likelihood = mean(lambda c, y, i, k: cross_entropy(p[i][k], max(y, 0)), COSINES)
        balance = sum(
            (1 - p[i][k]) if LABELS[i, k] == 1 else -p[i][k] for i in range(len(LABELS)) for k in range(3)
        )
        identity = int((LABELS == 1).sum()) - sum(map(sum, p))
        assert balance == pytest.approx(identity, rel=1e-12)
        _, _, loss = self.step()
        assert float(loss.detach()) == pytest.approx(likelihood + abs(balance) / LABELS.size, rel=1e-6)

    def test_the_balance_moves_scale_and_margin_alone_and_the_cross_entropy_the_cosines_alone(self):
        method, made, _ = self.step()
        fixed = build("hml_fixed", scale=20, margin=0.3)
        alone = batch(COSINES, grad=True)
        fixed.loss(alone).backward()
        torch.testing.assert_close(made.scores.grad, alone.scores.grad, rtol=1e-6, atol=1e-12)
        s, m = 20.0, 0.3
        angles, p = np.arccos(COSINES), 1 / (1 + np.exp(-s * np.cos(np.arccos(COSINES) + m)))
        sign = np.sign((LABELS == 1).sum() - p.sum())
        slope = p * (1 - p)
        by_scale = -sign * (slope * np.cos(angles + m)).sum() / LABELS.size
        by_margin = sign * (slope * s * np.sin(angles + m)).sum() / LABELS.size
        assert float(method.scale.grad) == pytest.approx(by_scale, rel=1e-5)
        assert float(method.margin.grad) == pytest.approx(by_margin, rel=1e-5)

    def test_the_cross_entropy_may_move_the_scale_too(self):
        apart, together = self.step()[0], self.step(bce_updates_scale=True)[0]
        assert float(apart.scale.grad) != pytest.approx(float(together.scale.grad), rel=1e-3)

    def test_bounds_hold_after_a_step(self):
        method = build("hml")
        for scale, margin in ((1e3, 5.0), (-3.0, -1.0)):
            with torch.no_grad():
                method.scale.fill_(scale)
                method.margin.fill_(margin)
            method.after_step(None)
            assert 1 <= float(method.scale.detach()) <= 64
            assert 0 <= float(method.margin.detach()) <= math.pi / 4 + 1e-7

    def test_values_of_the_fact_sheet(self):
        """c = (.6, -.1, .2), y = (1, 0, 0), s = 20, m = .3: S = -.121654."""
        cosines, labels = np.array([[0.6, -0.1, 0.2]]), np.array([[1, 0, 0]], np.int8)
        method = build("hml", labels, "full", scale=20, margin=0.3)
        p = method.score(Outputs(None, torch.from_numpy(cosines))).detach().numpy()[0]
        np.testing.assert_allclose(p, [0.998814, 0.000413078, 0.122427], rtol=2e-5)
        alone = float(build("hml_fixed", labels, "full", scale=20, margin=0.3).loss(batch(cosines, labels)))
        whole = float(method.loss(batch(cosines, labels)).detach())
        assert (whole - alone) * 3 == pytest.approx(0.121654, rel=1e-4)


class TestScores:
    outputs = Outputs(None, torch.from_numpy(COSINES))

    def each(self, function):
        return np.vectorize(function)(COSINES)

    @pytest.mark.parametrize(
        ("margin_on", "used"), [("both", 0.3), ("positives", 0), ("negatives", 0), ("none", 0)]
    )
    def test_hml_fixed_has_its_margin_where_both_signs_had_it(self, margin_on, used):
        found = build("hml_fixed", scale=20, margin=0.3, margin_on=margin_on).score(self.outputs).numpy()
        want = self.each(lambda c: sigmoid(20 * math.cos(math.acos(c) + used)))
        np.testing.assert_allclose(found, want, rtol=1e-6)

    def test_hml_translates_logits_of_another_scale_and_margin_by_their_angles(self):
        """Two runs go different ways: the same angle is another logit, and a threshold of one is none of the other."""
        one, other = build("hml", scale=12, margin=0.4), build("hml", scale=25, margin=0.1)
        theirs, ours = (method.logits(self.outputs).detach().double().numpy() for method in (one, other))
        want = self.each(lambda c: 25 * math.cos(math.acos(c) + 0.1))
        np.testing.assert_allclose(ours, want, rtol=1e-5)
        # An angle beyond pi - m has the logit of another one, which nothing tells apart.
        told = np.arccos(COSINES) < math.pi - 0.4
        np.testing.assert_allclose(other.translated(theirs, one)[told], want[told], rtol=1e-4, atol=1e-4)
        fixed = build("hml_fixed")
        np.testing.assert_array_equal(fixed.translated(theirs, build("hml_fixed")), theirs)

    def test_bam_is_one_half_midway(self):
        found = build("bam", scale=10, margin=0.4).score(self.outputs).numpy()
        np.testing.assert_allclose(found, self.each(lambda c: sigmoid(10 * (c - 0.2))), rtol=1e-5)

    def test_bbam_mixes_both_transforms(self):
        method, (mean_n, mean_p, var_n, var_p) = balanced()
        found = method.score(self.outputs).numpy()
        for i, row in enumerate(COSINES):
            for k, c in enumerate(row):
                spread = (var_n[k] + var_p[k]) / 2
                psi = [
                    mu + math.sqrt(spread / var) * (math.acos(c) - mu)
                    for mu, var in ((mean_n[k], var_n[k]), (mean_p[k], var_p[k]))
                ]
                want = sigmoid(20 * (math.cos(sum(psi) / 2) - 0.2))
                assert found[i, k] == pytest.approx(want, rel=1e-5)

    def test_bbam_is_bam_before_its_first_refresh(self):
        options = {"scale": 10, "margin": 0.4}
        one, other = build("bbam", **options), build("bam", **options)
        torch.testing.assert_close(one.score(self.outputs), other.score(self.outputs), check_dtype=False)
