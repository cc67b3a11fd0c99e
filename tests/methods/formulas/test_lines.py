"""CSL, the pairwise losses and VPU as methods: their loss of a batch against slow loops, their plans and refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labelwise as lw
from tests.methods.formulas.cases import Stored
from tests.methods.short_runs import make, train
from tests.methods.single_positive_cases import LABELS, LOGITS, batch, build, cross_entropy, mean, sigmoid
from tests.refusals import refused

WEIGHTS = np.array([0.5, 2.0, 0.5])


@pytest.mark.parametrize("weights", [None, WEIGHTS])
class TestCsl:
    @pytest.mark.parametrize("mode", ["negative", "ignore", "ignore_normalized", "selective"])
    def test_the_loss(self, weights, mode):
        likely = [False, True, False]
        options = {"gamma_positive": 0.5, "gamma_negative": 2, "gamma_unknown": 3, "clip": 0.1}
        method = build("csl", mode=mode, likeliest=0.5, **options)
        method.prior.copy_(torch.tensor([0.1, 0.8, 0.2]))
        unknown = [(i, k) for i, k in np.argwhere(LABELS == -1) if not likely[k]]
        highest = sorted(unknown, key=lambda e: -LOGITS[e])[:3]

        def entry(p, y, i, k):
            if y == 1:
                value = (1 - p) ** 0.5 * cross_entropy(p, 1)
            else:
                m = max(p - 0.1, 0)
                value = m ** (2 if y == 0 else 3) * -math.log(1 - m)
            if mode == "ignore_normalized":
                return value * (y >= 0) * (1 + 1 / (1 + (LABELS[i] >= 0).sum()))
            left_out = mode == "ignore" or (mode == "selective" and (likely[k] or (i, k) in highest))
            return 0.0 if y == -1 and left_out else value

        found = float(method.loss(batch(LOGITS, weights=weights)))
        assert found == pytest.approx(mean(entry, LOGITS, weights=weights), rel=1e-6)

    def test_the_first_stage_ignores_unknown_entries(self, weights):
        made = batch(LOGITS, weights=weights, grad=True)
        method = build("csl")
        made.stage = method.plan()[0].name
        method.loss(made).backward()
        assert (made.scores.grad.numpy()[LABELS == -1] == 0).all()
        assert (made.scores.grad.numpy()[LABELS >= 0] != 0).all()


class TestPlanOfCsl:
    def test_mean_scores_stand_between_the_stages(self):
        first, middle, second = build("csl", epochs=10, first_share=0.3).plan()
        assert (first.epochs, middle.epochs, second.epochs) == (3, 0, 7)
        assert (first.ridge_start, middle.ridge_start, second.ridge_start) == (True, False, False)
        assert [stage.epochs for stage in build("csl", epochs=1).plan()] == [1]
        assert [stage.epochs for stage in build("csl", epochs=5, mode="ignore").plan()] == [5]

    def test_the_prior_is_the_mean_score_of_all_rows(self):
        method = build("csl")
        scores = np.random.default_rng(1).normal(size=LABELS.shape)
        method.fit(Stored(method, scores=scores))
        want = (1 / (1 + np.exp(-scores.astype(np.float32)))).mean(0)
        np.testing.assert_allclose(method.prior.numpy(), want, rtol=1e-6)

    def test_in_a_run_it_is_taken_once_after_the_first_stage(self):
        network, method = make("csl", setting="partial", epochs=4)
        result, _ = train(network, method)
        assert [record["stage"] for record in result.history] == ["known entries"] * 2 + ["train"] * 2
        assert ((method.prior > 0.02) & (method.prior < 0.98)).all()


def line(cells, zero, weights):
    """The loss at Tp = 3 and Tn = 1/2 of one line's entries, None where it compares nothing."""
    up = sum(
        (1 if weights is None else weights[k]) * math.exp(-LOGITS[i, k] / 3)
        for i, k in cells
        if LABELS[i, k] == 1
    )
    down = sum(math.exp(LOGITS[i, k] / 0.5) for i, k in cells if LABELS[i, k] == 0)
    if zero:
        return math.log1p(up**3) + math.log1p(down**0.5) if up or down else None
    return math.log1p(up**3 * down**0.5) if up and down else None


@pytest.mark.parametrize("weights", [None, WEIGHTS])
class TestPairwise:
    @pytest.mark.parametrize("over", ["items", "labels", "both"])
    @pytest.mark.parametrize("zero", [False, True])
    def test_it_is_the_mean_over_lines_that_compare(self, weights, over, zero):
        options = {"temperature_positive": 3, "temperature_negative": 0.5}
        found = float(build("pairwise", over=over, zero=zero, **options).loss(batch(LOGITS, weights=weights)))
        want = 0.0
        for kind in ("items", "labels") if over == "both" else (over,):
            cells = [[(i, k) for k in range(3)] for i in range(len(LABELS))]
            lines = [
                line(where, zero, weights)
                for where in (cells if kind == "items" else zip(*cells, strict=True))
            ]
            compared = [value for value in lines if value is not None]
            assert len(compared) < len(lines) or kind == "labels"
            want += sum(compared) / len(compared)
        assert found == pytest.approx(want, rel=1e-9)


