"""Folds of the rows that can be judged: stratified over labels, whole groups together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import split
from labelwise.errors import UserError
from labelwise.metrics import judgeable

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows to train on and rows to judge on, (m,) int64 each, sorted and disjoint."""

    train: Rows
    held_out: Rows


def deal_folds(
    labels: NDArray[np.int8],
    folds: int = 5,
    repeats: int = 1,
    *,
    seed: int = 0,
    groups: NDArray[np.int64] | None = None,
) -> list[Fold]:
    """Return ``folds x repeats`` pairs of rows.

    Each repetition holds every row out once that ``metrics.judgeable`` names; the other rows are always trained on,
    but for those of a group of which rows are held out.

    Args:
        labels: (n, K) of 1, 0 and -1.
        folds: Parts of a repetition, from 2.
        repeats: Repetitions, from 1; each is dealt by a seed of its own.
        seed: From 0 to 2**32 - 1.
        groups: (n,) the number of each row's group, as ``annotations.as_groups`` gives them.

    Raises:
        UserError: Numbers out of range, fewer rows or groups than folds, a fold without what can be judged, or one
            that holds every known positive.
    """
    for name, value, least in (("folds", folds, 2), ("repeats", repeats, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise UserError(f"{name}={value!r}: give a whole number from {least}")
    can = judgeable(labels)
    rows = np.flatnonzero(can.rows)
    if not (can.average_precision or can.observed_average_precision):
        raise UserError(f"nothing can be compared: {' '.join(can.words)}")
    of_rows = None if groups is None else groups[rows]
    units = len(rows) if of_rows is None else len(np.unique(of_rows))
    if units < folds:
        kind = "rows that can be judged" if of_rows is None else "groups with rows that can be judged"
        raise UserError(
            f"folds={folds}: there are {units} {kind}; give at most as many folds, or label more rows"
        )
    dealt = []
    for repeat in range(repeats):
        for part in split(labels[rows], [1 / folds] * folds, seed=(seed + repeat) % 2**32, groups=of_rows):
            held_out = rows[part]
            dealt.append(Fold(_others(len(labels), held_out, groups), held_out))
    for number, fold in enumerate(dealt, start=1):
        _check(labels, fold, number, can.average_precision)
    return dealt


def _others(n_items: int, held_out: Rows, groups: NDArray[np.int64] | None) -> Rows:
    rows = np.setdiff1d(np.arange(n_items), held_out)
    return rows if groups is None else rows[~np.isin(groups[rows], groups[held_out])]


def _check(labels: NDArray[np.int8], fold: Fold, number: int, by_both_classes: bool) -> None:
    """Refuse a fold on which no method could be judged, or without which none could be trained."""
    can = judgeable(labels[fold.held_out])
    advice = "give fewer folds, or label more rows"
    if not (can.average_precision if by_both_classes else can.observed_average_precision):
        raise UserError(f"fold {number} of the comparison shows no label that can be judged: {advice}")
    if not (labels[fold.train] == 1).any():
        raise UserError(f"fold {number} of the comparison holds every known positive: {advice}")
