"""A run's table written in its own form, with unknown entries filled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data import Table
from labelwise.runs.directory import check_output
from labelwise.runs.tables import FinishedRun, read_for_model, with_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def write_filled(
    finished: FinishedRun,
    table: Table,
    states: NDArray[np.int8],
    out: str | Path,
    given: Mapping[str, Any] | None = None,
    new: Mapping[str, NDArray[np.int8]] | None = None,
) -> tuple[str, ...]:
    """Write a table with its unknown entries filled by ``states``.

    Format, columns, rows and the way of writing labels stay; no given entry changes (``labelwise.data.write_filled``).

    Args:
        finished: The run whose model the table was read for.
        table: As ``finished.read_table`` gave it.
        states: (n, K) in {1, 0, -1}, for the items and labels of ``table``.
        out: A file of the format of ``table``.
        given: Fields of ``TableOptions`` by which the table was read, beside the run's own.
        new: States (n,) of labels that ``table`` does not have, by name.

    Returns:
        Sentences on what that form cannot hold.

    Raises:
        UserError: For an ``out`` of another format, and for a form that cannot be filled.
    """
    from labelwise.data import write_filled as write

    target = check_output(out, [table.path], (table.path.suffix.lower(),))
    options = finished.config.table_options().changed(
        {name: value for name, value in (given or {}).items() if value is not None}
    )

    config = finished.config
    if table.kind == "image" and config.images is None:
        # Pictures lie beside the table, wherever the filled one goes.
        config = config.model_copy(update={"images": str(table.path.parent)})

    columns = finished.columns
    if new:
        table = with_labels(table, (*table.annotations.label_names, *new))
        states = np.hstack([states, *(column[:, None] for column in new.values())])
    added = tuple(
        name for name in table.annotations.label_names if name in {*columns.added_labels, *(new or ())}
    )

    def read(path: Path, names: Sequence[str]) -> Table:
        form = config
        if config.label_columns is not None:
            there = [name for name in names if name in added]
            form = config.model_copy(update={"label_columns": [*config.label_columns, *there]})
        expected = replace(columns, label_names=tuple(names), added_labels=())
        return read_for_model(path, form, expected, given=given)

    notes = write(table, options, states, target, read=read, added=added)
    written = [name for name in added if (states[:, table.annotations.label_names.index(name)] >= 0).any()]
    if written and config.label_columns is not None:
        notes += (f"new columns of labels: to train on them, name them too (--label-columns {written[0]})",)
    return notes
