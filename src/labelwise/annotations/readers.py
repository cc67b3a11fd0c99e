"""Label states from arrays, nested lists, frames, tensors and sparse matrices."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.annotations.codes import Codes, hint_of, missing, state_of
from labelwise.errors import UserError, shown

Matrix = npt.NDArray[np.int8]
_STATES = (1, 0, -1)


def read_states(Y: Any, argument: str, unlisted: Any, codes: Codes) -> Matrix:
    """Return the states of any matrix that ``parse`` reads.

    Names are none of these; see ``as_matrix``.
    """
    if is_sparse(Y):
        return _from_sparse(Y, argument, unlisted, codes)
    if is_frame(Y):
        return _from_frame(Y, argument, unlisted, codes)
    return _from_array(Y, argument, codes)


def is_sparse(Y: Any) -> bool:
    """Return whether ``Y`` is a scipy sparse matrix or array."""
    return hasattr(Y, "tocoo") and hasattr(Y, "shape")


def is_frame(Y: Any) -> bool:
    """Return whether ``Y`` is a pandas frame, without importing pandas."""
    return hasattr(Y, "iloc") and hasattr(Y, "columns")


def is_columns(Y: Any) -> bool:
    """Return whether ``Y`` is a frame of Arrow columns, such as polars."""
    return hasattr(Y, "__arrow_c_stream__") and hasattr(Y, "columns") and not hasattr(Y, "iloc")


def to_known(Y: Any, argument: str = "Y") -> Any:
    """Return tensors as NumPy arrays, polars objects as pandas.

    All else comes back as it is.
    """
    if is_columns(Y) or type(Y).__module__.partition(".")[0] == "polars":
        if not hasattr(Y, "to_pandas"):
            raise UserError(f"{argument} is a {type(Y).__name__}: collect it to a frame first")
        if not hasattr(Y, "columns"):
            return np.array([*Y.to_list(), None], dtype=object)[:-1]
        import pandas as pd

        # Column by column through Python objects: null stays null, whatever the type beside it.
        columns = [
            Y[name].to_list() if hasattr(Y[name], "to_list") else Y[name].to_pylist() for name in _names(Y)
        ]
        frame = pd.DataFrame(dict(enumerate(columns)), dtype=object)
        frame.columns = pd.Index(_names(Y), dtype=object)
        return frame
    return from_tensor(Y, argument)


def from_tensor(values: Any, argument: str) -> Any:
    """Return a torch tensor as a NumPy array, without importing torch.

    It is a dense one, of any device; all else comes back as it is.
    """
    if type(values).__module__.partition(".")[0] != "torch" or not hasattr(values, "detach"):
        return values
    if str(values.layout) != "torch.strided":
        raise UserError(f"{argument} is a sparse tensor: give a dense one, or a scipy sparse matrix")
    tensor = values.detach().cpu()
    # NumPy has no bfloat16.
    return (tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor).numpy()


def _names(Y: Any) -> list[str]:
    return list(Y.column_names if hasattr(Y, "column_names") else Y.columns)


def _from_array(Y: Any, argument: str, codes: Codes) -> Matrix:
    if isinstance(Y, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(Y)
        matrix = _from_array(np.where(mask, 0, np.ma.getdata(Y)), argument, codes).copy()
        codes.see(empty=mask)
        matrix[mask] = codes.empty
        return matrix
    try:
        values = np.asarray(Y)
    except ValueError:
        raise UserError(f"{argument} {_ragged(Y)}: give every row one entry for each label") from None
    check_shape(values.shape, argument)
    states, bad = _states(values, codes)
    if bad >= 0:
        row, column = divmod(bad, values.shape[1])
        refuse(
            values[row, column],
            row,
            column,
            argument,
            hint_of(np.unique(values)) if values.dtype.kind in "iuf" else "",
        )
    return states


def _from_sparse(Y: Any, argument: str, unlisted: Any, codes: Codes) -> Matrix:
    """Return the dense matrix of a scipy sparse matrix.

    A stored 0 is irrelevant.
    """
    check_shape(Y.shape, argument)
    rows, columns, values = stored_entries(Y, argument)
    states, bad = _states(values, codes)
    if bad >= 0:
        refuse(values[bad], int(rows[bad]), int(columns[bad]), argument)
    # scipy adds up what is stored twice, and a sum of states is no state.
    places, counts = np.unique(rows * Y.shape[1] + columns, return_counts=True)
    if counts.size and counts.max() > 1:
        row, column = divmod(int(places[counts.argmax()]), Y.shape[1])
        raise UserError(f"{argument} stores row {row}, label {column} more than once: store each entry once")
    if unlisted is None:
        raise UserError(_unlisted_missing(argument))
    matrix = np.full(Y.shape, state_of("unlisted", unlisted), dtype=np.int8)
    matrix[rows, columns] = states
    return matrix


def _unlisted_missing(argument: str) -> str:
    return (
        f"{argument} is a sparse matrix, and an entry that it does not store can mean two things: give"
        " unlisted='absent' where every label that applies is stored, or unlisted='unknown' where only those are that"
        " somebody noted"
    )


def _from_frame(frame: Any, argument: str, unlisted: Any, codes: Codes) -> Matrix:
    """Return the matrix of a pandas frame.

    It may be of numbers, bools, nullable or Arrow types, or objects.
    """
    check_shape(frame.shape, argument)
    kinds = {dtype.kind if isinstance(dtype, np.dtype) else "?" for dtype in frame.dtypes}
    if len(kinds) == 1 and kinds <= set("biuf"):
        states, bad = _states(frame.to_numpy(), codes)
        if bad < 0:
            return states
    matrix = np.empty(frame.shape, dtype=np.int8)
    for column, name in enumerate(frame.columns):
        series = frame.iloc[:, column]
        places: Any = slice(None)
        if type(series.dtype).__name__ == "SparseDtype":
            if unlisted is None:
                raise UserError(_unlisted_missing(argument))
            matrix[:, column] = state_of("unlisted", unlisted)
            places = series.array.sp_index.indices
            series = series.iloc[places].sparse.to_dense()
        numeric = series.dtype.kind in "biuf"
        values = (
            series.to_numpy(dtype=np.float64, na_value=np.nan) if numeric else series.to_numpy(dtype=object)
        )
        states, bad = _states(values, codes)
        if bad >= 0:
            row = bad if isinstance(places, slice) else int(places[bad])
            refuse(series.iloc[bad], row, name, argument, hint_of(series.unique()[:5]) if numeric else "")
        matrix[places, column] = states
    return matrix


def check_shape(shape: tuple[int, ...], argument: str) -> None:
    """Refuse anything but a matrix with a row and a label."""
    if len(shape) != 2:
        hint = "for a single label, reshape it to (n, 1)" if len(shape) == 1 else "give one row an item"
        raise UserError(f"{argument} must be (items, labels), not {len(shape)}-dimensional: {hint}")
    if 0 in shape:
        raise UserError(
            f"{argument} is empty ({shape[0]} items, {shape[1]} labels): give at least one of each"
        )


def refuse(value: Any, row: int, label: object, argument: str, hint: str = "") -> None:
    """Raise the UserError for an entry outside the three states."""
    value = value.item() if isinstance(value, np.generic) and not isinstance(value, np.void) else value
    names = (
        "; names of labels are read by labelwise.annotations.parse_names" if isinstance(value, str) else ""
    )
    raise UserError(
        f"{argument} holds {shown(value)} at row {row} (counted from 0), label {shown(str(label))}: write 1 for "
        f"relevant, 0 for irrelevant, -1 or NaN for unknown{names}{hint}"
    )


def _states(values: npt.NDArray[Any], codes: Codes) -> tuple[Matrix, int]:
    """Return states, and the place of the first invalid value.

    They are the states of ``values`` in C order, and the flat index of the first that is none, or -1.
    """
    kind = values.dtype.kind
    if kind == "b":
        codes.see(one=values, zero=~values)
        return values.astype(np.int8, order="C"), -1
    if kind in "iu":
        if values.size and (values.min() < -1 or values.max() > 1):
            return np.empty(0, np.int8), int(((values < -1) | (values > 1)).argmax())
        states = np.ascontiguousarray(values, dtype=np.int8)
        if codes.seen is not None:
            codes.see(one=states == 1, zero=states == 0, minus=states == -1)
        return (states if codes.minus_one == -1 else np.maximum(states, np.int8(0))), -1
    if kind == "f":
        unknown, ones, zeros, minus = np.isnan(values), values == 1, values == 0, values == -1
        wrong = ~(unknown | ones | zeros | minus)
        if wrong.any():
            return np.empty(0, np.int8), int(wrong.argmax())
        codes.see(one=ones, zero=zeros, minus=minus, empty=unknown)
        states = ones.astype(np.int8, order="C")
        states[minus], states[unknown] = codes.minus_one, codes.empty
        return states, -1
    flat = np.empty(values.size, dtype=np.int8)
    for place, value in enumerate(values.ravel().tolist()):
        if missing(value):
            code = "empty"
        elif isinstance(value, Real | np.bool_) and value in _STATES:
            code = str(_STATES[_STATES.index(value)])
        else:
            return flat, place
        if codes.seen is not None:
            codes.seen.add(code)
        flat[place] = codes.state(code)
    return flat.reshape(values.shape), -1


def _ragged(rows: Any) -> str:
    try:
        lengths = [len(row) if hasattr(row, "__len__") else 0 for row in rows]
    except Exception:  # an object that only looks like rows
        return "does not hold one value an entry"
    odd = next((row for row, length in enumerate(lengths) if length != lengths[0]), None)
    if odd is None:
        return "does not hold one value an entry"
    return f"has {lengths[0]} entries in row 0 and {lengths[odd]} in row {odd} (counted from 0)"


Indices = npt.NDArray[np.int64]
Entries = tuple[Indices, Indices, npt.NDArray[Any]]


def stored_entries(Y: Any, argument: str) -> Entries:
    """Return the stored entries of a scipy sparse matrix, checked.

    They are rows, columns and values, (m,) each.

    scipy's own conversions trust ``indptr`` and ``indices``, and crash the process where these do not fit; so all is
    done here in NumPy. A zero is an entry where the format stores single entries (CSR, CSC, COO, LIL, DOK), and
    filling where it stores blocks or diagonals.

    Raises:
        UserError: For parts that do not fit each other or the shape.
    """
    kind = getattr(Y, "format", None)
    readers = {
        "csr": _compressed,
        "csc": _compressed,
        "coo": _coordinates,
        "bsr": _blocks,
        "dia": _diagonals,
        "lil": _lists,
        "dok": _keys,
    }
    if kind not in readers:
        raise UserError(
            f"{argument} is a {type(Y).__name__}, no sparse matrix of scipy: give one, or a dense array"
        )
    try:
        rows, columns, values = readers[kind](Y)
        rows, columns = _as_indices(rows), _as_indices(columns)
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(
            f"{argument} is a {kind.upper()} matrix whose parts do not fit each other ({error}): make it anew"
        ) from None
    if not rows.shape == columns.shape == values.shape:
        raise UserError(
            f"{argument} is a {kind.upper()} matrix whose parts do not fit each other: make it anew"
        )
    if rows.size and (
        min(rows.min(), columns.min()) < 0 or rows.max() >= Y.shape[0] or columns.max() >= Y.shape[1]
    ):
        raise UserError(
            f"{argument} is a sparse matrix with an index outside its shape {Y.shape}: make it anew"
        )
    return rows, columns, values


def _as_indices(values: Any) -> Indices:
    indices = np.asarray(values)
    if indices.size and indices.dtype.kind not in "iu":
        raise ValueError("an index that is no whole number")
    return indices.astype(np.int64).reshape(-1)


def _pointers(Y: Any, length: int) -> tuple[Indices, Indices]:
    """Return major and minor indices of a compressed matrix's entries."""
    indptr, indices = _as_indices(Y.indptr), _as_indices(Y.indices)
    if (
        len(indptr) != length + 1
        or indptr[0] != 0
        or (np.diff(indptr) < 0).any()
        or indptr[-1] > len(indices)
    ):
        raise ValueError("indptr does not fit indices and shape")
    return np.repeat(np.arange(length), np.diff(indptr)), indices[: indptr[-1]]


