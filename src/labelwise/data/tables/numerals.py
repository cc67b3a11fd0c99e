"""Numbers as texts spell them: with a decimal point, or with a comma."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_NUMBER = re.compile(
    r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf(inity)?)", re.ASCII | re.IGNORECASE
)
_GROUPED = r"[+-]?(\d+|\d{1,3}(\.\d{3})+)"
_COMMA = re.compile(rf"({_GROUPED}|[+-]?),\d+([eE][+-]?\d+)?", re.ASCII)
_WHOLE = re.compile(rf"{_GROUPED}([eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?", re.ASCII)
_MOST = 0.9


def as_number(value: Any) -> float:
    """Return a cell's number.

    Unlike ``float`` it takes no underscores and no digits of other scripts.

    Raises:
        ValueError: For text that spells none.
        TypeError: For what is neither text nor a number.
    """
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()) is None:
        raise ValueError("no number")
    return float(value)


def is_number(text: str) -> bool:
    """Return whether a text spells a number with a point."""
    return _NUMBER.fullmatch(text.strip()) is not None


def begins_as_number(text: str) -> bool:
    """Return whether a text is a number with something short around it, such as a unit."""
    return re.fullmatch(r"\D{0,4}\d[\d.,]*\s*\D{0,8}", text.strip(), re.ASCII) is not None


def has_thousands(text: str) -> bool:
    """Return whether commas of a number could stand between its thousands."""
    return _THOUSANDS.fullmatch(text.strip()) is not None


def has_decimal_commas(texts: Sequence[str], *, sure: bool) -> bool:
    """Return whether nearly all of some texts are numbers, and a comma is their decimal point.

    Args:
        texts: Cells that are not empty.
        sure: Whether a comma between groups of three digits is decimal too, as it is where semicolons part the fields.
    """
    commas = [text for text in texts if _COMMA.fullmatch(text)]
    if not commas or not (sure or any(not has_thousands(text) for text in commas)):
        return False
    return len(commas) + sum(map(bool, map(_WHOLE.fullmatch, texts))) >= _MOST * len(texts)


def with_point(text: str) -> str:
    """Return a number of a column of decimal commas with a point; other texts as they are."""
    if _COMMA.fullmatch(text) is None and _WHOLE.fullmatch(text) is None:
        return text
    return text.replace(".", "").replace(",", ".")
