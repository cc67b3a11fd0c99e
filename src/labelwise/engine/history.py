"""The course of a run as plain data: one record an epoch, mirrored to a file of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labelwise.errors import UserError

__all__ = ["History"]


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
        self._write([record], "a")

    def replace(self, records: list[dict[str, Any]]) -> None:
        """Set all records, as after a resume, and rewrite the file."""
        self.records = list(records)
        self._write(self.records, "w")

    def _write(self, records: list[dict[str, Any]], mode: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode, encoding="utf-8") as file:
                file.writelines(json.dumps(record) + "\n" for record in records)
        except OSError as error:
            raise UserError(
                f"{self._path} could not be written ({error.strerror or error}): free some space and run the "
                "same again (--resume on the command line)"
            ) from error
