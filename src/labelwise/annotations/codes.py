"""Codes of label states, and checks of options.

Codes are 1, 0, -1, yes, no, ? and an empty cell.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from labelwise.errors import UserError, shown

_MEANINGS = {"unknown": -1, "absent": 0}


def check_seed(seed: Any) -> int:
    """Return ``seed`` as an int in [0, 2**32).

    That is the range that every generator of NumPy takes.
    """
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**32:
        raise UserError(f"seed must be a whole number from 0 to 2**32 - 1, not {shown(seed)}")
    return value


def share_of(argument: str, value: Any) -> float:
    """Return ``value`` as a float in (0, 1]."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if not 0.0 < share <= 1.0:
        raise UserError(f"{argument} must be above 0 and at most 1, not {shown(value)}")
    return share


def state_of(argument: str, meaning: Any) -> int:
    """Return the state that an option's "unknown" or "absent" stands for."""
    if isinstance(meaning, str) and meaning in _MEANINGS:
        return _MEANINGS[meaning]
    raise UserError(f"{argument} must be 'unknown' or 'absent', not {shown(meaning)}")


def missing(value: Any) -> bool:
    """Return whether a cell is empty.

    That is None, NaN, NumPy's masked, pandas' NA or NaT (known by their names).
    """
    if value is None or type(value).__name__ in {"NAType", "NaTType", "MaskedConstant"}:
        return True
    return isinstance(value, float | np.floating) and bool(value != value)  # noqa: PLR0124


@contextmanager
def reading(argument: str, Y: Any) -> Iterator[None]:
    """Turn any error of a given object into ``UserError``.

    What looks like an array, a frame, a tensor or a sparse matrix may be none, and may raise anything.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{argument} is a {type(Y).__name__} that cannot be read ({type(error).__name__}: {shown(str(error))}):"
            " give rows of 1, 0 and -1, or of names"
        ) from error


_EMPTY = frozenset(("", "na", "n/a", "#n/a", "n.a.", "nan", "null", "none", "<na>", "nat"))
# Spreadsheets write true and false in the language of whoever saved them.
_WORDS = {"true": "1", "wahr": "1", "vrai": "1", "verdadero": "1", "verdadeiro": "1", "vero": "1"}
_WORDS |= {"false": "0", "falsch": "0", "faux": "0", "falso": "0"}
_WORDS |= dict.fromkeys(("?", "unknown", "unbekannt", "k.a."), "?")
_WORDS |= dict.fromkeys(("yes", "y", "ja", "oui", "si", "sí", "sì", "sim"), "yes")
_WORDS |= dict.fromkeys(("no", "n", "nein", "nee", "non", "não", "✗", "✘"), "no")
_WORDS |= dict.fromkeys(("x", "✓", "✔", "☑"), "mark")
_NUMBER = re.compile(r"[+-]?(\d{1,30}\.?\d{0,30}|\.\d{1,30})(e[+-]?\d{1,2})?", re.ASCII)


def code_of(text: str) -> str | None:
    """Return the code that a cell of a label spells.

    It is "1", "0", "-1", "yes", "no", "mark" (x, ✓), "?", "empty", or None.

    Case and blanks around it do not count; a number counts by its exact value, so that ``1.000000`` is "1" and
    ``0.9999999999999999999`` is none.
    """
    word = text.strip().lower()
    if word in _EMPTY:
        return "empty"
    if word in _WORDS:
        return _WORDS[word]
    if _NUMBER.fullmatch(word) is None:
        return None
    # A float would round the nines up to 1.
    number = Decimal(word)
    return str(int(number)) if number in (1, 0, -1) else None


_KEYS = {"one": "1", "zero": "0", "minus": "-1", "empty": "empty"}


@dataclass
class Codes:
    """Meanings of -1 and of empty cells, and the codes seen.

    Attributes:
        minus_one: The state of -1: -1 (unknown) or 0 (absent).
        empty: That of an empty cell: NaN, None, NA, a masked entry, nothing.
        seen: The codes that occurred, as ``code_of`` names them; None where nobody asks.
    """

    minus_one: int = -1
    empty: int = -1
    seen: set[str] | None = field(default_factory=set)

    @classmethod
    def named(cls, minus_one: Any, empty: Any) -> Codes:
        """Return the codes for the options "unknown" and "absent".

        Other words raise ``UserError``.
        """
        return cls(state_of("minus_one", minus_one), state_of("empty", empty))

    def see(self, **masks: npt.NDArray[np.bool_]) -> None:
        """Note the codes that occur.

        They are given by the mask of each: ``one``, ``zero``, ``minus``, ``empty``.
        """
        if self.seen is not None:
            self.seen.update(_KEYS[name] for name, mask in masks.items() if mask.any())

    def state(self, code: str) -> int:
        """Return the state of a code of ``code_of``."""
        states = {"1": 1, "yes": 1, "mark": 1, "0": 0, "no": 0, "-1": self.minus_one, "?": -1}
        return self.empty if code == "empty" else states[code]

    def notes(self) -> tuple[str, ...]:
        """Return a sentence on each code of another convention.

        That is each one seen that another convention writes for something else.
        """
        notes = []
        seen = self.seen or set()
        positive = bool(seen & {"1", "yes", "mark"})
        if self.minus_one == -1 and {"1", "-1"} <= seen and "0" not in seen:
            notes.append(
                "Only 1 and -1 occur as states, and -1 is read as unknown. Where -1 says that a label does not apply,"
                " as in CelebA, give minus_one='absent' (--minus-one absent)."
            )
        elif self.minus_one == self.empty == -1 and {"1", "0", "-1", "empty"} <= seen:
            notes.append(
                "1, 0, -1 and empty cells occur, and both -1 and empty are read as unknown. In CheXpert -1 is"
                " uncertain and an empty cell was not mentioned: minus_one='absent' (--minus-one absent) and"
                " empty='absent' (--empty absent) read them as irrelevant."
            )
        elif self.empty == -1 and positive and "empty" in seen and not seen & {"0", "no", "-1"}:
            notes.append(
                "Only 1 and empty cells occur as states, and an empty cell is read as unknown. Where it says that a"
                " label does not apply, give empty='absent' (--empty absent)."
            )
        if seen & {"yes", "no"}:
            notes.append("yes is read as 1 and no as 0.")
        if "mark" in seen:
            notes.append("A mark such as x or ✓ is read as 1.")
        return tuple(notes)


def hint_of(values: Iterable[Any]) -> str:
    """Return advice on label values of another convention, or nothing."""
    numbers = set()
    for value in values:
        text = str(value)
        if code_of(text) not in ("empty", "?"):
            numbers.add(text.strip().removesuffix(".0"))
        if len(numbers) > 2:
            return ""
    if numbers == {"1", "2"}:
        return "; 1 and 2 occur alone: if they mean yes and no, or no and yes, write 1 and 0"
    return ""
