"""Ridge from sums gathered in passes: that of rows in memory, by whomever it was gathered."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.annotations import LabelCounts, ListedStates, describe
from labelwise.errors import UserError
from labelwise.models.ridge import LabelGroups, RidgeMoments, RowStream, solve_ridge, solve_stream
from labelwise.models.scaling import SCALINGS, InputScaling


class Stream(RowStream):
    """Rows and labels in memory, as fragments."""

    n_features = n_labels = 0

    def __init__(self, X, Y, size=37):
        self.X, self.Y, self.size = X, Y, size
        self.n_features, self.n_labels = X.shape[1], Y.shape[1]

    def labels(self):
        for number, start in enumerate(range(0, self.X.shape[0], self.size)):
            yield number, self.Y[start : start + self.size]

    def rows(self):
        for number, Y in self.labels():
            start = number * self.size
            yield number, self.X[start : start + self.size], Y


def listed_states(Y, silent=0):
    """Return a matrix as lists of what is relevant, rows without a known entry unlabelled."""
    indptr = np.concatenate([[0], np.cumsum((Y == 1).sum(axis=1))])
    says = np.where((Y == -1).all(axis=1), -1, silent)
    return ListedStates.of(indptr, np.nonzero(Y == 1)[1], says.astype(np.int8), Y.shape[1])


def problem(n, d, k, seed=0, tenths=3):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * rng.gamma(2, size=d) + rng.normal(size=d)).astype(np.float32)
    scores = X @ rng.normal(size=(d, k)) + 4 * rng.normal(size=(n, k))
    return X, (scores > np.quantile(scores, 1 - tenths / 10, axis=0)).astype(np.int8)


def unknown_rows(X, Y):
    Y = Y.copy()
    Y[::3] = -1
    return X, Y


def partial(X, Y):
    Y = Y.copy()
    rng = np.random.default_rng(1)
    for half in (slice(0, 2), slice(2, None)):
        Y[rng.random(len(Y)) < 0.4, half] = -1
    return X, Y


def positives_only(X, Y):
    return X, np.where(Y == 1, 1, -1).astype(np.int8)


def with_equal_rows(X, Y):
    X = X.copy()
    X[len(X) // 2 :: 5] = X[0]
    X[1::7] = X[3]
    return X, Y


def partial_with_equal_rows(X, Y):
    return with_equal_rows(*partial(X, Y))


def sparse(X, Y):
    return sp.csr_array(np.where(np.abs(X - X.mean(axis=0)) > X.std(axis=0), X, 0).astype(np.float32)), Y


def wide(X, Y):
    return X[:30], Y[:30]


CASES = [
    lambda X, Y: (X, Y),
    unknown_rows,
    partial,
    positives_only,
    with_equal_rows,
    partial_with_equal_rows,
    sparse,
    wide,
]


def same_to_a_millionth(streamed, whole, labels):
    solution = streamed.solution
    assert solution.scaling.kind == whole.scaling.kind
    np.testing.assert_allclose(solution.lambdas_averaged, whole.lambdas_averaged, rtol=1e-9)
    size = np.abs(whole.weight).max()
    np.testing.assert_allclose(solution.weight, whole.weight, atol=1e-6 * size)
    np.testing.assert_allclose(solution.bias, whole.bias, atol=1e-6)
    np.testing.assert_allclose(solution.loo_scores, whole.loo_scores[streamed.index], atol=2e-6)
    np.testing.assert_allclose(solution.thresholds, whole.thresholds, atol=2e-6)
    np.testing.assert_array_equal(streamed.labels, labels[streamed.index])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_solution_of_rows_in_memory(case):
    X, Y = case(*problem(240, 32, 4))
    streamed, whole = solve_stream(Stream(X, Y)), solve_ridge(X, Y, scalings=_kinds(X))
    same_to_a_millionth(streamed, whole, Y)
    assert streamed.whole
    assert [row["value"] for row in streamed.solution.table] == pytest.approx(
        [row["value"] for row in whole.table], abs=1e-6
    )


def _kinds(X):
    return [InputScaling.in_unit(X) if kind == "none" else kind for kind in SCALINGS]


@pytest.mark.parametrize("case", CASES[:5], ids=lambda case: case.__name__)
def test_the_solution_where_rows_in_memory_are_sampled(case, monkeypatch):
    """Beyond some work scalings are chosen on a sample, and all rows decide on lambda."""
    from labelwise.models.ridge import plan

    monkeypatch.setattr(plan, "_JUDGED", 500)
    monkeypatch.setattr(plan, "_SAMPLES", (150,))
    monkeypatch.setattr(plan, "_SMALL_SAMPLE", 100)
    X, Y = case(*problem(400, 16, 4))
    same_to_a_millionth(solve_stream(Stream(X, Y)), solve_ridge(X, Y, scalings=_kinds(X)), Y)


@pytest.mark.parametrize("silent", [0, -1])
def test_lists_of_labels_are_the_matrix_that_they_stand_for(silent):
    X, Y = problem(200, 8, 5)
    Y[::4] = -1
    Y = Y if silent == 0 else np.where(Y == 1, 1, -1).astype(np.int8)
    lists, matrix = solve_stream(Stream(X, listed_states(Y, silent))), solve_stream(Stream(X, Y))
    for name in ("weight", "bias", "loo_scores", "thresholds"):
        np.testing.assert_array_equal(getattr(lists.solution, name), getattr(matrix.solution, name))
    counts = LabelCounts(5)
    for start in range(0, 200, 33):
        counts.update(listed_states(Y, silent)[start : start + 33])
    names = [f"label_{k}" for k in range(5)]
    facts = describe(Y)
    assert counts.finalize(names, facts.notes).to_dict() == facts.to_dict()


def test_few_judged_rows_choose_nearly_as_all_do(monkeypatch):
    from labelwise.models.ridge import passes

    monkeypatch.setattr(passes, "_LEAST_JUDGED", 300)
    X, Y = problem(900, 12, 6)
    few, whole = solve_stream(Stream(X, Y), most_judged=300 * 3), solve_stream(Stream(X, Y))
    assert not few.whole
    assert len(few.labels) == 150
    np.testing.assert_allclose(few.solution.lambda_, whole.solution.lambda_, rtol=10)
    # A row's score is by the model of all other rows, whoever else is judged.
    if few.solution.lambdas_averaged == whole.solution.lambdas_averaged:
        place = np.searchsorted(whole.index, few.index)
        np.testing.assert_allclose(few.solution.loo_scores, whole.solution.loo_scores[place], atol=1e-6)


def test_scalings_are_chosen_by_fewer_labels_where_no_table_would_hold_them(monkeypatch):
    from labelwise.models.ridge import plan, streaming

    monkeypatch.setattr(plan, "_JUDGED", 500)
    monkeypatch.setattr(plan, "_SAMPLES", (150,))
    monkeypatch.setattr(streaming, "_TOO_MANY", 1000)
    monkeypatch.setattr(streaming, "_CHOSEN_BY", 450)
    asked = []
    trial = streaming.Search.trial

    def noted(search, X, scaling):
        asked.append(search.entries.targets.shape)
        return trial(search, X, scaling)

    monkeypatch.setattr(streaming.Search, "trial", noted)
    X, Y = problem(400, 8, 6)
    streamed = solve_stream(Stream(X, Y))
    assert set(asked) == {(150, 3)}
    assert streamed.solution.weight.shape == (6, 8)
    weight, lambda_ = streamed.solution.weight, streamed.solution.lambda_
    Z = streamed.solution.scaling.transform(X).astype(np.float64)
    Z -= Z.mean(axis=0)
    np.testing.assert_allclose(weight, np.linalg.solve(Z.T @ Z + lambda_ * np.eye(8), Z.T @ Y).T, atol=1e-5)


def test_a_sample_of_labels_chooses_what_all_labels_choose(monkeypatch):
    """On labels of one make the sample's scaling is that of all, its lambda next to it, and the loss of AP small."""
    from labelwise.models.ridge import streaming

    X, Y = problem(300, 10, 60, tenths=1)
    whole = solve_stream(Stream(X, Y))
    assert whole.chosen_by == (60, 60)
    monkeypatch.setattr(streaming, "_TOO_MANY", 10_000)
    monkeypatch.setattr(streaming, "_CHOSEN_BY", 300 * 12)
    sampled = solve_stream(Stream(X, Y))
    assert sampled.chosen_by == (12, 60)
    assert sampled.solution.scaling.kind == whole.solution.scaling.kind
    value = {record["lambda"]: record["value"] for record in whole.solution.table}
    assert value[sampled.solution.lambda_] >= max(value.values()) - 0.002
    # All judged rows and labels decide on lambda once more, so that here it is the same one.
    assert sampled.solution.lambda_ == whole.solution.lambda_


