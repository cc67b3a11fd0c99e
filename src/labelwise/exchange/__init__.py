"""Exchange of labels with other tools, in their own formats, with the three states kept.

A format reads a file to ``LabelledItems`` and writes them. What it cannot say, irrelevant or unknown, it
writes to a stated second place, a field ``labelwise`` or a file ``FILE.states.csv``, and reads from there again;
where a file's silence is ambiguous, reading asks for ``unlisted``.
"""

from __future__ import annotations

from labelwise.exchange.convert import Conversion, convert, read_labels
from labelwise.exchange.format import Format, Written
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.registry import FORMATS, get, names

__all__ = [
    "FORMATS",
    "Conversion",
    "Format",
    "LabelledItems",
    "Written",
    "convert",
    "get",
    "names",
    "read_labels",
]
