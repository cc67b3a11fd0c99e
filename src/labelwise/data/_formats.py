"""Reading the four file formats into columns that remember where they came from."""

from __future__ import annotations

import csv
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, listed, near

__all__ = ["FORMATS", "Columns", "read_columns"]

FORMATS = {".csv": "CSV", ".tsv": "TSV", ".tab": "TSV", ".parquet": "Parquet", ".pq": "Parquet"}
FORMATS |= {".jsonl": "JSONL", ".ndjson": "JSONL"}
_UNKNOWN_WORDS = ("", "?", "-1", "-1.0", "na", "n/a", "nan", "null", "none", "<na>")
_STATES = {"1": 1, "1.0": 1, "true": 1, "0": 0, "0.0": 0, "-0.0": 0, "false": 0} | dict.fromkeys(
    _UNKNOWN_WORDS, -1
)


@dataclass(frozen=True)
class Columns:
    """A file's columns as Arrow arrays. Rows count from 0 here, from 1 in messages."""

    path: Path
    data: dict[str, Any]
    rows: int

    def where(self, row: int, name: str | None = None) -> str:
        """Return "file: row 3 (line 4), column 'x'" for a message; the line where the format has lines."""
        line = _line_of(self.path, row)
        place = f"{self.path.name}: row {row + 1}" + (f" (line {line})" if line else "")
        return place + (f", column {name!r}" if name is not None else "")

    def strings(self, name: str) -> list[str | None]:
        """Return a column as stripped strings; null and nothing but blanks are None."""
        values = self.data[name].to_pylist()
        texts = (None if value is None else str(value).strip() for value in values)
        return [text or None for text in texts]

    def is_vector(self, name: str) -> bool:
        """Return whether a column holds a list of numbers in each row (an embedding)."""
        import pyarrow.types as kinds

        kind = self.data[name].type
        if not (kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)):
            return False
        return bool(kinds.is_floating(kind.value_type) or kinds.is_integer(kind.value_type))

    def names(self, name: str) -> list[Any]:
        """Return a column of label names: a string, a list, or None."""
        values = self.data[name].to_pylist()
        return [value if value is None or isinstance(value, list | str) else str(value) for value in values]

    def states(self, name: str) -> NDArray[np.int8]:
        """Return a label column as states (n,) int8 in {1, 0, -1}; empty, null and NaN are unknown."""
        import pyarrow as pa
        import pyarrow.compute as pc

        try:
            texts = pc.utf8_lower(pc.utf8_trim_whitespace(self.data[name].cast(pa.string())))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(
                f"{self.path.name}: column {name!r} holds {self.data[name].type}, not label states"
            ) from None
        encoded = pc.dictionary_encode(texts.fill_null("")).combine_chunks()
        words = encoded.dictionary.to_pylist()
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        states: NDArray[np.int8] = np.array([_STATES.get(word, -2) for word in words], dtype=np.int8)[codes]
        wrong = np.flatnonzero(states == -2)
        if len(wrong):
            value, more = words[codes[wrong[0]]], len(wrong) - 1
            raise UserError(
                f"{self.where(int(wrong[0]), name)}: {value!r} is no label state"
                + (f" ({more} more)" if more else "")
                + "; write 1 (relevant), 0 (irrelevant) or nothing (unknown), or name the label columns"
                " (--label-columns) or the feature columns (--feature-columns)"
            )
        return states

    def numbers(self, name: str) -> NDArray[np.float32]:
        """Return a feature column (n,) or, for a column of lists, (n, d) float32, every value finite."""
        values = self._vectors(name) if self.is_vector(name) else self._scalars(name)
        with np.errstate(over="ignore"):
            numbers = values.astype(np.float32)
        finite = np.isfinite(numbers) if numbers.ndim == 1 else np.isfinite(numbers).all(axis=1)
        wrong = np.flatnonzero(~finite)
        if len(wrong):
            rows = listed(wrong + 1)
            more = f"; rows {rows}" if len(wrong) > 1 else ""
            raise UserError(
                f"{self.where(int(wrong[0]), name)}: a feature is NaN, infinite or beyond float32{more};"
                " fill or drop these rows"
            )
        return numbers

    def _scalars(self, name: str) -> NDArray[np.float64]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = self.data[name]
        try:
            texts = pc.utf8_trim_whitespace(column) if pa.types.is_string(column.type) else column
            numbers = texts.cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            numbers = None
        if numbers is not None and not numbers.null_count:
            return np.asarray(numbers.to_numpy(), dtype=np.float64)
        result = np.empty(self.rows)
        for row, value in enumerate(column.to_pylist()):
            try:
                result[row] = float(value)
            except (TypeError, ValueError):
                shown = "empty" if value is None or value == "" else f"{str(value)[:40]!r}, not a number"
                raise UserError(
                    f"{self.where(row, name)}: the feature is {shown}; mend it or name the feature columns"
                    " (--feature-columns)"
                ) from None
        return result

    def _vectors(self, name: str) -> NDArray[np.float64]:
        rows = self.data[name].to_pylist()
        width = Counter(len(row or ()) for row in rows).most_common(1)[0][0]
        for row, value in enumerate(rows):
            if len(value or ()) != width or not width:
                found = len(value or ())
                raise UserError(
                    f"{self.where(row, name)}: {found} numbers where other rows hold {width or 'some'}"
                )
        return np.array(rows, dtype=np.float64)