def _compressed(Y: Any) -> Entries:
    by_row = Y.format == "csr"
    major, minor = _pointers(Y, Y.shape[0 if by_row else 1])
    values = np.asarray(Y.data)[: len(minor)]
    return (major, minor, values) if by_row else (minor, major, values)


def _coordinates(Y: Any) -> Entries:
    return Y.row, Y.col, np.asarray(Y.data)


def _blocks(Y: Any) -> Entries:
    data = np.asarray(Y.data)
    if data.ndim != 3 or 0 in data.shape[1:]:
        raise ValueError("data hold no blocks")
    high, wide = data.shape[1:]
    major, minor = _pointers(Y, Y.shape[0] // high)
    block, row, column = np.nonzero(data[: len(minor)])
    return major[block] * high + row, minor[block] * wide + column, data[block, row, column]


def _diagonals(Y: Any) -> Entries:
    data, offsets = np.asarray(Y.data), _as_indices(Y.offsets)
    if data.ndim != 2 or len(data) != len(offsets):
        raise ValueError("data and offsets do not fit")
    diagonal, column = np.nonzero(data)
    row = column - offsets[diagonal]
    # The ends of a diagonal that lie outside the matrix are filling too.
    inside = (row >= 0) & (row < Y.shape[0]) & (column < Y.shape[1])
    return row[inside], column[inside], data[diagonal[inside], column[inside]]


def _lists(Y: Any) -> Entries:
    pairs = [
        (row, column, value)
        for row, (columns, values) in enumerate(zip(Y.rows, Y.data, strict=True))
        for column, value in zip(columns, values, strict=True)
    ]
    return _split(pairs)


def _keys(Y: Any) -> Entries:
    return _split([(row, column, value) for (row, column), value in Y.items()])


def _split(triples: list[tuple[Any, Any, Any]]) -> Entries:
    rows, columns, values = zip(*triples, strict=True) if triples else ((), (), ())
    return np.array(rows), np.array(columns), np.array(values)
