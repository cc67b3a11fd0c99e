"""``sample_weight`` in ``fit``: the loss, the closed form, rows twice, equal weights, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import labelwise as lw
from labelwise import MultiLabelClassifier, engine
from labelwise.data import as_source
from labelwise.errors import UserError
from labelwise.methods import Batch, Budget, Problem, get, names
from labelwise.models import Network, Outputs, build_backbone, solve_ridge
from labelwise.targets import ItemState

RANDOM = np.random.default_rng(0)
N, D, K = 90, 5, 3
X = RANDOM.standard_normal((N, D)).astype(np.float32)
Z = X @ RANDOM.standard_normal((D, K)) + 0.5 * RANDOM.standard_normal((N, K))
Y = (Z > 0.3).astype(np.int8)
PART = np.where(RANDOM.random(Y.shape) < 0.6, Y, -1).astype(np.int8)
WHOLE = RANDOM.integers(0, 4, N)
TWICE = np.repeat(np.arange(N), WHOLE)
WEIGH = [name for name in names() if get(name).spec.takes_sample_weight and get(name).spec.passes]


def fit(method, labels=Y, weights=None, **options):
    model = MultiLabelClassifier(method, device="cpu", **{"epochs": 3, "validation": None, **options})
    return model.fit(X, labels, sample_weight=weights)


@pytest.mark.parametrize("method", WEIGH)
def test_each_entry_s_loss_is_multiplied_by_its_row_s_weight_over_their_mean(method):
    labels = np.array([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]], dtype=np.int8)
    weights = np.array([0.5, 2.0, 3.0])
    z = torch.tensor(np.random.default_rng(0).uniform(-0.9, 0.9, (3, 4)))
    losses = []

    def loss(given):
        built = get(method)(Problem(labels, true_labels=labels, sample_weight=given))
        state = {
            name: torch.from_numpy(array) for name, array in ItemState(built.slots(), 3, 4).arrays().items()
        }
        batch = Batch(torch.arange(3), torch.tensor(labels), state, {}, {"weak": slice(0, 3)}, "train", 1)
        batch.outputs["weak"] = Outputs(torch.zeros(3, 1), z)
        mean = built.mean

        def spy(values, batch, weights=None, over="entries"):
            losses.append((values, weights, over))
            return mean(values, batch, weights, over)

        built.mean = spy
        return float(built.loss(batch))

    plain, weighted = loss(None), loss(weights)
    values, own, over = losses[-1]
    total = norm = 0.0
    for i in range(3):
        for k in range(4):
            w = float(weights[i] / weights.mean()) * (1.0 if own is None else float(own[i, k]))
            total += w * float(values[i, k])
            norm += w if over == "weights" else 1.0
    assert weighted == pytest.approx(total / norm, rel=1e-6)
    assert weighted != pytest.approx(plain, rel=1e-3)


@pytest.mark.parametrize("labels", [Y, PART], ids=["full", "partial"])
def test_ridge_with_whole_weights_is_ridge_with_rows_repeated(labels):
    settings = {"scalings": ("none",), "lambdas": (0.7,), "criterion": "squared_error"}
    once = solve_ridge(X, labels, weights=WHOLE, **settings)
    repeated = solve_ridge(X[TWICE], labels[TWICE], **settings)
    np.testing.assert_allclose(once.weight, repeated.weight, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(once.bias, repeated.bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(once.loo_scores[TWICE], repeated.loo_scores, rtol=1e-4, atol=1e-5)


def test_the_classifier_s_ridge_has_the_weighted_normal_equations():
    solution = fit("ridge", weights=WHOLE).solution_
    A = np.asarray(solution.scaling.transform(X), dtype=np.float64)
    w = WHOLE / WHOLE.mean()
    mean, target = (w[:, None] * A).sum(0) / w.sum(), (w[:, None] * Y).sum(0) / w.sum()
    C, T = A - mean, Y - target
    weights = [
        np.linalg.solve(
            sum(w[i] * np.outer(C[i], C[i]) for i in range(N)) + lambda_ * np.eye(D),
            sum(w[i] * np.outer(C[i], T[i]) for i in range(N)),
        )
        for lambda_ in solution.lambdas_averaged
    ]
    np.testing.assert_allclose(solution.weight, np.mean(weights, axis=0).T, rtol=1e-3, atol=1e-5)


def test_bce_on_full_batches_with_whole_weights_is_bce_with_rows_repeated():
    def trained(features, labels, weights=None):
        budget = Budget(20, len(features), 0.05)
        problem = Problem(labels, budget=budget, head_start="random", sample_weight=weights)
        method = get("bce")(problem)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            network = Network(build_backbone("features", (D,)), method.head(D))
        result = engine.train(network, method, as_source(features), engine.Settings(device="cpu"))
        return engine.logits(result.network, method, as_source(X))

    weighted, repeated = trained(X, Y, WHOLE), trained(X[TWICE], Y[TWICE])
    np.testing.assert_allclose(weighted, repeated, atol=2e-4)
    assert np.abs(weighted - trained(X, Y)).max() > 0.01


@pytest.mark.parametrize("method", ["ridge", "bce", "bam"])
@pytest.mark.parametrize("weights", [np.ones(N), np.full(N, 2.5), [3] * N])
def test_equal_weights_are_none_to_the_bit(method, weights):
    plain, weighted = fit(method), fit(method, weights=weights)
    np.testing.assert_array_equal(plain.decision_function(X), weighted.decision_function(X))
    assert [r["loss"] for r in plain.history_] == [r["loss"] for r in weighted.history_]


@pytest.mark.parametrize("method", ["ridge", "bce"])
def test_only_ratios_matter(method):
    one, other = fit(method, weights=WHOLE), fit(method, weights=8 * WHOLE)
    np.testing.assert_array_equal(one.decision_function(X), other.decision_function(X))
    assert (one.decision_function(X) != fit(method).decision_function(X)).any()


def test_rows_without_weight_teach_nothing():
    wrong = Y.copy()
    wrong[WHOLE == 0] = 1 - wrong[WHOLE == 0]
    for method in ("ridge", "bce"):
        right, turned = (fit(method, labels, (WHOLE > 0).astype(float)) for labels in (Y, wrong))
        np.testing.assert_allclose(right.fitted_.scores(X), turned.fitted_.scores(X), atol=1e-5)


def test_weights_go_with_rows_that_are_held_out_or_left_out():
    held = fit("bce", weights=np.arange(1, N + 1), validation=0.3)
    assert held.validation_ is not None
    np.testing.assert_array_equal(held.fitted_.method.problem.sample_weight, np.arange(1, N + 1))


def test_the_default_method_is_one_that_weighs_rows():
    assert fit(None, weights=WHOLE).method_ == "ridge"
    assert "weights" in lw.recommend(lw.describe(Y), weighted=True).reason


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(N - 1), rf"shape \({N - 1},\): give {N} numbers"),
        (np.ones((N, 1)), "shape"),
        (np.r_[np.ones(N - 1), -1], rf"row {N - 1} \(counted from 0\) is -1.0"),
        (np.r_[np.nan, np.ones(N - 1)], r"row 0 \(counted from 0\) is nan"),
        (np.r_[np.inf, np.ones(N - 1)], "finite"),
        (np.zeros(N), "zero for every row"),
        (["heavy"] * N, "give 90 numbers"),
    ],
)
def test_weights_that_are_none_are_refused(weights, words):
    with pytest.raises(UserError, match=words):
        fit("ridge", weights=weights)


@pytest.mark.parametrize("method", ["auto", "bbam", "drml", "mime", "role"])
def test_methods_that_cannot_weigh_rows_say_so(method):
    labels = Y.copy()
    labels[40:] = -1
    with pytest.raises(UserError, match=f"sample_weight: method '{method}' cannot weigh rows; take one of"):
        fit(method, labels, WHOLE)
    with pytest.raises(UserError, match="cannot weigh rows"):
        get(method)(Problem(labels, "semi_supervised", sample_weight=WHOLE))
