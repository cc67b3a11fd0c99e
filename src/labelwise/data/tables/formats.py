"""Reading a table's file, whatever its format, into columns."""

from __future__ import annotations

from pathlib import Path

from labelwise.data.tables.cells import Columns
from labelwise.data.tables.delimited import read_delimited
from labelwise.data.tables.json import read_json
from labelwise.data.tables.lines import FORMATS, check_rows, kind_of
from labelwise.data.tables.parquet import read_parquet
from labelwise.errors import UserError, near, shown


def read_columns(path: Path, *, delimiter: str | None = None, max_rows: int | None = None) -> Columns:
    """Read a CSV, TSV, Parquet, JSONL or JSON file; all but Parquet may be packed (.gz, .bz2, .xz, .zst).

    Args:
        delimiter: What separates the fields of a CSV or TSV; None: what its first lines agree on, told in the
            columns' notes where it is not what the ending says.
        max_rows: The most rows; None: 50 million. What a file unpacks or decodes to is bounded by 4 GiB, or 50
            times its size where that is more.

    Raises:
        UserError: For a file that is missing, of another format, empty, ragged, not UTF-8, with two columns of one
            name, too large, or that does not parse; the message names the row and the line.
    """
    try:
        _check_file(path)
    except (OSError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{shown(str(path), 200)} cannot be opened: {shown(str(error), 200)}") from None
    kind, _ = kind_of(path)
    if path.stat().st_size == 0:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    if delimiter is not None and kind not in ("CSV", "TSV"):
        raise UserError(f"{path.name} is {kind}, which has no delimiter; leave delimiter (--delimiter) out")
    if kind == "Parquet":
        columns = read_parquet(path, max_rows)
    elif kind in ("JSONL", "JSON"):
        columns = read_json(path, max_rows)
    else:
        columns = read_delimited(path, delimiter, max_rows)
    if not columns.rows:
        raise UserError(f"{path.name} has column names but no rows; give at least one item")
    check_rows(path, columns.rows, max_rows)
    return columns


def _check_file(path: Path) -> None:
    """Refuse what is no file, with the tables that are beside it."""
    if path.is_file():
        return
    if path.is_dir():
        raise UserError(f"{path} is a directory; give a table (CSV, TSV, Parquet, JSONL or JSON)")
    if path.exists():
        raise UserError(f"{path} is a pipe, socket or device; give a table in a file")
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{path}: no such file, and there is no folder {str(folder)!r}")
    tables = sorted(
        entry.name
        for entry in folder.iterdir()
        if any(suffix.lower() in FORMATS for suffix in entry.suffixes[-2:])
    )
    raise UserError(f"{path}: no such file; {near(path.name, tables)}")
