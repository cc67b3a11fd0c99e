"""Cells of a column of labels, read one by one.

A list of names, states by name, a list of numbers, or text that is still to be split.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labelwise.annotations.codes import code_of, missing
from labelwise.errors import UserError, listed, shown

Names = tuple[str, ...]
States = dict[str, str]
"""A code of ``code_of`` for each name."""

_QUOTED = r"""(?>'(?:[^'\\]|\\.)*+'|"(?:[^"\\]|\\.)*+")"""
_LITERAL = re.compile(
    rf"(?>{_QUOTED}|[\[\](){{}},:\s]|[+-]?\d{{1,19}}(?:\.\d{{1,19}})?|True|False|None)++", re.DOTALL
)
_TEXT = re.compile(_QUOTED, re.DOTALL)
_ADJACENT = re.compile(r"\0\s*\0")
_WRAPPED = re.compile(
    r"(?:frozenset|set|array|list)\(\s*([\[{(].*[\]})])?\s*(?:,\s*dtype=[\w'<>]+\s*)?\)", re.DOTALL
)
_NUMPY = re.compile(rf"np\.\w+\(({_QUOTED}|[^()'\"]*)\)")
_BARE = re.compile(rf"{_QUOTED}(?:\s*,\s*{_QUOTED})*", re.DOTALL)
_BRACKETS = {"[": "]", "{": "}", "(": ")"}
_MOST_ID = 10**18
_IDS = frozenset(("id", "_id", "uuid", "guid", "key", "index", "idx"))


@dataclass(frozen=True)
class Numbers:
    """List of numbers in a cell: ids, or label states.

    The column decides; states are one for each label.
    """

    values: tuple[Any, ...]


