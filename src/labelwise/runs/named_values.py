"""Read a number or texts for each label from a file.

Priors and label weights are given so, and what labels mean.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from labelwise._files import read_text
from labelwise.annotations import Hierarchy
from labelwise.embedding import checked_label_texts
from labelwise.errors import UserError, listed, near, repeated, shown
from labelwise.runs import toml


def read_named_values(
    path: str | Path, label_names: Sequence[str], *, setting: str, low: float = 0.0, high: float = math.inf
) -> dict[str, float]:
    """Return {label: number} in the order of ``label_names``.

    The file is a JSON object of numbers by label, or a CSV of two columns (label, number; a first row that holds no
    number is its header). ``setting`` is what messages call it.

    Raises:
        UserError: For a file that cannot be read, a label that is missing or unknown, and a number outside ``low``
            to ``high``.
    """
    path = Path(path)
    text = _text_of(path, setting, "a JSON or CSV file, or a number")
    given = (
        _from_json(path, text, setting) if path.suffix.lower() == ".json" else _from_csv(path, text, setting)
    )
    unknown = [name for name in given if name not in label_names]
    if unknown:
        raise UserError(
            f"{setting}: {path} names {unknown[0]!r}, which is no label; {near(unknown[0], label_names)}"
        )
    missing = [name for name in label_names if name not in given]
    if missing:
        raise UserError(
            f"{setting}: {path} has no number for {listed(map(repr, missing))}; give one for every label"
        )
    values = {name: _number(given[name]) for name in label_names}
    for name, value in values.items():
        if value is None or not low <= value <= high:
            bounds = f"from {low:g}" + ("" if high == math.inf else f" to {high:g}")
            raise UserError(
                f"{setting}: {path} gives label {name!r} {shown(given[name])}; it is a number {bounds}"
            )
    return {name: value for name, value in values.items() if value is not None}


def read_named_texts(path: str | Path, label_names: Sequence[str], *, setting: str) -> dict[str, Any]:
    """Return {label: text or list of texts} of a TOML or JSON file, for some of the labels.

    Raises:
        UserError: For a file that cannot be read, a label that is unknown, and what is no text.
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        values = toml.read(path)
    else:
        values = _from_json(path, _text_of(path, setting, "a JSON or TOML file"), setting, "text")
    try:
        checked_label_texts(values, label_names)
    except UserError as error:
        raise UserError(f"{setting}: {path}: {error}") from None
    return values


def read_hierarchy(path: str | Path, label_names: Sequence[str], *, setting: str) -> dict[str, list[str]]:
    """Return {child: [parents]} of a JSON or CSV file.

    The file is a JSON object with a parent, or a list of parents, by child, or a CSV of two columns (child, parent; a
    first row of these words is its header), a row for each pair.

    Raises:
        UserError: For a file that cannot be read, a name that is no label, and a cycle.
    """
    path = Path(path)
    text = _text_of(path, setting, "a JSON or CSV file")
    if path.suffix.lower() == ".json":
        given: dict[str, Any] = _from_json(path, text, setting, "parent")
    else:
        given = {}
        for number, (child, parent) in enumerate(_pairs(path, text, setting, "child,parent")):
            if number or (child.lower(), parent.lower()) != ("child", "parent"):
                given.setdefault(child, []).append(parent)
    try:
        return Hierarchy.of(given, label_names).to_dict()
    except UserError as error:
        raise UserError(f"{setting}: {path}: {error}") from None


def _text_of(path: Path, setting: str, form: str) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise UserError(f"{setting}: {path}: {error.strerror or error}; give {form}") from None
    except UnicodeDecodeError:
        raise UserError(f"{setting}: {path} is not UTF-8; save the file as UTF-8") from None


def _from_json(path: Path, text: str, setting: str, value: str = "number") -> dict[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=partial(_once, f"{setting}: {path}"))
    except json.JSONDecodeError as error:
        raise UserError(f"{setting}: {path} is not JSON: {error.msg} in line {error.lineno}") from None
    except UserError:
        raise
    except (ValueError, RecursionError) as error:  # such as a number of 5,000 digits, or lists without end
        raise UserError(f"{setting}: {path} is not JSON: {error!s:.200}") from None
    if not isinstance(values, dict):
        raise UserError(f'{setting}: {path} is not a JSON object; write {{"label": {value}, ...}}')
    return values


def _once(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if twice := repeated(name for name, _ in pairs):
        raise UserError(f"{where} names label {twice[0]!r} twice; keep one")
    return dict(pairs)


def _from_csv(path: Path, text: str, setting: str) -> dict[str, Any]:
    rows = _pairs(path, text, setting, "label,number")
    # A header is a first row without a number.
    if rows and _number(rows[0][1]) is None:
        rows = rows[1:]
    values: dict[str, Any] = {}
    for name, value in rows:
        if name.strip() in values:
            raise UserError(f"{setting}: {path} names label {name.strip()!r} twice; keep one")
        values[name.strip()] = value
    return values


def _pairs(path: Path, text: str, setting: str, form: str) -> list[list[str]]:
    """Return the rows of a CSV of two fields, blanks around them taken off."""
    try:
        rows = [row for row in csv.reader(text.splitlines(), strict=True) if row]
    except csv.Error as error:
        raise UserError(f"{setting}: {path} is not CSV: {error}; write two fields a row: {form}") from None
    wrong = next((row for row in rows if len(row) != 2), None)
    if wrong is not None:
        raise UserError(f"{setting}: {path} has a row of {len(wrong)} fields; write two: {form}")
    return [[field.strip() for field in row] for row in rows]


def _number(value: Any) -> float | None:
    try:
        number = None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number is not None and math.isfinite(number) else None
