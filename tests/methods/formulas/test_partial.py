"""Each method's loss, score and refresh against slow loops written from the formulas, in float64."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from labelwise import methods
from labelwise.errors import UserError
from labelwise.methods import Batch, Budget, Problem
from labelwise.models import CosineHead, Outputs
from labelwise.targets import ItemState

LABELS = np.array(
    [[1, 0, -1], [-1, 1, -1], [0, -1, 1], [1, 0, 0], [-1, -1, -1], [0, 1, 1]],
    dtype=np.int8,
)
FAIR = [0, 1, 2, 3, 5]
RANDOM = np.random.default_rng(3)
COSINES = RANDOM.uniform(-0.95, 0.95, LABELS.shape)
LOGITS = RANDOM.normal(0, 2, LABELS.shape)
WEIGHTS = np.array([0.5, 2.0, 0.5])


def build(name, labels=LABELS, setting="partial", epochs=10, **hyperparameters):
    prior = np.array([0.5, 0.4, 0.4])
    return methods.get(name)(
        Problem(labels, setting, prior, "head", 0, Budget(epochs, 4, 0.1)), hyperparameters
    )


def batch(scores, labels=LABELS, *, state=None, stage="train", epoch=1, weights=None, grad=False):
    scores = torch.tensor(scores, dtype=torch.float64, requires_grad=grad)
    made = Batch(
        index=torch.arange(len(labels)),
        labels=torch.from_numpy(labels),
        state={k: torch.from_numpy(np.asarray(v)) for k, v in (state or {}).items()},
        inputs={},
        rows={"weak": slice(0, len(labels))},
        stage=stage,
        epoch=epoch,
        label_weights=None if weights is None else torch.from_numpy(weights),
    )
    made.outputs["weak"] = Outputs(torch.zeros(len(labels), 1), scores)
    return made


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def mean(entry, scores, labels=LABELS, weights=None):
    """The mean over all entries of ``entry(score, label, item, k)``, known positives times their label's weight."""
    total = 0.0
    for i, row in enumerate(labels):
        for k, y in enumerate(row):
            total += (1.0 if weights is None or y != 1 else weights[k]) * entry(scores[i][k], int(y), i, k)
    return total / labels.size


def cross_entropy(p, y):
    return -math.log(p) if y == 1 else -math.log(1 - p)


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


def balanced(**options):
    method = build("bbam", scale=20, margin=0.4, **options)
    random = np.random.default_rng(11)
    ranges = ((0.8, 1.4), (0.5, 0.9), (0.01, 0.05), (0.02, 0.06))
    values = [random.uniform(low, high, 3) for low, high in ranges]
    names = ("mean_negative", "mean_positive", "variance_negative", "variance_positive")
    for name, value in zip(names, values, strict=True):
        getattr(method, name).copy_(torch.from_numpy(value))
    return method, [getattr(method, name).double().numpy() for name in names]


@pytest.mark.parametrize("name", ["bbam", "cap"])
def test_masked_entries_have_no_gradient(name):
    target = np.where(LABELS == 0, np.int8(-1), np.maximum(LABELS, 0))
    made = batch(COSINES, state={"target": target}, stage="pseudo-labels", grad=True)
    build(name).loss(made).backward()
    gradient = made.scores.grad.numpy()
    assert (gradient[target < 0] == 0).all()
    assert (gradient[target == 1] != 0).all()


@pytest.mark.parametrize("name", ["bbam", "cap"])
def test_unlabelled_weight_is_that_of_incomplete_rows(name):
    if "unlabelled_weight" not in methods.get(name).spec.hyperparameters:
        pytest.skip(f"{name} has no such weight")
    target = np.maximum(LABELS, 0)
    losses = []
    for weight in (1.0, 0.0, 3.0):
        made = batch(COSINES, state={"target": target}, stage="pseudo-labels", grad=True)
        losses.append(build(name, unlabelled_weight=weight).loss(made))
        losses[-1].backward()
        moved = (made.scores.grad.numpy() != 0).any(1)
        assert moved[[3, 5]].all()
        assert moved[[0, 1, 2, 4]].all() == (weight > 0)
    one, none, three = (float(loss.detach()) for loss in losses)
    assert three - none == pytest.approx(3 * (one - none), rel=1e-6)


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

    @pytest.mark.parametrize("name", ["an", "em", "em_apl", "cap", "ignore_unknown"])
    def test_logits_are_squeezed(self, name):
        found = build(name).score(Outputs(None, torch.from_numpy(LOGITS))).numpy()
        np.testing.assert_allclose(found, np.vectorize(sigmoid)(LOGITS), rtol=1e-6)

    @pytest.mark.parametrize("name", sorted(methods.names()))
    def test_scores_are_the_sigmoid_of_the_logits(self, name):
        cosine = methods.get(name).spec.head == "cosine"
        method = build(name)
        outputs = Outputs(None, torch.from_numpy((COSINES if cosine else LOGITS).astype(np.float32)))
        logits = method.logits(outputs).detach().double()
        torch.testing.assert_close(
            torch.sigmoid(logits), method.score(outputs).detach().double(), atol=1e-6, rtol=0
        )

    def test_logits_are_not_tied_where_scores_are(self):
        far = torch.tensor([[20.0, 25.0, 30.0], [31.0, 38.0, 40.0]])
        for name, outputs in (("an", far), ("ridge", far)):
            method = build(name)
            assert (method.score(Outputs(None, outputs)).float() == 1).all()
            assert method.logits(Outputs(None, outputs)).flatten().diff().min() > 0.5

    def test_a_method_that_overrides_its_score_alone_has_the_logits_of_that(self):
        class Half(methods.get("an")):
            def score(self, outputs):
                return torch.sigmoid(outputs.scores) / 2

        method = Half(build("an").problem)
        logits = method.logits(Outputs(None, torch.from_numpy(LOGITS)))
        torch.testing.assert_close(torch.sigmoid(logits), torch.sigmoid(torch.from_numpy(LOGITS)) / 2)


