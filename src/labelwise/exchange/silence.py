"""What a format does not say: the second place of label states.

Most formats list the labels that apply and say nothing of the others, which may be irrelevant or unknown. What such a
file leaves open is written to a second place: for each item a ``rest``, the state of all labels of which nothing is
said, and the labels that differ from it. Where the format takes fields of its own it is a field ``labelwise``,
else a file ``FILE.states.csv`` beside it.

What the file itself lists always wins: who adds or takes away a label in another tool is heard.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from labelwise._files import read_text, write
from labelwise.errors import UserError, shown
from labelwise.exchange.items import LabelledItems

FIELD = "labelwise"
"""The field that holds an item's second place, where a format takes fields of its own."""
WORDS = {-1: "unknown", 0: "absent", 1: "relevant"}
STATES = {word: state for state, word in WORDS.items()}
_SUFFIX = ".states.csv"
_HEADER = ["row", "item", "label", "state"]
_MOST_BYTES = 1 << 31


@dataclass(frozen=True)
class Silence:
    """What a file leaves open of one item.

    Attributes:
        rest: The state, 0 or -1, of every label of which nothing is said; None where that is not known.
        states: The states, 0 or -1, of the labels that differ from ``rest``.
        item: The item's id, where the file has no place for it.
    """

    rest: int | None = None
    states: Mapping[str, int] = field(default_factory=dict)
    item: str | None = None

    @classmethod
    def of(
        cls, items: LabelledItems, row: int, *, said: Sequence[int] = (1,), item: str | None = None
    ) -> Self:
        """Return what a format that says the states ``said`` leaves open of an item."""
        states = items.matrix[row]
        absent, unknown = int((states == 0).sum()), int((states == -1).sum())
        open_states = [state for state in (-1, 0) if state not in said]
        if len(open_states) == 1:
            return cls(open_states[0], {}, item)
        rest = 0 if absent > unknown else -1
        other = -1 if rest == 0 else 0
        return cls(rest, dict.fromkeys(items.names_in(row, other), other), item)

    def to_dict(self) -> dict[str, Any]:
        """Return the field ``labelwise``: rest, then the labels that differ from it."""
        record: dict[str, Any] = {} if self.item is None else {"item": self.item}
        if self.rest is not None:
            record["rest"] = WORDS[self.rest]
        for state in (0, -1):
            if names := [name for name, other in self.states.items() if other == state]:
                record[WORDS[state]] = names
        return record

    @classmethod
    def from_dict(cls, record: Any, place: str) -> Self:
        """Return what ``to_dict`` wrote, checked."""
        if not isinstance(record, dict):
            raise UserError(f"{place}: the field {FIELD!r} is {shown(record)}, not an object; take it out")
        rest = record.get("rest")
        if rest not in (None, "unknown", "absent"):
            raise UserError(f"{place}: {FIELD}.rest is {shown(rest)}: it is 'unknown' or 'absent'")
        states: dict[str, int] = {}
        for word in ("absent", "unknown"):
            names = record.get(word, [])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise UserError(f"{place}: {FIELD}.{word} is {shown(names)}, not a list of label names")
            states |= dict.fromkeys(names, STATES[word])
        item = record.get("item")
        return cls(STATES.get(rest) if rest else None, states, item if isinstance(item, str) else None)


@dataclass(frozen=True)
class Beside:
    """The second place of a whole file.

    Attributes:
        labels: All label names in their order, those never seen included.
        rest: The state of what is said nowhere; None where that is not known.
        items: What is left open of single items, by id, or by row (from 1) where the file has no ids.
    """

    labels: tuple[str, ...] = ()
    rest: int | None = None
    items: Mapping[str, Silence] = field(default_factory=dict)

    @classmethod
    def of(cls, items: LabelledItems, *, said: Sequence[int] = (1,), ids: bool = True) -> Self:
        """Return what a format leaves open of all items.

        Args:
            said: The states that the format says.
            ids: Whether the format has a place for the items' ids.
        """
        silences = [
            Silence.of(items, row, said=said, item=None if ids else name)
            for row, name in enumerate(items.items)
        ]
        rests = [silence.rest for silence in silences]
        rest = 0 if rests.count(0) > rests.count(-1) else -1
        keys = items.items if ids else [str(row + 1) for row in range(len(items))]
        kept = {
            key: silence
            for key, silence in zip(keys, silences, strict=True)
            if silence.rest != rest or silence.states or (silence.item not in (None, key))
        }
        return cls(items.label_names, rest, kept)

    def to_dict(self) -> dict[str, Any]:
        """Return the field ``labelwise`` of a whole file."""
        record: dict[str, Any] = {"labels": list(self.labels)}
        if self.rest is not None:
            record["rest"] = WORDS[self.rest]
        record["items"] = {key: silence.to_dict() for key, silence in self.items.items()}
        return record

    @classmethod
    def from_dict(cls, record: Any, place: str) -> Self:
        """Return what ``to_dict`` wrote, checked."""
        whole = Silence.from_dict(record, place)
        labels, items = record.get("labels", []), record.get("items", {})
        if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
            raise UserError(f"{place}: {FIELD}.labels is {shown(labels)}, not a list of label names")
        if not isinstance(items, dict):
            raise UserError(f"{place}: {FIELD}.items is {shown(items)}, not an object by item")
        return cls(
            tuple(labels),
            whole.rest,
            {key: Silence.from_dict(value, f"{place}, item {shown(key)}") for key, value in items.items()},
        )


