"""The lines of a text table: which ending means what, and on which line a row stands."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from labelwise.errors import UserError

__all__ = ["FORMATS", "check_utf8", "delimiter", "line_of", "records"]

FORMATS = {".csv": "CSV", ".tsv": "TSV", ".tab": "TSV", ".parquet": "Parquet", ".pq": "Parquet"}
FORMATS |= {".jsonl": "JSONL", ".ndjson": "JSONL"}


def delimiter(path: Path) -> str:
    """Return a tab for TSV; for CSV a comma, or a semicolon where the header has only these."""
    if FORMATS[path.suffix.lower()] == "TSV":
        return "\t"
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return ";" if ";" in header and "," not in header else ","


def records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line on which the record begins, fields) of each record that is not blank, the header first."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
            reader = csv.reader(file, delimiter=delimiter(path))
            before = 0
            for fields in reader:
                if fields:
                    yield before + 1, fields
                before = reader.line_num
    finally:
        csv.field_size_limit(limit)


def line_of(path: Path, row: int) -> int | None:
    """Return the line of the file on which a data row (from 0) begins."""
    kind = FORMATS[path.suffix.lower()]
    if kind == "Parquet":
        return None
    if kind == "JSONL":
        with path.open("rb") as file:
            lines = (number for number, line in enumerate(file, 1) if line.strip())
            return next((number for index, number in enumerate(lines) if index == row), None)
    return next((line for index, (line, _) in enumerate(records(path)) if index == row + 1), None)


def check_utf8(path: Path) -> None:
    """Raise ``UserError`` that names the first line that is not UTF-8."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path.name}: line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at"
                    f" {error.start + 1}); save the file as UTF-8"
                ) from None
