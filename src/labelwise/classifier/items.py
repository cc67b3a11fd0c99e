"""Items as users give them: checked, named, and told apart by their kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import from_tensor
from labelwise.data import BadItem, as_source, is_source, refuse_too_many, select_rows
from labelwise.errors import UserError, listed, shown

_NUMBERS = (
    "an array of features (items, features), a frame, a scipy sparse matrix, or a list of texts or paths"
)


def known_items(X: Any) -> Any:
    """Return tensors and masked arrays as arrays, other libraries' frames as pandas.

    All else is returned as it is.

    Raises:
        UserError: For what masks entries, is no collection at all, or must be collected first.
    """
    library = type(X).__module__.partition(".")[0]
    if is_source(X):
        return X
    if library == "torch":
        X = from_tensor(X, "X")
    if library in ("polars", "pyarrow"):
        if not hasattr(X, "to_pandas"):
            raise UserError(f"X is a {type(X).__name__}: collect it to a frame first")
        return X.to_pandas()
    if isinstance(X, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(X)
        masked = np.flatnonzero(mask.any(axis=tuple(range(1, X.ndim)))) if X.ndim else np.zeros(1, np.int64)
        if mask.any():
            raise UserError(
                f"X masks entries of rows {listed(masked)} (counted from 0): fill them, as in X.filled(0), or drop them"
            )
        return np.asarray(X)
    if isinstance(X, dict | set | frozenset | type) or not (
        hasattr(X, "__array__") or hasattr(X, "tocsr") or hasattr(X, "columns") or hasattr(X, "__getitem__")
    ):
        raise UserError(f"X is {shown(X)}: give {_NUMBERS}")
    return X


def texts_or_paths(X: Any, kind: str | None) -> list[Any] | None:
    """Return texts, paths or pictures' bytes as a list, else None.

    ``kind`` is that of the items which the backbone reads: "text", "image", or None for numbers.

    Raises:
        UserError: For one text or path, and for a cell that is none among others or where the backbone takes them,
            with its row.
    """
    if isinstance(X, str | bytes | Path):
        raise UserError(f"X is one {type(X).__name__}: give a list with one text or path an item")
    if hasattr(X, "columns"):
        _refuse_frame(X, kind)
    is_list = getattr(X, "ndim", 1) == 1 and not hasattr(X, "tocsr")
    if not is_list or getattr(getattr(X, "dtype", None), "kind", "O") not in "OUT":
        return None
    try:
        values = list(X)
    except Exception:  # what only claims to be an array
        return None
    valid = [isinstance(value, str | Path | bytes) for value in values]
    if not values or not (any(valid) or (kind is not None and _is_cell(values[0]))):
        return None
    if not all(valid):
        row = valid.index(False)
        advice = "give '' where there is no text, or drop" if kind == "text" else "give one, or drop"
        noun = {"text": "text", "image": "path"}.get(str(kind), "text or path")
        raise UserError(
            f"X: row {row} (counted from 0) is {shown(values[row])}, which is no {noun}: {advice} the row"
        )
    if kind == "text" and any(isinstance(value, bytes) for value in values):
        raise UserError(
            "X holds bytes, and this backbone reads texts: decode them, as in text.decode('utf-8')"
        )
    return [value if isinstance(value, bytes) else str(value) for value in values]


def _is_cell(value: Any) -> bool:
    """Return whether a value is one number or missing, not a row."""
    return np.ndim(value) == 0 and not hasattr(value, "__len__")


def _refuse_frame(frame: Any, kind: str | None) -> None:
    """Refuse a frame where the backbone reads texts or pictures.

    Which column holds them is the user's to say.
    """
    if kind is None:
        return
    noun = "texts" if kind == "text" else "paths of pictures"
    columns = columns_of_words(frame)
    named = f"X[{columns[0]!r}]" if columns else "a list of them"
    raise UserError(f"X is a frame, and this backbone reads {noun}: give one column of them, as in {named}")


def columns_of_words(frame: Any) -> list[Any]:
    """Return the columns of a frame that hold neither numbers nor times."""
    return [
        name
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "fiubcmM"
    ]


def column_names(X: Any) -> NDArray[np.object_] | None:
    """Return the names of a frame's columns, if all are texts."""
    names = list(getattr(X, "columns", []))
    return np.array(names, dtype=object) if names and all(isinstance(name, str) for name in names) else None


def in_order(frame: Any, names: Sequence[str]) -> Any:
    """Return a frame's columns in the order of ``names``.

    Anything but a frame whose columns have names is returned as it is.

    Raises:
        UserError: For columns that are missing, or that are none of them.
    """
    columns = column_names(frame)
    if columns is None or list(columns) == list(names):
        return frame
    missing = [name for name in names if name not in set(columns)]
    extra = [name for name in columns if name not in set(names)]
    if missing or extra or len(columns) != len(names):
        lacking = f"X lacks columns {listed(map(repr, missing))}" if missing else ""
        unknown = (
            f"X has columns {listed(map(repr, extra))}, which the model was not trained on" if extra else ""
        )
        double = "" if missing or extra else "X has columns of the same name"
        raise UserError(
            f"{'; '.join(filter(None, (lacking, unknown, double)))}: give the columns that it was trained on, "
            f"{listed(map(repr, names))}"
        )
    return frame[list(names)]


def as_ids(items: Any, n_items: int) -> list[str]:
    """Return the items' ids as texts, one for each item."""
    listing = hasattr(items, "__iter__") and not isinstance(items, str | bytes | Mapping | type)
    ids = list(items) if listing else None
    if ids is None or len(ids) != n_items:
        has = f"is {shown(items)}" if ids is None else f"has {len(ids)} ids"
        raise UserError(f"items {has}, and there are {n_items} items: give one id an item")
    return [str(name) for name in ids]


def item_shape(X: Any) -> tuple[int, ...]:
    """Return the shape of one item."""
    if is_source(X) or X.ndim == 2:
        return tuple(X.shape if is_source(X) else X.shape[1:])
    # One picture tells the shape: a source of all would look through every pixel again.
    return tuple(as_source(X[:1]).shape)


def take(X: Any, index: NDArray[np.int64]) -> Any:
    """Return these rows of an array, a sparse matrix or a source."""
    return select_rows(X, index) if is_source(X) else X[index]


def check_bad_items(bad: Sequence[BadItem], n_items: int, policy: str) -> tuple[BadItem, ...]:
    """Return the items to leave out, or refuse to go on."""
    if bad and policy == "stop":
        others = f" ({len(bad) - 1} others besides)" if len(bad) > 1 else ""
        raise UserError(
            f"item {bad[0].item}: {bad[0].reason}{others}; mend or remove it, or leave such items out: "
            "on_bad_item='skip' (--on-bad-item skip)"
        )
    refuse_too_many(bad, n_items)
    return tuple(bad)
