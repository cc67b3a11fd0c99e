"""SoftMatch, FlatMatch, MIME and DRML: their pieces against slow loops in float64, and what a step leaves behind."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from labelwise import engine, methods
from labelwise.data import as_source
from labelwise.methods import Batch, Budget, Problem, batch_sum
from labelwise.methods.flatmatch import frozen_statistics
from labelwise.models import MLP, LinearHead, Network, Outputs, build_backbone
from labelwise.targets import ItemState

K, D = 3, 4
LABELS = np.array([[1, 0, 1], [0, 1, 0], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1]], np.int8)
KNOWN = 2


def build(
    name, labels=LABELS, setting="semi_supervised", epochs=10, prior=(0.5, 0.4, 0.2), **hyperparameters
):
    problem = Problem(labels, setting, np.asarray(prior), "head", 0, Budget(epochs, 4, 0.1))
    return methods.get(name)(problem, hyperparameters)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def bce(x, y):
    return -math.log(sigmoid(x)) if y == 1 else -math.log(1 - sigmoid(x))


def scores(seed, rows, scale=2.0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, (rows, K)))


def two_views(labels=LABELS, seed=0, weights=None):
    """A batch whose labelled rows stand first with a weak view, the others with both."""
    random = np.random.default_rng(seed)
    known = int((labels >= 0).any(1).sum())
    return Batch(
        index=torch.arange(len(labels)),
        labels=torch.from_numpy(labels),
        state={},
        inputs={
            "weak": torch.from_numpy(random.normal(size=(len(labels), D))),
            "strong": torch.from_numpy(random.normal(size=(len(labels) - known, D))),
        },
        rows={"weak": slice(0, len(labels)), "strong": slice(known, len(labels))},
        stage="train",
        epoch=1,
        label_weights=weights,
    )


class Recorder:
    """A trainer that takes plain gradient steps and keeps what it saw."""

    def __init__(self, network, names=("main",), rate=0.0):
        self.network, self.passes, self.gradients, self.at = network, [], [], []
        self.optimisers = {name: torch.optim.SGD(network.parameters(), rate) for name in names}

    def forward(self, batch):
        self.network.train()
        for view, inputs in batch.inputs.items():
            self.passes.append((view, len(inputs), torch.is_grad_enabled()))
            batch.outputs[view] = self.network(inputs)

    def backward(self, loss):
        loss.backward()

    def update(self, *names):
        self.at.append([p.detach().clone() for p in self.network.parameters()])
        self.gradients.append([p.grad.clone() for p in self.network.parameters()])
        for p in self.network.parameters():
            p.grad = None


class Normed(nn.Sequential):
    """Linear, batch normalisation."""

    n_features = 5

    def __init__(self):
        super().__init__(nn.Linear(D, 5), nn.BatchNorm1d(5))


def network(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Network(Normed(), LinearHead(5, K)).double()


class TestFamily:
    def test_known_and_unknown_losses(self):
        method, weights = build("softmatch", unlabelled_weight=0.7), torch.tensor([2.0, 1.0, 0.5])
        batch = two_views(weights=weights)
        weak, strong = scores(1, 6), scores(2, 4)
        total = norm = 0.0
        for i in range(KNOWN):
            for k in range(K):
                w = float(weights[k]) if LABELS[i, k] == 1 else 1.0
                total += w * bce(float(weak[i, k]), LABELS[i, k])
                norm += w
        assert float(method.known_loss(batch, weak[:KNOWN])) == pytest.approx(total / norm, rel=1e-9)
        method.pseudo = lambda p, unknown: ((p >= 0.5).to(p.dtype), p)
        expected = 0.0
        for i in range(4):
            for k in range(K):
                p = sigmoid(float(weak[KNOWN + i, k]))
                expected += p * bce(float(strong[i, k]), int(p >= 0.5))
        found = float(method.unknown_loss(batch, weak, strong))
        assert found == pytest.approx(0.7 * expected / (4 * K), rel=1e-6)

    def test_known_entries_of_a_strong_view_teach_nothing_and_count_nothing(self):
        labels = np.array([[1, -1, 0], [-1, -1, 1]], np.int8)
        method = build("softmatch", labels, "partial")
        batch = two_views()
        batch.labels, batch.rows = torch.from_numpy(labels), {"weak": slice(0, 2), "strong": slice(0, 2)}
        method.pseudo = lambda p, unknown: (torch.ones_like(p), torch.ones_like(p))
        strong = scores(3, 2).requires_grad_()
        logits = strong.detach()
        loss = method.unknown_loss(batch, scores(4, 2), strong)
        want = sum(bce(float(logits[i, k]), 1) for i, k in np.argwhere(labels == -1)) / 3
        assert loss.item() == pytest.approx(want, rel=1e-6)
        loss.backward()
        assert ((strong.grad != 0).numpy() == (labels == -1)).all()

    @pytest.mark.parametrize("name", ["softmatch", "flatmatch"])
    def test_unlabelled_items_pass_once_weakly_without_gradient_and_once_strongly(self, name):
        trainer = Recorder(network())
        build(name).step(two_views(), trainer)
        assert [p for p in trainer.passes if not p[2]] == [("weak", 4, False)]
        assert [p for p in trainer.passes if p[0] == "strong"] == [("strong", 4, True)]
        labelled = [p for p in trainer.passes if p[:2] == ("weak", KNOWN)]
        assert len(labelled) == {"softmatch": 1, "flatmatch": 2}[name]

    def test_batches_hold_the_natural_share_where_few_are_unlabelled(self):
        labels = np.full((100, K), -1, np.int8)
        labels[:90, 0] = 1
        labels[:45, 1] = 0
        for known, views in (
            (labels, ("weak", "strong")),
            (np.where(labels[:, :1] == 1, 1, labels), ("weak",)),
        ):
            (stage,) = build("softmatch", known.astype(np.int8), "partial").plan()
            assert stage.views["labelled"] == views
            assert stage.mixture == {"labelled": 4, "unlabelled": 1}

    def test_decay_warms_up(self):
        method = build("softmatch", statistics_decay=0.5)
        assert [method.next_decay() for _ in range(10)] == [
            min(0.5, (1 + t) / (10 + t)) for t in range(1, 11)
        ]


def slow_softmatch(batches, prior, n_sigma, decay):
    """The statistics after the batches, and the last batch's labels and weights, entry by entry."""
    mean_p = list(prior)
    mu, var = [[0.5] * K, [0.5] * K], [[1.0] * K, [1.0] * K]
    for t, (p, unknown) in enumerate(batches, 1):
        d = min(decay, (1 + t) / (10 + t))
        labels, weights = np.zeros(p.shape), np.zeros(p.shape)
        for k in range(K):
            rows = [i for i in range(len(p)) if unknown[i, k]]
            if rows:
                mean_p[k] = d * mean_p[k] + (1 - d) * sum(p[i, k] for i in rows) / len(rows)
            r = {}
            for i in range(len(p)):
                up, down = p[i, k] * prior[k] / mean_p[k], (1 - p[i, k]) * (1 - prior[k]) / (1 - mean_p[k])
                labels[i, k] = int(p[i, k] >= 0.5)
                r[i] = (up if labels[i, k] else down) / (up + down)
            for side in (0, 1):
                values = [r[i] for i in rows if labels[i, k] == side]
                if values:
                    mu[side][k] = d * mu[side][k] + (1 - d) * sum(values) / len(values)
                if len(values) > 1:
                    var[side][k] = d * var[side][k] + (1 - d) * float(np.var(values, ddof=1))
            for i in range(len(p)):
                side = int(labels[i, k])
                below = min(r[i] - mu[side][k], 0.0)
                weights[i, k] = math.exp(-(below**2) * n_sigma**2 / (2 * var[side][k]))
    return labels, weights, mean_p, mu, var


