"""Parquet files: their footer, checked before a page is decoded, and columns."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise.data.tables.class_labels import declared_names, named
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.lines import check_names, check_rows, most_bytes
from labelwise.errors import UserError, shown

_MOST_FOOTER = 1 << 28
_DEEPEST = 16
_TYPES = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
_BYTES = {"BOOLEAN": 0.125, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8, "BYTE_ARRAY": 4}
_DICTIONARIES, _DELTAS = frozenset((2, 8)), frozenset((7,))


@dataclass(frozen=True)
class Chunk:
    """A column's part of a row group.

    Attributes:
        path: The column's name, with dots where it is nested.
        bytes: What it takes at least once decoded.
        most_bytes: What it may take at most: more than ``bytes`` where a long text is stored once for many values.
        shares: Whether its texts share their beginnings, so that each may be as long as all of it.
    """

    path: str
    bytes: int
    most_bytes: int
    shares: bool


@dataclass(frozen=True)
class Footer:
    """A file's rows and the chunks of its columns."""

    rows: int
    chunks: tuple[Chunk, ...]


def read_footer(path: Path) -> Footer:
    """Read a file's footer.

    Raises:
        ValueError: For a file without one, or with one that is damaged.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - 8))
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if len(tail) < 8 or tail[4:] != b"PAR1" or not 0 < length <= min(size - 8, _MOST_FOOTER):
            raise ValueError("it does not end as a Parquet file does")
        file.seek(size - 8 - length)
        data = file.read(length)
    try:
        footer = _Reader(data).structure(0)
        widths = [
            int(element.get(2, 0)) for element in footer[2] if element.get(5) in (None, 0) and 1 in element
        ]
        chunks = [
            _chunk(column[3], widths[place]) for group in footer[4] for place, column in enumerate(group[1])
        ]
        return Footer(int(footer[3]), tuple(chunks))
    except (KeyError, IndexError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise ValueError(f"its footer is damaged ({type(error).__name__})") from None


def _chunk(column: dict[int, Any], length: int) -> Chunk:
    kind, encodings = _TYPES[column[1]], frozenset(column[2])
    values, stored = int(column[5]), int(column[6])
    if min(values, stored, length) < 0:
        raise TypeError("a negative size")
    least = max(stored, int(values * _BYTES.get(kind, length)))
    expands = kind == "BYTE_ARRAY" and encodings & (_DICTIONARIES | _DELTAS)
    path = ".".join(part.decode("utf-8", "replace") for part in column[3])
    return Chunk(path, least, values * stored if expands else least, bool(encodings & _DELTAS))


class _Reader:
    """A reader of Thrift's compact protocol."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def structure(self, depth: int) -> dict[int, Any]:
        """Return a structure as its fields by number."""
        if depth > _DEEPEST:
            raise TypeError("too deep")
        fields: dict[int, Any] = {}
        number = 0
        while (head := self.byte()) != 0:
            number = number + (head >> 4) if head >> 4 else self.signed()
            fields[number] = self.value(head & 15, depth)
        return fields

    def value(self, kind: int, depth: int) -> Any:
        """Return a value of a type of the protocol."""
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self.byte()
        if kind in (4, 5, 6):
            return self.signed()
        if kind == 7:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8 : self.at])[0]
        if kind == 8:
            length = self.unsigned()
            self.at += length
            if self.at > len(self.data):
                raise IndexError("cut short")
            return self.data[self.at - length : self.at]
        if kind in (9, 10):
            head = self.byte()
            length = head >> 4 if head >> 4 != 15 else self.unsigned()
            if length > len(self.data):
                raise IndexError("cut short")
            if head & 15 in (1, 2):
                return [self.byte() == 1 for _ in range(length)]
            return [self.value(head & 15, depth + 1) for _ in range(length)]
        if kind == 12:
            return self.structure(depth + 1)
        # A map, which no structure of Parquet has, or nothing.
        raise TypeError("a type that Parquet has not")

    def byte(self) -> int:
        """Return the next byte."""
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self) -> int:
        """Return a number of seven bits a byte."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return number
            if shift > 70:
                raise TypeError("a number too long")

    def signed(self) -> int:
        """Return a number in zigzag form."""
        number = self.unsigned()
        return (number >> 1) ^ -(number & 1)


_BATCH = 1 << 16
_MOST_MEASURED = 1 << 28
_VIEWS = {"string_view": "large_string", "binary_view": "large_binary"}
"""Forms of text by those that Arrow's functions take in their place."""