def test_the_judged_rows_are_read_again_without_a_fit(monkeypatch):
    from labelwise.models.ridge import judged_rows, passes

    monkeypatch.setattr(passes, "_LEAST_JUDGED", 50)
    X, Y = problem(200, 6, 5)
    Y[::4] = -1
    fit = solve_stream(Stream(X, Y), most_judged=50 * 4)
    again = judged_rows(Stream(X, Y), most_judged=50 * 4)
    for one, other in zip((fit.X, fit.labels, fit.index), again[:3], strict=True):
        np.testing.assert_array_equal(one, other)
    assert (again[3].n_items, again[3].known) == (200, 150)


def test_the_sums_are_those_of_a_slow_loop():
    X, Y = problem(60, 5, 3)
    Y[7] = -1
    moments = RidgeMoments(5, 3)
    for number, start in enumerate(range(0, 60, 11)):
        moments.update(X[start : start + 11], Y[start : start + 11], number)
    (found,) = moments.finalize()
    rows = [i for i in range(60) if i != 7]
    mean = sum(X[i].astype(np.float64) for i in rows) / 59
    target = sum((Y[i] == 1).astype(np.float64) for i in rows) / 59
    square = sum(np.outer(X[i] - mean, X[i] - mean) for i in rows)
    cross = sum(np.outer(X[i] - mean, (Y[i] == 1) - target) for i in rows)
    assert found.weight == 59
    for one, other in (
        (found.mean, mean),
        (found.square, square),
        (found.target, target),
        (found.cross, cross),
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_a_left_out_score_is_that_of_a_model_trained_without_the_row():
    X, Y = problem(50, 6, 3)
    moments, lambda_ = RidgeMoments(6, 3), 0.7
    moments.update(X, Y, 0)
    ridge = moments.finalize()[0].decompose()
    scores = ridge.leave_one_out(X, Y.astype(np.float64), np.ones(50), np.array([lambda_]))
    for row in (0, 13, 49):
        others = RidgeMoments(6, 3)
        rest = np.arange(50) != row
        others.update(X[rest], Y[rest], 0)
        weight, bias = others.finalize()[0].decompose().solve(np.array([lambda_]))
        np.testing.assert_allclose(scores[row], X[row] @ weight.T + bias, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_whoever_gathers_which_fragment_the_sums_are_the_same_to_the_bit(data):
    n_fragments = data.draw(st.integers(1, 12))
    X, Y = problem(8 * n_fragments, 4, 3)
    parts = [(X[8 * i : 8 * i + 8], Y[8 * i : 8 * i + 8], i) for i in range(n_fragments)]
    alone = RidgeMoments(4, 3)
    for part in parts:
        alone.update(*part)
    n_workers = data.draw(st.integers(1, 5))
    workers = [RidgeMoments(4, 3) for _ in range(n_workers)]
    for part in data.draw(st.permutations(parts)):
        workers[data.draw(st.integers(0, n_workers - 1))].update(*part)
    first, *others = data.draw(st.permutations(workers))
    for other in others:
        first.merge(other)
    (one,), (other,) = alone.finalize(), first.finalize()
    for name in ("weight", "mean", "square", "target", "cross"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_fragment_counts_once():
    X, Y = problem(8, 4, 3)
    for numbers in ((0, 1, 0), (3, 2, 3), (0, 1, 2, 3, 2), (5, 5)):
        moments = RidgeMoments(4, 3)
        for number in numbers[:-1]:
            moments.update(X, Y, number)
        with pytest.raises(UserError, match="taken in twice"):
            moments.update(X, Y, numbers[-1])
    both, other = RidgeMoments(4, 3), RidgeMoments(4, 3)
    for number in (0, 1, 2, 3):
        both.update(X, Y, number)
    other.update(X, Y, 2)
    with pytest.raises(UserError, match="taken in twice"):
        other.merge(both)


def test_mistakes_are_refused():
    X, Y = problem(20, 4, 3)
    with pytest.raises(UserError, match="of the same rows"):
        RidgeMoments(5, 3).update(X, Y, 0)
    with pytest.raises(UserError, match="holds no rows"):
        RidgeMoments(4, 3).finalize()
    with pytest.raises(UserError, match="NaN"):
        RidgeMoments(4, 3).update(np.full_like(X, np.nan), Y, 0)
    hidden = Y.copy()
    hidden[0, 0] = -1
    together = RidgeMoments(4, 3, groups=LabelGroups(np.zeros(3, np.int64), absent=False))
    with pytest.raises(UserError, match="known on different rows"):
        together.update(X, hidden, 0)
    with pytest.raises(UserError, match="no entry is known to be relevant"):
        solve_stream(Stream(X, np.zeros_like(Y)))


def test_more_masks_than_there_is_memory_for_are_refused(monkeypatch):
    from labelwise.models.ridge import passes

    monkeypatch.setattr(passes, "_MOMENTS", 100)
    with pytest.raises(UserError, match="2 different masks"):
        solve_stream(Stream(*partial(*problem(60, 4, 4))))