class CellReader:
    """Reader of the cells of one column, with notes on guesses.

    Args:
        name_key: The key of the name where cells hold objects; None: the one key of text that they have.
    """

    def __init__(self, name_key: str | None) -> None:
        if name_key is not None and not isinstance(name_key, str):
            raise UserError(f"name_key (--name-key) is {shown(name_key)}: give the name of one key, as text")
        self.name_key = name_key
        self.keys: set[str] = set()
        self.left_out: set[str] = set()
        self.choices = self.quoted = self.read_any = False

    def read(self, cell: Any, row: int) -> Names | States | Numbers | str | None:
        """Return the content of a cell.

        Text that is no list comes back stripped, and None says nothing.

        Raises:
            UserError: That begins with the row, for a cell that cannot be read.
        """
        if missing(cell):
            return None
        self.read_any = True
        if isinstance(cell, str):
            text = cell.strip()
            value = self._decoded(text, row)
            # An empty text, unlike an empty list, says nothing.
            return (text or None) if isinstance(value, str) else self._of(value, cell, row)
        return self._of(cell, cell, row)

    def notes(self) -> list[str]:
        """Return sentences on what was guessed."""
        notes = []
        if self.name_key is not None and not self.keys and self.read_any:
            notes.append(f"not used: name_key (--name-key) {self.name_key!r}, since no cell holds objects")
        if self.choices:
            notes.append(
                "Cells of choices, as Label Studio writes them, are lists; a text beside them is one name."
            )
        if self.quoted:
            notes.append("Quotes around the names in a cell are taken off.")
        for key in self.keys:
            ignored = f", not {listed(map(shown, sorted(self.left_out)))}" if self.left_out else ""
            notes.append(
                f"Of each object in a cell the text of {shown(key)} is the name{ignored} (change it with --name-key)."
            )
        return notes

    def _decoded(self, text: str, row: int) -> Any:
        """Return the object that a text spells, or the text.

        It may be spelt in JSON or Python.
        """
        wrapped = _WRAPPED.fullmatch(text) if text[:1] in "fsal" else None
        body = text if wrapped is None else wrapped[1] or "[]"
        if body[:1] in ("'", '"') and _BARE.fullmatch(body):
            self.quoted = True
            body = f"[{body}]"
        if not body or _BRACKETS.get(body[0]) != body[-1]:
            return text
        try:
            return _JSON.decode(body)
        except (ValueError, RecursionError, MemoryError):
            pass
        try:
            # NumPy shows a text in a list as np.str_('cat').
            return _literal(_NUMPY.sub(r"\1", body) if "np." in body else body)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            # Names in round brackets are names.
            if body[0] == "(":
                return text
        raise _refused(
            row,
            text,
            'which is no list of names: write ["cat", "dog"]'
            if body[0] == "["
            else 'which is no list of names and no states by name: write ["cat", "dog"], or {"cat": 1, "dog": 0}',
        )

    def _of(self, value: Any, cell: Any, row: int) -> Names | States | Numbers | None:
        if isinstance(value, Mapping):
            return self._mapping(dict(value), cell, row)
        if isinstance(value, list | tuple | set | frozenset | np.ndarray):
            if isinstance(value, np.ndarray) and value.ndim != 1:
                raise _refused(row, cell, "an array of more than one dimension: give a list of names")
            return self._list(list(value), cell, row)
        raise _refused(row, cell, "give a list of names, or names joined by ';'", "")

    def _list(self, values: list[Any], cell: Any, row: int) -> Names | States | Numbers | None:
        if values and all(isinstance(value, Mapping) for value in values):
            return self._objects([dict(value) for value in values], cell, row)
        if values and all(isinstance(value, bool | int | float | np.bool_ | np.number) for value in values):
            return Numbers(
                tuple(value.item() if isinstance(value, np.generic) else value for value in values)
            )
        check_names(values, row)
        names = tuple(name for value in values if (name := str(value).strip()))
        # A list of blanks is an empty cell that someone has split.
        return names if names or not values else None

    def _mapping(self, value: dict[Any, Any], cell: Any, row: int) -> Names | States | Numbers | None:
        if not value:
            return ()
        if set(value) == {"choices"}:
            self.choices = True
            chosen = value["choices"]
            return self._list(
                [chosen] if isinstance(chosen, str) else _sequence(chosen, cell, row), cell, row
            )
        if "result" in value and isinstance(value["result"], list):
            return self._objects([value], cell, row)
        if self.name_key is not None and self.name_key in value:
            return self._objects([value], cell, row)
        states: States = {}
        for key, state in value.items():
            name = key.strip() if isinstance(key, str) else ""
            code = _code(state)
            if code is None or not name:
                raise _refused(
                    row,
                    cell,
                    f"where {shown(key)} has {shown(state)}, which is no state: write a list of names, 1 or 0 for each"
                    " name, or name the key of the names with name_key (--name-key)",
                )
            if states.setdefault(name, code) != code:
                raise _refused(row, cell, f"which says two things of {shown(name)}: say one")
        return states

    def _objects(self, objects: list[dict[Any, Any]], cell: Any, row: int) -> Names | States | None:
        """Return the names in a list of objects.

        They are results of Label Studio, or objects with one text each.
        """
        if all("result" in value for value in objects):
            finished = [value for value in objects if not value.get("was_cancelled")]
            if len(finished) != 1:
                if not finished:
                    return None
                raise _refused(row, cell, f"{len(finished)} annotations of one item: keep one")
            results = _sequence(finished[0]["result"], cell, row)
            if not results:
                return ()
            if not all(isinstance(value, Mapping) for value in results):
                raise _refused(row, cell, "a result that is no object: write a list of names")
            objects = [dict(value) for value in results]
        if self.name_key is None and all(isinstance(value.get("value"), Mapping) for value in objects):
            return self._choices(objects, cell, row)
        return self._named(objects, cell, row)

    def _choices(self, results: list[dict[Any, Any]], cell: Any, row: int) -> Names:
        questions = {shown(value.get("from_name")) for value in results}
        if len(questions) > 1:
            raise _refused(row, cell, f"answers to several questions, {listed(sorted(questions))}: keep one")
        names: dict[str, None] = {}
        for value in results:
            answer = dict(value["value"])
            chosen = answer.get("choices")
            if set(answer) != {"choices"} or not isinstance(chosen, list | str):
                raise _refused(row, cell, "a result that is no choice: keep results of type 'choices'")
            answers = self._list([chosen] if isinstance(chosen, str) else chosen, cell, row)
            if not isinstance(answers, tuple | None):
                raise _refused(row, cell, "choices that are no names: give text")
            names |= dict.fromkeys(answers or ())
        self.choices = True
        return tuple(names)

    def _named(self, objects: list[dict[Any, Any]], cell: Any, row: int) -> Names:
        keys = {key for value in objects for key in value}
        texts = [
            key
            for key in sorted(keys, key=str)
            if all(isinstance(value.get(key), str) and value[key].strip() for value in objects)
        ]
        key = self.name_key
        if key is not None:
            texts = [key] if all(_is_named(value.get(key)) for value in objects) else []
        else:
            others = {str(other).lower() for other in keys - set(texts)}
            if len(texts) != 1 or not others <= _IDS or len(self.keys | set(texts)) > 1:
                raise _refused(
                    row,
                    cell,
                    "objects with several keys: say which holds the name with name_key (--name-key)"
                    + (f", such as {listed(map(shown, texts))}" if texts else ""),
                )
            key = texts[0]
        if key not in texts:
            raise _refused(
                row, cell, f"an object without a name under {shown(key)}: give it one, or another name_key"
            )
        self.keys.add(key)
        self.left_out |= {str(other) for other in keys - {key}}
        return tuple(dict.fromkeys(str(value[key]).strip() for value in objects))


