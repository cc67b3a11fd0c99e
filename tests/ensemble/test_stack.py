"""Stack: weights shared by labels of similar frequency, against loops over labels and members."""

import numpy as np
import pytest
from scipy.optimize import nnls

from labelwise.ensemble import KnownEntries, stack
from labelwise.ensemble.stack import mean_of_standardised, moments, similarity


def problem(seed=0, m=60, K=5, V=3, hidden=0.0):
    rng = np.random.default_rng(seed)
    labels = (rng.random((m, K)) < rng.uniform(0.1, 0.5, K)).astype(np.int8)
    labels[:2] = [[0], [1]]
    members = [0.5 * labels + rng.normal(scale=0.3 + 0.2 * v, size=(m, K)) for v in range(V)]
    labels[2:][rng.random((m - 2, K)) < hidden] = -1
    known = KnownEntries.of(labels)
    return known, [one.astype(np.float32)[known.rows] for one in members]


def by_loops(members, known):
    """The docstring's formula, label by label and entry by entry, in float64."""
    m, K = known.targets.shape
    mask = np.ones((m, K), bool) if known.mask is None else known.mask
    y, n = known.targets.astype(float), known.positives
    a, t = np.zeros((len(members), K, m)), np.zeros((K, m))
    for k in range(K):
        mean = y[mask[:, k], k].mean()
        unit = np.sqrt(mean * (1 - mean))
        for i in np.flatnonzero(mask[:, k]):
            t[k, i] = (y[i, k] - mean) / unit
            for v, member in enumerate(members):
                a[v, k, i] = (member[i, k] - mean) / unit
    out = np.zeros((m, K))
    for k in range(K):
        P, b, R, total = np.zeros((len(members),) * 2), np.zeros(len(members)), np.zeros(len(members)), 0.0
        for other in range(K):
            w = np.exp(-((np.log1p(n[k]) - np.log1p(n[other])) ** 2) / (2 * 0.5**2))
            total += w
            for v in range(len(members)):
                b[v] += w * (a[v, other] @ t[other])
                R[v] += w * (1 - ((a[v, other] - t[other]) ** 2).sum() / (t[other] ** 2).sum())
                for u in range(len(members)):
                    P[v, u] += w * (a[v, other] @ a[u, other])
        root = np.linalg.cholesky(P + 1e-2 * np.trace(P) / len(P) * np.eye(len(P)))
        least, _ = nnls(root.T, np.linalg.solve(root, b))
        R /= total
        soft = np.exp(100 * (R - R.max())) / np.exp(100 * (R - R.max())).sum()
        on = mask[:, k]

        def unit_scores(x, on=on):
            return (x - x[on].mean()) / x[on].std()

        first = unit_scores(sum(least[v] * members[v][:, k] for v in range(len(members))))
        second = unit_scores(sum(soft[v] * unit_scores(members[v][:, k]) for v in range(len(members))))
        out[:, k] = (first + second) / 2
    return out


@pytest.mark.parametrize("hidden", [0.0, 0.4])
@pytest.mark.parametrize("seed", range(3))
def test_stack_is_its_formula(seed, hidden):
    known, members = problem(seed, hidden=hidden)
    np.testing.assert_allclose(stack(members, known).of(members), by_loops(members, known), atol=2e-3)


def test_scores_of_other_rows_are_affine_in_the_members():
    known, members = problem()
    combined = stack(members, known)
    rows = [member[:4] for member in members]
    np.testing.assert_allclose(combined.of(rows), combined.of(members)[:4], atol=1e-6)


def test_a_member_that_knows_nothing_gets_no_weight():
    known, members = problem(m=300)
    noise = np.random.default_rng(1).normal(size=members[0].shape).astype(np.float32)
    combined = stack([members[0], noise], known)
    assert (np.abs(combined.weight[1]) < 0.05 * np.abs(combined.weight[0])).all()


def test_a_label_of_one_kind_and_a_constant_member_leave_finite_weights():
    known, members = problem()
    known.targets[:, 0] = 1
    known = KnownEntries.of(known.targets.astype(np.int8))
    combined = stack([*members, np.full_like(members[0], 0.5)], known)
    assert np.isfinite(combined.weight).all()
    assert np.isfinite(combined.of([*members, np.full_like(members[0], 0.5)])).all()
    assert not combined.weight[:, 0].any()


def test_moments_read_the_entries_that_count_alone():
    known, members = problem(hidden=0.5)
    mean, deviation = moments(members[0], known)
    for k in range(known.targets.shape[1]):
        column = members[0][known.mask[:, k], k].astype(float)
        assert mean[k] == pytest.approx(column.mean(), abs=1e-5)
        assert deviation[k] == pytest.approx(column.std(), abs=1e-4)


def test_mean_of_standardised_scores_is_standard():
    known, members = problem(m=200)
    mean, deviation = moments(mean_of_standardised(members, known).of(members), known)
    np.testing.assert_allclose(mean, 0, atol=1e-5)
    np.testing.assert_allclose(deviation, 1, atol=1e-4)


def test_similarity_falls_with_the_ratio_of_positives():
    near = similarity(np.array([9.0, 9.0, 99.0]), 0.5)
    assert near[0, 1] == 1
    assert near[0, 2] == pytest.approx(np.exp(-(np.log(10) ** 2) / 0.5))
