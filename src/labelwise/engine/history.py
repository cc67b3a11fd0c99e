"""The course of a run as plain data: one record an epoch, mirrored to a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labelwise._files import append, write
from labelwise.errors import UserError


class History:
    """A list of records; with a directory, also its ``history.jsonl``."""

    def __init__(self, directory: Path | None) -> None:
        self.records: list[dict[str, Any]] = []
        self._noted: dict[str, Any] = {}
        self._path = directory / "history.jsonl" if directory is not None else None

    def note(self, facts: Mapping[str, Any]) -> None:
        """Keep facts for the epoch under way; they join its record."""
        self._noted |= facts

    def add(self, record: dict[str, Any]) -> None:
        """Append a record, with what was noted for it."""
        record |= self._noted
        self._noted = {}
        self.records.append(record)
        self._write([record], append)

    def replace(self, records: list[dict[str, Any]]) -> None:
        """Set all records, as after a resume, and rewrite the file."""
        self.records = list(records)
        self._write(self.records, write)

    def _write(self, records: list[dict[str, Any]], put: Callable[[Path, str], None]) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(record) + "\n" for record in records)
            put(self._path, text)
        except OSError as error:
            raise UserError(
                f"{self._path} could not be written ({error.strerror or error}): mend that and run the same again"
                " (--resume on the command line)"
            ) from error