def read_columns(path: Path) -> Columns:
    """Read a CSV, TSV, Parquet or JSONL file.

    :raises UserError: for a file that is missing, of another format, empty, ragged, not UTF-8, with two
        columns of one name, or that does not parse; the message names the row and the line.
    """
    if not path.is_file():
        if path.is_dir():
            raise UserError(f"{path} is a directory; give a table (CSV, TSV, Parquet or JSONL)")
        folder = path.parent
        if not folder.is_dir():
            raise UserError(f"{path}: no such file, and there is no folder {str(folder)!r}")
        tables = sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in FORMATS)
        raise UserError(f"{path}: no such file; {near(path.name, tables)}")
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{path.name}: unknown ending {path.suffix!r}; a table ends in {', '.join(FORMATS)}")
    if path.stat().st_size == 0:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    columns = {
        "CSV": _read_delimited,
        "TSV": _read_delimited,
        "JSONL": _read_jsonl,
        "Parquet": _read_parquet,
    }[kind](path)
    if not columns.rows:
        raise UserError(f"{path.name} has column names but no rows; give at least one item")
    return columns


def _check_unique(path: Path, names: list[str], place: str = "") -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(
            f"{path.name}{place}: columns named more than once: {listed(map(repr, twice))}; rename them"
        )


def _delimiter(path: Path) -> str:
    if FORMATS[path.suffix.lower()] == "TSV":
        return "\t"
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return ";" if ";" in header and "," not in header else ","


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line on which the record begins, fields) of each record that is not blank, the header first."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
            reader = csv.reader(file, delimiter=_delimiter(path))
            before = 0
            for fields in reader:
                if fields:
                    yield before + 1, fields
                before = reader.line_num
    finally:
        csv.field_size_limit(limit)


def _line_of(path: Path, row: int) -> int | None:
    """Return the line of the file on which a data row (from 0) begins."""
    kind = FORMATS[path.suffix.lower()]
    if kind == "Parquet":
        return None
    if kind == "JSONL":
        lines = (number for number, line in enumerate(path.open("rb"), 1) if line.strip())
        return next((number for index, number in enumerate(lines) if index == row), None)
    return next((line for index, (line, _) in enumerate(_records(path)) if index == row + 1), None)


def _check_utf8(path: Path) -> None:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path.name}: line {number} is not UTF-8 (byte 0x{line[error.start]:02x} at"
                    f" {error.start + 1}); save the file as UTF-8"
                ) from None


def _read_delimited(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.csv as arrow

    header = next(_records(path), (1, []))[1]
    try:
        path.open("rb").readline().decode("utf-8")
    except UnicodeDecodeError:
        _check_utf8(path)
    names = [name.strip() for name in header]
    if not names:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    _check_unique(path, names)
    try:
        table = arrow.read_csv(
            path,
            read_options=arrow.ReadOptions(column_names=names, skip_rows_after_names=1, block_size=1 << 24),
            parse_options=arrow.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        _check_utf8(path)
        for row, (line, fields) in enumerate(_records(path)):
            if len(fields) != len(names):
                raise UserError(
                    f"{path.name}: row {row} (line {line}) has {len(fields)} fields, the header has"
                    f" {len(names)}; mend or quote the row"
                ) from None
        raise UserError(f"{path.name} does not parse: {error}") from None
    return Columns(path, dict(zip(names, table.columns, strict=True)), table.num_rows)


def _read_jsonl(path: Path) -> Columns:
    import pyarrow as pa

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            _check_unique(path, [name for name, _ in pairs], f": line {number}")
        return row

    decoder = json.JSONDecoder(object_pairs_hook=unique)
    _check_utf8(path)
    rows: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = decoder.decode(line.strip())
            except json.JSONDecodeError as error:
                raise UserError(
                    f"{path.name}: line {number} is not JSON: {error.msg} at column {error.colno}"
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    f'{path.name}: line {number} is not a JSON object; write {{"column": value, ...}}'
                )
            rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    data = {}
    for name in names:
        values = [row.get(name) for row in rows]
        try:
            data[name] = pa.chunked_array([pa.array(values)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            texts = [None if value is None else str(value) for value in values]
            data[name] = pa.chunked_array([pa.array(texts, type=pa.string())])
    return Columns(path, data, len(rows))


def _read_parquet(path: Path) -> Columns:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path.name} is not a Parquet file that can be read: {str(error)[:200]}") from None
    _check_unique(path, table.column_names)
    data = dict(zip(table.column_names, table.columns, strict=True))
    for name, column in data.items():
        if pa.types.is_dictionary(column.type):
            data[name] = column.cast(column.type.value_type)
    return Columns(path, data, table.num_rows)
