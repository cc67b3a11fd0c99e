"""Columns: the data of a figure as names with one-dimensional arrays of one length, a row an observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError

Columns = dict[str, NDArray[Any]]
"""What ``pandas.DataFrame(columns)`` takes, and what the functions of ``labelwise.plots`` draw."""


def stack(parts: Mapping[str, Columns], by: str) -> Columns:
    """Return the columns of all parts, one below the other, with each part's name in the column ``by``.

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
    """Return each group's density over bins of these edges: columns ``group``, ``low``, ``high``, ``density``.

    A density integrates to 1 over the bins; it is NaN for a group without values.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    parts: dict[str, Columns] = {}
    for name, values in groups.items():
        counts = np.histogram(np.asarray(values, dtype=np.float64), bounds)[0]
        with np.errstate(invalid="ignore"):
            density = counts / (counts.sum() * np.diff(bounds))
        parts[name] = {"low": bounds[:-1], "high": bounds[1:], "density": density}
    return stack(parts, "group")
