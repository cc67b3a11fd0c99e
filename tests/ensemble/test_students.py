"""Students beside refits of teacher and student without each row."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise.ensemble import KnownEntries, RidgeMember, Teacher, TeacherPart, fit_student, pooled_weights
from tests.ensemble.test_members import slow_ridge


def problem(n, m, key, share=1.0):
    rng = np.random.default_rng(key)
    X = [rng.normal(size=(n, r)).astype(np.float32) + 1 for r in (4, 7, 12)]
    labels = (X[0][:, :1] + rng.normal(size=(n, 2)) > 1).astype(np.int8)
    labels[rng.random(labels.shape) > share] = -1
    labels[rng.permutation(n)[m:]] = -1
    return X, labels


def teach(X, labels, weights, place=4, twins=None):
    known = KnownEntries.of(labels, twins, assume_absent=False)
    parts = [
        TeacherPart(RidgeMember.fit(x[known.rows], known, lambda_index=place), lambda x=x: x)
        for x in X[: len(weights)]
    ]
    return Teacher(tuple(parts), tuple(weights), known)


def slow_teacher(X, labels, k, teacher):
    """Scores of all rows by a teacher fitted to label k as it stands."""
    rows = np.flatnonzero(labels[:, k] != -1)
    y = (labels[rows, k] == 1).astype(np.float64)
    total = np.full(len(labels), (1 - sum(teacher.weights)) * y.mean())
    for x, weight, part in zip(X, teacher.weights, teacher.parts, strict=False):
        w, b = slow_ridge(x[rows], y, part.member.lambda_)
        total += weight * (x @ w + b)
    return total


def slow_left_out(X, labels, k, i, teacher, student_lambda, twins=None):
    """Score of row i by teacher and student that were both fitted without its label."""
    gone = np.arange(len(labels)) == i if twins is None else twins == twins[i]
    less = labels.copy()
    less[gone, k] = -1
    targets = slow_teacher(X, less, k, teacher)
    known = less[:, k] != -1
    targets[known] = less[known, k] == 1
    w, b = slow_ridge(X[2], targets, student_lambda)
    y = labels[labels[:, k] != -1, k]
    out = (labels[:, k] != -1) & gone
    return X[2][i] @ w + b + (labels[out, k] - y.mean()).sum() / (len(y) - out.sum())


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(6, 20),
    share=st.floats(0.3, 0.9),
    key=st.integers(0, 99),
    place=st.integers(0, 2),
    weights=st.sampled_from([(0.5, 0.3), (0.7,), (0.4, 0.9), ()]),
)
def test_left_out_scores_equal_refits_of_teacher_and_student(n, share, key, place, weights):
    X, labels = problem(n, max(3, int(share * n)), key)
    teacher = teach(X, labels, weights)
    student = fit_student(X[2], teacher, lambda_index=place)
    for k in range(2):
        for row, i in enumerate(teacher.known.rows):
            want = slow_left_out(X, labels, k, i, teacher, student.lambda_)
            assert student.loo[row, k] == pytest.approx(want, abs=1e-4)
        targets = slow_teacher(X, labels, k, teacher)
        targets[teacher.known.rows] = labels[teacher.known.rows, k]
        w, b = slow_ridge(X[2], targets, student.lambda_)
        np.testing.assert_allclose(student.scores(X[2])[:, k], X[2] @ w + b, atol=1e-4)


def test_twins_are_left_out_together():
    X, labels = problem(24, 12, 0)
    twins = np.arange(24)
    rows = np.flatnonzero((labels != -1).any(axis=1))
    for a, b in (rows[:2], rows[3:5]):
        twins[b] = twins[a]
        for x in X:
            x[b] = x[a]
    teacher = teach(X, labels, (0.5, 0.4), twins=twins)
    student = fit_student(X[2], teacher, lambda_index=1)
    for row, i in enumerate(teacher.known.rows):
        want = slow_left_out(X, labels, 1, i, teacher, student.lambda_, twins)
        assert student.loo[row, 1] == pytest.approx(want, abs=1e-4)


@pytest.mark.parametrize("share", [0.9, 0.5])
def test_left_out_scores_of_masked_labels_are_near_those_of_refits(share):
    X, labels = problem(120, 80, 0, share)
    teacher = teach(X, labels, (0.5, 0.4), place=3)
    student = fit_student(X[2], teacher, lambda_index=0)
    for k in range(2):
        rows = np.flatnonzero(labels[teacher.known.rows, k] != -1)
        want = np.array(
            [slow_left_out(X, labels, k, teacher.known.rows[row], teacher, student.lambda_) for row in rows]
        )
        y = labels[teacher.known.rows[rows], k]
        moved, residual = student.loo[rows, k] - want, y - want
        fitted = student.scores(X[2])[teacher.known.rows[rows], k] - want
        assert (moved**2).mean() < 0.02**2 * (residual**2).mean()
        assert (moved**2).mean() < 0.2**2 * (fitted**2).mean()


def test_the_student_takes_the_lambda_of_the_best_r2():
    X, labels = problem(60, 30, 3)
    teacher = teach(X, labels, (0.8,))
    tried = [fit_student(X[2], teacher, lambda_index=place) for place in range(3)]
    chosen = fit_student(X[2], teacher)
    assert chosen.r2 == max(student.r2 for student in tried)
    np.testing.assert_array_equal(chosen.loo, tried[chosen.lambda_index].loo)


def test_pooled_weights_solve_the_least_squares_of_a_loop():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (50, 3)).astype(np.int8)
    known = KnownEntries.of(labels)
    scores = [(rng.normal(size=known.targets.shape) + known.targets).astype(np.float32) for _ in range(3)]
    columns, target = [[], [], []], []
    for row, i in enumerate(known.rows):
        for k in range(3):
            if labels[i, k] != -1:
                y = labels[labels[:, k] != -1, k]
                scale = np.sqrt(y.mean() * (1 - y.mean()))
                target.append((labels[i, k] - y.mean()) / scale)
                for column, one in zip(columns, scores, strict=True):
                    column.append((one[row, k] - y.mean()) / scale)
    A, t = np.array(columns).T, np.array(target)
    gram = A.T @ A
    gram += 0.01 * np.trace(gram) / 3 * np.eye(3)
    weights = pooled_weights(scores, known)
    slope = gram @ weights - A.T @ t
    assert (weights >= 0).all()
    np.testing.assert_allclose(slope[weights > 0], 0, atol=1e-3)
    assert (slope[weights == 0] >= -1e-3).all()


def test_a_teacher_keeps_its_heaviest_members():
    X, labels = problem(80, 40, 1)
    known = KnownEntries.of(labels, assume_absent=False)
    good = TeacherPart(RidgeMember.fit(X[0][known.rows], known), lambda: X[0])
    noise = np.random.default_rng(5).normal(size=(80, 3)).astype(np.float32)
    bad = TeacherPart(RidgeMember.fit(noise[known.rows], known, lambda_index=0), lambda: noise)
    teacher = Teacher.fit([good, *[bad] * 8], known)
    assert teacher.parts[0] is good
    assert len(teacher.parts) <= 6
    assert min(teacher.weights) >= 0
    np.testing.assert_allclose(
        teacher.scores(80)[known.rows[0]],
        teacher.rest * known.means
        + sum(
            w * p.member.scores(p.features()[known.rows[:1]])[0]
            for w, p in zip(teacher.weights, teacher.parts, strict=True)
        ),
        atol=1e-5,
    )
