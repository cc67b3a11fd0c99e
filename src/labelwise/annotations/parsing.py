"""Annotations from any object: matrices of states, or cells of names."""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from html import unescape
from typing import Any

import numpy as np

from labelwise.annotations.cells import CellReader, Names, Numbers, check_names
from labelwise.annotations.cells import States as StatesByName
from labelwise.annotations.codes import Codes, code_of, missing, reading, state_of
from labelwise.annotations.listed import ListedAnnotations, ListedStates, States, held_as_lists, stored_lists
from labelwise.annotations.matrix import Annotations, choose, name_list
from labelwise.annotations.readers import is_frame, is_sparse, read_states, to_known
from labelwise.annotations.separators import has_entity, split_texts
from labelwise.errors import UserError, listed, near, shown


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
    """Read annotations of any kind; ``labelwise.annotations`` lists them.

    Args:
        Y: (n, K) array, masked array, torch tensor, nested list, pandas or polars frame or scipy sparse matrix with
            entries 1, 0, and -1, NaN, None or NA for unknown; or n cells of label names (a list or Series of lists or
            of joined names, see ``parse_names``).
        label_names: K names; for a frame, for names and for Annotations they choose and order the labels.
        unlisted: what a sparse matrix's unstored entry, or a name that a row does not list, is: ``"unknown"`` or
            ``"absent"``; None is "unknown" for names, and refused for a sparse matrix; it changes nothing elsewhere.
        minus_one: what -1 means, ``"unknown"`` or ``"absent"``.
        empty: what NaN, None, NA, a masked entry or an empty cell means, likewise.
        separator: that of ``parse_names``.
        name_key: that of ``parse_names``.

    Returns:
        The matrix with its label names. Its ``notes`` say what was guessed, be it a separator, codes that look like
        another convention, or names that look like syntax or like each other.

    Raises:
        UserError: in one line, for an empty matrix, a wrong shape, a value outside the three states (with its row and
            label), names that are double, unknown or of another number than the labels, or hold control characters.
    """
    codes = Codes.named(minus_one, empty)
    if unlisted is not None:
        state_of("unlisted", unlisted)
    if isinstance(Y, Annotations):
        names, places = choose(Y.label_names, label_names)
        if places is None or places == list(range(Y.n_labels)):
            return Y
        if isinstance(Y, ListedAnnotations):
            return Y.with_labels(places, names)
        return Annotations(np.ascontiguousarray(Y.matrix[:, places]), names, Y.notes)
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
            lists = stored_lists(Y, unlisted, codes)
            states: States = read_states(Y, "Y", unlisted, codes) if lists is None else lists
            names = (
                tuple(f"label_{column}" for column in range(states.shape[1]))
                if label_names is None
                else name_list(label_names)
            )
            if isinstance(states, ListedStates):
                return ListedAnnotations(states, names, (*codes.notes(), *name_notes(names)))
            matrix = states
    return Annotations(matrix, names, (*codes.notes(), *name_notes(names)))


def _holds_names(Y: Any) -> bool:
    """Return whether ``Y`` is cells of names.

    The first cell that says something decides.
    """
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


_MISSING = frozenset(
    ("nan", "NaN", "NAN", "null", "NULL", "Null", "None", "NA", "N/A", "<NA>", "NaT", "#N/A")
)
"""What programs write for a missing value; as a whole cell of text it says nothing, unless it is a known name."""

_SYNTAX = re.compile(r"""[\[\]{}"]|<.*>|^<|>$|^'|'$""", re.DOTALL)
_STATES = frozenset(
    form(word) for word in ("0", "1", "true", "false", "yes", "no") for form in (str, str.upper, str.title)
)
_DASHES = frozenset(("-", "--", "?", "."))
"""What people write for a missing value; as names they are told."""


