"""Annotation matrix with label names, and work on it by blocks."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.annotations.codes import Codes, reading
from labelwise.annotations.readers import Matrix, read_states, to_known
from labelwise.errors import UserError, listed, near, repeated, shown

# Work on an (n, K) matrix goes by blocks of rows of about this many entries: temporaries then stay in the cache.
BLOCK_ENTRIES = 1 << 19


@dataclass(frozen=True, eq=False)
class Annotations:
    """Annotation matrix and the names of its labels.

    Anything that is not as below is a UserError.

    Attributes:
        matrix: (n, K) int8 of 1 (relevant), 0 (irrelevant) and -1 (unknown), C-contiguous, n and K at least 1; it
            shares the memory of the array it was made from where that was such a matrix already.
        label_names: K different strings, none blank or with control characters.
        notes: sentences on what was guessed when the labels were read.
    """

    matrix: Matrix
    label_names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = check_label_names(self.label_names)
        for place, name in enumerate(names):
            if not name.strip():
                raise UserError(f"the label name number {place + 1} is empty: give it a name")
        matrix = as_matrix(self.matrix, argument="matrix")
        if matrix.shape[1] != len(names):
            raise UserError(
                f"label_names has {len(names)} names, the matrix {matrix.shape[1]} labels: name each label"
            )
        object.__setattr__(self, "matrix", matrix)
        object.__setattr__(self, "label_names", names)
        object.__setattr__(self, "notes", tuple(self.notes))

    @property
    def states(self) -> Any:
        """The matrix; of ``ListedAnnotations`` its lists, which are far smaller."""
        return self.matrix

    def take(self, rows: Any) -> Annotations:
        """Return some rows, given by a mask or positions."""
        return Annotations(np.ascontiguousarray(self.matrix[rows]), self.label_names, self.notes)

    def with_notes(self, notes: Iterable[str]) -> Annotations:
        """Return the same labels with other notes."""
        return Annotations(self.matrix, self.label_names, tuple(notes))

    @property
    def n_items(self) -> int:
        """The number of rows, n."""
        return len(self.matrix)

    @property
    def n_labels(self) -> int:
        """The number of labels, K."""
        return len(self.label_names)


def as_matrix(
    Y: Any,
    *,
    argument: str = "Y",
    unlisted: str | None = None,
    minus_one: str = "unknown",
    empty: str = "unknown",
) -> Matrix:
    """Return the annotation matrix of ``Y``, checked.

    Every boundary calls this.

    Args:
        Y: anything but names that ``parse`` reads.
        argument: what error messages call it.
        unlisted: as in ``parse``.
        minus_one: as in ``parse``.
        empty: as in ``parse``.

    Returns:
        (n, K) int8, C-contiguous. An int8 C-contiguous array comes back as itself, not a copy, where -1 means
        unknown.

    Raises:
        UserError: for a wrong shape, an empty matrix, a value outside the three states (with row and label), or a
            sparse matrix where ``unlisted`` does not say what its unstored entries are.
    """
    codes = Codes.named(minus_one, empty)
    if isinstance(Y, Annotations):
        return Y.matrix
    # Its notes are read by nobody here, and would take passes over the matrix.
    codes.seen = None
    with reading(argument, Y):
        return read_states(to_known(Y, argument), argument, unlisted, codes)


def both_signs_known(labels: Matrix, least: int = 1) -> npt.NDArray[np.bool_]:
    """Return the labels (K,) with known positives and known negatives.

    Each has ``least`` of either in ``labels`` (n, K).
    """
    if least == 1:
        return np.asarray((labels == 1).any(axis=0) & (labels == 0).any(axis=0))
    few = np.minimum((labels == 1).sum(axis=0), (labels == 0).sum(axis=0))
    return np.asarray(few >= least)


def row_blocks(n_rows: int, n_columns: int, entries: int | None = None) -> Iterator[slice]:
    """Yield slices of rows of about ``entries`` entries each.

    That is half a million by default; together they cover ``n_rows`` rows.
    """
    step = max(1, (entries or BLOCK_ENTRIES) // max(1, n_columns))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def check_label_names(label_names: Iterable[Any]) -> tuple[str, ...]:
    """Return label names as text, checked.

    Doubles are refused, and control characters, which no page or terminal can show.
    """
    try:
        names = tuple(str(name) for name in label_names)
    except Exception:  # no list, or names whose own code fails
        raise UserError(f"label_names must be a list of names, not {shown(label_names)}") from None
    if doubles := repeated(names):
        raise UserError(
            f"label_names holds {listed(map(shown, doubles))} more than once: give each label its own name"
        )
    for place, name in enumerate(names):
        if not name.isprintable() and (bad := next(filter(_is_control, name), None)) is not None:
            raise UserError(
                f"the label name {shown(name)} (number {place + 1}) holds the control character U+{ord(bad):04X}:"
                " take it out"
            )
    return names


def _is_control(character: str) -> bool:
    """Return whether a character is invisible or breaks a line.

    That is a control, half a character, a line's end, or one that turns the direction of text.
    """
    turns = "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"
    return turns or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def choose(
    columns: Iterable[object], label_names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[int] | None]:
    """Return the chosen labels' names and places in the input.

    The places are those of ``label_names`` among the input's ``columns`` (None: all).
    """
    names = [str(name) for name in columns]
    if label_names is None:
        return tuple(names), None
    chosen = name_list(label_names)
    counts, places = Counter(names), {name: place for place, name in enumerate(names)}
    for name in chosen:
        if (count := counts[name]) != 1:
            why = near(name, names) if count == 0 else "it names several columns"
            raise UserError(f"label_names: {shown(name)} is not one label of the input: {why}")
    return chosen, [places[name] for name in chosen]


def name_list(label_names: Any) -> tuple[str, ...]:
    """Return label names as a tuple.

    A single string is refused, since its letters would pass for names.
    """
    if isinstance(label_names, str):
        raise UserError(f"label_names must be a list of names, not the text {shown(label_names)}")
    try:
        values = list(label_names)
    except Exception:  # whatever is no list
        raise UserError(f"label_names must be a list of names, not {shown(label_names)}") from None
    for value in values:
        if isinstance(value, bool) or not isinstance(value, str | int | np.integer):
            raise UserError(f"label_names holds {shown(value)}, which is not a name: give text")
    return tuple(str(value) for value in values)
