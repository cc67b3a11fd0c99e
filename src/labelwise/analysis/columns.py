"""Columns: a figure's data as arrays by name.

Arrays are one-dimensional and of one length, a row an observation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import as_matrix
from labelwise.errors import UserError

Columns = dict[str, NDArray[Any]]
"""Data of the functions of ``labelwise.plots``, and of ``pandas.DataFrame``."""


def stack(parts: Mapping[str, Columns], by: str) -> Columns:
    """Return the columns of all parts, one part below the other.

    Each part's name is in the column ``by``.

    Raises:
        UserError: no part, or parts with different columns.
    """
    if not parts:
        raise UserError("there is nothing to stack: give at least one part")
    first = next(iter(parts.values()))
    for name, part in parts.items():
        if list(part) != list(first):
            raise UserError(
                f"{name!r} has the columns {list(part)}, others {list(first)}: stack like with like"
            )
    lengths = [len(next(iter(part.values()))) for part in parts.values()]
    stacked = {by: np.repeat(np.array(list(parts), dtype=str), lengths)}
    return stacked | {name: np.concatenate([part[name] for part in parts.values()]) for name in first}


def densities(groups: Mapping[str, ArrayLike], edges: ArrayLike) -> Columns:
    """Return each group's density over bins.

    Columns ``group``, ``low``, ``high`` and ``density``, a row a bin.

    A density integrates to 1 over the bins; it is NaN for a group without values.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    parts: dict[str, Columns] = {}
    for name, values in groups.items():
        counts = np.histogram(np.asarray(values, dtype=np.float64), bounds)[0]
        # A group without values is 0 / 0, the NaN that it shall be.
        with np.errstate(invalid="ignore"):
            density = counts / (counts.sum() * np.diff(bounds))
        parts[name] = {"low": bounds[:-1], "high": bounds[1:], "density": density}
    return stack(parts, "group")


def entry_groups(
    shape: tuple[int, ...], Y: ArrayLike, Y_true: ArrayLike | None
) -> dict[str, NDArray[np.bool_]]:
    """Return masks (n, K) of the entries by label and truth.

    Groups: ``positives`` (given as relevant), ``false negatives`` (not given, yet relevant in ``Y_true``) and ``true
    negatives``. Without ``Y_true`` all that is not given is in ``negatives``. An entry whose truth is unknown is in
    no group.
    """
    given = as_matrix(Y)
    truth = None if Y_true is None else as_matrix(Y_true)
    for name, matrix in (("Y", given), ("Y_true", truth)):
        if matrix is not None and matrix.shape != shape:
            raise UserError(
                f"{name} has shape {matrix.shape}, the model's scores of X {shape}: give one row an item and one "
                "column a label"
            )
    positives = given == 1
    if truth is None:
        return {"positives": positives, "negatives": ~positives}
    return {
        "positives": positives,
        "false negatives": ~positives & (truth == 1),
        "true negatives": ~positives & (truth == 0),
    }