def _is_named(value: Any) -> bool:
    return is_name(value) and bool(str(value).strip())


def is_name(value: Any) -> bool:
    """Return whether a value in a list is a label name.

    That is a text, or a whole number that is an id.
    """
    # To NumPy a span of time is an integer.
    if isinstance(value, int | np.integer) and not isinstance(value, bool | np.timedelta64):
        return abs(int(value)) < _MOST_ID
    return isinstance(value, str)


def check_names(values: Iterable[Any], row: int) -> None:
    """Refuse a row that lists anything but label names."""
    for value in values:
        if not is_name(value):
            raise UserError(
                f"row {row} (counted from 0) lists {shown(value)}, which is not a label name: give text"
            )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise ValueError("a key occurs twice")
    return mapping


_JSON = json.JSONDecoder(object_pairs_hook=_unique)


def _literal(text: str) -> Any:
    """Return the object that a Python literal spells.

    Texts side by side, which Python would join, are refused.
    """
    if _LITERAL.fullmatch(text) is None or _ADJACENT.search(_TEXT.sub("\0", text)):
        raise ValueError("no literal")
    # Python warns of escapes that it does not know, as in a name such as "a\d".
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text, mode="eval")
        value = ast.literal_eval(tree)
    if isinstance(tree.body, ast.Dict) and len(tree.body.keys) != len(value):
        raise ValueError("a key occurs twice")
    if not isinstance(value, list | tuple | set | dict):
        raise ValueError("no list")
    return value


def _sequence(value: Any, cell: Any, row: int) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _refused(row, cell, 'which is no list of names: write ["cat", "dog"]')
    return list(value)


def _code(state: Any) -> str | None:
    if missing(state):
        return "empty"
    if isinstance(state, str):
        return code_of(state)
    if isinstance(state, bool | int | float | np.bool_ | np.number):
        return code_of(shown(state.item() if isinstance(state, np.generic) else state))
    return None


def _refused(row: int, cell: Any, why: str, joint: str = ", ") -> UserError:
    return UserError(f"row {row} (counted from 0) holds {shown(cell)}{joint or ': '}{why}")
