"""Explanations: the members, gains and gates of an ensemble, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

_VIEWS = {
    "x": "features as given",
    "c": "standardised",
    "d": "centred",
    "l": "unit length",
    "p": "principal components",
    "w": "whitened",
}
_HOPS = {"": "", "1": ", smoothed", "8": ", smoothed six times"}
_NAME = re.compile(
    r"(?:(?P<kind>kd|student|trees|hints)[_.])?(?P<view>[a-z])(?P<hops>[18]?)(?:\.(?P<kernel>\w+))?"
)
_KINDS = {"kd": "student, ", "student": "student, ", "trees": "trees: ", "hints": "hints learnt from: "}
_MOST_MEMBERS = 8


@dataclass(frozen=True)
class Member:
    """A model that takes part in the combination.

    Attributes:
        name: By which the parts of ``labelwise.ensemble`` know it.
        weight: Its mean share over the labels, in [0, 1].
        value: Its own leave-one-out R2, at most 1; None where it has none.
    """

    name: str
    weight: float
    value: float | None = None

    @property
    def words(self) -> str:
        """What it is, for people; its name where that says nothing else."""
        return member_words(self.name)


@dataclass(frozen=True)
class Gain:
    """What a part adds to mean average precision, on rows left out.

    Attributes:
        name: Of the part: ``smoothing``, ``kernels``, ``students``, ``trees``, ``hints``, ``names`` or ``sources``.
        gain: The value with it less that without it.
        error: The gain's standard error over labels, None where one label tells none.
    """

    name: str
    gain: float
    error: float | None = None


@dataclass(frozen=True)
class Gate:
    """A choice between a simpler and a richer score, by rows left out.

    Attributes:
        name: What stands behind it: ``ensemble``, ``hints``, ``names``, or a group of labels.
        t: The gain over its standard error; None where it cannot be told.
        gain: The mean gain in average precision over the simpler score.
        error: The gain's standard error.
        share: How far it is open: 0 takes the simpler score, 1 the richer one.
    """

    name: str
    t: float | None
    gain: float | None
    error: float | None
    share: float

    @property
    def words(self) -> str:
        """Whether it is open, and what the rows left out say."""
        state = "closed" if self.share <= 0 else "open" if self.share >= 1 else f"open by {self.share:.0%}"
        if self.gain is None or self.t is None:
            return f"{state}: the known entries are too few to tell a gain"
        error = "" if self.error is None else f", standard error {self.error:.3f}"
        return f"{state}: {_signed(self.gain)} average precision on rows left out (t {_minus(f'{self.t:.1f}')}{error})"


@dataclass(frozen=True)
class Explanation:
    """What an ensemble was made of, and why.

    ``str`` of it is a text for people, ``to_dict`` plain data for JSON.

    Attributes:
        rows: Training rows.
        labelled: Those with a known entry.
        members: The heaviest first.
        gains: What each part adds.
        gates: Where the tuned ridge solution is kept in reserve, and where it is left.
        notes: Sentences on what was assumed or left out.
        bytes: Size of each part of the model.
    """

    rows: int = 0
    labelled: int = 0
    members: tuple[Member, ...] = ()
    gains: tuple[Gain, ...] = ()
    gates: tuple[Gate, ...] = ()
    notes: tuple[str, ...] = ()
    bytes: Mapping[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data for JSON."""
        record = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the explanation of a record.

        What a later version added to one is left out.

        Raises:
            ValueError: A record that holds something else than an explanation, the entry named.
        """
        if not isinstance(data, Mapping):
            raise ValueError("it is no record")
        sizes = data.get("bytes")
        members = [_member(record) for record in _records(data, "members")]
        return cls(
            _count(data, "rows"),
            _count(data, "labelled"),
            tuple(sorted(members, key=lambda member: -member.weight)),
            tuple(_gain(record) for record in _records(data, "gains")),
            tuple(_gate(record) for record in _records(data, "gates")),
            tuple(_texts(data, "notes")),
            None if sizes is None else {str(name): _count(sizes, name) for name in sizes},
        )

    @property
    def size(self) -> int | None:
        """Bytes of all parts together, None where nobody counted."""
        return None if self.bytes is None else sum(self.bytes.values())

    @property
    def closed(self) -> bool:
        """Whether every gate is closed, so that the scores are those of the tuned ridge solution."""
        return bool(self.gates) and all(gate.share <= 0 for gate in self.gates)

    def __str__(self) -> str:
        lines = [f"{self.labelled:,} of {self.rows:,} rows have a known entry"]
        lines += [f"gate      {gate.name} {gate.words}" for gate in self.gates]
        if self.closed:
            lines.append(
                "          so every score is that of the tuned ridge solution; what was tried beside it:"
            )
        shown = [member for member in self.members if member.weight > 0][:_MOST_MEMBERS]
        for member in shown:
            value = "" if member.value is None else f" (R2 {_minus(f'{member.value:.3f}')})"
            lines.append(f"member    {member.weight:4.0%}  {member.words}{value}")
        if more := sum(member.weight > 0 for member in self.members) - len(shown):
            lines.append(f"                and {more} more")
        for part in self.gains:
            error = "" if part.error is None else f" (standard error {part.error:.3f})"
            lines.append(f"adds      {part.name} {_signed(part.gain)}{error}")
        if self.bytes:
            parts = ", ".join(f"{name} {size_in_words(size)}" for name, size in self.bytes.items() if size)
            lines.append(f"size      {parts}")
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def member_words(name: str) -> str:
    """Return what a member's name stands for, in words.

    A name that is none of ``labelwise.ensemble`` stays as it is.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["view"] not in _VIEWS:
        return name
    view = _VIEWS[match["view"]] + _HOPS[match["hops"]]
    kernel = f"{_kernel(match['kernel'])}: " if match["kernel"] else ""
    return _KINDS.get(match["kind"] or "", "") + kernel + view


