"""Reading the four file formats into columns."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from labelwise.data._cells import Columns
from labelwise.data._lines import FORMATS, check_utf8, delimiter, records
from labelwise.errors import UserError, listed, near

__all__ = ["read_columns"]


def read_columns(path: Path, *, delimiter: str | None = None, max_rows: int | None = None) -> Columns:
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


def _read_delimited(path: Path) -> Columns:
    import pyarrow as pa
    import pyarrow.csv as arrow

    with path.open("rb") as file:
        try:
            file.readline().decode("utf-8")
        except UnicodeDecodeError:
            check_utf8(path)
    line, header = next(records(path), (1, []))
    names = [name.strip() for name in header]
    if not names:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    _check_unique(path, names)
    try:
        table = arrow.read_csv(
            path,
            read_options=arrow.ReadOptions(
                column_names=names, skip_rows=line - 1, skip_rows_after_names=1, block_size=1 << 24
            ),
            parse_options=arrow.ParseOptions(delimiter=delimiter(path), newlines_in_values=True),
            convert_options=arrow.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        check_utf8(path)
        for row, (line, fields) in enumerate(records(path)):
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
    check_utf8(path)
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
            except UserError:
                raise
            except (ValueError, RecursionError):
                raise UserError(
                    f"{path.name}: line {number} is JSON that nests too deep or holds a number too long; mend it"
                ) from None
            if not isinstance(row, dict):
                raise UserError(
                    f'{path.name}: line {number} is not a JSON object; write {{"column": value, ...}}'
                )
            rows.append(row)
    names = list(rows[0]) if rows else []
    if all(list(row) == names for row in rows):
        cells: Any = zip(*(row.values() for row in rows), strict=True)
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        cells = ([row.get(name) for row in rows] for name in names)
    if not _is_unicode(names):
        raise UserError(f"{path.name}: half a character (a lone surrogate) in a column's name; rename it")
    data = {}
    for name, values in zip(names, cells, strict=True):
        try:
            data[name] = pa.chunked_array([pa.array(values)])
        except UnicodeEncodeError:
            row = next(index for index, value in enumerate(values) if not _is_unicode(value))
            raise UserError(
                f"{path.name}: row {row + 1}, column {name!r}: half a character (a lone surrogate such as"
                " \\ud800); mend the text"
            ) from None
        except (pa.ArrowException, OverflowError):
            texts = [None if value is None else str(value) for value in values]
            data[name] = pa.chunked_array([pa.array(texts, type=pa.string())])
    return Columns(path, data, len(rows))


def _is_unicode(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


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
