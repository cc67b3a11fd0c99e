"""Groups of near-copies: rows of one are left out together, and are no neighbours of each other."""

import numpy as np
import pytest

from labelwise.ensemble import KnownEntries, Pool, RidgeMember, Trees, leave_one_out_r2, neighbours
from labelwise.ensemble.gate_folds import folds_of

RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.permutation(np.repeat(np.arange(24), 5))
CENTRES = RANDOM.standard_normal((24, 6))
X = (CENTRES[GROUPS] + 0.05 * RANDOM.standard_normal((120, 6))).astype(np.float32)
Y = (RANDOM.random((24, 3)) < 0.4)[GROUPS].astype(np.int8)
GAPS = np.where(RANDOM.random(Y.shape) < 0.8, Y, -1).astype(np.int8)
GAPS[(GAPS == -1).all(axis=1), 0] = 0


def test_neighbours_are_the_nearest_of_other_groups_also_when_rows_leave_the_pool():
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    found = neighbours(unit, unit, 6, exclude_self=True, spare=4, groups=GROUPS)
    gone = np.isin(GROUPS, (0, 3, 5, 8, 13, 21))

    def nearest(pool_rows, row):
        order = pool_rows[np.argsort(-(unit[pool_rows] @ unit[row]), kind="stable")]
        return order[GROUPS[order] != GROUPS[row]][:6]

    left = found.without(gone, unit, unit, GROUPS)
    rest = np.flatnonzero(~gone)
    for row in range(0, 120, 7):
        assert found.index[row, :6].tolist() == nearest(np.arange(120), row).tolist()
        assert rest[left.index[row]].tolist() == nearest(rest, row).tolist()


@pytest.mark.parametrize("labels", [Y, GAPS])
def test_a_member_s_left_out_scores_are_those_of_fits_without_the_fold(labels):
    known = KnownEntries.of(labels, groups=GROUPS)
    member = RidgeMember.fit(X, known)
    assert all(len(set(known.fold[group == GROUPS])) == 1 for group in range(24))
    assert set(known.fold) == set(range(5))
    for label in range(3):
        there = np.flatnonzero(labels[:, label] != -1)
        mean = labels[there, label].mean()
        for fold in range(5):
            rest = there[known.fold[there] != fold]
            Z, y = X[rest].astype(float), labels[rest, label].astype(float)
            centre = Z.mean(0)
            weight = np.linalg.solve(
                (Z - centre).T @ (Z - centre) + member.lambda_ * np.eye(6), (Z - centre).T @ (y - y.mean())
            )
            out = there[known.fold[there] == fold]
            np.testing.assert_allclose(member.loo[out, label], (X[out] - centre) @ weight + mean, atol=1e-4)


def test_no_score_out_of_the_bag_knows_a_near_copy():
    def r2(known):
        bag = Trees.fit(X, known.targets, 40, fold=known.fold).out_of_bag
        return leave_one_out_r2(bag, known).mean()

    assert r2(KnownEntries.of(Y)) > 0.5
    assert r2(KnownEntries.of(Y, groups=GROUPS)) < 0.2


def test_equal_rows_of_two_groups_and_folds_of_the_gate_stay_together():
    pool = Pool.fit(np.vstack([X, X[:1]]), names=("c", "p", "w"))
    groups = np.append(GROUPS, 99)
    known = KnownEntries.of(np.vstack([Y, Y[:1]]), pool.twins(), groups=groups)
    assert known.groups[120] == known.groups[0]
    for fold in (known.fold, folds_of(known, 0), known.take(np.arange(100)).fold):
        assert all(len(set(fold[groups[: len(fold)] == group])) == 1 for group in set(groups[: len(fold)]))


def test_soft_targets_keep_their_values_and_variance():
    scores = np.array([[0.2, np.nan], [0.9, 0.5], [np.nan, np.nan], [0.4, 0.1]], np.float32)
    known = KnownEntries.of_scores(scores)
    assert known.rows.tolist() == [0, 1, 3]
    np.testing.assert_allclose(known.take(np.array([1, 2])).targets, [[0.9, 0.5], [0.4, 0.1]])
    zero = np.broadcast_to(known.means.astype(np.float32), (3, 2))
    np.testing.assert_allclose(leave_one_out_r2(zero, known), 0, atol=1e-6)
