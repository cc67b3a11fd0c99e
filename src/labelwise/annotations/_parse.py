"""The one door: whatever holds labels becomes an annotation matrix with names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from labelwise.annotations._checks import missing, state_of_unlisted
from labelwise.annotations._matrix import (
    Annotations,
    as_matrix,
    choose,
    from_frame,
    from_sparse,
    is_frame,
    name_list,
)
from labelwise.annotations._names import parse_names


def parse(Y: Any, *, label_names: Sequence[str] | None = None, unlisted: str = "unknown") -> Annotations:
    """Read annotations of any kind; the package's page says how.

    ``Y``: an (n, K) array, masked array, nested list, pandas frame or scipy sparse matrix with entries 1, 0,
    and -1, NaN, None or NA for unknown; or n cells of label names (a list or Series of lists or of joined
    names, see :func:`parse_names`). ``label_names``: K names; for a frame, for names and for Annotations they
    choose and order the labels. ``unlisted``: what a sparse matrix's unstored entry, or a name that a row
    does not list, is: ``"unknown"`` or ``"absent"``; it changes nothing elsewhere.

    Raises UserError, in one line, for an empty matrix, a wrong shape, a value outside the three states (with
    its row and label), names that are double, unknown or of another number than the labels.
    """
    state_of_unlisted(unlisted)
    if isinstance(Y, Annotations):
        names, places = choose(Y.label_names, label_names)
        return Y if places is None else Annotations(np.ascontiguousarray(Y.matrix[:, places]), names)
    if hasattr(Y, "tocoo"):
        matrix = from_sparse(Y, unlisted=unlisted)
    elif is_frame(Y):
        names, places = choose(Y.columns, label_names)
        return Annotations(from_frame(Y if places is None else Y.iloc[:, places]), names)
    elif _holds_names(Y):
        return parse_names(Y, unlisted=unlisted, label_names=label_names)
    else:
        matrix = as_matrix(Y)
    if label_names is None:
        return Annotations(matrix, tuple(f"label_{column}" for column in range(matrix.shape[1])))
    return Annotations(matrix, name_list(label_names))


def _holds_names(Y: Any) -> bool:
    """Return whether ``Y`` is cells of names: the first cell that says something decides."""
    if isinstance(Y, np.ndarray) and (Y.ndim != 1 or Y.dtype.kind not in "OUT"):
        return False
    if not isinstance(Y, np.ndarray | list | tuple) and not hasattr(Y, "iloc"):
        return False
    for cell in Y:
        if isinstance(cell, str | set | frozenset):
            return True
        if isinstance(cell, list | tuple) or (isinstance(cell, np.ndarray) and cell.ndim == 1):
            for value in cell:
                if not missing(value):
                    return isinstance(value, str)
        elif not missing(cell):
            return False
    return False
