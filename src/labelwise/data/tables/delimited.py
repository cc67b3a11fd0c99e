"""CSV and TSV files, read whole or refused.

Every row of the file is a row of the table.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise.data.tables.columns import Columns
from labelwise.data.tables.lines import bytes_of, check_names, check_rows, check_utf8, kind_of
from labelwise.errors import UserError, listed, shown

_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars (|)"}
_DELIMITER_NAMES = {"\\t": "\t", "tab": "\t"}
_SAMPLE = 1 << 16
_LINE = re.compile(rb"[^\r\n]+")
_DECIMAL = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?", re.ASCII)
_END = re.compile(rb"\r\n|\r|\n")
_BLANK = re.compile(rb"(?>\r\n|\r|\n)(?=[\r\n])")
_UNNAMED = re.compile(r"(Unnamed: \d+)?", re.IGNORECASE)
_ESCAPED = re.compile(rb'\\([\\"])')


class _UnclearQuote(Exception):
    """A quote that opens on a line and never closes.

    It may also close in the middle of a field.
    """

    def __init__(self, line: int, never_closes: bool) -> None:
        super().__init__(line)
        self.line, self.never_closes = line, never_closes


@dataclass(frozen=True)
class _Dialect:
    """The way in which a file separates its fields and quotes them."""

    delimiter: str
    quoted: bool = True
    escaped: bool = False

    def plain(self, data: bytes) -> bytes:
        """Return the file's content with quotes doubled that a backslash escapes."""
        if not self.escaped:
            return data
        return _ESCAPED.sub(lambda match: b'""' if match[1] == b'"' else b"\\", data)

    def records(self, data: bytes) -> Iterator[tuple[int, int, list[str]]]:
        """Yield each record that is not blank, the header first.

        A record is (its first line, its last, its fields).

        Raises:
            _UnclearQuote: For a quote that does not close, or is followed by text.
        """
        if not self.quoted:
            number, end = 1, 0
            for match in _LINE.finditer(data):
                number += len(_END.findall(data, end, match.start()))
                end = match.start()
                yield number, number, match.group().decode().split(self.delimiter)
            return
        limit = csv.field_size_limit(2**31 - 1)
        try:
            text = io.TextIOWrapper(io.BytesIO(self.plain(data)), "utf-8", newline="")
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            before = 0
            for fields in reader:
                if fields:
                    yield before + 1, reader.line_num, fields
                before = reader.line_num
        except csv.Error as error:
            raise _UnclearQuote(before + 1, "end of data" in str(error)) from None
        finally:
            csv.field_size_limit(limit)


@dataclass
class _Scan:
    """Findings of a first reading of a file.

    They are its names, rows, first record of several lines, and first fault.
    """

    names: list[str]
    rows: int = 0
    lines: tuple[int, int] | None = None
    fault: str | None = None
    fault_line: int = 0


def read_delimited(path: Path, delimiter: str | None, max_rows: int | None) -> Columns:
    """Read a CSV or TSV file.

    The rows that Arrow reads are counted against the rows that are in the file.

    Raises:
        UserError: For what is not UTF-8, ragged, or quoted in a way that leaves its rows unclear.
    """
    import pyarrow as pa

    kind, packer = kind_of(path)
    data = bytes_of(path, packer)
    check_utf8(path, data)
    notes: list[str] = []
    if excel := re.match(rb'"?sep=(.)"?[\r\n]', data, re.IGNORECASE):
        raise UserError(
            f"{path.name}: line 1 is a mark for Excel; take it out, and give delimiter (--delimiter)"
            f" {shown(excel[1].decode(errors='replace'))} if it is needed"
        )
    delimiter = _delimiter(path, data, "\t" if kind == "TSV" else ",", delimiter, notes)
    # Read once by ourselves before Arrow, whose reader drops or joins rows of some broken files silently.
    scan, dialect = _detect_dialect(path, data, delimiter, notes)
    if not scan.names:
        raise UserError(
            f"{path.name} is empty; give a table with a row of column names and at least one item"
        )
    names = [name.strip() for name in scan.names]
    check_rows(path, scan.rows, max_rows)
    places = [str(place) for place in range(len(names))]
    plain = dialect.plain(data)
    try:
        try:
            table = _read(plain, dialect, places, 1 << 24)
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            # A record must lie within two blocks.
            table = _read(plain, dialect, places, min(len(plain) + 1, 2**31 - 1))
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path.name} does not parse: {shown(str(error), 200)}") from None
    # The header is read as a row, so that a first row lost or doubled shows here.
    header = [column[0].as_py() for column in table.columns] if table.num_rows else []
    if table.num_rows != scan.rows + 1 or header != scan.names:
        raise UserError(
            f"{path.name}: {table.num_rows - 1:,} rows were read where the file has {scan.rows:,}; its quotes or line"
            " ends are not those of CSV: save it anew"
        )
    cells = dict(enumerate(column.slice(1) for column in table.columns))
    rows = _without_end(cells, scan.rows, notes)
    cells = {place: column.slice(0, rows) for place, column in cells.items()}
    _leave_unnamed(cells, names, notes)
    names = [names[place] for place in cells]
    check_names(path, names)
    decimals = [name for name in names if _DECIMAL.fullmatch(name)]
    if decimals and 2 * len(decimals) >= len(names):
        notes.append(
            f"The names of the columns are numbers ({listed(decimals, 3)}): if line 1 is a row, write names above it."
        )
    if len(names) == 1 and b'"' not in data and (blank := len(_BLANK.findall(data.strip(b"\r\n")))):
        notes.append(
            f'Empty lines ({blank}) are no rows: an empty cell of a table of one column is written "".'
        )

    def line_of(row: int) -> int | None:
        records = dialect.records(bytes_of(path, packer))
        return next((line for index, (line, _, _) in enumerate(records) if index == row + 1), None)

    return Columns(path, dict(zip(names, cells.values(), strict=True)), rows, notes, line_of, delimiter)


