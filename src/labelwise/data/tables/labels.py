"""The label states of a table's columns.

Labels have a column each, or one of names, or a row for each pair of item and label.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import (
    Annotations,
    Codes,
    ListedAnnotations,
    ListedStates,
    known_rows,
    name_notes,
    names_in,
    parse_names,
    positives_of,
)
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.items import Groups
from labelwise.data.tables.options import TableOptions
from labelwise.errors import UserError, listed, near, shown

_LEAST_ROWS = 20


_EMPTY_SHARE, _SEVERAL_SHARE = 0.25, 0.25


@dataclass(frozen=True)
class Labels:
    """The labels of a table.

    They are the states (None where there are none), the names that a model does not know, and what was guessed.
    """

    annotations: Annotations | None
    extra: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_labels(
    columns: Columns,
    options: TableOptions,
    present: Sequence[str],
    groups: Groups | None,
    *,
    label_names: Sequence[str] | None,
    known: Sequence[str] | None,
    require: bool,
) -> Labels:
    """Return the label states of a table's items.

    Args:
        present: The label columns that the file has.
        groups: The rows of each item, where an item may have several.
        label_names: The labels in a column of names, and their order; any other name is refused.
        known: The labels of a trained model, which leaves others out.
        require: Whether labels must be there.
    """
    if options.labels_column is None:
        names = tuple(present if known is None else known)
        return Labels(_from_columns(columns, options, present, names) if names else None)
    name, labels = options.labels_column, label_names if known is None else known
    cells = columns.names(name)
    if not require and labels is None and not any(cells):
        return Labels(None)
    extra = () if known is None else _extra(columns, name, cells, tuple(known), options)
    policy = "refuse" if known is None else "ignore"
    try:
        if groups is not None and options.label_value is not None:
            codes = Codes.named(options.minus_one, options.empty)
            states = columns.states(options.label_value, codes)
            annotations = _from_pairs(
                groups,
                _named(columns, name, options.label_value),
                states,
                unlisted=0 if options.unlisted == "absent" else -1,
                label_names=labels,
                extra=policy,
                where=lambda row: columns.where(row, name),
            )
            annotations = annotations.with_notes((*codes.notes(), *name_notes(annotations.label_names)))
        else:
            if groups is not None and options.separator is None and not _may_be_joined(cells):
                # A row holds one name, so that its blanks are no separators.
                options = replace(options, separator=";")
            annotations = _parsed(cells, options, labels, policy)
            if groups is not None:
                annotations = _joined(groups, annotations)
    except UserError as error:
        row = re.match(r"row (\d+) \(counted from 0\)(.*)", str(error))
        if row is not None:
            raise UserError(f"{columns.where(int(row[1]), name)}{row[2]}") from None
        if str(error).startswith(columns.path.name):
            raise
        raise UserError(f"{columns.path.name}, column {name!r}: {error}") from None
    tagged = _tagged(annotations, columns.path.name) if known is None and options.unlisted is None else ()
    return Labels(annotations, extra, tagged)


def _parsed(
    cells: Sequence[Any], options: TableOptions, labels: Sequence[str] | None, extra: str
) -> Annotations:
    return parse_names(
        cells,
        unlisted=options.unlisted or "unknown",
        label_names=labels,
        separator=options.separator,
        extra=extra,
        minus_one=options.minus_one,
        empty=options.empty,
        name_key=options.name_key,
    )


def _from_columns(
    columns: Columns, options: TableOptions, present: Sequence[str], names: tuple[str, ...]
) -> Annotations:
    matrix = np.full((columns.rows, len(names)), -1, dtype=np.int8)
    place = {name: k for k, name in enumerate(names)}
    codes = Codes.named(options.minus_one, options.empty)
    for name in present:
        matrix[:, place[name]] = columns.states(name, codes)
    return Annotations(matrix, names, (*codes.notes(), *name_notes(names)))


def _one_name_each(columns: Columns, name: str) -> list[str | None]:
    """Return the one name of each row.

    A list of one name counts as that.
    """
    cells = [cell[0] if isinstance(cell, list) and len(cell) == 1 else cell for cell in columns.names(name)]
    wrong = next((row for row, cell in enumerate(cells) if isinstance(cell, list) and cell), None)
    if wrong is not None:
        raise UserError(
            f"{columns.where(wrong, name)}: several names, and --label-value has one state; write a row for each"
        )
    return [(str(cell).strip() or None) if cell else None for cell in cells]


def _named(columns: Columns, name: str, label_value: str) -> list[str | None]:
    """Return the one name of each row.

    Refuse a state that is of no name.
    """
    names = _one_name_each(columns, name)
    for row, (label, state) in enumerate(zip(names, columns.strings(label_value), strict=True)):
        if label is None and state is not None:
            raise UserError(
                f"{columns.where(row, name)}: a state ({shown(state)}) without the name of its label; give the name, or"
                " leave the state empty"
            )
    return names


def _may_be_joined(cells: Sequence[Any]) -> bool:
    marks = set(";|,[{(<#\uff1b\uff0c\u3001\u060c\u061b")
    return any(not isinstance(cell, str) or set(cell) & marks for cell in cells if cell is not None)


def _extra(
    columns: Columns, name: str, cells: Sequence[Any], known: tuple[str, ...], options: TableOptions
) -> tuple[str, ...]:
    """Return the names that a model does not know.

    Refuse those that are its own in another spelling.

    Read as another label, such a name would make its row say "no" to the label that it means.
    """
    if options.label_value is not None:
        names: Sequence[str] = sorted({cell for cell in _one_name_each(columns, name) if cell is not None})
    else:
        names = names_in(cells, label_names=known, separator=options.separator, name_key=options.name_key)
    of_model = set(known)
    unknown = [label for label in names if label not in of_model]
    by_folded = {_folded(label): label for label in known}
    for label in unknown:
        if _folded(label) in by_folded:
            row = next((row for row, cell in enumerate(cells) if _mentions(cell, label)), None)
            place = f"{columns.path.name}, column {name!r}" if row is None else columns.where(row, name)
            raise UserError(
                f"{place}: the label {label!r} is {by_folded[_folded(label)]!r} in the training table; write it so"
                " everywhere"
            )
    if unknown and len(unknown) == len(names):
        raise UserError(
            f"{columns.path.name}, column {name!r}: none of its names is a label of the model"
            f" ({listed(map(repr, unknown))}); {near(unknown[0], known)}"
        )
    return tuple(unknown)


def _mentions(cell: Any, label: str) -> bool:
    return label in (cell if isinstance(cell, list) else str(cell))


def _folded(name: str) -> str:
    """Return a name without case, form of Unicode, blanks, hyphens and underscores."""
    return re.sub(r"[\s_\-]+", "", unicodedata.normalize("NFKC", name).casefold())


def _tagged(annotations: Annotations, file: str) -> tuple[str, ...]:
    """Return a note where the lists of labels may be complete.

    Some rows then list several labels and many none.
    """
    counts = np.diff(positives_of(annotations.states).indptr)
    tagged, empty = int((counts > 0).sum()), int((~known_rows(annotations.states)).sum())
    several = int((counts > 1).sum())
    if len(counts) < _LEAST_ROWS or empty < _EMPTY_SHARE * len(counts) or several < _SEVERAL_SHARE * tagged:
        return ()
    return (
        f"{tagged:,} rows of {file} list {counts[counts > 0].mean():.1f} labels each, and {empty:,} list none. If the"
        f" {tagged:,} lists are complete, give --unlisted absent: what they do not list is then known not to apply, the"
        " empty rows stay unknown, and thresholds can be learnt. Without it no negative is known.",
    )


Location = Callable[[int], str]


def _from_pairs(
    groups: Groups,
    names: Sequence[str | None],
    states: NDArray[np.int8],
    *,
    unlisted: int,
    label_names: Sequence[str] | None,
    extra: str,
    where: Location,
) -> Annotations:
    """Return the states (n, K) of rows of one name each.

    A row holds the name and its state.

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
    row_of_pair: dict[tuple[int, int], int] = {}
    for row, (item, name) in enumerate(zip(groups.of_row.tolist(), names, strict=True)):
        if name is None:
            continue
        if name not in place:
            if extra == "ignore":
                continue
            raise UserError(f"{where(row)}: the label {name!r} is none of those known; {near(name, chosen)}")
        pair, state = (item, place[name]), int(states[row])
        before = row_of_pair.setdefault(pair, row)
        if before != row and {int(states[before]), state} == {0, 1}:
            raise UserError(
                f"{where(row)}: item {groups.items[item]!r} has the label {name!r} as {state}, and in row {before + 1}"
                f" as {int(states[before])}; keep the right one"
            )
        # A later row that says nothing does not take back what an earlier one said.
        if before != row and state == -1:
            continue
        row_of_pair[pair] = row
        matrix[pair] = state
    return Annotations(matrix, chosen)


def _joined(groups: Groups, annotations: Annotations) -> Annotations:
    """Return one row of states an item.

    A label is relevant where one of the item's rows lists it, and unknown where all say nothing.
    """
    states = annotations.states
    if isinstance(states, ListedStates):
        return ListedAnnotations(_joined_lists(groups, states), annotations.label_names, annotations.notes)
    matrix = np.full((len(groups.items), annotations.n_labels), -1, dtype=np.int8)
    # Of -1, 0 and 1 the largest: a relevant row wins over a silent one.
    np.maximum.at(matrix, groups.of_row, annotations.matrix)
    return Annotations(matrix, annotations.label_names, annotations.notes)


def _joined_lists(groups: Groups, states: ListedStates) -> ListedStates:
    """Return an item's lists in one: what it does not list is irrelevant where one of its rows says so."""
    n = len(groups.items)
    rows = np.repeat(groups.of_row, states.counts)
    order = np.argsort(rows, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=n))])
    silent = np.full(n, -1, np.int8)
    np.maximum.at(silent, groups.of_row, states.silent)
    labels = states.positives.indices.astype(np.int64)[order]
    return ListedStates.of(ends, labels, silent, states.shape[1])
