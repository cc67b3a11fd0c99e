"""The items of a table: ids, rows, and pictures or texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.images.files import BadItem, refuse_too_many
from labelwise.data.images.paths import find_pictures, resolve_inside
from labelwise.data.tables import looks
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.roles import Roles
from labelwise.errors import UserError, listed

_FLAG = "images (--images)"


class Groups:
    """The rows of each item.

    Attributes:
        items: The n ids, in the order in which they first occur.
        first: (n,) int64, the row in which each first occurs.
        of_row: (rows,) int64, the place of each row's item.
    """

    def __init__(self, values: Sequence[str]) -> None:
        places: dict[str, int] = {}
        self.of_row: NDArray[np.int64] = np.array(
            [places.setdefault(value, len(places)) for value in values], dtype=np.int64
        )
        self.items = list(places)
        self.first: NDArray[np.int64] = np.full(len(places), len(values), dtype=np.int64)
        np.minimum.at(self.first, self.of_row, np.arange(len(values)))

    def repeats(self) -> list[int]:
        """Return the rows whose item is already in a row before them."""
        rows: list[int] = np.flatnonzero(self.first[self.of_row] != np.arange(len(self.of_row))).tolist()
        return rows

    def differing(self, values: Sequence[Any]) -> int | None:
        """Return the first row that differs from its item's first row."""
        pairs = zip(values, self.first[self.of_row].tolist(), strict=True)
        return next((row for row, (value, first) in enumerate(pairs) if value != values[first]), None)


def read_items(columns: Columns, roles: Roles, options: TableOptions) -> tuple[list[str], Groups | None]:
    """Return the ids, all different, and each item's rows.

    The rows are None where each row is an item.
    """
    name = roles.item
    if name is None:
        if options.label_value is not None:
            raise UserError(
                f"{columns.path.name}: --label-value says that an item has several rows, and no column names the"
                " items; name it by item_column (--item-column)"
            )
        return [str(row) for row in range(1, columns.rows + 1)], None
    values = _ids(columns, name)
    empty = next((row for row, value in enumerate(values) if value is None), None)
    if empty is not None:
        raise UserError(f"{columns.where(empty, name)}: an item without an id; give it one")
    ids = [str(value) for value in values]
    groups = Groups(ids)
    if len(groups.items) == len(ids):
        return ids, groups if options.label_value is not None else None
    if options.labels_column is None:
        # One column a label, and an id twice: nothing says which of the two rows holds.
        row, *_ = repeats = groups.repeats()
        first = int(groups.first[groups.of_row[row]]) + 1
        doubles = list(dict.fromkeys(ids[place] for place in repeats))
        more = f"; {len(doubles)} ids occur more than once: {listed(doubles)}" if len(doubles) > 1 else ""
        raise UserError(
            f"{columns.where(row, name)}: item {ids[row]!r} is already in row {first}{more};"
            " give each row an id of its own, or each item one row with all its labels"
        )
    return groups.items, groups


def _ids(columns: Columns, name: str) -> list[str | None]:
    """Return the ids as text.

    A picture that the file holds has its path, and whole numbers have no point.
    """
    import pyarrow.types as kinds

    column = columns.data[name]
    if looks.holds_paths(columns, name):
        return [None if cell is None else cell["path"] for cell in column.to_pylist()]
    if kinds.is_floating(column.type):
        numbers = column.to_pylist()
        rounded = [int(value) if value is not None and value.is_integer() else value for value in numbers]
        return [None if value is None or value != value else str(value) for value in rounded]  # noqa: PLR0124
    return columns.strings(name)


def read_contents(
    columns: Columns, roles: Roles, suffix: str | None, folder: Path, notes: list[str]
) -> list[Any]:
    """Return each row's text, path or picture; None where there is none."""
    name = str(roles.content)
    if looks.holds_pictures(columns, name):
        return _pictures(columns, name, folder)
    values = columns.strings(name)
    if roles.kind == "text":
        return list(values)
    rows = [row for row, value in enumerate(values) if value is not None]
    names, differences = find_pictures(
        [str(values[row]) for row in rows],
        folder,
        suffix,
        lambda place: columns.where(rows[place], name),
    )
    notes += differences
    contents: list[Any] = [None] * len(values)
    paths = resolve_inside(names, folder, lambda place: columns.where(rows[place], name), _FLAG)
    for row, path in zip(rows, paths, strict=True):
        contents[row] = path
    return contents


