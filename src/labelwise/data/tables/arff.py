"""ARFF tables, dense ones: Weka's and MULAN's, read whole or refused."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from labelwise.data.tables.columns import Columns
from labelwise.data.tables.lines import bytes_of, check_names, check_rows, check_utf8, kind_of
from labelwise.data.tables.numerals import as_number
from labelwise.errors import UserError, listed, repeated, shown

_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_ATTRIBUTE = re.compile(
    rf"@attribute\s+({_QUOTED}|[^\s'\"{{}},%]+)(?:\s+|(?=\{{))(\{{.*|\w+)(.*)", re.IGNORECASE
)
_FIELD = re.compile(rf"(\s*(?:{_QUOTED})\s*|[^'\"{{}}%,]*)(,|$)")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"} | {mark: mark for mark in "'\"\\%"}
_NOT_PLAIN = frozenset("'\"{}%")
_NUMBERS = ("numeric", "real", "integer")
_REFUSED = {
    "date": "write the dates as numbers, or leave the attribute out",
    "relational": "write one row for each item, with an attribute for each value",
}


class _Attribute(NamedTuple):
    """Declared column; ``values`` are all that a nominal one may hold."""

    name: str
    numeric: bool
    values: frozenset[str | None] | None = None


def read_arff(path: Path, max_rows: int | None) -> Columns:
    """Read a dense ARFF file.

    Its cells are texts as in a CSV file, those of ``?`` empty.

    SciPy's reader is not used: it takes the first row's look for the dialect of all, drops what a row has beyond its
    attributes, and reads any number with a ``?`` in it as unknown.

    Raises:
        UserError: For what is no ARFF, sparse, of dates or relations, or holds what its attributes do not allow.
    """
    import pyarrow as pa

    _, packer = kind_of(path)
    data = bytes_of(path, packer)
    check_utf8(path, data)
    lines = enumerate(map(str.strip, _LINE_END.split(data.decode())), 1)
    attributes = _header(path, lines)
    names = [attribute.name for attribute in attributes]
    check_names(path, names)
    rows: list[list[str | None]] = []
    starts: list[int] = []
    for number, line in lines:
        if not line or line[0] == "%":
            continue
        starts.append(number)
        check_rows(path, len(starts), max_rows)
        try:
            rows.append(_cells(line))
            if len(rows[-1]) != len(names):
                raise UserError(
                    f"has {len(rows[-1])} fields, the header has {len(names)}; mend or quote the row"
                )
        except UserError as wrong:
            raise UserError(f"{path.name}: row {len(starts)} (line {number}) {wrong}") from None
    cells = list(zip(*rows, strict=True)) or [()] * len(names)
    texts = {
        name: pa.chunked_array([pa.array(column, pa.string())])
        for name, column in zip(names, cells, strict=True)
    }
    columns = Columns(path, texts, len(rows), line_of=lambda row: starts[row] if row < len(starts) else None)
    for attribute in attributes:
        _check_cells(columns, attribute)
    return columns


def _header(path: Path, lines: Iterator[tuple[int, str]]) -> list[_Attribute]:
    """Return the attributes, with ``lines`` left at the first of the data."""
    attributes: list[_Attribute] = []
    for number, line in lines:
        word = line.partition(" ")[0].partition("\t")[0].lower()
        if word == "@data":
            if not attributes:
                raise UserError(f"{path.name}: line {number} begins the data, and no @attribute is before it")
            return attributes
        if not line or line[0] == "%" or word == "@relation":
            continue
        try:
            attributes.append(_attribute(line))
        except UserError as wrong:
            raise UserError(f"{path.name}: line {number} {wrong}") from None
    raise UserError(
        f"{path.name} has no line @data; give a whole ARFF file: @relation, @attribute lines, @data, rows"
    )


def _attribute(line: str) -> _Attribute:
    declared = _ATTRIBUTE.fullmatch(line)
    if declared is None:
        raise UserError(f"is {shown(line)}, and no '@attribute NAME TYPE', @data or comment (%); mend it")
    name, kind, rest = _unquoted(declared[1]).strip(), declared[2].lower(), declared[3].strip()
    if kind[0] == "{":
        inside, _, after = map(str.strip, declared[2][1:].rpartition("}"))
        values = _cells(inside) if inside else []
        if None in values or repeated(values) or not values or after[:1] not in ("", "%"):
            raise UserError(
                f"declares the values {shown(line)} of {shown(name)}; write {{a,b}}, each once and none '?'"
            )
        return _Attribute(name, False, frozenset(values))
    if kind in _REFUSED:
        raise UserError(f"declares {shown(name)} as {kind}, which is not read; {_REFUSED[kind]}")
    if kind not in (*_NUMBERS, "string") or (rest and rest[0] != "%"):
        raise UserError(
            f"declares {shown(name)} as {shown(declared[2] + declared[3])}; it is numeric, string or {{a,b}}"
        )
    return _Attribute(name, kind != "string")


def _cells(line: str) -> list[str | None]:
    """Return the values of a row, None for ``?``."""
    if _NOT_PLAIN.isdisjoint(line):
        fields = [field.strip() for field in line.split(",")]
        if "" in fields:
            raise UserError("has an empty field; write ? where a value is not known")
        return [None if field == "?" else field for field in fields]
    if line[0] == "{":
        raise UserError(
            "is sparse ({index value, ...}); write the file dense, as Weka's filter SparseToNonSparse does"
        )
    cells: list[str | None] = []
    at, mark = 0, ","
    while mark:
        field = _FIELD.match(line, at)
        if field is None:
            raise UserError(f"holds a quote, brace or % within {shown(line[at:])}; quote the whole value")
        text, mark, at = field[1].strip(), field[2], field.end()
        if not text:
            raise UserError("has an empty field; write ? where a value is not known")
        cells.append(None if text == "?" else _unquoted(text))
    return cells


def _unquoted(text: str) -> str:
    """Return a value without its quotes and escapes."""
    if text[0] not in "'\"":
        return text
    if strange := [match[0] for match in _ESCAPE.finditer(text) if match[1] not in _ESCAPED]:
        raise UserError(f"holds {strange[0]}, which stands for nothing in ARFF; write a backslash twice")
    return _ESCAPE.sub(lambda match: _ESCAPED[match[1]], text[1:-1])


def _check_cells(columns: Columns, attribute: _Attribute) -> None:
    """Refuse a cell that its attribute does not allow."""
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = columns.data[attribute.name]
    if attribute.values is None and not attribute.numeric:
        return
    try:
        # Arrow reads most numbers a hundred times as fast; what it does not read may be one all the same.
        if attribute.numeric and pc.all(pc.is_finite(texts.cast(pa.float64())), min_count=0).as_py():
            return
    except pa.ArrowInvalid:
        pass
    for row, cell in enumerate(texts.to_pylist()):
        if cell is None or (_is_finite(cell) if attribute.values is None else cell in attribute.values):
            continue
        place = f"{columns.where(row, attribute.name)}: {shown(cell)}"
        if attribute.values is None:
            raise UserError(f"{place} is no finite number; write ? where it is not known")
        values = listed(sorted(map(str, attribute.values)))
        raise UserError(f"{place} is none of its values ({values}); mend the cell or the header")


def _is_finite(cell: str) -> bool:
    try:
        return math.isfinite(as_number(cell))
    except ValueError:
        return False