def _without_end(cells: Mapping[int, Any], rows: int, notes: list[str]) -> int:
    """Return the number of rows up to the last one with content.

    Spreadsheets write rows that once held something. In a table of one column an empty cell says something.
    """
    end = rows
    while len(cells) > 1 and end and not any(column[end - 1].as_py().strip() for column in cells.values()):
        end -= 1
    if 0 < end < rows:
        notes.append(f"Rows at the end without content are left out: {rows - end:,}.")
    return end or rows


def _leave_unnamed(cells: dict[int, Any], names: Sequence[str], notes: list[str]) -> None:
    """Take out the columns without a name and without content, as spreadsheets write them."""
    import pyarrow.compute as pc

    unnamed = [place for place in cells if _UNNAMED.fullmatch(names[place])]
    empty = [p for p in unnamed if not pc.any(pc.not_equal(pc.utf8_trim_whitespace(cells[p]), "")).as_py()]
    if empty and len(empty) < len(cells):
        for place in empty:
            del cells[place]
        notes.append(f"Columns without a name and without content are left out: {len(empty):,}.")


def has_delimiter(path: str | Path, delimiter: str) -> bool:
    """Return whether the first line of a text table holds ``delimiter``.

    The delimiter of another table may not separate this one.
    """
    path = Path(path)
    try:
        kind, packer = kind_of(path)
        header = _LINE.search(bytes_of(path, packer)) if kind in ("CSV", "TSV") else None
    except UserError:
        # Its reader says what is wrong.
        return False
    return header is not None and _DELIMITER_NAMES.get(delimiter, delimiter).encode() in header.group()


def _read(data: bytes, dialect: _Dialect, places: list[str], block: int) -> Any:
    """Return the table of all records, each field as text.

    The header is the first record.
    """
    import pyarrow as pa
    import pyarrow.csv as arrow

    return arrow.read_csv(
        io.BytesIO(data),
        read_options=arrow.ReadOptions(column_names=places, block_size=block),
        parse_options=arrow.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char='"' if dialect.quoted else False,
            newlines_in_values=dialect.quoted,
        ),
        convert_options=arrow.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()), strings_can_be_null=False
        ),
    )


def _detect_dialect(path: Path, data: bytes, delimiter: str, notes: list[str]) -> tuple[_Scan, _Dialect]:
    """Return a file's first reading and its dialect.

    Refuse a file that no dialect reads, or that two read differently.
    """
    bare = _Dialect(delimiter, quoted=False)
    unquoted = _scan_lines(data, delimiter)
    if b'"' not in data:
        if unquoted.fault:
            raise UserError(f"{path.name}: {unquoted.fault}")
        return unquoted, bare
    quoted = _scan(data, _Dialect(delimiter))
    # Quotes around a name of a column say that they are quotes of CSV everywhere.
    may_be_text = unquoted.fault is None and not any('"' in name for name in unquoted.names)
    readings = [(quoted, _Dialect(delimiter))]
    if quoted.fault is not None and b'\\"' in data:
        escaped = _Dialect(delimiter, escaped=True)
        readings.append((_scan(data, escaped), escaped))
    for scan, dialect in readings:
        if scan.fault is not None:
            continue
        if scan.lines and may_be_text:
            first, last = scan.lines
            raise UserError(
                f'{path.name}: line {first} opens a quote (") that line {last} closes, and each line between could be'
                " a row of its own; quote the names of the columns too if it is one text, or take the quotes out"
            )
        if dialect.escaped:
            notes.append(
                'A backslash before a quote (\\") is read as the quote alone, and \\\\ as one backslash.'
            )
        return scan, dialect
    # Tables with tabs are often written without quoting; those with commas cannot be.
    if delimiter == "\t" and may_be_text:
        notes.append(
            f'Quotes (") are read as part of the texts, one row a line: line {quoted.fault_line} has one that is no'
            " quote of CSV."
        )
        return unquoted, bare
    raise UserError(f"{path.name}: {quoted.fault}")


