"""Items as users hold them, before they are read: frames, tensors, masked arrays, lists of texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labelwise.annotations import from_tensor
from labelwise.data import is_source
from labelwise.errors import UserError, listed, shown
from labelwise.models import ImagePreprocessing, Preprocessing, TextPreprocessing

_NUMBERS = (
    "an array of features (items, features), a frame, a scipy sparse matrix, or a list of texts or paths"
)


def known_items(X: Any) -> Any:
    """Return a torch tensor or a masked array as an array, a polars or Arrow frame as pandas; all else as it is.

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


def words_of(X: Any, preprocessing: Preprocessing | None) -> list[Any] | None:
    """Return ``X`` as a list of texts, paths or pictures' bytes, or None where it is anything else.

    Raises:
        UserError: For one text or path, and for a cell that is none among others or where the backbone takes them,
            with its row.
    """
    if isinstance(X, str | bytes | Path):
        raise UserError(f"X is one {type(X).__name__}: give a list with one text or path an item")
    reads_text = isinstance(preprocessing, TextPreprocessing)
    if hasattr(X, "columns"):
        _refuse_frame(X, preprocessing)
    if getattr(X, "ndim", 1) != 1 or hasattr(X, "tocsr"):
        return None
    if getattr(getattr(X, "dtype", None), "kind", "O") not in "OUT":
        return None
    try:
        values = list(X)
    except Exception:  # what only claims to be an array
        return None
    good = [isinstance(value, str | Path | bytes) for value in values]
    if not values or not (any(good) or (preprocessing is not None and _is_cell(values[0]))):
        return None
    if not all(good):
        row = good.index(False)
        mend = (
            "give '' where there is no text, or drop the row" if reads_text else "give one, or drop the row"
        )
        what = (
            "text"
            if reads_text
            else "path"
            if isinstance(preprocessing, ImagePreprocessing)
            else "text or path"
        )
        raise UserError(f"X: row {row} (counted from 0) is {shown(values[row])}, which is no {what}: {mend}")
    if reads_text and any(isinstance(value, bytes) for value in values):
        raise UserError(
            "X holds bytes, and this backbone reads texts: decode them, as in text.decode('utf-8')"
        )
    return [value if isinstance(value, bytes) else str(value) for value in values]


def _is_cell(value: Any) -> bool:
    """Return whether a value is a single one: a number or a missing one, and no row or picture."""
    return np.ndim(value) == 0 and not hasattr(value, "__len__")


def _refuse_frame(frame: Any, preprocessing: Preprocessing | None) -> None:
    """Refuse a frame where the backbone reads texts or pictures: which column holds them is the user's to say."""
    if preprocessing is None:
        return
    kind = "texts" if isinstance(preprocessing, TextPreprocessing) else "paths of pictures"
    columns = [
        name
        for name, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if getattr(dtype, "kind", "O") not in "fiubcmM"
    ]
    named = f"X[{columns[0]!r}]" if columns else "a list of them"
    raise UserError(f"X is a frame, and this backbone reads {kind}: give one column of them, as in {named}")
