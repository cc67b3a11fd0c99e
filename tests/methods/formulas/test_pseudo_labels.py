"""Pseudo-labels of CAP and BBAM: what they teach, and whom a refresh chooses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labelwise import methods
from labelwise.methods import Budget, Problem
from tests.methods.formulas.cases import COSINES, LABELS, Stored, batch, build, many


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
