"""Reading Parquet within bounds: of what its metadata promises, and of what it decodes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from labelwise.data._cells import Columns
from labelwise.data._lines import check_names, check_rows, most_bytes
from labelwise.errors import UserError, shown

__all__ = ["read_parquet"]

_BATCH = 1 << 16
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12, "BYTE_ARRAY": 4}


def read_parquet(path: Path, max_rows: int | None) -> Columns:
    """Read a Parquet file.

    Before it is decoded its metadata must promise no more rows than ``max_rows`` and no more bytes than
    ``most_bytes``; a column of texts that its dictionary could blow up past that (one long value, a million times)
    is measured first; and what is decoded is counted, batch by batch.

    :raises UserError: for what is no Parquet, or more than that.
    """
    import pyarrow as pa
    from pyarrow import parquet

    most = most_bytes(path.stat().st_size)
    try:
        with parquet.ParquetFile(path) as file:
            check_rows(path, file.metadata.num_rows, max_rows)
            names = list(file.schema_arrow.names)
            check_names(path, names)
            suspects = _promised(path, file.metadata, most)
        if suspects:
            _measure(path, suspects, most)
        with parquet.ParquetFile(path) as file:
            batches, total, rows = [], 0, 0
            for batch in file.iter_batches(batch_size=_BATCH):
                batch.validate(full=True)
                total, rows = total + batch.nbytes, rows + batch.num_rows
                if total > most:
                    raise _too_large(path, most)
                batches.append(batch)
            table = pa.Table.from_batches(batches, schema=file.schema_arrow)
            promised = file.metadata.num_rows
    except UserError:
        raise
    except Exception as error:  # Arrow's own errors, and those of names and numbers that it cannot hand on
        raise UserError(
            f"{path.name} is not a Parquet file that can be read: {shown(str(error), 200)}"
        ) from None
    if table.num_rows != promised:
        raise UserError(f"{path.name} promises {promised:,} rows and holds {table.num_rows:,}; write it anew")
    data = dict(zip(names, table.columns, strict=True))
    for name, column in data.items():
        if pa.types.is_dictionary(column.type):
            data[name] = _decoded(path, name, column, most)
    return Columns(path, data, table.num_rows)


def _too_large(path: Path, most: int) -> UserError:
    return UserError(
        f"{path.name} decodes to more than {most:,} bytes; split it, or leave out columns that are not needed"
    )


def _promised(path: Path, metadata: Any, most: int) -> list[str]:
    """Refuse metadata that promise more than ``most`` bytes; return the columns that a dictionary could blow up."""
    total = 0
    worst: dict[str, int] = {}
    for group in (metadata.row_group(place) for place in range(metadata.num_row_groups)):
        for place in range(group.num_columns):
            column = group.column(place)
            kind = column.physical_type
            width = metadata.schema.column(place).length if kind == "FIXED_LEN_BYTE_ARRAY" else _WIDTHS[kind]
            total += max(
                column.total_uncompressed_size, column.num_values * width // (8 if width == 1 else 1)
            )
            if kind == "BYTE_ARRAY" and {"PLAIN_DICTIONARY", "RLE_DICTIONARY", "DELTA_BYTE_ARRAY"} & set(
                column.encodings
            ):
                name = column.path_in_schema
                worst[name] = worst.get(name, 0) + column.num_values * column.total_uncompressed_size
    if total > most:
        raise _too_large(path, most)
    return [name for name, size in worst.items() if size > most]


def _measure(path: Path, names: list[str], most: int) -> None:
    """Refuse columns of texts that decode to more than ``most`` bytes, reading each value once, not each time."""
    from pyarrow import parquet

    total = 0
    with parquet.ParquetFile(path, read_dictionary=names) as file:
        for batch in file.iter_batches(batch_size=_BATCH, columns=names):
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
            f"{path.name}: column {name!r} holds {str(column.type)[:60]}, which cannot be read"
        ) from None
