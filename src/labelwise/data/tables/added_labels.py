"""Labels that a table's file does not have yet, made part of its form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.table import Table
from labelwise.errors import listed


def with_added(
    columns: Columns,
    table: Table,
    options: TableOptions,
    states: NDArray[np.int8],
    added: Sequence[str],
    mark: str | None,
) -> tuple[Columns, Table, NDArray[np.int8], list[str]]:
    """Return a file with room for labels that it lacks, and table and states of those that find it.

    One column for each is made beside the other labels', with its unknown entries as the file writes these; a cell of
    names, or a row for each item and label, takes them as they are. A label without a known state is left out, and one
    that the form cannot hold, of which a sentence tells.

    Args:
        added: Names among the labels of ``table``.
        mark: What separates names in a cell, in that form.
    """
    names, matrix = table.annotations.label_names, table.annotations.matrix
    # One that came with answers once may have a column by now.
    there = [name for name in added if name in columns.data and (matrix[:, names.index(name)] >= 0).any()]
    added = [name for name in added if name not in there]
    stated = [name for name in added if (states[:, names.index(name)] >= 0).any()]
    in_columns = options.labels_column is None or options.labels_column not in columns.data
    refused: dict[str, list[str]] = {}
    for name in stated:
        if why := _why_not(name, columns, options, in_columns, mark):
            refused.setdefault(why, []).append(name)
    new = [name for name in stated if not any(name in others for others in refused.values())]
    kept = [k for k, name in enumerate(names) if name not in added or name in new]
    labels = table.annotations
    table = replace(
        table,
        labels=Annotations(labels.matrix[:, kept], tuple(names[k] for k in kept), labels.notes),
    )
    if in_columns and new:
        columns = _with_columns(columns, [name for name in names if name in columns.data], new, options)
    notes = [
        f"new labels ({listed(some)}) are not in the table, since {why}" for why, some in refused.items()
    ]
    return columns, table, states[:, kept], notes


def _why_not(
    name: str, columns: Columns, options: TableOptions, in_columns: bool, mark: str | None
) -> str | None:
    if in_columns:
        if name in columns.data:
            return "it has another column of that name"
        if options.empty == "absent" and options.minus_one == "absent":
            return "none of its cells means unknown"
        return None
    if options.unlisted == "absent":
        return "a name that it does not list means absent there"
    if options.label_value is None and mark is not None and mark in name:
        return f"{mark!r} separates names there"
    return None


def _with_columns(
    columns: Columns, labels: Sequence[str], new: Sequence[str], options: TableOptions
) -> Columns:
    """Return the columns with new ones behind the last label's, their cells unknown."""
    import pyarrow as pa

    kind = columns.data[labels[0]].type if labels else pa.string()
    unknown = pa.scalar("-1").cast(kind).as_py() if options.empty == "absent" else None
    cells, order = pa.array([unknown] * columns.rows, kind), list(columns.data)
    end = 1 + max((order.index(name) for name in labels), default=len(order) - 1)
    names = [*order[:end], *new, *order[end:]]
    return replace(columns, data={name: columns.data.get(name, cells) for name in names})
