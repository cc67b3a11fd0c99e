"""The course of a run as plain data: one record an epoch, mirrored to a file of JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["History"]


class History:
    """A list of records; with a directory, also its ``history.jsonl``."""

    def __init__(self, directory: Path | None) -> None:
        self.records: list[dict[str, Any]] = []
        self._path = directory / "history.jsonl" if directory is not None else None

    def add(self, record: dict[str, Any]) -> None:
        """Append a record."""
        self.records.append(record)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")

    def replace(self, records: list[dict[str, Any]]) -> None:
        """Set all records, as after a resume, and rewrite the file."""
        self.records = list(records)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.write_text("".join(json.dumps(record) + "\n" for record in records))