def parse_names(
    values: Iterable[Any],
    *,
    unlisted: str = "unknown",
    label_names: Sequence[str] | None = None,
    separator: str | None = None,
    extra: str = "refuse",
    minus_one: str = "unknown",
    empty: str = "unknown",
    name_key: str | None = None,
) -> Annotations:
    """Read one cell of label names a row, as ``labelwise.annotations`` describes.

    Args:
        values: n cells, each a list (tuple, set, array) of names, a dict of states by name, a list of objects, text
            of joined names, text that spells any of these, or empty.
        unlisted: what a label is that a row does not list, ``"unknown"`` (-1) or ``"absent"`` (0; an empty list is
            all 0).
        label_names: the labels, in order; by default all names that occur, sorted.
        separator: between the names of a text; by default it is found in the column; ``" "`` stands for any
            whitespace.
        extra: what to do with a name that ``label_names`` has not, ``"refuse"`` or ``"ignore"`` (the row counts as
            one that somebody labelled).
        minus_one: what the state -1 means.
        empty: what all labels of a row are whose cell is empty, and a label whose state is.
        name_key: the key of the name where cells hold objects.

    Raises:
        UserError: for a cell that cannot be read, a name that ``label_names`` has not, no name at all, or text that
            may be one name or several.
    """
    absent = state_of("unlisted", unlisted)
    codes = Codes.named(minus_one, empty)
    if not isinstance(extra, str) or extra not in ("refuse", "ignore"):
        raise UserError(f"extra={shown(extra)}: it is 'refuse' or 'ignore'")
    chosen = None if label_names is None else name_list(label_names)
    notes: list[str] = []
    with reading("values", values):
        rows = _rows(values, chosen, separator, name_key, notes, by_place=extra == "refuse")
    if chosen is None:
        chosen = tuple(sorted({name for row in rows if row for name in row}))
    if not rows or not chosen:
        raise UserError(
            f"values hold no label name ({len(rows)} rows): name a label in a row, or give label_names"
        )

    place = {name: column for column, name in enumerate(chosen)}
    by_name = any(isinstance(row, dict) for row in rows)
    as_lists = not by_name and held_as_lists(len(rows), len(chosen))
    matrix = None if as_lists else np.full((len(rows), len(chosen)), absent, dtype=np.int8)
    silent, lists = np.full(len(rows), absent, np.int8), array("q")
    ends = np.zeros(len(rows) + 1, np.int64)
    for row, names in enumerate(rows):
        if names is None:
            silent[row] = codes.empty
            if matrix is not None:
                matrix[row] = codes.empty
        for name in names or ():
            if name not in place:
                if extra == "ignore":
                    continue
                raise UserError(
                    f"row {row} (counted from 0) has the label {shown(name)}, which label_names has not: "
                    + near(name[:100], chosen)
                )
            if matrix is None:
                lists.append(place[name])
            else:
                matrix[row, place[name]] = codes.state(names[name]) if isinstance(names, dict) else 1
        ends[row + 1] = len(lists)
    if codes.minus_one != -1 and not by_name:
        notes.append("not used: minus_one (--minus-one), since the labels are names, among which -1 is none")
    if codes.seen is not None:
        codes.seen.update(code for row in rows if isinstance(row, dict) for code in row.values())
    notes += (*codes.notes(), *name_notes(chosen))
    if matrix is None:
        states = ListedStates.of(ends, np.array(lists, dtype=np.int64), silent, len(chosen))
        return ListedAnnotations(states, chosen, notes)
    return Annotations(matrix, chosen, tuple(notes))


def names_in(
    values: Iterable[Any],
    *,
    label_names: Sequence[str] | None = None,
    separator: str | None = None,
    name_key: str | None = None,
) -> Names:
    """Return the names that occur in cells of names, sorted; see ``parse_names``."""
    chosen = None if label_names is None else name_list(label_names)
    with reading("values", values):
        rows = _rows(values, chosen, separator, name_key, [], by_place=False)
        return tuple(sorted({name for row in rows if row for name in row}))


def name_notes(names: Sequence[str]) -> tuple[str, ...]:
    """Return notes on suspicious label names.

    They look like syntax, like a missing value, or like each other.
    """
    notes = []
    odd = [name for name in names if _SYNTAX.search(name) or has_entity(name)]
    if odd:
        notes.append(
            f"Names with brackets, braces, quotes or entities: {listed(map(shown, odd))}. Are they names, or syntax"
            " that was not read?"
        )
    empty = [name for name in names if name in _DASHES or (name and code_of(name) == "empty")]
    if empty:
        are = (
            "is read as a label, not as a missing value"
            if len(empty) == 1
            else "are read as labels, not as missing values"
        )
        notes.append(f"{listed(map(shown, empty))} {are}.")
    alike = defaultdict(list)
    for name in names:
        alike[_folded(name)].append(name)
    groups = [" and ".join(map(shown, group)) for group in alike.values() if len(group) > 1]
    if groups:
        notes.append(
            f"Names that differ in case, blanks or encoding alone, each a label of its own: {listed(groups)}."
        )
    return tuple(notes)


def _folded(name: str) -> str:
    """Return a name without what may differ by mistake.

    That is case, blanks, invisible characters, forms of Unicode.
    """
    # Twice, since folding the case can leave the form.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", unescape(name)).casefold())
    return "".join(c for c in text if unicodedata.category(c) != "Cf" and not c.isspace())


