"""Reading Parquet within bounds: of what its metadata promises, and of what it decodes to."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from labelwise.data.tables.cells import Columns
from labelwise.data.tables.footer import Footer, read_footer
from labelwise.data.tables.lines import check_names, check_rows, most_bytes
from labelwise.errors import UserError, shown

_BATCH = 1 << 16
_MOST_MEASURED = 1 << 28
_VIEWS = {"string_view": "large_string", "binary_view": "large_binary"}
"""Forms of text that most of Arrow's functions do not take, and those that they do."""


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
    return Columns(path, data, table.num_rows)


def _holds_times(kind: Any) -> bool:
    import pyarrow as pa

    parts = [kind.field(i).type for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
    parts += [getattr(kind, part) for part in ("value_type", "key_type", "item_type") if hasattr(kind, part)]
    return bool(pa.types.is_temporal(kind)) or any(map(_holds_times, parts))


def _check_times(path: Path, name: str, column: Any) -> None:
    """Refuse dates, times and spans that Python cannot hold, which end any look at their column in foreign errors."""
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
    """Refuse columns of texts that decode to more than ``most`` bytes, holding each value once, not each time."""
    from pyarrow import parquet

    worst: Counter[str] = Counter()
    for chunk in footer.chunks:
        worst[chunk.path] += chunk.most_bytes
    suspects = [name for name, size in worst.items() if size > most]
    # Where values take over beginnings, each may be as long as its chunk, and Arrow makes no dictionary of them.
    shared = {chunk.path: chunk.bytes for chunk in footer.chunks if chunk.shares and chunk.path in suspects}
    room = min(_MOST_MEASURED, most)
    parts: list[tuple[list[str], list[str], int]] = [
        ([name], [], max(1, min(_BATCH, room // size))) for name, size in shared.items()
    ]
    if kept := [name for name in suspects if name not in shared]:
        parts.append((kept, kept, _BATCH))
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
