"""The promises of a Parquet file's footer, read without decoding a page.

Arrow's own access to it ends the process where a footer is damaged, so the few fields that a bound needs are read
here: the footer is one structure of Thrift's compact protocol (parquet.thrift of apache/parquet-format).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    blown = kind == "BYTE_ARRAY" and encodings & (_DICTIONARIES | _DELTAS)
    path = ".".join(part.decode("utf-8", "replace") for part in column[3])
    return Chunk(path, least, values * stored if blown else least, bool(encodings & _DELTAS))


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