class TestSoftMatch:
    def test_statistics_labels_and_weights(self):
        method = build("softmatch", n_sigma=3.0, statistics_decay=0.6)
        random, batches = np.random.default_rng(5), []
        for _ in range(6):
            unknown = random.random((9, K)) < 0.7
            unknown[:, 2] &= random.random() < 0.5
            batches.append((random.beta(0.7, 0.9, (9, K)), unknown))
        for p, unknown in batches:
            labels, weights = method.pseudo(torch.from_numpy(p).float(), torch.from_numpy(unknown))
        prior = method.prior.double().tolist()
        want = slow_softmatch(batches, prior, 3.0, 0.6)
        np.testing.assert_array_equal(labels, want[0])
        np.testing.assert_allclose(weights, want[1], atol=2e-6)
        np.testing.assert_allclose(method.mean_probability, want[2], rtol=1e-5)
        np.testing.assert_allclose(method.mean_confidence, want[3], rtol=1e-5)
        np.testing.assert_allclose(method.variance_confidence, want[4], rtol=1e-5)
        assert ((want[1] > 0.01) & (want[1] < 0.95)).any()
        assert (want[1] == 1).any()

    def test_one_entry_of_a_side_moves_its_mean_and_not_its_variance(self):
        method = build("softmatch", align=False)
        p = torch.tensor([[0.9, 0.1, 0.1], [0.2, 0.2, 0.3]])
        method.pseudo(p, torch.ones(2, K, dtype=torch.bool))
        assert method.mean_confidence[1, 0] > 0.5
        assert method.variance_confidence[1, 0] == 1
        assert method.mean_confidence[1, 1] == 0.5
        assert method.variance_confidence[0, 1] < 1

    def test_alignment_leaves_what_has_the_priors_mean_alone(self):
        method = build("softmatch")
        np.testing.assert_allclose(method.prior, [0.5, 0.4, 0.2])
        p = torch.rand(5, K)
        torch.testing.assert_close(method.align(p), p)
        method.mean_probability.fill_(0.8)
        assert (method.align(p) < p).all()

    def test_a_label_without_positives_gives_numbers(self):
        method = build("softmatch", prior=(0.0, 1.0, 0.5))
        for value in (0.0, 1.0):
            _, weights = method.pseudo(torch.full((4, K), value), torch.ones(4, K, dtype=torch.bool))
            assert torch.isfinite(weights).all()