def read_parquet(path: Path, max_rows: int | None) -> Columns:
    """Read a Parquet file.

    Before it is decoded its metadata must promise no more rows than ``max_rows`` and no more bytes than
    ``most_bytes``; a column of texts that its dictionary could blow up past that (one long value, a million times)
    is measured first; and what is decoded is counted, batch by batch.

    Raises:
        UserError: For what is no Parquet, or more than that.
    """
    import pyarrow as pa
    from pyarrow import parquet

    most = most_bytes(path.stat().st_size)
    try:
        # Promises first: a page of a few bytes can decode to gigabytes, and Arrow asks nobody before it does.
        footer = read_footer(path)
        check_rows(path, footer.rows, max_rows)
        if sum(chunk.bytes for chunk in footer.chunks) > most:
            raise _too_large(path, most)
        _measure(path, footer, most)
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            check_names(path, names)
            batches, total = [], 0
            for batch in file.iter_batches(batch_size=_BATCH):
                # Offsets that a damaged file got wrong would be read past their end later.
                batch.validate(full=True)
                total += batch.nbytes
                if total > most:
                    raise _too_large(path, most)
                batches.append(batch)
            table = pa.Table.from_batches(batches, schema=file.schema_arrow)
    except UserError:
        raise
    except Exception as error:  # Arrow's own errors, and those of names and numbers that it cannot hand on
        raise UserError(
            f"{path.name} is not a Parquet file that can be read: {shown(str(error), 200)}"
        ) from None
    if table.num_rows != footer.rows:
        raise UserError(
            f"{path.name} promises {footer.rows:,} rows and holds {table.num_rows:,}; write it anew"
        )
    data = dict(zip(names, table.columns, strict=True))
    for name, column in data.items():
        if pa.types.is_dictionary(column.type):
            data[name] = _decoded(path, name, column, most)
        elif str(column.type) in _VIEWS:
            data[name] = column.cast(_VIEWS[str(column.type)])
        elif _holds_times(column.type):
            _check_times(path, name, column)
    declared = {name: names for name, names in declared_names(table.schema.metadata).items() if name in data}
    for name, classes in declared.items():
        data[name] = named(path, name, data[name], classes)
    return Columns(path, data, table.num_rows, declared=declared)


def _holds_times(kind: Any) -> bool:
    import pyarrow as pa

    parts = [kind.field(i).type for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    parts += [getattr(kind, part) for part in ("value_type", "key_type", "item_type") if hasattr(kind, part)]
    return bool(pa.types.is_temporal(kind)) or any(map(_holds_times, parts))


def _check_times(path: Path, name: str, column: Any) -> None:
    """Refuse dates, times and spans that Python cannot hold.

    They end any look at their column in foreign errors.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
            for extreme in pc.min_max(column).values():
                str(extreme.as_py())
        else:
            for value in column.to_pylist():
                str(value)
    except Exception as error:  # of datetime, of time zones, of Arrow
        raise UserError(
            f"{path.name}: column {shown(name)} holds a time that is none ({shown(str(error), 80)}): write it as text,"
            " or leave the column out"
        ) from None


def _too_large(path: Path, most: int) -> UserError:
    return UserError(
        f"{path.name} decodes to more than {most:,} bytes; split it, or leave out columns that are not needed"
    )


def _measure(path: Path, footer: Footer, most: int) -> None:
    """Refuse columns of texts that decode to more than ``most`` bytes.

    To measure them, each value is held once, however often it occurs.
    """
    from pyarrow import parquet

    worst: Counter[str] = Counter()
    for chunk in footer.chunks:
        worst[chunk.path] += chunk.most_bytes
    suspects = [name for name, size in worst.items() if size > most]
    # Where values take over beginnings, each may be as long as its chunk, and Arrow makes no dictionary of them.
    shared = {chunk.path: chunk.bytes for chunk in footer.chunks if chunk.shares and chunk.path in suspects}
    budget = min(_MOST_MEASURED, most)
    parts: list[tuple[list[str], list[str], int]] = [
        ([name], [], max(1, min(_BATCH, budget // size))) for name, size in shared.items()
    ]
    if unshared := [name for name in suspects if name not in shared]:
        parts.append((unshared, unshared, _BATCH))
    total = 0
    for names, dictionaries, rows in parts:
        with parquet.ParquetFile(path, read_dictionary=dictionaries) as file:
            for batch in file.iter_batches(batch_size=rows, columns=names):
                total += sum(_size(column) for column in batch.columns)
                if total > most:
                    raise _too_large(path, most)


def _size(array: Any) -> int:
    """Return the bytes that an array takes once its dictionaries are decoded."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary)
        return int(pc.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_struct(array.type):
        return sum(_size(field) for field in array.flatten())
    if pa.types.is_nested(array.type):
        return _size(array.flatten() if hasattr(array, "flatten") else array.values)
    return int(array.nbytes)


def _decoded(path: Path, name: str, column: Any, most: int) -> Any:
    import pyarrow as pa

    of_texts = pa.types.is_binary(column.type.value_type) or pa.types.is_string(column.type.value_type)
    if of_texts and sum(_size(chunk) for chunk in column.chunks) > most:
        raise _too_large(path, most)
    try:
        return column.cast(column.type.value_type)
    except pa.ArrowException:
        raise UserError(
            f"{path.name}: column {shown(name)} holds {str(column.type)[:60]}, which cannot be read"
        ) from None