def _scan(data: bytes, dialect: _Dialect) -> _Scan:
    """Read a file by the rules of CSV."""
    scan = _Scan([])
    try:
        for line, last, fields in dialect.records(data):
            if not scan.names:
                scan.names, scan.fault_line = fields, line
                if any(name.strip().startswith('"') for name in fields):
                    scan.fault = (
                        f"line {line}: the name of a column begins with a quote; take it out, or the space that is"
                        " before it"
                    )
                    return scan
                continue
            scan.rows += 1
            if len(fields) != len(scan.names):
                scan.fault, scan.fault_line = _ragged(scan, line, len(fields)), line
                return scan
            if last > line and scan.lines is None:
                scan.lines = (line, last)
    except _UnclearQuote as unclear:
        scan.fault_line = unclear.line
        what = (
            "never closes" if unclear.never_closes else "closes in the middle of a field, there or further on"
        )
        scan.fault = (
            f'row {scan.rows + 1} (line {unclear.line}): a quote (") opens that {what}; write a quote within a quoted'
            ' text twice ("")'
        )
    return scan


def _scan_lines(data: bytes, delimiter: str) -> _Scan:
    """Count a file's lines as rows, whatever the quotes in them."""
    scan = _Scan([])
    separator = delimiter.encode()
    for match in _LINE.finditer(data):
        fields = match.group().count(separator) + 1
        if not scan.names:
            scan.names = match.group().decode().split(delimiter)
            continue
        scan.rows += 1
        if fields != len(scan.names):
            line = len(_END.findall(data, 0, match.start())) + 1
            scan.fault, scan.fault_line = _ragged(scan, line, fields), line
            break
    return scan


def _ragged(scan: _Scan, line: int, fields: int) -> str:
    expected = len(scan.names)
    if scan.rows == 1 and expected == 1:
        return (
            f"row 1 (line {line}) has {fields} fields, and line 1 has one: if line 1 is a title or a comment above the"
            " names, take it out"
        )
    return (
        f"row {scan.rows} (line {line}) has {fields} fields, the header has {expected}; mend or quote the row"
    )


def _delimiter(path: Path, data: bytes, usual: str, requested: str | None, notes: list[str]) -> str:
    """Return the delimiter asked for, or that the first lines show.

    A note tells of one that is not ``usual``.
    """
    if requested is not None:
        delimiter = _DELIMITER_NAMES.get(requested, requested) if isinstance(requested, str) else ""
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0' or delimiter.isalnum():
            raise UserError(
                f"delimiter (--delimiter) is {shown(requested)}: give one character such as ';', '|', ',' or 'tab'"
            )
        header = _LINE.search(data)
        visible = [
            word for mark, word in _WORDS.items() if header is not None and mark.encode() in header.group()
        ]
        if visible and header is not None and delimiter.encode() not in header.group():
            raise UserError(
                f"{path.name}: delimiter (--delimiter) {shown(delimiter)} is not in its first line, which holds"
                f" {' and '.join(visible)}; give the one that separates its fields"
            )
        return delimiter
    sample = data[:_SAMPLE].decode("utf-8", errors="ignore")
    if len(data) > _SAMPLE:
        # The last line may be cut.
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1] or sample
    fields = {mark: _fields(sample, mark) for mark in _WORDS}
    agreed = [mark for mark, (count, agree) in fields.items() if agree and count > 1]
    most = max(agreed, key=lambda mark: fields[mark][0], default=None)
    if most is None:
        # No line agrees with the header: the rows are refused with the delimiter that the header shows.
        most = usual if fields[usual][0] > 1 else max(_WORDS, key=lambda mark: fields[mark][0])
        most = most if fields[most][0] > 1 else usual
    rivals = [mark for mark in agreed if mark != usual and fields[mark][0] >= fields[most][0]]
    if (usual in agreed and rivals) or len(rivals) > 1:
        both = sorted({*rivals, *([usual] if usual in agreed else [])})
        raise UserError(
            f"{path.name}: its fields could be separated by {' or '.join(_WORDS[mark] for mark in both)}; say which"
            " with delimiter (--delimiter)"
        )
    delimiter = usual if usual in agreed else most
    if delimiter != usual:
        notes.append(
            f"Fields are separated by {_WORDS[delimiter]}, as the first lines show (change it with --delimiter)."
        )
    return delimiter


def _fields(sample: str, mark: str) -> tuple[int, bool]:
    """Return the number of fields of the header, and whether records agree.

    The other records of the sample must have as many.
    """
    counts = [len(line.split(mark)) for line in re.split("[\r\n]+", sample) if line]
    if not counts:
        return 0, False
    # Plain splitting is enough where all lines agree, and much faster than a reader of quotes.
    if len(set(counts)) == 1:
        return counts[0], True
    # A cut quote at the end of a sample swallows its rest, hence not the strict reader.
    records = [len(row) for row in csv.reader(io.StringIO(sample, newline=""), delimiter=mark) if row]
    return records[0], len(set(records[:-1] if len(records) > 2 else records)) == 1
