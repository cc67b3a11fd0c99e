"""Names from joined texts: one separator for the whole column.

It is found by looking at all its cells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html.entities import html5

from labelwise.errors import UserError, listed, shown

Names = tuple[str, ...]
# The last five are those of Chinese and Arabic.
_SEPARATORS = (";", "|", ",", "\uff1b", "\uff0c", "\u3001", "\u060c", "\u061b")
_JOINERS = "/#&+~\\"
_TAGS = re.compile(r"(?:<[^<>]+>[\s;|,]*)+")
_TAG = re.compile(r"<([^<>]+)>")
_PAIR = re.compile(r".*[^\s:=]\s*[:=]\s*(?:[+-]?[01](?:\.\d*)?|true|false|yes|no)", re.IGNORECASE)
_STATES = re.compile("[01]{3,}")
_HASHES = re.compile(r"#[^\s#;|,]+(?:[\s;|,]+#[^\s#;|,]+)*")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|(?P<name>[A-Za-z][A-Za-z0-9]{1,30}));")


def split_texts(
    texts: Mapping[int, str], label_names: Names | None, separator: str | None, single: bool, notes: list[str]
) -> dict[int, Names]:
    """Split each row's text into names, with notes on how.

    Args:
        texts: The texts by row, stripped, none empty.
        label_names: The names that are expected, where they are known.
        separator: What separates names; ``" "`` stands for any whitespace; None: found, as below.
        single: Each text is one name, since other cells of the column are lists of a tool that writes so.

    Raises:
        UserError: That begins with the row, where it stays unclear whether a text is one name or several.

    ``<a><b>`` and ``#a #b`` are lists of tags where every text of the column is one. Otherwise the separator is
    that of ``;`` ``|`` ``,`` and their likes in Chinese, Japanese and Arabic under which the column has the fewest
    different names (the most known ones, if ``label_names`` are given), where one that holds another mark counts
    twice, then the one in most cells, then the first; the semicolon of ``&amp;`` is none. Where ``label_names`` are
    given, cells are left whole, or split at blanks, if fewer names are then unknown.
    """
    if not texts:
        return {}
    if separator is not None:
        names = {row: _parts(text, separator) for row, text in texts.items()}
        _note_unused_separator(texts, names, separator, notes)
        return names
    if single:
        return {row: (text,) for row, text in texts.items()}
    tags = _tags(texts, label_names, notes)
    if tags is not None:
        return tags
    known = frozenset(label_names or ())
    if known and all(text in known for text in texts.values()):
        return {row: (text,) for row, text in texts.items()}
    cells = {
        mark: sum(len(_parts(text, mark, keep=True)) > 1 for text in texts.values()) for mark in _SEPARATORS
    }
    marks = [mark for mark in _SEPARATORS if cells[mark]]
    if not marks:
        return _single_names(texts, known, notes)

    def unknown_names(mark: str) -> set[str]:
        return {name for text in texts.values() for name in _parts(text, mark)} - known

    def cost(mark: str) -> tuple[int, int, int]:
        names = unknown_names(mark)
        # A name that holds another mark is likely several.
        split = [n for n in names if any(len(_parts(n, other)) > 1 for other in marks if other != mark)]
        return len(names) + len(split), -cells[mark], _SEPARATORS.index(mark)

    best = min(marks, key=cost)
    if known and len(set(texts.values()) - known) < len(unknown_names(best)):
        notes.append(f"Each cell is one name, though some hold {best!r}: so more of them are known names.")
        return {row: (text,) for row, text in texts.items()}
    names = {row: _parts(text, best) for row, text in texts.items()}
    _refuse_pairs(texts, names, known)
    notes.append(
        f"Names in a cell are separated by {best!r}, which {cells[best]:,} of {len(texts):,} cells hold (change it"
        " with --separator)."
    )
    for mark in marks:
        if mark != best:
            text = next(text for text in texts.values() if len(_parts(text, mark, keep=True)) > 1)
            notes.append(
                f"{mark!r}, which occurs in {cells[mark]:,} cells, is read as part of a name, as in {shown(text)}."
            )
    _note_missing_separator(names, notes)
    return names


def _parts(text: str, mark: str, keep: bool = False) -> Names:
    """Return the stripped parts of a text.

    Blank ones are left out unless ``keep``; an entity's semicolon stays.
    """
    if mark.isspace():
        return tuple(text.split())
    if mark == ";" and "&" in text:
        parts, start = [], 0
        entities = [match.span() for match in _ENTITY.finditer(text) if _is_entity(match)]
        for place, character in enumerate(text):
            if character == ";" and not any(low <= place < high for low, high in entities):
                parts.append(text[start:place])
                start = place + 1
        parts.append(text[start:])
    else:
        parts = text.split(mark)
    return tuple(parts) if keep else tuple(name for part in parts if (name := part.strip()))


def _is_entity(match: re.Match[str]) -> bool:
    return match["name"] is None or f"{match['name']};" in html5


def has_entity(name: str) -> bool:
    """Return whether a name holds an HTML entity such as ``&amp;``."""
    return any(_is_entity(match) for match in _ENTITY.finditer(name))


def _tags(texts: Mapping[int, str], label_names: Names | None, notes: list[str]) -> dict[int, Names] | None:
    """Return the names of a column of tags, or None.

    Tags are ``<a><b>`` or ``#a #b``.
    """
    if all(_TAGS.fullmatch(text) for text in texts.values()):
        notes.append("Cells such as <a><b> are read as the names a and b.")
        return {row: tuple(dict.fromkeys(_TAG.findall(text))) for row, text in texts.items()}
    for row, text in texts.items():
        if text.count("<") > 1 and _TAGS.fullmatch(text):
            raise UserError(
                f"row {row} (counted from 0) holds {shown(text)}, and other cells are written otherwise: write all as"
                " <a><b>, or all as a;b"
            )
    if all(_HASHES.fullmatch(text) for text in texts.values()) and any(
        text.count("#") > 1 for text in texts.values()
    ):
        bare = not any(name.startswith("#") for name in label_names or ())
        notes.append(
            f"Cells such as #a #b are read as the names {'a and b' if bare else '#a and #b'} (--separator says"
            " otherwise)."
        )
        split: Callable[[str], Sequence[str]] = re.compile(r"#[^\s#;|,]+").findall
        return {row: tuple(name[bare:] for name in split(text)) for row, text in texts.items()}
    return None


def _single_names(texts: Mapping[int, str], known: frozenset[str], notes: list[str]) -> dict[int, Names]:
    """Return each text as one name, where none holds a separator.

    Texts that look like several names are refused.
    """
    _refuse_pairs(texts, {row: (text,) for row, text in texts.items()}, known)
    spaced = next((row for row, text in texts.items() if len(text.split()) > 1), None)
    if spaced is not None and known:
        words = {word for text in texts.values() for word in text.split()}
        if len(words - known) < len(set(texts.values()) - known):
            notes.append("Names in a cell are separated by blanks: so more of them are known names.")
            return {row: tuple(text.split()) for row, text in texts.items()}
        return {row: (text,) for row, text in texts.items()}
    if spaced is not None:
        raise UserError(
            f"row {spaced} (counted from 0) holds {shown(texts[spaced])}, one name or several? Give separator=' '"
            " (--separator ' ') to split at spaces, or separator=';' to keep each cell as one name"
        )
    names = set(texts.values())
    if (
        len(names) > 1
        and len({len(text) for text in names}) == 1
        and all(_STATES.fullmatch(text) for text in names)
    ):
        row, text = next(iter(texts.items()))
        raise UserError(
            f"row {row} (counted from 0) holds {shown(text)}, as if {len(text)} states without the names of their"
            " labels: write the names that apply, or one column for each label; separator=';' keeps each cell as a name"
        )
    for mark in _JOINERS:
        joined = {text: _parts(text, mark, keep=True) for text in names if mark in text}
        if not joined or not all(all(part.strip() for part in parts) for parts in joined.values()):
            continue
        others = names - set(joined)
        met = {part for parts in joined.values() for part in parts if part in others}
        if met and all(met & set(parts) for parts in joined.values()):
            row = next(row for row, text in texts.items() if text in joined)
            singles = listed(map(shown, sorted(met)))
            raise UserError(
                f"row {row} (counted from 0) holds {shown(texts[row])}, one name or several? Other cells hold {singles}"
                f" alone. Give separator={mark!r} (--separator) to split there, or separator=';' to keep each cell as"
                " one name"
            )
    notes.append("Each cell is one name: none holds ';', '|' or ',' (change it with --separator).")
    return {row: (text,) for row, text in texts.items()}


def _refuse_pairs(texts: Mapping[int, str], names: Mapping[int, Names], known: frozenset[str]) -> None:
    """Refuse a column of names with states, as ``cat:1, dog:0``.

    There every name ends with a state.
    """
    all_names = {name for row in names.values() for name in row}
    if all_names and not all_names & known and all(_PAIR.fullmatch(name) for name in all_names):
        row, text = next(iter(texts.items()))
        raise UserError(
            f"row {row} (counted from 0) holds {shown(text)}, names with states: write them as"
            ' {"cat": 1, "dog": 0}, or, if that is how names look, as ["cat:1"]'
        )


def _note_unused_separator(
    texts: Mapping[int, str], names: Mapping[int, Names], separator: str, notes: list[str]
) -> None:
    """Note a given separator that no cell holds.

    Where cells hold another one, it may be that of another table.
    """
    if separator.isspace() or any(separator in text for text in texts.values()):
        return
    for mark in _SEPARATORS:
        count = sum(len(_parts(text, mark, keep=True)) > 1 for text in texts.values())
        if count:
            notes.append(
                f"The separator {separator!r} (--separator) occurs in no cell, and {mark!r} in {count:,} of"
                f" {len(texts):,}, where it is read as part of a name."
            )
            return
    _note_missing_separator(names, notes)


def _note_missing_separator(names: Mapping[int, Names], notes: list[str]) -> None:
    """Note a name that may lack a separator.

    It consists of other names and spaces.
    """
    words = {name for row in names.values() for name in row if len(name.split()) == 1}
    phrase = next(
        (
            name
            for row in names.values()
            for name in row
            if len(name.split()) > 1 and set(name.split()) <= words
        ),
        None,
    )
    if phrase is not None:
        notes.append(f"{shown(phrase)} is one name, and its words are names too: is a separator missing?")
