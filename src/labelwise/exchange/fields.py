"""Fields of JSON records, checked: ids, names, scores, and where an item's content is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from labelwise.data import TableOptions
from labelwise.errors import UserError, listed, near, shown
from labelwise.exchange.items import Kind

_IMAGE_KEYS, _TEXT_KEYS = ("image", "image_url", "img", "url"), ("text", "title", "body", "sentence")


def text_of(value: Any, place: str) -> str:
    """Return an id or name as text: a text that is not blank, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return str(value)
        except ValueError:  # more digits than Python writes
            raise UserError(f"{place} is a number of thousands of digits; give a text") from None
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{place} is {shown(value)}; give a text or a whole number")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{place} holds half a character (a lone surrogate); mend the text") from None
    return value


def texts_of(value: Any, place: str) -> list[str]:
    """Return a list of names."""
    if not isinstance(value, list):
        raise UserError(f"{place} is {shown(value)}, not a list of names")
    return [text_of(one, place) for one in value]


def field_of(record: Any, key: str, kind: type, place: str) -> Any:
    """Return a field of an object, which must be of a kind."""
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        words = {list: "a list", dict: "an object", str: "a text", int: "a whole number"}
        raise UserError(f"{place}: {key!r} is {shown(value)}, not {words[kind]}; give the tool's own file")
    return value


def score_of(value: Any, place: str) -> float:
    """Return a score in [0, 1]."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UserError(f"{place}: a score is {shown(value)}; it is a number from 0 to 1")
    return float(value)


def content_key(name: str, rows: Sequence[Any], options: TableOptions) -> tuple[Kind, str | None]:
    """Return the kind of the items, and the field of their texts or pictures."""
    fields = Counter(key for row in rows if isinstance(row, dict) for key in row)
    if options.text_column is not None:
        if options.text_column not in fields:
            raise UserError(
                f"{name}: there is no field {options.text_column!r}, which --text-column names;"
                f" {near(options.text_column, fields)}"
            )
        return "text", options.text_column
    for kind, keys in (("image", _IMAGE_KEYS), ("text", _TEXT_KEYS)):
        for key in keys:
            if key in fields:
                return "image" if kind == "image" else "text", key
    return "features", None


def id_number(item: str) -> int | None:
    """Return an id as the whole number that it spells, None where it spells none of at most 15 digits."""
    plain = item.isascii() and item.isdigit() and len(item) < 16 and str(int(item)) == item
    return int(item) if plain else None


def the_one(file: str, names: Iterable[str | None], asked: str | None, what: str, several: str) -> str | None:
    """Return the name of what holds the labels: the one that is asked for, else the only one, or None.

    Args:
        file: Name of the file, for messages.
        names: Of all that could hold them; None for one without a name.
        asked: What the user says.
        what: What such a thing is called.
        several: What a file has that has more than one.
    """
    found = list(dict.fromkeys(names))
    if asked is not None:
        if found and asked not in found:
            raise UserError(f"{file}: --labels-column names the {what} {asked!r}; {near(asked, found)}")
        return asked
    if len(found) > 1:
        raise UserError(
            f"{file} has {several}: {listed(map(shown, found))}; name the one of the labels by --labels-column"
        )
    return next(iter(found), None)