class TestSettingsOfPairwise:
    def test_unknown_entries_are_irrelevant_where_no_negative_is_known(self):
        single = np.where(LABELS == 1, LABELS, np.int8(-1))
        for setting, labels, unknown, moved in (
            ("partial", LABELS, None, False),
            ("partial", LABELS, "negative", True),
            ("partial_positive", single, None, True),
            ("partial_positive", single, "ignored", False),
        ):
            made = batch(LOGITS, labels, grad=True)
            build("pairwise", labels, setting, zero=True, unknown=unknown).loss(made).backward()
            assert (made.scores.grad.numpy()[labels == -1] != 0).any() == moved

    def test_a_batch_that_compares_nothing_costs_nothing(self):
        made = batch(LOGITS[:1], np.array([[1, -1, -1]], np.int8), grad=True)
        loss = build("pairwise").loss(made)
        loss.backward()
        assert loss.item() == 0
        assert (made.scores.grad == 0).all()


class TestVpu:
    @pytest.mark.parametrize("negatives", ["plain", "unlabelled"])
    @pytest.mark.parametrize("weights", [None, WEIGHTS])
    def test_the_loss_is_the_mean_over_labels(self, negatives, weights):
        method = build("vpu", gamma=0.85, scale=0.3, least_scale=0.2, negatives=negatives)
        found = float(method.loss(batch(LOGITS, weights=weights)))
        want = 0.0
        for k in range(3):
            x, y = LOGITS[:, k], LABELS[:, k]
            d = max(min(0.3 * x.std(), 1), 0.2)
            p = np.array([sigmoid(v / d) for v in x])
            want += math.log(p.mean()) * p.mean() ** 0.85
            want -= (1 if weights is None else weights[k]) * np.log(p[y == 1]).mean()
            if negatives == "plain":
                want += np.mean([cross_entropy(sigmoid(v), 0) for v in x[y == 0]])
        assert found == pytest.approx(want / 3, rel=1e-9)

    def test_mixed_halves_learn_mixed_targets_that_have_no_gradient(self):
        """With the network's output its input: d/dx of the squared error at the mixed inputs alone."""
        single = np.where(LABELS == 1, LABELS, np.int8(-1))
        method = build("vpu", single, "partial_positive", mixup=True)
        made = batch(LOGITS, single, grad=True)
        made.inputs["weak"] = torch.from_numpy(LOGITS)
        seen = {}

        class Through:
            def forward(self, mixed):
                seen["x"] = mixed.inputs["weak"].clone().requires_grad_()
                mixed.outputs["weak"] = made.outputs["weak"]._replace(scores=seen["x"])

        loss = method._mixed_loss(made, Through(), 3)
        loss.backward()
        assert made.scores.grad is None
        p, x = 1 / (1 + np.exp(-LOGITS)), seen["x"].detach().numpy()
        target = np.where(single == 1, 1.0, p)
        # The share and the order are found again from what was mixed.
        share, order = next(
            (share, order)
            for order in (
                [a, b, c] for a in range(3) for b in range(3) for c in range(3) if len({a, b, c}) == 3
            )
            for share in [((x - LOGITS[3:]) / (LOGITS[order] - LOGITS[3:])).mean()]
            if np.allclose(share * LOGITS[order] + (1 - share) * LOGITS[3:], x, atol=1e-6)
        )
        wanted = np.log(share * target[order] + (1 - share) * target[3:])
        assert loss.item() == pytest.approx(((np.log(1 / (1 + np.exp(-x))) - wanted) ** 2).mean(), rel=1e-5)

    def test_mixing_trains_and_repeats(self):
        random = np.random.default_rng(0)
        X = random.normal(size=(60, 4)).astype(np.float32)
        Y = (X[:, :3] + random.normal(size=(60, 3)) > 0.3).astype(np.int8)
        options = {"validation": None, "device": "cpu", "epochs": 2, "batch_size": 16}
        plain, mixed, again = (
            lw.MultiLabelClassifier("vpu", hyperparameters={"mixup": mixup}, **options)
            .fit(X, Y)
            .decision_scores(X)
            for mixup in (False, True, True)
        )
        np.testing.assert_array_equal(mixed, again)
        assert np.abs(mixed - plain).max() > 1e-5

    def test_what_cannot_be_mixed_is_refused(self):
        made = batch(LOGITS)
        made.inputs["weak"] = torch.ones(6, 4, dtype=torch.int64)
        refused(lambda: build("vpu", mixup=True)._mixed_loss(made, None, 3), "mixup", "vpu", "texts")


@pytest.mark.parametrize("method", ["csl", "pairwise", "vpu"])
def test_gradients_are_not_accumulated(method):
    X, Y = np.eye(6, 4, dtype=np.float32), (LABELS == 1).astype(np.int8)
    options = {"validation": None, "device": "cpu", "accumulate": 2, "epochs": 1}
    refused(lambda: lw.MultiLabelClassifier(method, **options).fit(X, Y), "accumulate", method, "batch_size")
