"""Folds of rows that leave the pool, by which the gate is asked."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.ensemble.known import KnownEntries

FOLDS = 5
_REPEATS = ((500, 3), (1500, 2))  # rows with known entries up to which folds are drawn so often
_MOST_EVALUATED = 8_000  # rows that the gate leaves out at most


def folds_of(known: KnownEntries, seed: int, repeat: int = 0) -> npt.NDArray[np.int64]:
    """Return each row's fold (m,), rows with the same features, or of one group, in one."""
    together = (
        known.twins if known.groups is None else np.unique(known.groups, return_inverse=True)[1].ravel()
    )
    together = np.arange(len(known)) if together is None else together
    number = int(together.max(initial=-1)) + 1
    return np.asarray(generator(seed, "gate", repeat).permutation(number)[together] % FOLDS)


def evaluated_folds(m: int) -> int:
    """Return the number of folds that the gate leaves out: fewer where rows are many."""
    return int(np.clip(_MOST_EVALUATED * FOLDS // max(m, 1), 1, FOLDS))


def repeats(m: int) -> int:
    """Return how often folds are drawn: more than once where rows are few."""
    return next((times for most, times in _REPEATS if m <= most), 1)