def size_in_words(n_bytes: int) -> str:
    """Return a number of bytes as megabytes, or as kilobytes where they are few."""
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 100_000 else f"{n_bytes / 1e3:.1f} kB"


def _kernel(name: str) -> str:
    if name == "ntk":
        return "network kernel"
    return f"Gaussian kernel {name.removeprefix('rbf')}" if name.startswith("rbf") else f"kernel {name}"


def _signed(value: float) -> str:
    return _minus(f"{value:+.3f}")


def _minus(number: str) -> str:
    return number.replace("-", "−")


def _member(record: Mapping[str, Any]) -> Member:
    return Member(_text(record, "name"), _number(record, "weight"), _optional(record, "value"))


def _gain(record: Mapping[str, Any]) -> Gain:
    return Gain(_text(record, "name"), _number(record, "gain"), _optional(record, "error"))


def _gate(record: Mapping[str, Any]) -> Gate:
    t, gain, error = (_optional(record, entry) for entry in ("t", "gain", "error"))
    return Gate(_text(record, "name"), t, gain, error, _number(record, "share"))


def _records(data: Mapping[str, Any], entry: str) -> list[Mapping[str, Any]]:
    records = data.get(entry) or []
    if not isinstance(records, list | tuple) or not all(isinstance(record, Mapping) for record in records):
        raise ValueError(f"{entry} is no list of records")
    return list(records)


def _texts(data: Mapping[str, Any], entry: str) -> list[str]:
    texts = data.get(entry) or []
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{entry} is no list of texts")
    return list(texts)


def _text(data: Mapping[str, Any], entry: str) -> str:
    if not isinstance(text := data.get(entry), str):
        raise ValueError(f"{entry} is no text")
    return text


def _optional(data: Mapping[str, Any], entry: str) -> float | None:
    return None if data.get(entry) is None else _number(data, entry)


def _number(data: Mapping[str, Any], entry: str) -> float:
    value = data.get(entry)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{entry} is no number")
    return float(value)


def _count(data: Mapping[str, Any], entry: str) -> int:
    value = data.get(entry, 0)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{entry} is no count")
    return value
