"""Errors for the user: one line, with the mistake and its remedy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from difflib import get_close_matches
from typing import TypeVar

Value = TypeVar("Value", bound=Hashable)

CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
"""Characters that no terminal and no page gets as they are.

These are control characters but for line ends and tabs, marks that turn the
direction of text, and halves of characters and what is none, which XML or files cannot hold.
"""


class UserError(ValueError):
    """A mistake in what the user gave: arguments, files or labels.

    One line that says how to mend it.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def missing_extra(needs: str, extra: str, error: object) -> UserError:
    """Return the error for a library that an extra of labelwise brings.

    Args:
        needs: What needs it, as in ``"export to ONNX needs an extra"``.
        extra: Its name.
        error: What the import said, or what is missing.
    """
    words = " ".join(str(error).split())
    return UserError(f"{needs}: in the checkout of labelwise, pip install '.[{extra}]' ({words:.120})")


class Notice(UserWarning):
    """Something that a user should know though nothing failed; one line.

    The command line prints it on stderr.
    """


def printable(text: str) -> str:
    """Return ``text`` with its ``CONTROLS`` written out, as in ``\\x1b``."""
    return CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escaped(text: str) -> str:
    """Return JSON or TOML with the ``CONTROLS`` in its texts written out.

    They are written as ``\\u001b``.
    """
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def near(name: str, options: Iterable[object], most: int = 5) -> str:
    """Return a clause with the options nearest to a misspelt name.

    It stands at the end of a message.

    ``near("bbma", ["bam", "bbam"])`` gives ``"did you mean 'bbam' or 'bam'?"``; else the first ``most`` of them.
    """
    names = [_short(option) for option in options]
    close = get_close_matches(_short(name), names, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(option) for option in close) + "?"
    return "there are: " + listed(names, most) if names else "there are none"


def listed(values: Iterable[object], most: int = 5, longest: int = 100) -> str:
    """Return the first values of a list, joined by commas.

    Each is cut to ``longest``, and the number of the others is told.
    """
    items = [_short(value, longest) for value in values]
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def ranges(names: Sequence[str], most: int = 6) -> str:
    """Return names for a sentence, running numbers as a range."""
    parts: list[tuple[str, str]] = []
    last: tuple[str, int] | None = None
    for name in names:
        digits = re.search(r"\d+$", name)
        here = (name[: digits.start()], int(digits[0])) if digits and len(digits[0]) < 10 else None
        if here is not None and last is not None and here == (last[0], last[1] + 1):
            parts[-1] = (parts[-1][0], name)
        else:
            parts.append((name, name))
        last = here
    shown = []
    for first, end in parts:
        shown.append(repr(first) if first == end else f"{first!r} ... {end!r}")
    return listed(shown, most)


def repeated(values: Iterable[Value]) -> list[Value]:
    """Return the values that occur more than once, in their order.

    Each comes once.
    """
    return [value for value, count in Counter(values).items() if count > 1]


def shown(value: object, most: int = 60) -> str:
    """Return the form in which a message shows any value.

    It is the value's ``repr``, cut, or the name of its type.
    """
    try:
        # A text is cut first, since its repr may be four times as long.
        text = repr(value[: most + 1] if isinstance(value, str | bytes) else value)
    except Exception:  # a repr is the value's own code, and refuses, among others, numbers of 5,000 digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def _short(value: object, most: int = 100) -> str:
    """Return a text as a message may hold it.

    It is cut, and has no character that a terminal would obey.
    """
    text = str(value)
    text = text if len(text) <= most else text[: most - 3] + "..."
    return text if text.isprintable() else repr(text)[1:-1]