class TestFlatMatch:
    def test_thresholds_and_masks(self):
        method = build("flatmatch", statistics_decay=0.6)
        random = np.random.default_rng(6)
        tau, m = [0.5] * K, [0.5] * K
        for t in range(1, 6):
            p, unknown = random.beta(0.6, 1.5, (8, K)), random.random((8, K)) < 0.6
            labels, weights = method.pseudo(torch.from_numpy(p).float(), torch.from_numpy(unknown))
            d = min(0.6, (1 + t) / (10 + t))
            for k in range(K):
                rows = np.flatnonzero(unknown[:, k])
                if len(rows):
                    tau[k] = d * tau[k] + (1 - d) * np.mean([max(x, 1 - x) for x in p[rows, k]])
                    m[k] = d * m[k] + (1 - d) * np.mean(p[rows, k])
                for i in range(8):
                    positive = p[i, k] >= 0.5
                    share = m[k] if positive else 1 - m[k]
                    least = tau[k] * share / max(m[k], 1 - m[k])
                    assert labels[i, k] == positive
                    assert weights[i, k] == (max(p[i, k], 1 - p[i, k]) >= least)
        assert 0 < float(weights.mean()) < 1

    def test_the_step_is_g_plus_the_gradient_at_the_moved_weights(self):
        net, batch, method = network(), two_views(), build("flatmatch", rho=0.3)
        start = [p.detach().clone() for p in net.parameters()]
        trainer = Recorder(net)
        method.step(batch, trainer)
        for p, at, before in zip(net.parameters(), trainer.at[0], start, strict=True):
            assert torch.equal(at, before)
            assert torch.equal(p, before)
        again, twin = network(), build("flatmatch", rho=0.3)
        params = list(again.parameters())
        known = batch.inputs["weak"][:KNOWN]
        loss = twin.known_loss(batch, again(known).scores)
        g = torch.autograd.grad(loss, params)
        with torch.no_grad():
            weak = torch.cat([again(known).scores, again(batch.inputs["weak"][KNOWN:]).scores])
            norm = math.sqrt(sum(float((x**2).sum()) for x in g))
            for p, x in zip(params, g, strict=True):
                p += 0.3 * x / norm
        loss = twin.known_loss(batch, again(known).scores)
        loss = loss + twin.unknown_loss(batch, weak, again(batch.inputs["strong"]).scores)
        moved = torch.autograd.grad(loss, params)
        assert loss.item() != pytest.approx(twin.known_loss(batch, again(known).scores).item())
        for found, a, b in zip(trainer.gradients[0], g, moved, strict=True):
            torch.testing.assert_close(found, a + b, rtol=1e-6, atol=1e-10)

    def test_the_second_pass_leaves_batch_norm_statistics_alone_and_normalises_by_the_batch(self):
        net, batch = network(), two_views()
        norm = net.backbone[1]
        seen = []
        norm.register_forward_hook(lambda m, i, o: seen.append((i[0].detach(), (o - m.bias).detach())))
        build("flatmatch").step(batch, Recorder(net))
        assert len(seen) == 4
        assert norm.num_batches_tracked == 2
        mean = torch.zeros(5, dtype=torch.float64)
        for inputs, _ in seen[:2]:
            mean = 0.9 * mean + 0.1 * inputs.mean(0)
        torch.testing.assert_close(norm.running_mean, mean)
        for _, outputs in seen:
            torch.testing.assert_close(
                outputs.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-6, rtol=0
            )
        assert norm.track_running_stats

    def test_statistics_move_again_after_a_failure(self):
        net = network()

        def fail():
            with frozen_statistics(net):
                assert not net.backbone[1].track_running_stats
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert net.backbone[1].track_running_stats