class Stored:
    """A pool with given features, or given scores."""

    def __init__(self, method, *, scores=None, features=None, weight=None):
        self.state = ItemState(method.slots(), *method.problem.labels.shape)
        self.epoch, self._scores, self.features = 1, scores, features
        head = CosineHead(features.shape[1], len(weight)) if weight is not None else None
        if head is not None:
            with torch.no_grad():
                head.weight.copy_(torch.from_numpy(weight))
        self.network = SimpleNamespace(head=head)

    def scores(self):
        values = self._scores
        if values is None:
            values = self.network.head(torch.from_numpy(self.features)).detach().numpy()
        for start in range(0, len(values), 7):
            yield (
                slice(start, min(start + 7, len(values))),
                torch.from_numpy(values[start : start + 7]).float(),
            )


def many(n=80, k=4, seed=0):
    random = np.random.default_rng(seed)
    labels = np.where(random.random((n, k)) < 0.3, random.random((n, k)) < 0.4, -1).astype(np.int8)
    labels[:10] = random.random((10, k)) < 0.4
    labels[20:40] = -1
    return labels, random


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


class TestPseudoLabels:
    def targets(self, name, labels, prior, scores=None, **hyperparameters):
        problem = Problem(labels, "partial", prior, "head", 0, Budget(10, 4, 0.1))
        method = methods.get(name)(problem, hyperparameters)
        random = np.random.default_rng(5)
        features = random.standard_normal((len(labels), 6)).astype(np.float32)
        weight = random.standard_normal((labels.shape[1], 6)).astype(np.float32)
        pool = Stored(method, features=features, weight=weight)
        method.refresh(lambda _: pool)
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        cosines = unit @ (weight / np.linalg.norm(weight, axis=1, keepdims=True)).T
        return method, pool.state["target"], cosines, features

    @pytest.mark.parametrize("name", ["cap", "bbam"])
    def test_known_entries_keep_their_label_and_counts_are_exact(self, name):
        labels, _ = many()
        prior = np.array([0.5, 0.3, 0.62, 0.45])
        options = {"negative_ratio": 0} if name == "bbam" else {}
        method, target, cosines, _ = self.targets(name, labels, prior, negative_share=1.0, **options)
        known = labels != -1
        np.testing.assert_array_equal(target[known], labels[known])
        rows = (labels == -1).any(1)
        for k in range(4):
            unknown = labels[:, k] == -1
            expected = prior[k] * rows.sum() - (labels[rows, k] == 1).sum()
            share = min(max(expected / unknown.sum(), 0), 1)
            positive = unknown & (target[:, k] == 1)
            assert positive.sum() == int(share * unknown.sum())
            assert share == pytest.approx(method.problem.unknown_prior(name)[k])
            if positive.any():
                assert cosines[positive, k].min() >= cosines[unknown & ~positive, k].max()
            assert set(np.unique(target[unknown, k])) <= {0, 1}

    @pytest.mark.parametrize("name", ["cap", "bbam"])
    def test_a_count_of_zero_gives_no_positives(self, name):
        labels, _ = many()
        _, target, _, _ = self.targets(name, labels, np.array([0.0, 0.3, 0.001, 0.4]))
        for k in (0, 2):
            assert not (target[labels[:, k] == -1, k] == 1).any()

    @pytest.mark.parametrize("name", ["cap", "bbam"])
    def test_the_shares_between_are_masked(self, name):
        labels, _ = many()
        options = {"negative_ratio": 0} if name == "bbam" else {}
        prior = np.array([0.5, 0.3, 0.62, 0.45])
        method, target, _, _ = self.targets(
            name, labels, prior, positive_share=0.5, negative_share=0.8, **options
        )
        for k, share in enumerate(method.problem.unknown_prior(name)):
            unknown = labels[:, k] == -1
            n = int(unknown.sum())
            assert (target[unknown, k] == 1).sum() == int(0.5 * share * n)
            assert (target[unknown, k] == 0).sum() == int(0.8 * (n - int(share * n)))

    def test_bbam_keeps_the_hardest_negatives_and_balances_the_angles(self):
        labels, _ = many()
        prior = np.array([0.5, 0.3, 0.62, 0.45])
        method, target, _, z = self.targets("bbam", labels, prior, negative_ratio=1.5, negative_share=1.0)
        _, pseudo, _, _ = self.targets("bbam", labels, prior, negative_ratio=0, negative_share=1.0)
        np.testing.assert_array_equal(target == 1, pseudo == 1)
        for k in range(4):
            positive, negative = pseudo[:, k] == 1, pseudo[:, k] == 0
            prototype = z[positive].astype(np.float64).mean(0)
            angle = np.arccos(
                (z.astype(np.float64) @ prototype)
                / np.linalg.norm(z.astype(np.float64), axis=1)
                / np.linalg.norm(prototype)
            )
            kept = target[:, k] == 0
            assert kept.sum() == min(int(1.5 * positive.sum()), negative.sum())
            if (negative & ~kept).any():
                assert angle[kept].max() <= angle[negative & ~kept].min() + 1e-9
            assert (target[negative & ~kept, k] == -1).all()
            for name, chosen in (("negative", negative), ("positive", positive)):
                assert float(getattr(method, f"mean_{name}")[k]) == pytest.approx(
                    angle[chosen].mean(), rel=1e-4
                )
                assert float(getattr(method, f"variance_{name}")[k]) == pytest.approx(
                    max(angle[chosen].var(ddof=1), 1e-3), rel=2e-3
                )

    def test_the_second_refresh_mixes_in_the_first(self):
        labels, _ = many()
        prior = np.array([0.5, 0.3, 0.62, 0.45])
        method, _, _, z = self.targets("bbam", labels, prior, momentum=0.25)
        first = method.mean_negative.clone()
        weight = np.random.default_rng(8).standard_normal((4, 6)).astype(np.float32)
        pool = Stored(method, features=z[::-1].copy(), weight=weight)
        alone = build("bbam", labels, momentum=0.25)
        object.__setattr__(alone.problem, "prior", prior)
        alone.refresh(lambda _: Stored(alone, features=z[::-1].copy(), weight=weight))
        method.refresh(lambda _: pool)
        torch.testing.assert_close(
            method.mean_negative, 0.25 * first + 0.75 * alone.mean_negative, rtol=1e-5, atol=1e-6
        )

    def test_without_balance_the_statistics_stay(self):
        labels, _ = many()
        method, _, _, _ = self.targets("bbam", labels, np.full(4, 0.4), balance=False)
        fresh = build("bbam", labels)
        for name, value in fresh.state_dict().items():
            assert torch.equal(value, method.state_dict()[name])


