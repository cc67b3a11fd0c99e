"""The annotation matrix, and how arrays, frames and sparse matrices become one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.annotations._checks import missing, state_of_unlisted
from labelwise.errors import UserError, listed, near

Matrix = npt.NDArray[np.int8]
_STATES = (1, 0, -1)


@dataclass(frozen=True, eq=False)
class Annotations:
    """An annotation matrix and the names of its labels.

    ``matrix`` (n, K) int8 holds 1 (relevant), 0 (irrelevant) and -1 (unknown), C-contiguous, n and K at least
    1; it shares the memory of the array it was made from where that was such a matrix already.
    ``label_names`` are K different strings. Anything else is a UserError.
    """

    matrix: Matrix
    label_names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.label_names)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(
                f"label_names holds {listed(map(repr, twice))} more than once: give each label its own name"
            )
        matrix = as_matrix(self.matrix, argument="matrix")
        if matrix.shape[1] != len(names):
            raise UserError(
                f"label_names has {len(names)} names, the matrix {matrix.shape[1]} labels: name each label"
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "label_names", names)

    @property
    def n_items(self) -> int:
        """The number of rows, n."""
        return len(self.matrix)

    @property
    def n_labels(self) -> int:
        """The number of labels, K."""
        return len(self.label_names)


def as_matrix(Y: Any, *, argument: str = "Y") -> Matrix:
    """Return the (n, K) int8 C-contiguous annotation matrix of ``Y``, checked: for every boundary.

    ``Y`` is anything but names that :func:`parse` reads; entries that a sparse matrix does not store are
    unknown. An int8 C-contiguous array comes back as itself, not a copy. ``argument`` is what error messages
    call it. Raises UserError for a wrong shape, an empty matrix, or a value outside the three states (with
    row and label).
    """
    if isinstance(Y, Annotations):
        return Y.matrix
    if hasattr(Y, "tocoo"):
        return from_sparse(Y, argument=argument)
    if is_frame(Y):
        return from_frame(Y, argument=argument)
    return from_array(Y, argument=argument)


def from_array(Y: Any, *, argument: str = "Y") -> Matrix:
    """Return the matrix of an array, a masked array (masked is unknown), or nested lists."""
    if isinstance(Y, np.ma.MaskedArray):
        matrix = from_array(np.where(np.ma.getmaskarray(Y), 0, np.ma.getdata(Y)), argument=argument).copy()
        matrix[np.ma.getmaskarray(Y)] = -1
        return matrix
    try:
        values = np.asarray(Y)
    except ValueError:
        raise UserError(f"{argument} {_ragged(Y)}: give every row one entry for each label") from None
    check_shape(values.shape, argument)
    states, bad = _states(values)
    if bad >= 0:
        row, column = divmod(bad, values.shape[1])
        refuse(values[row, column], row, column, argument)
    return states


def from_sparse(Y: Any, *, unlisted: str = "unknown", argument: str = "Y") -> Matrix:
    """Return the dense matrix of a scipy sparse matrix, whose unstored entries are ``unlisted``."""
    stored = Y.tocoo()
    check_shape(stored.shape, argument)
    rows, columns = stored.row, stored.col
    states, bad = _states(np.asarray(stored.data))
    if bad >= 0:
        refuse(stored.data[bad], int(rows[bad]), int(columns[bad]), argument)
    matrix = np.full(stored.shape, state_of_unlisted(unlisted), dtype=np.int8)
    if not getattr(Y, "has_canonical_format", False):
        places, counts = np.unique(rows.astype(np.int64) * matrix.shape[1] + columns, return_counts=True)
        if counts.size and counts.max() > 1:
            row, column = divmod(int(places[counts.argmax()]), matrix.shape[1])
            raise UserError(
                f"{argument} stores row {row}, label {column} more than once: store each entry once"
            )
    matrix[rows, columns] = states
    return matrix


def is_frame(Y: Any) -> bool:
    """Return whether ``Y`` is a pandas frame, without importing pandas."""
    return hasattr(Y, "iloc") and hasattr(Y, "columns")


def from_frame(frame: Any, *, argument: str = "Y") -> Matrix:
    """Return the matrix of a pandas frame of numbers, bools, nullable or Arrow types, or objects."""
    check_shape(frame.shape, argument)
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "?" for dtype in frame.dtypes}
    if len(kinds) == 1 and kinds <= set("biuf"):
        states, bad = _states(frame.to_numpy())
        if bad < 0:
            return states
    matrix = np.empty(frame.shape, dtype=np.int8)
    for column, name in enumerate(frame.columns):
        series = frame.iloc[:, column]
        numeric = series.dtype.kind in "biuf"
        values = (
            series.to_numpy(dtype=np.float64, na_value=np.nan) if numeric else series.to_numpy(dtype=object)
        )
        matrix[:, column], bad = _states(values)
        if bad >= 0:
            refuse(series.iloc[bad], bad, name, argument)
    return matrix


def choose(own: Iterable[object], wanted: Sequence[str] | None) -> tuple[tuple[str, ...], list[int] | None]:
    """Return the labels' names, and the places of ``wanted`` among the input's ``own`` (None: all)."""
    names = [str(name) for name in own]
    if wanted is None:
        return tuple(names), None
    chosen = name_list(wanted)
    for name in chosen:
        if (count := names.count(name)) != 1:
            why = near(name, names) if count == 0 else "it names several columns"
            raise UserError(f"label_names: {name!r} is not one label of the input: {why}")
    return chosen, [names.index(name) for name in chosen]


def name_list(label_names: Sequence[str]) -> tuple[str, ...]:
    """Return label names as a tuple, and refuse a single string, whose letters would pass for names."""
    if isinstance(label_names, str):
        raise UserError(f"label_names must be a list of names, not the text {label_names!r}")
    return tuple(str(name) for name in label_names)


def check_shape(shape: tuple[int, ...], argument: str) -> None:
    """Refuse what is not a matrix with at least one row and one label."""
    if len(shape) != 2:
        hint = "for a single label, reshape it to (n, 1)" if len(shape) == 1 else "give one row an item"
        raise UserError(f"{argument} must be (items, labels), not {len(shape)}-dimensional: {hint}")
    if 0 in shape:
        raise UserError(
            f"{argument} is empty ({shape[0]} items, {shape[1]} labels): give at least one of each"
        )


def refuse(value: Any, row: int, label: object, argument: str) -> None:
    """Raise the UserError for an entry outside the three states."""
    value = value.item() if isinstance(value, np.generic) else value
    names = (
        "; names of labels are read by labelwise.annotations.parse_names" if isinstance(value, str) else ""
    )
    raise UserError(
        f"{argument} holds {value!r} at row {row} (counted from 0), label {str(label)!r}: write 1 for "
        f"relevant, 0 for irrelevant, -1 or NaN for unknown{names}"
    )


def _states(values: npt.NDArray[Any]) -> tuple[Matrix, int]:
    """Return the states of ``values`` in C order, and the flat index of the first that is none, or -1."""
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.int8, order="C"), -1
    if kind in "iu":
        if values.size and (values.min() < -1 or values.max() > 1):
            return np.empty(0, np.int8), int(((values < -1) | (values > 1)).argmax())
        return np.ascontiguousarray(values, dtype=np.int8), -1
    if kind == "f":
        unknown = np.isnan(values)
        with np.errstate(invalid="ignore"):
            states = np.where(unknown, -1, values).astype(np.int8, order="C")
        wrong = ((states != values) | (states < -1) | (states > 1)) & ~unknown
        return states, int(wrong.argmax()) if wrong.any() else -1
    flat = np.empty(values.size, dtype=np.int8)
    for place, value in enumerate(values.ravel().tolist()):
        if missing(value):
            flat[place] = -1
        elif isinstance(value, Real | np.bool_) and value in _STATES:
            flat[place] = _STATES[_STATES.index(value)]
        else:
            return flat, place
    return flat.reshape(values.shape), -1


def _ragged(rows: Any) -> str:
    lengths = [len(row) if hasattr(row, "__len__") else 0 for row in rows]
    odd = next((row for row, length in enumerate(lengths) if length != lengths[0]), None)
    if odd is None:
        return "does not hold one value an entry"
    return f"has {lengths[0]} entries in row 0 and {lengths[odd]} in row {odd} (counted from 0)"
