"""The ridge solver against slow dense solves and refits, in float64."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.errors import Notice, UserError
from labelwise.models import FeatureBlocks, InputScaling, logits, probabilities, solve_ridge
from labelwise.models.ridge import criterion, direct
from labelwise.models.ridge import plan as plan_module
from labelwise.models.ridge.criterion import _area, _areas, criterion_values
from labelwise.models.ridge.decomposition import decompose
from labelwise.models.ridge.masked import solve_masked
from labelwise.models.ridge.rows import Rows
from labelwise.models.ridge.tuning import Judge, Trial, choose, climb, entries_of
from labelwise.models.ridge.twins import twins_of
from labelwise.models.scaling import SCALINGS


def dense_ridge(Z, y, s, lambda_):
    """The weighted ridge with a free intercept, one label, by its normal equations."""
    A = np.column_stack([Z, np.ones(len(Z))])
    penalty = lambda_ * np.eye(A.shape[1])
    penalty[-1, -1] = 0
    solution = np.linalg.solve(A.T @ (s[:, None] * A) + penalty, A.T @ (s * y))
    return solution[:-1], solution[-1]


def problem(n, d, k=3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d)) + 2
    Y = (Z @ rng.normal(size=(d, k)) + rng.normal(size=(n, k)) > 0).astype(np.int8)
    return Z, Y, rng.uniform(0.2, 2, size=n)


@pytest.mark.parametrize(("n", "d"), [(30, 7), (12, 25), (20, 20)])
def test_leave_one_out_equals_refitting_without_each_row(n, d):
    Z, Y, s = problem(n, d)
    lambdas = np.array([0.01, 1.0, 30.0])
    loo = decompose(Rows(Z), s).leave_one_out(Y.astype(float), lambdas)
    for number, lambda_ in enumerate(lambdas):
        for i in range(n):
            rest = np.arange(n) != i
            for k in range(Y.shape[1]):
                w, b = dense_ridge(Z[rest], Y[rest, k], s[rest], lambda_)
                assert loo[number, i, k] == pytest.approx(Z[i] @ w + b, abs=1e-8)


@pytest.mark.parametrize(("n", "d"), [(30, 7), (12, 25)])
def test_weighted_solution_equals_the_normal_equations(n, d):
    Z, Y, s = problem(n, d)
    found = decompose(Rows(Z), s)
    weight, bias = found.solve(Y.astype(float), 1 / (found.eigenvalues + 0.7))
    for k in range(Y.shape[1]):
        w, b = dense_ridge(Z, Y[:, k], s, 0.7)
        np.testing.assert_allclose(weight[k], w, atol=1e-9)
        assert bias[k] == pytest.approx(b, abs=1e-9)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize(("n", "d"), [(40, 9), (12, 30)])
def test_implicit_sparse_rows_equal_dense_rows(kind, n, d):
    X = sp.random_array((n, d), density=0.3, rng=np.random.default_rng(1), format="csr")
    scaling = InputScaling.fit(X, kind)
    A, u, m = scaling.sparse_parts(X)
    dense, implicit = Rows(A.toarray() - np.outer(u, m)), Rows(A, u, m)
    np.testing.assert_allclose(scaling.transform(X), dense.A, atol=1e-6)
    rng = np.random.default_rng(2)
    s, c, V, R = rng.random(n), rng.normal(size=d), rng.normal(size=(d, 2)), rng.normal(size=(n, 2))
    np.testing.assert_allclose(implicit.dot(V), dense.dot(V), atol=1e-10)
    np.testing.assert_allclose(implicit.sum(R), dense.sum(R), atol=1e-10)
    np.testing.assert_allclose(implicit.sum(s), dense.sum(s), atol=1e-10)
    np.testing.assert_allclose(implicit.covariance(c, s), dense.covariance(c, s), atol=1e-9)
    np.testing.assert_allclose(implicit.gram(c, s), dense.gram(c, s), atol=1e-9)


def test_sparse_input_gives_the_dense_solution(monkeypatch):
    X = sp.random_array((60, 12), density=0.4, rng=np.random.default_rng(1), format="csr")
    _, Y, _ = problem(60, 12)
    dense = solve_ridge(X.toarray(), Y)
    monkeypatch.setattr("labelwise.models.ridge.rows._SMALL", 0)
    implicit = solve_ridge(X, Y)
    assert implicit.scaling.kind == dense.scaling.kind
    np.testing.assert_allclose(implicit.weight, dense.weight, atol=1e-4)
    np.testing.assert_allclose(implicit.predict(X), dense.predict(X.toarray()), atol=1e-4)
    np.testing.assert_allclose(implicit.loo_scores, dense.loo_scores, atol=1e-4)


def test_wholly_unknown_rows_shape_only_the_scaling():
    Z, Y, _ = problem(40, 6)
    seen = np.full_like(Y, -1)
    seen[:25] = Y[:25]
    solution = solve_ridge(Z, seen, scalings=["standardise"], lambdas=[2.0])
    T = InputScaling.fit(Z, "standardise").transform(Z).astype(float)
    for k in range(Y.shape[1]):
        w, b = dense_ridge(T[:25], Y[:25, k], np.ones(25), 2.0)
        np.testing.assert_allclose(solution.weight[k], w, atol=1e-5)
        np.testing.assert_allclose(solution.loo_scores[25:, k], T[25:] @ w + b, atol=1e-5)
        rest = np.arange(25) != 3
        w, b = dense_ridge(T[:25][rest], Y[:25, k][rest], np.ones(24), 2.0)
        assert solution.loo_scores[3, k] == pytest.approx(T[3] @ w + b, abs=1e-5)
    np.testing.assert_allclose(solution.predict(Z), T @ solution.weight.T + solution.bias, atol=1e-5)


def masked(Y, seed=0, share=0.3):
    out = Y.copy()
    out[np.random.default_rng(seed).random(Y.shape) < share] = -1
    out[0] = Y[0]
    return out


def assert_masked(solution, Z, Y, s, lambda_, places):
    for k in range(Y.shape[1]):
        known = Y[:, k] != -1
        w, b = dense_ridge(Z[known], Y[known, k], s[known], lambda_)
        np.testing.assert_allclose(solution.weight[k], w, atol=places)
        assert solution.bias[k] == pytest.approx(b, abs=places)


@pytest.mark.parametrize(("n", "d"), [(50, 6), (16, 30)])
def test_partly_known_rows_fit_each_label_to_its_known_rows(n, d):
    Z, Y, s = problem(n, d)
    Y = masked(Y)
    solution = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5], weights=s)
    assert solution.exact
    assert_masked(solution, Z.astype(np.float32).astype(float), Y, s, 0.5, 1e-5)
    i, k = np.argwhere(Y != -1)[7]
    rest = (Y[:, k] != -1) & (np.arange(n) != i)
    w, b = dense_ridge(Z[rest], Y[rest, k], s[rest], 0.5)
    assert solution.loo_scores[i, k] == pytest.approx(Z[i] @ w + b, abs=1e-4)


def test_conjugate_gradients_reach_the_masked_solution():
    Z, Y, s = problem(50, 6)
    Y = masked(Y)
    S = np.where(Y == -1, 0, s[:, None])
    S[:, 2] = 0
    weight, bias = solve_masked(Rows(Z), (Y == 1).astype(float), S, 0.5)
    for k in range(2):
        known = Y[:, k] != -1
        w, b = dense_ridge(Z[known], Y[known, k], s[known], 0.5)
        np.testing.assert_allclose(weight[k], w, atol=1e-6)
        assert bias[k] == pytest.approx(b, abs=1e-6)
    assert not weight[2].any()
    assert bias[2] == 0


@pytest.mark.parametrize("shared", [False, True])
def test_beyond_the_budget_the_answer_is_the_same(monkeypatch, shared):
    Z, Y, _ = problem(80, 6)
    Y = Y if shared else masked(Y)
    exact = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5])
    for limit, value in (("_WORK", 1), ("_FACTOR", 1), ("_SAMPLES", (60,))):
        monkeypatch.setattr(plan_module, limit, value)
    solution = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5])
    assert exact.exact
    assert not solution.exact
    np.testing.assert_allclose(solution.weight, exact.weight, atol=1e-5)
    assert np.corrcoef(solution.loo_scores.ravel(), exact.loo_scores.ravel())[0, 1] > 0.98


@pytest.mark.parametrize(("n", "d"), [(50, 6), (16, 30)])
def test_masks_by_factors_give_what_decompositions_do(monkeypatch, n, d):
    Z, Y, s = problem(n, d)
    Y = masked(Y)
    exact = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5, 2.0], average=2, weights=s)
    monkeypatch.setattr(plan_module, "_JUDGED", 1)
    solution = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5, 2.0], average=2, weights=s)
    assert solution.exact
    np.testing.assert_allclose(solution.weight, exact.weight, atol=1e-6)
    np.testing.assert_allclose(solution.bias, exact.bias, atol=1e-6)
    np.testing.assert_allclose(solution.loo_scores, exact.loo_scores, atol=1e-5)


@pytest.mark.parametrize("unknown_weight", [1.0, 0.3])
def test_without_known_negatives_unknown_is_weighted_absent(unknown_weight):
    Z, Y, s = problem(50, 6)
    seen = np.where((Y == 1) & (np.random.default_rng(3).random(Y.shape) < 0.7), 1, -1).astype(np.int8)
    solution = solve_ridge(
        Z, seen, scalings=["none"], lambdas=[0.5], weights=s, unknown_weight=unknown_weight
    )
    rows = (seen == 1).any(axis=1)
    for k in range(Y.shape[1]):
        entry = s * np.where(seen[:, k] == 1, 1, unknown_weight)
        w, b = dense_ridge(Z[rows], seen[rows, k] == 1, entry[rows], 0.5)
        np.testing.assert_allclose(solution.weight[k], w, atol=1e-5)
        assert solution.bias[k] == pytest.approx(b, abs=1e-5)


def test_average_of_lambdas_is_the_average_of_solutions():
    Z, Y, _ = problem(40, 6)
    pair = solve_ridge(Z, Y, scalings=["l2"], lambdas=[0.1, 2.0], average=2)
    single = [solve_ridge(Z, Y, scalings=["l2"], lambdas=[g]) for g in (0.1, 2.0)]
    np.testing.assert_allclose(pair.weight, (single[0].weight + single[1].weight) / 2, atol=1e-5)
    np.testing.assert_allclose(pair.loo_scores, (single[0].loo_scores + single[1].loo_scores) / 2, atol=1e-5)
    assert sorted(pair.lambdas_averaged) == [0.1, 2.0]


@pytest.mark.parametrize("criterion", ["average_precision", "squared_error"])
def test_lambda_is_the_best_of_its_scaling_in_the_table(criterion):
    Z, Y, _ = problem(60, 8)
    solution = solve_ridge(Z, Y, criterion=criterion)
    rows = [row for row in solution.table if row["scaling"] == solution.scaling.kind]
    assert max(rows, key=lambda row: row["value"])["lambda"] == solution.lambda_
    assert {row["scaling"] for row in solution.table} == set(SCALINGS)


def trial(*each):
    values, share = np.array([each]), np.full(len(each), 1 / len(each))
    return Trial(
        InputScaling.fit(np.eye(2), "l2"), np.ones(1), values, share, np.array([0]), np.zeros((1, 1))
    )


def test_another_scaling_must_beat_the_first_by_a_standard_error():
    first, clear, noisy = trial(0.4, 0.5, 0.6), trial(0.5, 0.6, 0.7), trial(0.9, 0.3, 0.5)
    assert choose(None, None, first) is first
    assert choose(first, first, clear) is clear
    assert choose(first, first, noisy) is first
    assert choose(clear, first, noisy) is clear
    assert choose(first, first, trial(0.4, 0.5, 0.6)) is first


def test_the_criterion_is_freed_of_the_intercept():
    rng = np.random.default_rng(0)
    Z, Y = rng.normal(size=(60, 5)), (rng.random((60, 1)) < 0.3).astype(np.int8)
    Z[:, 0] += 3 * Y[:, 0]
    plain = decompose(Rows(Z)).leave_one_out(Y.astype(float), np.array([1e9]))[0]
    assert plain[Y == 1].max() < plain[Y == 0].min()
    solution = solve_ridge(Z, Y, scalings=["none"], lambdas=[1e9])
    assert solution.table[0]["value"] > 0.8


def test_conjugate_gradients_say_when_they_stop_short():
    Z, Y, _ = problem(50, 6)
    with pytest.warns(Notice, match="after 1 steps"):
        solve_masked(Rows(Z), Y.astype(float), (masked(Y) != -1).astype(float), 0.5, most=1)


def test_criteria_equal_slow_loops():
    rng = np.random.default_rng(0)
    scores, T, S = (
        rng.normal(size=(30, 4)),
        (rng.random((30, 4)) < 0.3) * 1.0,
        rng.integers(0, 3, (30, 4)) / 2,
    )
    T[:, 3] = 0
    found = criterion_values(scores, T, S, "average_precision")
    errors = criterion_values(scores, T, S, "squared_error")
    for k in range(3):
        known = S[:, k] > 0
        hits = T[known, k][np.argsort(-scores[known, k])]
        precisions = [hits[: i + 1].mean() for i in np.flatnonzero(hits)]
        assert found[k] == pytest.approx(np.mean(precisions), abs=1e-12)
        assert errors[k] == pytest.approx(
            -np.average((scores[:, k] - T[:, k]) ** 2, weights=S[:, k]), abs=1e-12
        )
    assert np.isnan(found[3])


def test_labels_with_the_same_mask_share_a_pattern():
    Y = np.array([[1, 0, 1], [0, 1, -1], [0, -1, 1], [-1, -1, -1]], dtype=np.int8)
    entries = entries_of(Y, None, 1.0)
    assert entries.rows.tolist() == [0, 1, 2]
    weights = entries.weights(np.arange(3))
    np.testing.assert_array_equal(weights, (Y[:3] != -1).astype(float))
    assert len(entries_of(Y[:, [0, 0, 2]], None, 1.0).patterns) == 2


def test_label_weights_move_the_criterion_only():
    Z, Y, _ = problem(60, 8)
    first = solve_ridge(Z, Y, scalings=["l2"], lambdas=[0.1, 1.0], label_weights=np.array([1.0, 0, 0]))
    single = solve_ridge(Z, Y[:, :1], scalings=["l2"], lambdas=[0.1, 1.0])
    assert [row["value"] for row in first.table] == pytest.approx([row["value"] for row in single.table])


def test_logits_are_those_of_the_probabilities_and_never_tied():
    raw = np.linspace(-6, 7, 1301)
    found = logits(raw)
    for r, z in zip(raw[400:900:7], found[400:900:7], strict=True):
        p = (
            r
            if 0.1 <= r <= 0.9
            else 0.1 * np.exp(10 * (r - 0.1))
            if r < 0.1
            else 1 - 0.1 * np.exp(10 * (0.9 - r))
        )
        assert z == pytest.approx(np.log(p / (1 - p)), abs=1e-6)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), probabilities(raw), atol=1e-14)
    assert (np.diff(found) > 0).all()
    # Far from one half the probabilities are 1 in float64 already.
    assert (np.diff(probabilities(raw[-100:])) == 0).any()
    np.testing.assert_allclose(found, -logits(1 - raw), atol=1e-9)


def test_probabilities_are_strictly_monotone_and_keep_one_half():
    raw = np.linspace(-3, 3, 2001)
    p = probabilities(raw)
    assert (np.diff(p) > 0).all()
    assert ((p > 0) & (p < 1)).all()
    assert probabilities(np.array([0.5]))[0] == 0.5
    np.testing.assert_allclose(p + probabilities(1 - raw), 1, atol=1e-15)
    np.testing.assert_allclose(probabilities(np.array([0.1, 0.3, 0.9])), [0.1, 0.3, 0.9], atol=1e-15)


@pytest.mark.parametrize("rows", [1, 2])
def test_hardly_any_labelled_rows_still_fit(rows):
    Z, Y, _ = problem(20, 5)
    seen = np.full_like(Y, -1)
    seen[:rows] = 1
    seen[rows - 1, 0] = 0
    solution = solve_ridge(Z, seen)
    assert np.isfinite(solution.weight).all()
    assert np.isfinite(solution.loo_scores).all()


def test_constant_features_fit_the_prior():
    _, Y, _ = problem(20, 5)
    solution = solve_ridge(np.ones((20, 4)), Y)
    np.testing.assert_allclose(solution.predict(np.ones((2, 4))), np.tile(Y.mean(axis=0), (2, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"criterion": "average_precison"}, "average_precision"),
        ({"scalings": ["standardize"]}, "did you mean .standardise."),
        ({"lambdas": [0.0]}, "lambdas must be positive"),
        ({"average": 0}, "average"),
        ({"unknown_weight": 0.0}, "unknown_weight"),
        ({"weights": np.ones(3)}, "weights must be 20 numbers"),
        ({"label_weights": -np.ones(3)}, "label_weights"),
    ],
)
def test_mistakes_are_told_in_one_line(keywords, words):
    Z, Y, _ = problem(20, 5)
    with pytest.raises(UserError, match=words):
        solve_ridge(Z, Y, **keywords)


def test_no_known_positive_and_unequal_rows_are_refused():
    Z, Y, _ = problem(20, 5)
    with pytest.raises(UserError, match="no known positive"):
        solve_ridge(Z, np.zeros_like(Y))
    with pytest.raises(UserError, match="same rows"):
        solve_ridge(Z[:5], Y)


@pytest.mark.parametrize("solver", ["ByDecomposition", "ByCholesky"])
@pytest.mark.parametrize("average", [1, 2])
@pytest.mark.parametrize("d", [6, 90])
def test_scaling_comes_from_a_sample_and_lambda_from_all_rows(monkeypatch, solver, average, d):
    Z, Y, _ = problem(80, d)
    monkeypatch.setattr(plan_module, "_JUDGED", 1)
    monkeypatch.setattr(plan_module, "_SAMPLES", (60,))
    monkeypatch.setattr(plan_module, "ByDecomposition", getattr(direct, solver))
    solution = solve_ridge(Z, Y, scalings=["l2"], average=average)
    assert solution.exact
    monkeypatch.undo()
    same = solve_ridge(Z, Y, scalings=["l2"], lambdas=solution.lambdas_averaged, average=average)
    np.testing.assert_allclose(solution.weight, same.weight, atol=1e-6)
    np.testing.assert_allclose(solution.loo_scores, same.loo_scores, atol=1e-5)
    values = {row["lambda"]: row["value"] for row in solution.table}
    again = {row["lambda"]: row["value"] for row in same.table}
    assert values[solution.lambda_] == pytest.approx(again[solution.lambda_], abs=1e-6)
    assert solution.lambda_ == max(again, key=again.get)


@pytest.mark.parametrize(("n", "d"), [(30, 7), (12, 25)])
def test_a_cholesky_factor_gives_the_solution_of_the_decomposition(n, d):
    Z, Y, s = problem(n, d)
    one, other = (
        solver.of(Rows(Z), s, Y.astype(float)).at(0.7)
        for solver in (direct.ByCholesky, direct.ByDecomposition)
    )
    np.testing.assert_allclose(one.weight, other.weight, atol=1e-10)
    np.testing.assert_allclose(one.bias, other.bias, atol=1e-10)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


def test_a_lambda_that_is_lost_in_rounding_is_refused():
    rows = Rows(np.ones((5, 3)) * 1e8 * np.arange(5)[:, None])
    with pytest.raises(UserError, match="too small"):
        direct.ByCholesky.of(rows, np.ones(5), np.eye(5)).at(1e-300)


@given(
    values=st.lists(st.integers(0, 9), min_size=1, max_size=9),
    start=st.integers(0, 8),
    least=st.integers(1, 9),
)
def test_a_climb_ends_at_a_maximum_among_its_neighbours(values, start, least):
    seen = climb(values.__getitem__, start % len(values), len(values), least)
    best = max(seen, key=seen.get)
    assert all(values[place] == value for place, value in seen.items())
    assert len(seen) >= min(least, len(values))
    for neighbour in (best - 1, best + 1):
        assert not 0 <= neighbour < len(values) or values[neighbour] <= values[best]


@pytest.mark.parametrize("make", [sp.coo_array, sp.csc_matrix])
def test_any_sparse_format_is_taken(make):
    Z, Y, _ = problem(30, 5)
    np.testing.assert_array_equal(solve_ridge(make(Z), Y).weight, solve_ridge(sp.csr_array(Z), Y).weight)


def scored_without_twins(T, y, known, twin, i, lambda_):
    """Leave a row out with its twins, and score it."""
    rest = known & (twin != twin[i])
    w, b = dense_ridge(T[rest], y[rest], np.ones(rest.sum()), lambda_)
    return T[i] @ w + b


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("d", [4, 40])
@pytest.mark.parametrize("solver", [None, "ByCholesky"])
def test_equal_rows_are_left_out_together(monkeypatch, hidden, d, solver):
    Z, Y, _ = problem(24, d)
    twin = np.repeat(np.arange(12), 2)
    Z = Z[:12][twin]
    Y = masked(Y) if hidden else Y
    if solver and not hidden:
        monkeypatch.setattr(plan_module, "_JUDGED", 1)
        monkeypatch.setattr(plan_module, "_SAMPLES", (16,))
        monkeypatch.setattr(plan_module, "ByDecomposition", getattr(direct, solver))
    solution = solve_ridge(Z, Y, scalings=["none"], lambdas=[0.5])
    T = Z.astype(np.float32).astype(float)
    for k in range(Y.shape[1]):
        known = Y[:, k] != -1
        w, b = dense_ridge(T[known], Y[known, k], np.ones(known.sum()), 0.5)
        np.testing.assert_allclose(solution.weight[k], w, atol=1e-5)
        assert solution.bias[k] == pytest.approx(b, abs=1e-4)
        for i in np.flatnonzero(known):
            expected = scored_without_twins(T, Y[:, k], known, twin, i, 0.5)
            assert solution.loo_scores[i, k] == pytest.approx(expected, abs=1e-4)


def test_copies_of_every_row_leave_the_choice_as_it_was():
    Z, Y, _ = problem(60, 5)
    Y = (Y + (np.random.default_rng(5).random(Y.shape) < 0.3)) % 2
    once = solve_ridge(Z, Y, scalings=["l2"])
    thrice = solve_ridge(np.repeat(Z, 3, axis=0), np.repeat(Y, 3, axis=0), scalings=["l2"])
    grids = [np.unique([row["lambda"] for row in found.table]) for found in (once, thrice)]
    places = [np.argmin(abs(grid - found.lambda_)) for grid, found in zip(grids, (once, thrice), strict=True)]
    # three copies weigh three times as much beside the same lambda
    assert abs(places[0] - places[1]) <= 2
    criteria = [max(row["value"] for row in found.table) for found in (once, thrice)]
    assert criteria[1] == pytest.approx(criteria[0], abs=0.02)


def test_twins_are_equal_in_every_form():
    rng = np.random.default_rng(0)
    dense = (rng.integers(0, 3, (40, 2)) - 1).astype(np.float32)
    dense[dense == 0] *= -1
    words = sp.csr_array(rng.integers(0, 2, (40, 2)).astype(np.float32))
    whole = np.concatenate([dense, words.toarray()], axis=1)
    for X, plain in (
        (dense, dense),
        (words, words.toarray()),
        (FeatureBlocks(("a", "b"), (dense, words)), whole),
    ):
        twin = twins_of(X)
        for i in range(40):
            np.testing.assert_array_equal(twin == twin[i], (plain == plain[i]).all(axis=1))
    assert twins_of(rng.normal(size=(9, 2))) is None


@settings(max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), m=st.integers(1, 40), k=st.integers(1, 5), ties=st.integers(1, 30))
def test_labels_that_are_judged_together_have_the_criterion_of_each_alone(seed, m, k, ties):
    """To the bit: small tables choose as they did, and as large ones do."""
    rng = np.random.default_rng(seed)
    keys = np.where(rng.random((k, m)) < 0.8, rng.integers(-ties, ties, (k, m)) / 7, np.inf)
    hits = np.where((rng.random((k, m)) < 0.4) & np.isfinite(keys), rng.choice([1.0, 0.3], (k, m)), 0.0)
    np.testing.assert_array_equal(
        _areas(keys, hits), [_area(*label) for label in zip(keys, hits, strict=True)]
    )
    Y = rng.choice(np.array([1, 0, -1], np.int8), (m, k))
    Y[0, 0] = 1
    entries = entries_of(Y, None, 1.0)
    scores = np.float32(rng.integers(-ties, ties, (3, len(entries.rows), k)) / 7)
    for name in ("average_precision", "squared_error"):
        judge = Judge.of(entries, name)
        np.testing.assert_array_equal(judge.every(scores), [judge.each(one) for one in scores])


@pytest.mark.parametrize("limit", ["_FEW_ROWS", "_FEW_ENTRIES"])
def test_many_are_judged_as_few_are(limit, monkeypatch):
    X, Y, _ = problem(90, 6)
    few = solve_ridge(X, Y)
    monkeypatch.setattr(criterion, limit, 0)
    many = solve_ridge(X, Y)
    assert many.table == few.table
    np.testing.assert_array_equal(many.weight, few.weight)
