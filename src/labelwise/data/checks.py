"""Arrays from outside, made finite float32 or refused with the rows at fault."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.annotations import stored_entries
from labelwise.errors import UserError, listed

_ROWS = 65_536


def check_sparse(X: Any) -> None:
    """Refuse a sparse matrix whose parts do not fit each other: scipy reads past their ends and crashes.

    Raises:
        UserError: For that, and for one that is not two-dimensional.
    """
    if len(X.shape) != 2:
        raise UserError(f"X has shape {tuple(X.shape)}: give (items, features)")
    stored_entries(X, "X")


def as_matrix(X: Any) -> Any:
    """Return ``X`` (n, D) as a C-ordered float32 array or a float32 CSR matrix, every stored entry finite.

    Raises:
        UserError: For text or objects, another number of dimensions, no column, NaN or infinity (rows named), and
            entries that are all below float32.
    """
    if hasattr(X, "tocsr"):
        check_sparse(X)
        _check_dtype(X.dtype)
        _check_columns(X.shape)
        matrix: Any = X.tocsr()
        _check_size(matrix.data)
        with np.errstate(over="ignore"):
            matrix = matrix.astype(np.float32, copy=False)
        wrong = np.flatnonzero(~np.isfinite(matrix.data))
        _refuse(np.unique(np.searchsorted(matrix.indptr, wrong, side="right") - 1))
        return matrix
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        texts = [
            name
            for name, kind in zip(X.columns, X.dtypes, strict=True)
            if getattr(kind, "kind", "O") not in "fiub"
        ]
        if texts:
            raise UserError(
                f"X: columns {listed(map(repr, texts))} are not numbers; leave them out, or encode them, as"
                " scikit-learn's OneHotEncoder in a pipeline does"
            )
        X = X.to_numpy(dtype=np.float64, na_value=np.nan)
    array = np.asarray(X)
    _check_dtype(array.dtype)
    if array.ndim == 1:
        raise UserError(
            f"X has shape {array.shape}. Reshape your data to (items, features): X.reshape(1, -1) is a single item"
        )
    if array.ndim != 2:
        raise UserError(
            f"X has shape {array.shape}: give (items, features), or images as (n, H, W) or (n, C, H, W)"
        )
    _check_columns(array.shape)
    _check_size(array)
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    check_finite(array)
    return array


def check_finite(array: NDArray[np.float32]) -> None:
    """Raise ``UserError`` that names the rows of an array (n, ...) with NaN or infinity."""
    wrong = []
    for start in range(0, len(array), _ROWS):
        part = array[start : start + _ROWS].reshape(len(array[start : start + _ROWS]), -1)
        # A sum is finite unless an entry is not, or it overflows: rows are looked at only where it is not.
        with np.errstate(over="ignore", invalid="ignore"):
            suspect = np.flatnonzero(~np.isfinite(part.sum(axis=1)))
        wrong.append(start + suspect[~np.isfinite(part[suspect]).all(axis=1)])
    _refuse(np.concatenate(wrong) if wrong else np.empty(0, dtype=np.int64))


def _check_columns(shape: tuple[int, ...]) -> None:
    if shape[1] == 0:
        # In the words that scikit-learn's own checks look for.
        raise UserError(
            f"X has 0 feature(s) (shape={tuple(shape)}) while a minimum of 1 is required: give at least one column"
        )


def _check_size(values: NDArray[Any]) -> None:
    """Refuse numbers that float32 would make 0, or nearly: all features would be lost without a word."""
    if values.dtype.itemsize <= 4 or values.dtype.kind != "f" or not values.size:
        return
    largest = max(abs(float(values.max())), abs(float(values.min())))
    smallest = float(np.finfo(np.float32).tiny)
    if 0 < largest < smallest:
        raise UserError(
            f"X holds no number above {largest:g}, and float32 none below {smallest:.2g}: multiply it"
        )


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind == "c":
        raise UserError(
            f"X holds {dtype.name} values. Complex data not supported: give real and imaginary parts"
        )
    if dtype.kind not in "fiub":
        raise UserError(
            f"X holds {dtype.name} values, not numbers; encode text and categories as numbers first"
        )


def _refuse(rows: NDArray[np.int64]) -> None:
    if len(rows):
        raise UserError(
            f"X: {'rows' if len(rows) > 1 else 'row'} {listed(rows)} (counted from 0): NaN, infinity or a"
            " value beyond float32; fill or drop them; scikit-learn's SimpleImputer in a pipeline fills what is empty"
        )
