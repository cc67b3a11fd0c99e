"""Groups of items that belong together, and splits that keep them whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.annotations.codes import missing
from labelwise.annotations.readers import Matrix
from labelwise.errors import UserError, shown

Codes = npt.NDArray[np.int64]


def as_groups(groups: Any, n_items: int) -> Codes:
    """Return a number for each item, the same for items of one group.

    Args:
        groups: n_items names or whole numbers. None, NaN and an empty text stand for an item that belongs to no other.
        n_items: Number of items.

    Returns:
        (n,) int64 from 0, in the order in which the groups occur.

    Raises:
        UserError: Another number of groups than of items, or values that are no names.
    """
    values = groups.tolist() if hasattr(groups, "tolist") else groups
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise UserError(f"groups={shown(groups)}: give the name or number of each item's group")
    if len(values) != n_items:
        raise UserError(f"groups has {len(values):,} entries for {n_items:,} items: give one for each item")
    numbers: dict[Any, int] = {}
    out = np.empty(n_items, dtype=np.int64)
    for row, value in enumerate(values):
        if missing(value) or (isinstance(value, str) and not value.strip()):
            # A key that no group can have.
            out[row] = numbers.setdefault((row,), len(numbers))
        elif isinstance(value, str | int) or (isinstance(value, float) and value.is_integer()):
            out[row] = numbers.setdefault(value, len(numbers))
        else:
            raise UserError(
                f"groups has {shown(value)} at row {row} (counted from 0): give a name or a whole number"
            )
    return out


def deal_groups(matrix: Matrix, shares: npt.NDArray[np.float64], seed: int, groups: Codes) -> Codes:
    """Return the part (n,) of each row, the same for all rows of a group.

    Groups are dealt one after the other, the largest first and equal ones in random order, each to the part that it
    brings nearest to its share of the rows and of each label's known positives: by the sum of
    ``(count - share x total)^2 / total`` over these counts.

    Raises:
        UserError: There are fewer groups than parts.
    """
    names, member = np.unique(groups, return_inverse=True)
    if len(names) < len(shares):
        raise UserError(
            f"groups are {len(names)}, too few for {len(shares)} parts: give more groups, or fewer parts"
        )
    size = np.bincount(member)
    counts = np.zeros((len(names), matrix.shape[1] + 1))
    counts[:, 0] = size
    rows, columns = np.nonzero(matrix == 1)
    np.add.at(counts, (member[rows], columns + 1), 1)
    totals = np.maximum(counts.sum(axis=0), 1)
    order = np.lexsort((generator(seed, "groups").random(len(names)), -size))
    ideal, filled = np.outer(shares, totals), np.zeros((len(shares), counts.shape[1]))
    part = np.empty(len(names), dtype=np.int64)
    for place, group in enumerate(order):
        # (filled + c - ideal)^2 - (filled - ideal)^2, of which c^2 is the same for all parts.
        cost = ((filled - ideal) * counts[group] / totals).sum(axis=1)
        left = np.flatnonzero(filled[:, 0] == 0)
        if len(left) == len(order) - place:
            # As many groups as empty parts are left: no part may stay empty.
            cost[filled[:, 0] > 0] = np.inf
        part[group] = int(cost.argmin())
        filled[part[group]] += counts[group]
    return part[member]
