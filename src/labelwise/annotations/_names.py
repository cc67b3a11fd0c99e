"""From cells of label names to an annotation matrix."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from labelwise.annotations._checks import missing, state_of
from labelwise.annotations._codes import Codes
from labelwise.annotations._matrix import Annotations, name_list
from labelwise.errors import UserError, near

_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_LIST = re.compile(rf"\[\s*(?:{_QUOTED}(?:\s*,\s*{_QUOTED})*\s*,?\s*)?\]", re.DOTALL)
_SEPARATORS = (";", "|", ",")

Names = tuple[str, ...]


def parse_names(
    values: Iterable[Any],
    *,
    unlisted: str = "unknown",
    label_names: Sequence[str] | None = None,
    separator: str | None = None,
    extra: str = "refuse",
    minus_one: str = "unknown",
    empty: str = "unknown",
    name_key: str | None = None,
) -> Annotations:
    """Read one cell of label names a row; the package's page says how cells are read.

    ``values``: n cells, each a list (tuple, set, array) of names, text of joined names, or empty.
    ``unlisted``: what a label is that a row does not list, ``"unknown"`` (-1) or ``"absent"`` (0; an empty
    cell is still all unknown, an empty list is all 0). ``label_names``: the labels, in order; by default all
    names that occur, sorted. ``separator``: between the names of a text; by default the first of ``;`` ``|``
    ``,`` that occurs in the column; ``" "`` stands for any whitespace. ``extra``: what to do with a name that
    ``label_names`` has not, ``"refuse"`` or ``"ignore"`` (the row counts as one that somebody labelled).

    Raises UserError for a cell that cannot be read, a name that ``label_names`` has not, no name at all, or
    text that only spaces could separate when neither ``separator`` nor ``label_names`` say whether they do.
    """
    absent = state_of("unlisted", unlisted)
    codes = Codes.named(minus_one, empty)
    if extra not in ("refuse", "ignore"):
        raise UserError(f"extra={extra!r}: it is 'refuse' or 'ignore'")
    if isinstance(values, str):
        raise UserError(f"values must be one cell of names a row, not the text {values!r}")
    if separator == "":
        raise UserError(
            "separator must not be empty: give ';', or ' ' for any whitespace, or None to have it found"
        )
    chosen = None if label_names is None else name_list(label_names)
    rows = _rows(list(values), chosen, separator)
    if chosen is None:
        chosen = tuple(sorted({name for row in rows if row for name in row}))
    if not rows or not chosen:
        raise UserError(
            f"values hold no label name ({len(rows)} rows): name a label in a row, or give label_names"
        )

    place = {name: column for column, name in enumerate(chosen)}
    matrix = np.full((len(rows), len(chosen)), absent, dtype=np.int8)
    for row, names in enumerate(rows):
        if names is None:
            matrix[row] = codes.empty
            continue
        for name in names:
            if name not in place:
                if extra == "ignore":
                    continue
                raise UserError(
                    f"row {row} (counted from 0) has the label {name!r}, which label_names has not: "
                    + near(name, chosen)
                )
            matrix[row, place[name]] = 1
    return Annotations(matrix, chosen)


def names_in(
    values: Iterable[Any],
    *,
    label_names: Sequence[str] | None = None,
    separator: str | None = None,
    name_key: str | None = None,
) -> Names:
    """Return the names that occur in cells of names, sorted; see :func:`parse_names`."""
    chosen = None if label_names is None else name_list(label_names)
    return tuple(sorted({name for row in _rows(list(values), chosen, separator) if row for name in row}))


def _rows(cells: list[Any], label_names: Names | None, separator: str | None) -> list[Names | None]:
    """Return each row's names; None where nothing is said."""
    rows: list[Names | None] = []
    texts: dict[int, str] = {}
    for row, cell in enumerate(cells):
        rows.append(None)
        if missing(cell):
            continue
        if isinstance(cell, str):
            text = cell.strip()
            if text.startswith("[") and text.endswith("]"):
                rows[row] = _names(_listed(text, row), row)
            elif text:
                texts[row] = text
        elif isinstance(cell, list | tuple | set | frozenset | np.ndarray):
            rows[row] = _names(cell, row)
        else:
            raise UserError(
                f"row {row} (counted from 0) holds {cell!r}: give a list of names, or names joined by ';'"
            )
    between = _separator(texts, label_names) if separator is None else separator
    for row, text in texts.items():
        parts = text.split() if between.isspace() else text.split(between) if between else [text]
        rows[row] = tuple(name for part in parts if (name := part.strip())) or None
    return rows


def _names(cell: Iterable[Any], row: int) -> Names | None:
    """Return the names of a list; a list of blanks is an empty cell that someone has split."""
    values = list(cell)
    for value in values:
        if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | np.integer):
            raise UserError(
                f"row {row} (counted from 0) lists {value!r}, which is not a label name: give text"
            )
    names = tuple(name for value in values if (name := str(value).strip()))
    return names if names or not values else None


def _listed(text: str, row: int) -> list[Any]:
    """Return the list that a text such as ``["cat", 'dog']`` or ``[3, 5]`` spells, in JSON or Python."""
    try:
        return list(json.loads(text))
    except ValueError:
        if _LIST.fullmatch(text):
            return list(ast.literal_eval(text))
    raise UserError(
        f'row {row} (counted from 0) holds {text!r}, which is no list of names: write ["cat", "dog"]'
    )


def _separator(texts: dict[int, str], label_names: Names | None) -> str:
    """Return the separator of a column of texts; empty where each text is one name."""
    for separator in _SEPARATORS:
        if any(separator in text for text in texts.values()):
            return separator
    spaced = {row: text for row, text in texts.items() if len(text.split()) > 1}
    if not spaced:
        return ""
    if label_names is not None:
        return "" if set(texts.values()) <= set(label_names) else " "
    row, text = next(iter(spaced.items()))
    raise UserError(
        f"row {row} (counted from 0) holds {text!r}, one name or several? "
        "Give separator=' ' to split at spaces, or separator=';' to keep each cell as one name"
    )