def mime_batch(labels, found=None, epoch=1):
    state = {
        "found": torch.zeros(labels.shape, dtype=torch.int8) if found is None else torch.from_numpy(found)
    }
    size = len(labels)
    batch = Batch(
        torch.arange(size), torch.from_numpy(labels), state, {}, {"weak": slice(0, size)}, "train", epoch
    )
    parts = torch.rand(size, K, dtype=torch.float64), torch.rand(size, K, dtype=torch.float64)
    batch.outputs["weak"] = Outputs(torch.zeros(size, 1), scores(8, size), parts)
    return batch


class TestMime:
    @pytest.mark.parametrize("setting", ["single_positive", "semi_supervised"])
    def test_loss(self, setting):
        labels = np.where(LABELS == 0, np.int8(-1), LABELS) if setting == "single_positive" else LABELS
        method = build("mime", labels, setting, beta=0.3)
        found = np.zeros(labels.shape, np.int8)
        found[3, 1] = 1
        batch = mime_batch(labels, found)
        spread, divergence = batch.outputs["weak"].parts
        noise, total, count = method.noise(batch), 0.0, 0
        for i in range(6):
            if setting == "semi_supervised" and i not in (0, 1, 3):
                continue
            for k in range(K):
                x = float(batch.scores[i, k] + spread[i, k] * noise[i, k])
                y = 1 if labels[i, k] == 1 or found[i, k] else 0
                total += bce(x, y) + 0.3 * float(divergence[i, k])
                count += 1
        assert float(method.loss(batch)) == pytest.approx(total / count, rel=1e-6)

    def test_an_items_noise_is_its_own_whatever_else_is_in_the_batch(self):
        method = build("mime", np.full((40, K), -1, np.int8), "single_positive")
        whole = method.noise(mime_batch(np.full((40, K), -1, np.int8)))
        some = mime_batch(np.full((3, K), -1, np.int8))
        some.index = torch.tensor([31, 4, 7])
        torch.testing.assert_close(method.noise(some), whole[[31, 4, 7]], rtol=0, atol=0)
        assert len(whole.unique(dim=0)) == 40

    def test_noise_is_a_mean_of_samples_and_a_function_of_epoch_and_items(self):
        labels = np.full((2000, K), -1, np.int8)
        method = build("mime", labels, "single_positive", samples=10)
        first, again = (method.noise(mime_batch(labels)) for _ in range(2))
        assert torch.equal(first, again)
        assert float(first.std()) == pytest.approx(10**-0.5, rel=0.03)
        assert not torch.equal(first, method.noise(mime_batch(labels, epoch=2)))
        turned = mime_batch(labels)
        turned.index = turned.index.flip(0)
        assert not torch.equal(first, method.noise(turned))

    def test_sure_unknown_entries_become_positive_for_good_and_no_known_one_does(self):
        method = build("mime", epochs=10, warm_up=0.2)
        state = ItemState(method.slots(), *LABELS.shape)
        sure = torch.tensor([[9.0, 9.0, -9.0]] * 2 + [[3.0, 2.9, -9.0]] * 4)

        def refresh(epoch, values):
            pool = SimpleNamespace(epoch=epoch, state=state, scores=lambda: [(slice(0, 6), values)])
            method.refresh(lambda which: pool)

        refresh(2, sure)
        assert not state["found"].any()
        refresh(3, sure)
        np.testing.assert_array_equal(state["found"], [[0, 0, 0]] * 2 + [[1, 0, 0]] * 4)
        refresh(4, -sure)
        np.testing.assert_array_equal(state["found"], [[0, 0, 0]] * 2 + [[1, 0, 1]] * 4)
        assert state["found"].dtype == np.int8


