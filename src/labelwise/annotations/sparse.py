"""The stored entries of a scipy sparse matrix, checked before anything reads past the end of its parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.errors import UserError

Indices = npt.NDArray[np.int64]
Entries = tuple[Indices, Indices, npt.NDArray[Any]]


def stored_entries(Y: Any, argument: str) -> Entries:
    """Return the rows, columns and values (m,) that a scipy sparse matrix stores.

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
        rows, columns = _whole(rows), _whole(columns)
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


def _whole(values: Any) -> Indices:
    found = np.asarray(values)
    if found.size and found.dtype.kind not in "iu":
        raise ValueError("an index that is no whole number")
    return found.astype(np.int64).reshape(-1)


def _pointers(Y: Any, length: int) -> tuple[Indices, Indices]:
    """Return (the major index of each stored entry, the minor one) of a compressed matrix."""
    indptr, indices = _whole(Y.indptr), _whole(Y.indices)
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
    data, offsets = np.asarray(Y.data), _whole(Y.offsets)
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
