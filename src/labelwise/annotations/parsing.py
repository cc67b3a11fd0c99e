"""The one door: whatever holds labels becomes an annotation matrix with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelwise.annotations.checks import missing, reading, state_of
from labelwise.annotations.codes import Codes
from labelwise.annotations.matrix import Annotations, choose, name_list
from labelwise.annotations.names import name_notes, parse_names
from labelwise.annotations.readers import is_frame, read_states, to_known


def parse(
    Y: Any,
    *,
    label_names: Sequence[str] | None = None,
    unlisted: str | None = None,
    minus_one: str = "unknown",
    empty: str = "unknown",
    separator: str | None = None,
    name_key: str | None = None,
) -> Annotations:
    """Read annotations of any kind; the package's page says how.

    ``Y``: an (n, K) array, masked array, torch tensor, nested list, pandas or polars frame or scipy sparse
    matrix with entries 1, 0, and -1, NaN, None or NA for unknown; or n cells of label names (a list or Series
    of lists or of joined names, see ``parse_names``). ``label_names``: K names; for a frame, for names and
    for Annotations they choose and order the labels. ``unlisted``: what a sparse matrix's unstored entry, or a
    name that a row does not list, is: ``"unknown"`` or ``"absent"``; None is "unknown" for names, and refused
    for a sparse matrix; it changes nothing elsewhere. ``minus_one``: what -1 means, and ``empty``: what NaN,
    None, NA, a masked entry or an empty cell means, ``"unknown"`` or ``"absent"``. ``separator`` and
    ``name_key`` are those of ``parse_names``.

    The ``notes`` of the result say what was guessed: a separator, codes that look like another convention, names
    that look like syntax or like each other.

    Raises UserError, in one line, for an empty matrix, a wrong shape, a value outside the three states (with
    its row and label), names that are double, unknown or of another number than the labels, or hold control
    characters.
    """
    codes = Codes.named(minus_one, empty)
    if unlisted is not None:
        state_of("unlisted", unlisted)
    if isinstance(Y, Annotations):
        names, places = choose(Y.label_names, label_names)
        return Y if places is None else Annotations(np.ascontiguousarray(Y.matrix[:, places]), names, Y.notes)
    with reading("Y", Y):
        Y = to_known(Y)
        if is_frame(Y):
            names, places = choose(Y.columns, label_names)
            matrix = read_states(Y if places is None else Y.iloc[:, places], "Y", unlisted, codes)
        elif _holds_names(Y):
            return parse_names(
                Y,
                unlisted=unlisted or "unknown",
                label_names=label_names,
                separator=separator,
                minus_one=minus_one,
                empty=empty,
                name_key=name_key,
            )
        else:
            matrix = read_states(Y, "Y", unlisted, codes)
            names = (
                tuple(f"label_{column}" for column in range(matrix.shape[1]))
                if label_names is None
                else name_list(label_names)
            )
    return Annotations(matrix, names, (*codes.notes(), *name_notes(names)))


def _holds_names(Y: Any) -> bool:
    """Return whether ``Y`` is cells of names: the first cell that says something decides."""
    if isinstance(Y, np.ndarray) and (Y.ndim != 1 or Y.dtype.kind not in "OUT"):
        return False
    if not isinstance(Y, np.ndarray | list | tuple) and not hasattr(Y, "iloc"):
        return False
    with reading("Y", Y):
        for cell in Y:
            if isinstance(cell, str | set | frozenset | Mapping):
                return True
            if isinstance(cell, list | tuple) or (isinstance(cell, np.ndarray) and cell.ndim == 1):
                for value in cell:
                    if not missing(value):
                        return isinstance(value, str | Mapping)
            elif not missing(cell):
                return False
    return False
