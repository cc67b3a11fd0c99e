"""A file to read, looked at once: its beginning, its JSON, its lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from labelwise.data.tables import read_bytes
from labelwise.errors import UserError, shown

_HEAD = 1 << 16
_PACKED = (".gz", ".bz2", ".xz", ".zst")


class Source:
    """A file to read, parsed at most once.

    Attributes:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            kind = "a directory" if self.path.is_dir() else "no such file"
            raise UserError(f"{shown(str(path), 200)}: {kind}; give a file of labels")

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @property
    def ending(self) -> str:
        """The file's last ending in small letters, that of its packer left out."""
        suffixes = [suffix.lower() for suffix in self.path.suffixes]
        if suffixes and suffixes[-1] in _PACKED:
            suffixes.pop()
        return suffixes[-1] if suffixes else ""

    @cached_property
    def head(self) -> str:
        """The first characters of a file that is not packed."""
        with self.path.open("rb") as file:
            return file.read(_HEAD).decode("utf-8", "replace").removeprefix("\ufeff")

    @cached_property
    def text(self) -> str:
        """The file's text, unpacked within bounds."""
        return read_bytes(self.path).decode()

    @cached_property
    def json(self) -> Any:
        """The file's JSON document."""
        return self._parsed(self.text, "")

    def records(self) -> list[dict[str, Any]]:
        """Return the objects of a JSON array, or of a file of one a line."""
        text = self.text.lstrip()
        if text[:1] == "[":
            rows = self.json
        elif self.ending in (".jsonl", ".ndjson") or text[:1] == "{":
            rows = list(self._lines())
        else:
            raise UserError(
                f"{self.name} begins neither with [ nor with {{: it is no JSON; give a JSON or JSONL file"
            )
        for number, row in enumerate(rows, 1):
            if not isinstance(row, dict):
                raise UserError(f"{self.name}: record {number} is {shown(row)}, not an object; mend it")
        return list(rows)

    def record(self) -> dict[str, Any]:
        """Return the one object that a JSON file holds."""
        if not isinstance(self.json, dict):
            raise UserError(
                f"{self.name} holds {shown(self.json)}, not one JSON object; give the tool's own file"
            )
        return self.json

    def first(self) -> Any:
        """Return the first object of JSON or JSONL, None where it is none: to recognise a format."""
        try:
            if self.ending in (".jsonl", ".ndjson"):
                return json.loads(self.head.split("\n", 1)[0])
            document = self.json
        except (UserError, ValueError, RecursionError):
            return None
        return document[0] if isinstance(document, list) and document else document

    def _lines(self) -> Iterator[Any]:
        for number, line in enumerate(self.text.split("\n"), 1):
            if line.strip():
                yield self._parsed(line, f": line {number}")

    def _parsed(self, text: str, place: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, " if not place else ""
            raise UserError(
                f"{self.name}{place} is not JSON: {error.msg} at {where}column {error.colno}; mend it"
            ) from None
        except (ValueError, RecursionError, MemoryError):
            raise UserError(
                f"{self.name}{place} is JSON that nests too deep or holds a number too long; mend it"
            ) from None