def drml_batch(labels, soft=None, seed=0):
    random = torch.Generator().manual_seed(seed)
    parts = tuple(torch.rand(len(labels), K, generator=random, dtype=torch.float64) for _ in range(2))
    state = {"soft": torch.full(labels.shape, math.nan, dtype=torch.float16)}
    if soft is not None:
        state["soft"] = torch.from_numpy(soft)
    size = len(labels)
    batch = Batch(
        torch.arange(size), torch.from_numpy(labels), state, {}, {"weak": slice(0, size)}, "train", 1
    )
    batch.outputs["weak"] = Outputs(torch.zeros(size, 1), scores(9, size).float(), parts)
    return batch


class TestDrml:
    LABELS = np.array([[1, 0, 1], [0, 0, 1], [-1, 1, -1], [-1, -1, -1]], np.int8)

    def test_errors_and_discrepancy(self):
        soft = np.full(self.LABELS.shape, math.nan, np.float16)
        soft[2] = 0.25
        method, batch = (
            build("drml", self.LABELS, "partial", discrepancy_weight=0.5),
            drml_batch(self.LABELS, soft),
        )
        first, second = batch.outputs["weak"].parts
        relation = torch.sigmoid(batch.scores)
        errors, distance = {0: [], 1: [], 2: []}, []
        for i in range(4):
            for k in range(K):
                y = float(self.LABELS[i, k]) if self.LABELS[i, k] >= 0 else float(soft[i, k])
                if not math.isnan(y):
                    for j, p in enumerate((first, second, relation)):
                        errors[j].append((float(p[i, k]) - y) ** 2)
                if i >= 2:
                    distance.append(abs(float(first[i, k]) - float(second[i, k])))
        assert len(errors[0]) == 9
        mean = {j: sum(v) / len(v) for j, v in errors.items()}
        whole = mean[0] + mean[1] + 0.2 * mean[2]
        assert float(method.whole_error(batch)) == pytest.approx(whole, rel=1e-6)
        assert float(method.relation_error(batch)) == pytest.approx(mean[2], rel=1e-5)
        assert float(method.discrepancy(batch)) == pytest.approx(0.5 * sum(distance), rel=1e-6)

    def test_a_batch_without_unknown_entries_has_no_discrepancy(self):
        labels = np.maximum(self.LABELS, 0)
        assert float(build("drml", labels, "full").discrepancy(drml_batch(labels))) == 0

    def test_the_items_of_least_distance_join_for_good(self):
        labels = np.full((24, K), -1, np.int8)
        labels[:4] = 1
        labels[:4, 0] = 0
        labels[7, 0] = 1
        method = build("drml", labels, epochs=10, warm_up=0.2, joining=0.8)
        state, random = ItemState(method.slots(), *labels.shape), np.random.default_rng(2)
        first, second = random.random((2, 24, K)).astype(np.float32)
        order = sorted(range(4, 24), key=lambda i: ((first[i] - second[i]) ** 2).sum())

        def refresh(epoch, relation):
            out = Outputs(torch.zeros(24, 1), relation, (torch.from_numpy(first), torch.from_numpy(second)))
            pool = SimpleNamespace(epoch=epoch, state=state, outputs=lambda: [(slice(0, 24), out)])
            method.refresh(lambda which: pool)
            return set(np.flatnonzero(~np.isnan(state["soft"]).any(1)).tolist())

        assert refresh(2, torch.zeros(24, K)) == set()
        joined = refresh(3, torch.full((24, K), 2.0))
        assert joined == set(order[:2])
        first[:] = first[::-1].copy()
        then = refresh(4, torch.zeros(24, K))
        assert len(then) == 4
        assert joined < then
        np.testing.assert_allclose(state["soft"][sorted(joined)], sigmoid(2.0), rtol=1e-3)
        for epoch in range(5, 11):
            then = refresh(epoch, torch.zeros(24, K))
        assert len(then) == 16
        assert not then & set(range(4))
        assert state["soft"].dtype.itemsize <= 4

    def test_each_step_moves_what_is_its_own(self):
        """fit: projector and classifiers; part: classifiers; join: projector; relate: the relation network."""
        labels = np.concatenate([np.eye(3, dtype=np.int8)] * 4 + [np.full((12, 3), -1, np.int8)])
        method = build("drml", labels, epochs=1)
        net = Network(build_backbone("features", (D,)), method.head(D))
        moved, X = [], np.random.default_rng(0).normal(size=(24, D)).astype(np.float32)

        class Watched(engine.Run):
            def update(self, *names):
                before = {k: v.clone() for k, v in net.state_dict().items()}
                super().update(*names)
                after = net.state_dict()
                moved.append(
                    (*names, {k.split(".")[1] for k in before if not torch.equal(before[k], after[k])})
                )

        from labelwise.engine import loop

        run, loop.Run = loop.Run, Watched
        try:
            engine.train(net, method, as_source(X), engine.Settings(device="cpu"))
        finally:
            loop.Run = run
        assert moved[:4] == [
            ("fit", {"projector", "first", "second"}),
            ("part", {"first", "second"}),
            ("join", {"projector"}),
            ("relate", {"relation"}),
        ]


