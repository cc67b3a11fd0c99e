"""Read hints: a table of scores by item and label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelwise.data import Table
from labelwise.data.tables import read_columns
from labelwise.errors import UserError, listed, repeated, shown

_IDS = ("item", "id", "image")
_SETTING = "hints (--hints)"


def read_hints(path: str | Path, table: Table) -> tuple[NDArray[np.float32], list[str]]:
    """Return scores (n, K) of a table's items and labels, NaN without an opinion, and notes.

    The file is a table that ``read_columns`` reads: what ``labelwise predict`` writes, for one. Its rows are matched by
    the column of item ids (the table's own, ``item``, ``id`` or ``image``), or, without one, by their order.

    Raises:
        UserError: For a file without any of the labels or items, an item twice, and a score outside [0, 1].
    """
    path, labels = Path(path), table.annotations.label_names
    columns = read_columns(path)
    found = [name for name in labels if name in columns.data]
    if not found:
        raise UserError(
            f"{_SETTING}: {path} has no column of a label; name its columns by the labels: {listed(labels)}"
        )
    ids = [name for name in (table.item_column, *_IDS) if name in columns.data and name not in labels]
    rows = _rows(path, table, columns.data[str(ids[0])].to_pylist() if ids else None, columns.rows)
    scores = np.full((len(table), len(labels)), np.nan, dtype=np.float32)
    met = np.flatnonzero(rows >= 0)
    for name in found:
        values = [_score(path, value, row, name) for row, value in enumerate(columns.data[name].to_pylist())]
        scores[met, labels.index(name)] = np.array(values, dtype=np.float32)[rows[met]]
    notes = []
    if missing := [name for name in labels if name not in columns.data]:
        notes.append(f"no hints of {listed(map(repr, missing))}: {path.name} has no such column")
    if len(met) < len(table):
        notes.append(
            f"no hints of {len(table) - len(met):,} of {len(table):,} items: {path.name} has no such item"
        )
    return scores, notes


def _rows(path: Path, table: Table, ids: Sequence[object] | None, count: int) -> NDArray[np.int64]:
    """Return the row of the file for each item, -1 where it has none."""
    if ids is None:
        if count != len(table):
            raise UserError(
                f"{_SETTING}: {path} has {count:,} rows and no column of item ids, and the table {len(table):,} items;"
                " add the column 'item', or give one row for each"
            )
        return np.arange(count)
    names = [str(name) for name in ids]
    if twice := repeated(names):
        raise UserError(f"{_SETTING}: {path} has item {shown(twice[0])} twice; keep one")
    row_of = {name: row for row, name in enumerate(names)}
    rows = np.array([row_of.get(item, -1) for item in table.items])
    if (rows < 0).all():
        raise UserError(f"{_SETTING}: {path} has none of the items; its first is {shown(names[0])}, and the table's"
                        f" {shown(table.items[0])}")  # fmt: skip
    return rows


def _score(path: Path, value: object, row: int, label: str) -> float:
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        score = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        score = math.inf
    if isinstance(value, bool) or not (math.isnan(score) or 0 <= score <= 1):
        raise UserError(
            f"{_SETTING}: {path} has {shown(value)} in row {row + 1}, column {shown(label)}; give a score from 0 to 1,"
            " or nothing"
        )
    return score
