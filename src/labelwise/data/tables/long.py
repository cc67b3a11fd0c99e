"""Tables in which a row holds one item and one label: the rows of an item become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import Annotations
from labelwise.data.tables import looks
from labelwise.data.tables.cells import Columns
from labelwise.data.tables.columns import Roles
from labelwise.data.tables.options import TableOptions
from labelwise.errors import UserError, near

Where = Callable[[int], str]


class Groups:
    """Which rows belong to which item.

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
        """Return the first row whose value differs from that of its item's first row."""
        pairs = zip(values, self.first[self.of_row].tolist(), strict=True)
        return next((row for row, (value, first) in enumerate(pairs) if value != values[first]), None)


def from_pairs(
    groups: Groups,
    names: Sequence[str | None],
    states: NDArray[np.int8],
    *,
    unlisted: int,
    label_names: Sequence[str] | None,
    extra: str,
    where: Where,
) -> Annotations:
    """Return the states (n, K) of rows that each hold one name and its state.

    A row without a name says nothing but that its item is there. A pair that no row holds is ``unlisted``.

    Raises:
        UserError: For a pair with both states, a name that ``label_names`` has not (``extra="refuse"``), and where
            no row has a name.
    """
    chosen = tuple(label_names or sorted({name for name in names if name is not None}))
    if not chosen:
        raise UserError(f"{where(0).split(':')[0]}: no row names a label; name one in a row")
    place = {name: k for k, name in enumerate(chosen)}
    matrix = np.full((len(groups.items), len(chosen)), unlisted, dtype=np.int8)
    said: dict[tuple[int, int], int] = {}
    for row, (item, name) in enumerate(zip(groups.of_row.tolist(), names, strict=True)):
        if name is None:
            continue
        if name not in place:
            if extra == "ignore":
                continue
            raise UserError(f"{where(row)}: the label {name!r} is none of those known; {near(name, chosen)}")
        pair, state = (item, place[name]), int(states[row])
        before = said.setdefault(pair, row)
        if before != row and {int(states[before]), state} == {0, 1}:
            raise UserError(
                f"{where(row)}: item {groups.items[item]!r} has the label {name!r} as {state}, and in row {before + 1}"
                f" as {int(states[before])}; keep the right one"
            )
        if before != row and state == -1:
            continue
        said[pair] = row
        matrix[pair] = state
    return Annotations(matrix, chosen)


def joined(groups: Groups, given: Annotations) -> Annotations:
    """Return one row an item: a label is relevant where one of its rows lists it, and unknown where all say nothing."""
    matrix = np.full((len(groups.items), given.n_labels), -1, dtype=np.int8)
    np.maximum.at(matrix, groups.of_row, given.matrix)
    return Annotations(matrix, given.label_names, given.notes)


def one_row_each(
    columns: Columns,
    groups: Groups,
    roles: Roles,
    asked: TableOptions,
    features: NDArray[np.float32] | None,
    contents: list[Any] | None,
    notes: list[str],
) -> tuple[NDArray[np.float32] | None, list[Any] | None]:
    """Return the features and contents of each item's first row, the same in all of its rows."""
    if len(groups.items) == len(groups.of_row):
        return features, contents
    if asked.label_value is None:
        _refuse_states(columns, groups, roles, asked)
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


def _refuse_states(columns: Columns, groups: Groups, roles: Roles, asked: TableOptions) -> None:
    """Refuse rows of pairs beside a column that seems to say of each whether it applies."""
    named = {roles.item, asked.labels_column, roles.content}
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
