"""Checks of labels, scores and names, by row and label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import as_matrix
from labelwise.errors import UserError, listed

Labels: TypeAlias = NDArray[np.int8]
Scores: TypeAlias = NDArray[np.floating[Any]]
Floats: TypeAlias = NDArray[np.float64]


class Meanings(TypedDict, total=False):
    """Meanings of the codes of a label matrix.

    Each is ``"unknown"`` or ``"absent"``; see ``labelwise.annotations.parse``.
    """

    unlisted: str | None
    """An entry that a sparse matrix does not store; it has to be said there."""
    minus_one: str
    """-1; unknown where it is not said."""
    empty: str
    """NaN, None, NA or a masked entry; unknown where it is not said."""


def label_name(label_names: Sequence[str] | None, k: int) -> str:
    """Return the name of label ``k`` in a message, else its number."""
    return f"label {label_names[k]!r}" if label_names is not None else f"label {k}"


def check_names(label_names: Sequence[str] | None, n_labels: int) -> tuple[str, ...] | None:
    """Return the label names as a tuple of ``n_labels``.

    Another number of them is refused.
    """
    if label_names is None:
        return None
    if len(label_names) != n_labels:
        raise UserError(f"label_names has {len(label_names)} names for {n_labels} labels: give one per label")
    return tuple(str(name) for name in label_names)


def check_scores(
    scores: ArrayLike, argument: str = "scores", label_names: Sequence[str] | None = None
) -> Scores:
    """Return ``scores`` (n, K) as finite float32 or float64.

    NaN and infinity are refused by row and label.
    """
    if np.ma.is_masked(scores):
        raise UserError(f"{argument} masks entries: fill them, or leave their items out")
    array = np.asarray(scores)
    if array.ndim != 2 or 0 in array.shape:
        raise UserError(
            f"{argument} has shape {array.shape}: give a matrix (items, labels) with at least one of each"
        )
    if array.dtype.kind not in "biuf":
        raise UserError(f"{argument} has dtype {array.dtype}: give numbers")
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    finite = np.isfinite(array)
    if not finite.all():
        row, k = np.argwhere(~finite)[0]
        rows = np.flatnonzero(~finite.all(axis=1))
        more = f" ({len(rows)} such rows: {listed(rows)})" if len(rows) > 1 else ""
        raise UserError(
            f"{argument} holds {array[row, k]} at row {row}, {label_name(label_names, k)}{more}: give"
            " finite scores"
        )
    return array


def check_pair(
    Y: ArrayLike,
    scores: ArrayLike,
    argument: str = "Y_true",
    label_names: Sequence[str] | None = None,
    **meanings: Unpack[Meanings],
) -> tuple[Labels, Scores]:
    """Return labels and scores of one shape.

    Labels are (n, K) int8, scores float32 or float64; frames are matched by name.
    """
    names = label_names if label_names is not None else _names_of(Y)
    Y, scores = _by_name(Y, names, argument), _by_name(scores, names, "scores")
    labels = as_matrix(Y, argument=argument, **meanings)
    checked = check_names(label_names, labels.shape[1])
    if np.shape(scores) != labels.shape:
        raise UserError(
            f"scores has shape {np.shape(scores)} but {argument} has {labels.shape}: give one score per"
            " item and label"
        )
    return labels, check_scores(scores, label_names=checked)


def _names_of(values: Any) -> Sequence[str] | None:
    """Return the label names that a frame or annotations carry.

    None where the columns are no names.
    """
    names = list(getattr(values, "label_names", getattr(values, "columns", ())))
    return names if names and all(isinstance(name, str) for name in names) else None


def _by_name(values: Any, names: Sequence[str] | None, argument: str) -> Any:
    """Return a frame with its columns in the order of ``names``.

    One that shares none of them keeps its own order.
    """
    columns = None if hasattr(values, "label_names") else _names_of(values)
    if columns is None or names is None or columns == list(names) or not set(columns) & set(names):
        return values
    if sorted(columns) != sorted(names):
        raise UserError(
            f"{argument} has the columns {listed(columns)}, and the labels are {listed(names)}: give the same labels"
        )
    return values[list(names)]
