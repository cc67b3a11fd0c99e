"""The columns that a trained model needs, found in another file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.data.tables.columns import Columns
from labelwise.data.tables.options import TableOptions
from labelwise.data.tables.preparation import Preparation
from labelwise.errors import UserError, listed, near


def for_model(
    columns: Columns,
    options: TableOptions,
    given: Mapping[str, Any],
    expect: tuple[Sequence[str], Sequence[str]],
    preparation: Preparation | None,
    require_labels: bool,
    notes: list[str],
) -> TableOptions:
    """Return the options that give a trained model its columns."""
    features, labels = expect
    missing = [
        option
        for option in ("item_column", "text_column", "label_value")
        if option not in given and getattr(options, option) not in (None, *columns.data)
    ]
    for option in missing:
        notes.append(
            f"there is no column {getattr(options, option)!r}, the {option} of training; it is done without"
        )
    if "item_column" in missing:
        options = replace(options, item_column=None)
    if "text_column" in missing:
        options = replace(options, text_column=None)
    if "label_value" in missing:
        options = replace(options, label_value=None)
    sources = sources_of(columns, features)
    if preparation is not None:
        sources = list(preparation.columns)
        _check_present(
            columns, "feature columns", [name for name in sources if name not in columns.data], sources
        )
    if features and not sources:
        # Left to be guessed, another column of the file would be read in their place.
        _check_present(columns, "feature columns", list(features), features)
    options = replace(options, feature_columns=tuple(sources) or None)
    absent = options.labels_column is not None and options.labels_column not in columns.data
    if absent and "labels_column" not in given and labels and all(name in columns.data for name in labels):
        notes.append(f"there is no column {options.labels_column!r}; each label has a column of its own")
        options = replace(options, labels_column=None, label_value=None)
    if options.labels_column is None:
        named = options.label_columns if "label_columns" in given else None
        present = _present(columns, labels, require_labels, named, notes)
        options = replace(options, label_columns=tuple(present))
    return options


def align(
    columns: Columns, features: NDArray[np.float32] | None, names: tuple[str, ...], expected: tuple[str, ...]
) -> tuple[NDArray[np.float32] | None, tuple[str, ...]]:
    """Return the features in the order that the model expects."""
    place = {name: i for i, name in enumerate(names)}
    missing = [name for name in expected if name not in place]
    _check_present(columns, "feature columns", missing, expected)
    if not expected and features is not None:
        raise UserError(
            f"{columns.path.name}: the model needs an 'image' or a 'text' column, and there is none"
        )
    if features is None or names == expected:
        return features, expected
    return np.ascontiguousarray(features[:, [place[name] for name in expected]]), expected


def sources_of(columns: Columns, feature_names: Sequence[str]) -> list[str]:
    """Return the columns that hold the expected features.

    A column holds one alone, or as one place of a list.
    """
    expected = set(feature_names)
    return [
        name
        for name in columns.data
        if name in expected or (columns.is_vector(name) and f"{name}_0" in expected)
    ]


def _present(
    columns: Columns,
    label_names: Sequence[str],
    require: bool,
    named: Sequence[str] | str | None,
    notes: list[str],
) -> list[str]:
    """Return the model's label columns that the file has.

    Where ``named`` columns are given, only those count.
    """
    patterns = [named] if isinstance(named, str) else named
    present = [
        name
        for name in columns.data
        if patterns is None or any(name == one or fnmatchcase(name, one) for one in patterns)
    ]
    for pattern in patterns or ():
        if not any(name == pattern or fnmatchcase(name, pattern) for name in columns.data):
            raise UserError(
                f"{columns.path.name}: label_columns (--label-columns) names {pattern!r}, which is no column;"
                f" {near(pattern, columns.data)}"
            )
    missing = [name for name in label_names if name not in present]
    if require:
        hint = "" if patterns is None else ", or are not named by --label-columns"
        _check_present(columns, "label columns", missing, label_names, hint)
    extra = [name for name in present if name not in set(label_names)] if patterns is not None else []
    if extra:
        notes.append(f"left out, since the model does not know these labels: {listed(map(repr, extra))}")
    return [name for name in label_names if name in present]


def _check_present(
    columns: Columns, what: str, missing: Sequence[str], expected: Sequence[str], hint: str = ""
) -> None:
    """Refuse a file without columns that a model was trained with."""
    if missing:
        raise UserError(
            f"{columns.path.name}: the model's {what} {listed(map(repr, missing))} are not in the file{hint};"
            f" {near(missing[0], [name for name in columns.data if name not in expected])}"
        )
