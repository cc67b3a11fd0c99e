"""The unit of the features does not matter: not to the closed form, its choices, nor what starts from it."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise import MultiLabelClassifier
from labelwise.annotations import simulate
from labelwise.models import SCALINGS, InputScaling, solve_ridge
from labelwise.models.ridge.criterion import criterion_values

RANDOM = np.random.default_rng(0)
N, D, K = 120, 6, 3
X = RANDOM.standard_normal((N, D)).astype(np.float32)
T = (X @ RANDOM.standard_normal((D, K)) + 0.5 * RANDOM.standard_normal((N, K)) > 0.3).astype(np.int8)
LABELS = {
    "full": T,
    "single_positive": simulate.single_positive(T, seed=0),
    "partial_positive": simulate.partial_positives(T, fraction=0.6, seed=0),
    "partial": simulate.partial(T, known_fraction=0.6, seed=0),
    "semi_supervised": simulate.semi_supervised(T, labelled_fraction=0.4, seed=1),
}
# Columns whose sizes say how much they tell: here the raw features do better than scaled ones.
WEIGHED = X * np.array([30, 20, 0.3, 0.2, 0.1, 0.1], dtype=np.float32)
SIZES = [1e-15, 1e-10, 1e-5, 1e8, 1e15]


def classifier(method, **options):
    budget = {} if method == "ridge" else {"epochs": 2, "learning_rate": 0.01}
    return MultiLabelClassifier(method, device="cpu", **budget, **options)


def same(first, second, X, unit, atol=2e-3):
    assert second.scaling_.kind == first.scaling_.kind
    scores = second.decision_scores((X * np.float64(unit)).astype(np.float32))
    np.testing.assert_allclose(scores, first.decision_scores(X), atol=atol)


@pytest.mark.parametrize("setting", LABELS)
@pytest.mark.parametrize("method", ["ridge", "an", "bam"])
def test_every_setting_is_the_same_in_every_unit(setting, method):
    first = classifier(method).fit(X, LABELS[setting])
    for unit in SIZES if method == "ridge" else (1e-15, 1e15):
        same(first, classifier(method).fit((X * unit).astype(np.float32), LABELS[setting]), X, unit)


@pytest.mark.parametrize("start", ["ridge", "random"])
@pytest.mark.parametrize("method", ["an", "hml", "em_apl"])
def test_every_start_is_the_same_in_every_unit(method, start):
    labels = LABELS["semi_supervised"]
    first = classifier(method, head_start=start).fit(WEIGHED, labels)
    for unit in (1e-12, 1e12):
        second = classifier(method, head_start=start).fit((WEIGHED * unit).astype(np.float32), labels)
        same(first, second, WEIGHED, unit)


@pytest.mark.parametrize("kind", SCALINGS)
@settings(max_examples=8, deadline=None)
@given(power=st.integers(-60, 60), setting=st.sampled_from(sorted(LABELS)), seed=st.integers(0, 99))
def test_a_power_of_two_changes_nothing_that_ridge_says(kind, power, setting, seed):
    random = np.random.default_rng(seed)
    features = random.standard_normal((40, D)) * 10.0 ** random.integers(-2, 3, D)
    features[:, 0] = 1.0
    features, labels = features.astype(np.float32), LABELS[setting][:40]
    if not (labels == 1).any():
        return
    one = solve_ridge(features, labels, scalings=[kind])
    unit = np.float32(2.0**power)
    other = solve_ridge(features * unit, labels, scalings=[kind])
    assert [row["value"] for row in one.table] == pytest.approx(
        [row["value"] for row in other.table], abs=1e-9
    )
    np.testing.assert_allclose(other.predict(features * unit), one.predict(features), atol=1e-5)
    np.testing.assert_allclose(other.loo_scores, one.loo_scores, atol=1e-5)


def test_raw_features_that_are_chosen_train_alike_in_every_unit():
    labels = (WEIGHED[:, :2] @ RANDOM.standard_normal((2, K)) > 0).astype(np.int8)
    first = classifier("an").fit(WEIGHED, labels)
    unscaled = InputScaling.in_unit(WEIGHED)
    assert np.square(unscaled.transform(WEIGHED)).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)
    for unit in (1e-10, 1e10):
        same(first, classifier("an").fit((WEIGHED * unit).astype(np.float32), labels), WEIGHED, unit)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_one_unit_for_all_goes_to_a_file_and_back(make):
    scaling = InputScaling.in_unit(make(WEIGHED))
    again = InputScaling.from_state(scaling.config(), scaling.state())
    np.testing.assert_array_equal(again.transform(WEIGHED), scaling.transform(WEIGHED))
    A, u, m = scaling.sparse_parts(make(WEIGHED))
    np.testing.assert_allclose(A.toarray() - np.outer(u, m), scaling.transform(WEIGHED), atol=1e-6)


@pytest.mark.parametrize("unit", [1e-15, 1e-8, 1.0, 1e8])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_array])
def test_constant_columns_and_a_huge_one_among_tiny_ones(unit, make):
    tiny = (X * unit).astype(np.float32)
    plain = classifier("ridge").fit(make(tiny), T)
    beside = np.concatenate([tiny, np.full((N, 1), 3e9 * unit, np.float32)], axis=1)
    same_kind = classifier("ridge").fit(make(beside), T)
    assert same_kind.scaling_.kind == plain.scaling_.kind
    np.testing.assert_allclose(
        same_kind.decision_scores(make(beside)), plain.decision_scores(make(tiny)), atol=2e-3
    )
    noise = RANDOM.standard_normal((N, 1)) * 1e9 * unit
    huge = np.concatenate([tiny, noise], axis=1).astype(np.float32)
    assert classifier("ridge").fit(make(huge), T).score(make(huge), T) > 0.8


@pytest.mark.parametrize("kind", ["standardise", "standardise_l2"])
def test_a_column_that_was_constant_says_nothing_later(kind):
    beside = np.concatenate([X, np.full((N, 1), 7, np.float32)], axis=1)
    scaling = InputScaling.fit(beside, kind)
    scaled = scaling.transform(beside)
    beside[:, -1] = 1e6
    np.testing.assert_array_equal(scaling.transform(beside), scaled)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_features_that_say_nothing_are_not_ranked_by_the_order_of_the_rows(unit):
    labels = np.sort(T, axis=0)[::-1].copy()
    same_rows = np.tile(X[:1] * unit, (N, 1)).astype(np.float32)
    multiples = (np.linspace(1, 2, N)[:, None] * X[:1] * unit).astype(np.float32)
    shares = labels.mean(axis=0)
    for features, kinds in ((same_rows, SCALINGS), (multiples, ["l2"])):
        solution = solve_ridge(features, labels, scalings=kinds)
        for row in solution.table:
            assert row["value"] == pytest.approx(shares.mean(), abs=1e-6), row
        np.testing.assert_allclose(solution.predict(features), np.tile(shares, (N, 1)), atol=1e-4)


def test_equal_scores_are_taken_together():
    targets = np.array([[1.0], [0], [1], [0], [0]])
    scores = np.array([[3.0], [2], [2], [2], [1]])
    found = criterion_values(scores, targets, np.ones((5, 1)), "average_precision")
    assert found[0] == pytest.approx((1 + 2 / 4) / 2)
    flat = criterion_values(np.zeros((5, 1)), targets, np.ones((5, 1)), "average_precision")
    assert flat[0] == pytest.approx(2 / 5)
    assert criterion_values(scores[::-1], targets[::-1], np.ones((5, 1)), "average_precision") == found