def path_beside(path: Path) -> Path:
    """Return the path of the second place beside a file."""
    return path.with_name(path.name + _SUFFIX)


def write_beside(path: Path, beside: Beside | None, *, ids: bool = True) -> Path | None:
    """Write the second place beside a file; None empties an earlier one.

    Its rows are: the labels in their order (a label alone), the state of what is said nowhere (a state alone), an
    item's own (an item and a state), and single entries (item, label, state). ``row`` counts from 1 where the file has
    no ids.

    Returns:
        The path, or None where nothing had to be said.
    """
    place = path_beside(path)
    if beside is None:
        if place.exists():
            write(place, ",".join(_HEADER) + "\n")
        return None
    file = io.StringIO(newline="")
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(_HEADER)
    rows.writerows(["", "", name, ""] for name in beside.labels)
    if beside.rest is not None:
        rows.writerow(["", "", "", beside.rest])
    for key, silence in beside.items.items():
        row, item = ("", key) if ids else (key, silence.item or "")
        rows.writerow([row, item, "", "" if silence.rest is None else silence.rest])
        rows.writerows([row, item, name, state] for name, state in silence.states.items())
    write(place, file.getvalue())
    return place


def read_beside(path: Path) -> Beside | None:
    """Read the second place beside a file, None where there is none.

    Raises:
        UserError: For one that is damaged.
    """
    place = path_beside(path)
    if not place.is_file():
        return None
    try:
        text = read_text(place, _MOST_BYTES)
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{place.name} cannot be read ({shown(str(error), 120)}); write the file anew"
        ) from None
    if not lines or lines[0] != _HEADER:
        raise UserError(
            f"{place.name} does not begin with {','.join(_HEADER)}: it is no second place of {path.name};"
            " rename or remove it"
        )
    return _parsed(place.name, lines[1:]) if len(lines) > 1 else None


def _parsed(name: str, lines: Iterable[list[str]]) -> Beside:
    labels: list[str] = []
    rest: int | None = None
    items: dict[str, tuple[int | None, dict[str, int], str | None]] = {}
    for number, line in enumerate(lines, 2):
        if len(line) != len(_HEADER) or line[3] not in ("", "0", "-1"):
            raise UserError(
                f"{name}: record {number} is {shown(line)}; a state is 0 (absent) or -1 (unknown)"
            )
        row, item, label, state = line
        key, value = row or item, int(line[3]) if state else None
        if key and label and value is not None:
            items.setdefault(key, (None, {}, item if row else None))[1][label] = value
        elif key and not label:
            items[key] = (value, items.get(key, (None, {}, None))[1], item if row else None)
        elif label and value is None:
            labels.append(label)
        elif value is not None and not label:
            rest = value
        else:
            raise UserError(
                f"{name}: record {number} is {shown(line)}, which says nothing; write the file anew"
            )
    return Beside(tuple(labels), rest, {key: Silence(*values) for key, values in items.items()})


def count_open(items: LabelledItems, said: Sequence[int]) -> str:
    """Return a clause on how many entries a format that says ``said`` leaves open."""
    _, absent, unknown = items.counts()
    parts = [f"{absent:,} irrelevant"] if 0 not in said else []
    parts += [f"{unknown:,} unknown"] if -1 not in said else []
    return " and ".join(parts) + " entries"


def state_of_rest(unlisted: str | None) -> int | None:
    """Return the state that ``--unlisted`` names, None where it is not given."""
    return None if unlisted is None else int(np.int8(0 if unlisted == "absent" else -1))