class TestProblem:
    def test_groups(self):
        groups = build("an").problem.groups
        assert {k: v.tolist() for k, v in groups.items()} == {
            "all": [0, 1, 2, 3, 4, 5],
            "labelled": [0, 1, 2, 3, 5],
            "unlabelled": [4],
            "complete": [3, 5],
            "incomplete": [0, 1, 2, 4],
            "fair": FAIR,
            "unfair": [i for i in range(6) if i not in FAIR],
        }

    def test_where_positives_alone_stand_beside_complete_rows_only_these_are_fair(self):
        labels = np.array([[1, 0, 0], [-1, 1, -1], [0, 1, 1], [-1, -1, -1]], np.int8)
        groups = build("cap", labels).problem.groups
        assert groups["fair"].tolist() == [0, 2]
        assert groups["unfair"].tolist() == [1, 3]

    def test_the_warm_up_uses_fair_rows_and_the_rest_comes_after(self):
        for name in ("cap", "bbam"):
            first, second = build(name, epochs=10, warm_up=0.3).plan()
            assert list(first.mixture) == ["fair"]
            assert (first.epochs, second.epochs) == (3, 7)
            assert list(second.mixture) == ["fair", "unfair"]
            assert sum(second.mixture.values()) == 4
            assert second.refresh
            assert second.ema
            assert not second.ridge_start

    def test_where_no_negative_is_known_the_warm_up_takes_all(self):
        labels = np.where(LABELS == 1, LABELS, np.int8(-1))
        first, _ = build("bbam", labels, "partial_positive").plan()
        assert list(first.mixture) == ["all"]

    def test_no_prior_is_one_line(self):
        problem = Problem(LABELS, "partial_positive", None)
        with pytest.raises(UserError, match="prior") as caught:
            problem.unknown_prior("cap")
        assert "'cap'" in str(caught.value)
        assert "\n" not in str(caught.value)
