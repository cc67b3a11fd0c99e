"""The rows that ridge makes its choices by, where there are many: a sample by a key."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.models.ridge.tuning import Entries

Array: TypeAlias = npt.NDArray[Any]

_SAMPLE_LABELS = 8


def sample(entries: Entries, most: int) -> Entries:
    """Return a keyed sample of up to ``most`` rows.

    Where masks differ, it has only the 8 labels with the most known positives.
    """
    return pick(entries, np.sort(sample_order(len(entries.rows))[:most]))


def sample_order(m: int) -> Array:
    """Return the keyed order in which a sample takes ``m`` rows."""
    return generator(0, "ridge sample").permutation(m)


def pick(entries: Entries, index: Array) -> Entries:
    """Return the entries of some rows; where masks differ, of the 8 labels with the most known positives."""
    targets, patterns, group = entries.targets[index], entries.patterns[:, index], entries.group
    if len(patterns) > 1:
        positives = np.array([(targets[:, k] * (patterns[g] > 0)).sum() for k, g in enumerate(group)])
        keep = np.argsort(-positives, kind="stable")[:_SAMPLE_LABELS]
        group = np.where(np.isin(np.arange(len(group)), keep), group, -1)
    twin = None if entries.twin is None else entries.twin[index]
    fold = None if entries.fold is None else entries.fold[index]
    return Entries(entries.rows[index], targets, patterns, group, twin, fold)
