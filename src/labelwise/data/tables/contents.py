"""The pictures or texts of a table: read from the cells, or found in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from labelwise.data.images.files import BadItem, refuse_too_many
from labelwise.data.images.paths import find_pictures, resolve_inside
from labelwise.data.tables import looks
from labelwise.data.tables.cells import Columns
from labelwise.data.tables.columns import Roles
from labelwise.errors import UserError

_FLAG = "images (--images)"


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
    given, told = find_pictures(
        [str(values[row]) for row in rows],
        folder,
        suffix,
        lambda place: columns.where(rows[place], name),
    )
    notes += told
    contents: list[Any] = [None] * len(values)
    paths = resolve_inside(given, folder, lambda place: columns.where(rows[place], name), _FLAG)
    for row, path in zip(rows, paths, strict=True):
        contents[row] = path
    return contents


def _pictures(columns: Columns, name: str, folder: Path) -> list[Any]:
    """Return pictures that the file holds, and the paths of those that it only names."""
    cells = columns.data[name].to_pylist()
    if not looks.holds_paths(columns, name):
        return [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
    contents: list[Any] = []
    for row, cell in enumerate(cells):
        held = None if cell is None else cell["bytes"]
        if held is None and cell is not None and cell["path"]:
            (held,) = resolve_inside([cell["path"]], folder, partial(_place, columns, row, name), _FLAG)
        contents.append(held)
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
    """Return the items without a picture or text, which are left out by ``on_bad_item="skip"``.

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