def _rows(
    values: Iterable[Any],
    label_names: Names | None,
    separator: str | None,
    name_key: str | None,
    notes: list[str],
    by_place: bool,
) -> list[Names | StatesByName | None]:
    """Return each row's names or states by name, or None.

    It is None where nothing is said.

    ``by_place``: lists of 1 and 0 may be read as the states of ``label_names``, in their order.
    """
    if separator is not None and not (isinstance(separator, str) and separator):
        raise UserError(
            f"separator must not be empty, and must be a text, not {shown(separator)}: give ';', or ' ' for any"
            " whitespace, or None to have it found"
        )
    rows: list[Names | StatesByName | None] = []
    texts: dict[int, str] = {}
    numbers: dict[int, tuple[Any, ...]] = {}
    empty_words: dict[str, int] = defaultdict(int)
    known = frozenset(label_names or ())
    reader = CellReader(name_key)
    for row, cell in enumerate(_cells(values)):
        content = reader.read(cell, row)
        rows.append(content if isinstance(content, tuple | dict) else None)
        if isinstance(content, Numbers):
            numbers[row] = content.values
        elif isinstance(content, str):
            if content in _MISSING and content not in known:
                empty_words[content] += 1
            else:
                texts[row] = content
    notes.extend(reader.notes())
    if empty_words:
        words = listed(f"{shown(word)} ({count:,})" for word, count in empty_words.items())
        notes.append(
            f"Cells that say {words} are read as empty; where that is the name of a label, list it (as in"
            f' ["{next(iter(empty_words))}"]) or give label_names.'
        )
    split = split_texts(texts, label_names, separator, reader.choices, notes)
    if not any(rows) and not numbers and _may_be_states(split):
        # Texts such as "1,0,1" are lists of states too.
        numbers = {row: tuple(int(code_of(name) or 0) for name in names) for row, names in split.items()}
        split = {}
    for row, names in split.items():
        rows[row] = names or None
    for row, states in _numbers(numbers, label_names, by_place, any(rows)).items():
        rows[row] = states
    occurring = sorted({name for row in rows if row for name in row})
    if occurring and _STATES.issuperset(occurring):
        notes.append(
            f"The names are {' and '.join(occurring[:5])} alone: give a column of states, rather than names, as a label"
            " column (--label-columns)."
        )
    if occurring and separator is not None and not texts:
        notes.append(f"not used: separator (--separator) {separator!r}, since no cell holds text to split")
    return rows


def _cells(values: Iterable[Any]) -> list[Any]:
    """Return one cell a row, or refuse what holds none."""
    if isinstance(values, str | bytes):
        raise UserError(f"values must be one cell of names a row, not the text {shown(values)}")
    # To go through a sparse matrix row by row is scipy's code, which crashes where its parts do not fit.
    if is_sparse(values):
        raise UserError(
            "values must be one cell of names a row, not a sparse matrix: labelwise.annotations.parse reads it"
        )
    try:
        return list(values)
    except Exception:  # whatever is no list
        raise UserError(f"values must be one cell of names a row, not {shown(values)}") from None


def _may_be_states(split: dict[int, Names]) -> bool:
    """Return whether all names are states, several in a cell.

    At least one cell has several.
    """
    several = any(len(names) > 1 for names in split.values())
    return several and all(code_of(name) in ("1", "0", "-1") for names in split.values() for name in names)


def _numbers(
    cells: dict[int, tuple[Any, ...]], label_names: Names | None, by_place: bool, others: bool
) -> dict[int, Names | StatesByName]:
    """Return the names or states that lists of numbers mean.

    That is the names 3 and 5, or a state for each label in its place.

    They are states where all are 1, 0 or -1 and no list of ids would look so: all of one length, or with repeats.
    """
    states = {row: tuple(code_of(shown(value)) for value in values) for row, values in cells.items()}
    hot = not others and all(code in ("1", "0", "-1") for codes in states.values() for code in codes)
    lengths = {len(values) for values in cells.values()}
    repeats = any(len(set(codes)) < len(codes) for codes in states.values())
    ids = label_names is not None and {"0", "1"} <= set(label_names) and lengths != {len(label_names)}
    if cells and hot and not ids and (repeats or len(lengths) == 1):
        row = next(iter(cells))
        if len(lengths) > 1:
            row = next(row for row in cells if len(cells[row]) != len(cells[next(iter(cells))]))
            raise UserError(
                f"row {row} (counted from 0) lists {len(cells[row])} states where another row lists"
                f" {len(cells[next(iter(cells))])}: give one for each label"
            )
        if label_names is None or not by_place or lengths != {len(label_names)}:
            count = next(iter(lengths))
            raise UserError(
                f"row {row} (counted from 0) holds {shown(list(cells[row]))}, states without the names of their"
                f' labels: write the names that apply, as in ["cat", "dog"], states by name, as in {{"cat": 1}}, or one'
                f" column for each label (in Python, label_names may give {count} names)"
            )
        return {
            row: {name: code or "" for name, code in zip(label_names, codes, strict=True)}
            for row, codes in states.items()
        }
    for row, values in cells.items():
        check_names(values, row)
    return {row: tuple(str(value) for value in values) for row, values in cells.items()}