@pytest.mark.parametrize("name", ["softmatch", "flatmatch", "mime", "drml"])
def test_passes_are_what_the_registry_says(name):
    """Forward passes of an unlabelled item in one epoch, a backward counted as two, refreshes included."""
    random = np.random.default_rng(0)
    X = random.normal(size=(48, D)).astype(np.float32)
    Y = (X[:, :K] > 0.3).astype(np.int8)
    Y[24:] = -1
    X[:, -1] = np.arange(48) >= 24
    problem = Problem(Y, "semi_supervised", np.full(K, 0.4), "all", 0, Budget(6, 8, 0.01))
    method = methods.get(name)(problem, {"joining": 0.9} if name == "drml" else {})
    net = Network(MLP((D,), hidden=(8,)), method.head(8))
    cost, course = [0], []

    def count(module, args):
        cost[0] += int((args[0][:, -1] == 1).sum()) * (3 if torch.is_grad_enabled() else 1)

    net.register_forward_pre_hook(count)
    engine.train(
        net,
        method,
        as_source(X, strong_view=0.0),
        engine.Settings(device="cpu"),
        criterion=lambda *_: course.append(cost[0]) or 0.0,
    )
    assert course[-1] - course[-2] == 24 * method.spec.passes


def test_sums_along_one_dimension():
    values = torch.arange(6.0).reshape(2, 3)
    assert batch_sum(values).tolist() == 15
    assert batch_sum(values, 0).tolist() == [3, 5, 7]
