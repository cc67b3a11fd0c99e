"""Folds: each judgeable row once, groups whole, labels in proportion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelwise import simulate
from labelwise.comparison import deal_folds
from labelwise.metrics import judgeable
from tests.refusals import refused


def labels(n=60, K=4, seed=0):
    return (np.random.default_rng(seed).random((n, K)) < 0.4).astype(np.int8)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 5),
    st.integers(1, 2),
    st.sampled_from(["full", "semi", "single", "partial"]),
    st.integers(0, 9),
)
def test_every_judgeable_row_is_held_out_once_a_repetition(folds, repeats, setting, seed):
    Y = labels(seed=seed)
    if setting == "semi":
        Y[::3] = -1
    elif setting == "single":
        Y = simulate.single_positive(Y, seed=seed)
    elif setting == "partial":
        Y = simulate.partial(Y, known_fraction=0.7, seed=seed)
    dealt = deal_folds(Y, folds, repeats, seed=seed)
    rows = np.flatnonzero(judgeable(Y).rows)
    assert len(dealt) == folds * repeats
    for repeat in range(repeats):
        part = dealt[repeat * folds : (repeat + 1) * folds]
        assert np.array_equal(np.sort(np.concatenate([fold.held_out for fold in part])), rows)
    for fold in dealt:
        assert not np.intersect1d(fold.train, fold.held_out).size
        assert len(fold.train) + len(fold.held_out) == len(Y)


def test_rows_that_cannot_be_judged_are_always_trained_on():
    Y = labels()
    Y[:40] = np.where(Y[:40] == 1, 1, -1)
    for fold in deal_folds(Y, 2):
        assert set(range(40)) <= set(fold.train)


def test_no_group_is_on_both_sides_not_even_by_rows_that_cannot_be_judged():
    Y = labels(n=120)
    Y[::2] = -1
    groups = np.arange(120) // 6
    for fold in deal_folds(Y, 3, groups=groups):
        assert not np.intersect1d(groups[fold.train], groups[fold.held_out]).size
        assert set(groups[fold.train]) | set(groups[fold.held_out]) == set(groups)


def test_known_positives_are_in_proportion():
    Y = labels(n=400, K=6)
    for fold in deal_folds(Y, 5):
        assert np.abs((Y[fold.held_out] == 1).sum(0) - (Y == 1).sum(0) / 5).max() <= 2


def test_a_repetition_deals_anew_and_a_seed_always_alike():
    first, second = deal_folds(labels(), 2, 2, seed=3)[::2]
    assert not np.array_equal(first.held_out, second.held_out)
    assert np.array_equal(deal_folds(labels(), 2, seed=3)[0].held_out, first.held_out)


def test_what_cannot_be_dealt_is_refused():
    Y = labels()
    refused(lambda: deal_folds(Y, 1), "folds=1")
    refused(lambda: deal_folds(Y, 2, 0), "repeats=0")
    refused(lambda: deal_folds(Y[:3], 5), "3 rows that can be judged")
    refused(lambda: deal_folds(Y, 5, groups=np.arange(60) % 3), "3 groups")
    refused(lambda: deal_folds(np.full((9, 2), -1, np.int8), 3), "nothing can be compared")
    lonely = np.zeros((40, 1), np.int8)
    lonely[0] = 1
    refused(lambda: deal_folds(lonely, 4), "fold 1 of the comparison", "label more rows")


@pytest.mark.parametrize("folds", [True, 2.5])
def test_folds_are_a_whole_number(folds):
    refused(lambda: deal_folds(labels(), folds), "folds=")
