"""Reading JSON: one object a line (JSONL), or one array of objects."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labelwise.data.tables.columns import Columns
from labelwise.data.tables.lines import bytes_of, check_names, check_rows, check_utf8, kind_of
from labelwise.errors import UserError, listed, shown

_BLANK = re.compile(r"[ \t\r\n]*")


def read_json(path: Path, max_rows: int | None) -> Columns:
    """Read a JSONL file, or a JSON array of objects.

    A key that an object lacks is null there, and told. NaN is null beside text, and NaN among numbers.

    Raises:
        UserError: For what is no JSON object, with its line.
    """
    kind, packer = kind_of(path)
    data = bytes_of(path, packer)
    check_utf8(path, data)
    text = data.decode()
    notes = []
    if kind == "JSON" and text.lstrip()[:1] == "{" and "\n" in text.strip():
        notes.append("The file holds one object a line (JSONL), not an array.")
        kind = "JSONL"
    rows, starts = [], []
    for start, row in (_lines if kind == "JSONL" else _elements)(path, text):
        starts.append(start)
        rows.append(row)
        check_rows(path, len(rows), max_rows)
    # A dict and no set: the columns come in the order of the file.
    names = list(dict.fromkeys(name for row in rows for name in row))
    check_names(path, names)
    counts = Counter(name for row in rows for name in row)
    partial = [f"{shown(name)} in {counts[name]:,}" for name in names if counts[name] < len(rows)]
    if partial:
        notes.append(f"Keys that not each of the {len(rows):,} rows has, empty elsewhere: {listed(partial)}.")
    columns = {name: _column(path, name, [row.get(name) for row in rows]) for name in names}
    ends: list[int] = []

    def line_of(row: int) -> int | None:
        if not ends:
            ends.extend(match.start() for match in re.finditer("\n", text))
        return bisect_right(ends, starts[row] - 1) + 1 if row < len(starts) else None

    return Columns(path, columns, len(rows), notes, line_of)


def _decoder(path: Path, place: list[str]) -> json.JSONDecoder:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        row = dict(pairs)
        if len(row) != len(pairs):
            check_names(path, [name for name, _ in pairs], f": {place[0]}")
        return row

    return json.JSONDecoder(object_pairs_hook=unique)


def _decoded(
    path: Path, decoder: json.JSONDecoder, text: str, start: int, place: str
) -> tuple[dict[str, Any], int]:
    try:
        row, end = decoder.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path.name}: {place} is not JSON: {error.msg} at column {error.pos - start + 1}"
        ) from None
    except UserError:
        raise
    except (ValueError, RecursionError, MemoryError):
        raise UserError(
            f"{path.name}: {place} is JSON that nests too deep or holds a number too long; mend it"
        ) from None
    if not isinstance(row, dict):
        raise UserError(f'{path.name}: {place} is not a JSON object; write {{"column": value, ...}}')
    return row, end


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (place of the line, row) of each line not blank."""
    place = [""]
    decoder = _decoder(path, place)
    start = 0
    for number, line in enumerate(text.split("\n"), 1):
        if content := line.strip():
            place[0] = f"line {number}"
            row, end = _decoded(path, decoder, content, 0, place[0])
            if end != len(content):
                raise UserError(f"{path.name}: line {number} is not JSON: Extra data at column {end + 1}")
            yield start, row
        start += len(line) + 1


def _elements(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (place, row) of each object of an array."""

    def skip(at: int) -> int:
        match = _BLANK.match(text, at)
        return match.end() if match else at

    at = skip(0)
    if text[at : at + 1] != "[":
        raise UserError(
            f'{path.name} is not an array of objects; write [{{"column": value, ...}}, ...], or one object a line in a'
            " .jsonl file"
        )
    place = [""]
    decoder = _decoder(path, place)
    at, row = skip(at + 1), 0
    while text[at : at + 1] != "]" or row:
        row += 1
        place[0] = f"row {row} (line {text.count(chr(10), 0, at) + 1})" if row < 1000 else f"row {row}"
        value, end = _decoded(path, decoder, text, at, place[0])
        yield at, value
        at = skip(end)
        if text[at : at + 1] == "]":
            break
        if text[at : at + 1] != ",":
            raise UserError(f"{path.name}: {place[0]} is followed by neither a comma nor the array's end (])")
        at = skip(at + 1)
    if skip(at + 1) != len(text):
        raise UserError(f"{path.name}: text follows the end of the array; give one array of objects")


def _column(path: Path, name: str, values: list[Any]) -> Any:
    """Return a column as Arrow has it.

    Values that nest, or mix kinds, are kept as text: as JSON, but for texts themselves.
    """
    import pyarrow as pa

    try:
        if not any(isinstance(value, dict) or _nests(value) for value in values):
            flat = any(isinstance(value, str | list) for value in values)
            plain = [None if flat and value != value else value for value in values] if flat else values  # noqa: PLR0124
            return pa.chunked_array([pa.array(plain)])
    except UnicodeEncodeError:
        pass
    except (pa.ArrowException, OverflowError):
        pass
    texts = []
    for row, value in enumerate(values):
        # NaN is the one value that differs from itself.
        text = None if value is None or value != value else value  # noqa: PLR0124
        if text is not None and not isinstance(text, str):
            try:
                text = json.dumps(text, ensure_ascii=False)
            except (RecursionError, ValueError):
                raise UserError(
                    f"{path.name}: row {row + 1}, column {shown(name)} nests too deep; mend it"
                ) from None
        try:
            (text or "").encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{path.name}: row {row + 1}, column {shown(name)}: half a character (a lone surrogate such as"
                " \\ud800); mend the text"
            ) from None
        texts.append(text)
    return pa.chunked_array([pa.array(texts, type=pa.string())])


def _nests(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(inner, list | dict) for inner in value)