def _pictures(columns: Columns, name: str, folder: Path) -> list[Any]:
    """Return the pictures that the file holds.

    Those that it only names are paths.
    """
    cells = columns.data[name].to_pylist()
    if not looks.holds_paths(columns, name):
        return [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
    contents: list[Any] = []
    for row, cell in enumerate(cells):
        picture = None if cell is None else cell["bytes"]
        if picture is None and cell is not None and cell["path"]:
            (picture,) = resolve_inside([cell["path"]], folder, partial(_place, columns, row, name), _FLAG)
        contents.append(picture)
    return contents


def _place(columns: Columns, row: int, name: str, _: int) -> str:
    return columns.where(row, name)


def empty_contents(
    columns: Columns,
    items: Sequence[str],
    contents: Sequence[Any],
    name: str,
    row_of: Callable[[int], int],
    on_bad_item: str,
) -> tuple[BadItem, ...]:
    """Return the items without a picture or text.

    ``on_bad_item="skip"`` leaves them out.

    Raises:
        UserError: For the first of them otherwise, and for too many.
    """
    empty = [place for place, value in enumerate(contents) if not value]
    if not empty:
        return ()
    if on_bad_item != "skip":
        more = f" ({len(empty) - 1} more rows)" if len(empty) > 1 else ""
        raise UserError(
            f"{columns.where(row_of(empty[0]), name)}: empty{more}; fill the cell, drop the row, or leave such rows out"
            " (--on-bad-item skip)"
        )
    left_out = tuple(
        BadItem(row_of(place), items[place], f"row {row_of(place) + 1} has no {name}") for place in empty
    )
    refuse_too_many(left_out, len(items))
    return left_out


def one_row_each(
    columns: Columns,
    groups: Groups,
    roles: Roles,
    options: TableOptions,
    features: NDArray[np.float32] | None,
    contents: list[Any] | None,
    notes: list[str],
) -> tuple[NDArray[np.float32] | None, list[Any] | None]:
    """Return the features and contents of each item's first row.

    They must be the same in all of its rows.
    """
    if len(groups.items) == len(groups.of_row):
        return features, contents
    if options.label_value is None:
        _refuse_states(columns, groups, roles, options)
    checked: dict[str, list[Any]] = {
        name: columns.data[name].to_pylist() if columns.is_vector(name) else columns.strings(name)
        for name in roles.features
    }
    if contents is not None:
        checked[str(roles.content)] = contents
    for name, values in checked.items():
        row = groups.differing(values)
        if row is not None:
            item = groups.items[groups.of_row[row]]
            raise UserError(
                f"{columns.where(row, name)}: item {item!r} has another value in row"
                f" {int(groups.first[groups.of_row[row]]) + 1}; give each item an id of its own, or name another column"
                " by item_column (--item-column)"
            )
    notes.append(
        f"{len(groups.of_row):,} rows hold {len(groups.items):,} items: a row is one item and one label, and the rows"
        " of an item are read together"
    )
    first = groups.first
    return (
        None if features is None else np.ascontiguousarray(features[first]),
        None if contents is None else [contents[row] for row in first.tolist()],
    )


def _refuse_states(columns: Columns, groups: Groups, roles: Roles, options: TableOptions) -> None:
    """Refuse rows of pairs beside a column that may hold their states.

    Such a column seems to say of each pair whether it applies.
    """
    named = {roles.item, options.labels_column, roles.content}
    for name in columns.data:
        if name in named or columns.is_vector(name) or not looks.holds_states(columns, name):
            continue
        values = columns.strings(name)
        if groups.differing(values) is not None or any(value in ("0", "0.0") for value in values):
            row = groups.repeats()[0]
            raise UserError(
                f"{columns.where(row, roles.item)}: item {groups.items[groups.of_row[row]]!r} is already in row"
                f" {int(groups.first[groups.of_row[row]]) + 1}: a row seems to hold one item and one label, with its"
                f" state in {name!r}; if so give --label-value {name!r}"
            )
