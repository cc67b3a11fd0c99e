"""What a stream of rows is read from: files of Parquet, or the fragments of an Arrow dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from labelwise.errors import UserError, listed, near, shown

_BUFFER = 1 << 20
_MOST_BYTES = 1 << 32  # of a decoded fragment


@dataclass(frozen=True)
class Part:
    """A file of a stream, or a fragment of a dataset.

    Attributes:
        name: By which messages and outputs call it.
        rows: How many it holds.
        columns: The names of its columns.
        batches: Yields its record batches, of some columns, with at most so many rows, from a row on.
        digest: Of its size and its footer.
    """

    name: str
    rows: int
    columns: tuple[str, ...]
    batches: Callable[[Sequence[str], int, int], Iterator[Any]]
    digest: str


def is_dataset(source: Any) -> bool:
    """Return whether ``source`` is an Arrow dataset, without importing Arrow."""
    return callable(getattr(source, "get_fragments", None)) and hasattr(source, "schema")


def parquet_files(folder: Path) -> list[Path]:
    """Return the Parquet files in a folder and those below it, by path; hidden ones are left out."""
    found = [
        path
        for path in folder.rglob("*.parquet")
        if path.is_file() and not any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def parts_of(source: Any) -> tuple[tuple[Part, ...], str]:
    """Return the parts of a folder, file or dataset, and its name.

    Raises:
        UserError: Where there is none, or one that cannot be read.
    """
    if is_dataset(source):
        fragments = sorted(source.get_fragments(), key=lambda one: str(getattr(one, "path", "")))
        parts = [_dataset_part(number, one) for number, one in enumerate(fragments)]
        return tuple(part for part in parts if part.rows), "the dataset"
    path = Path(source)
    if path.is_dir():
        files = parquet_files(path)
        if not files:
            raise UserError(f"{path}: there is no Parquet file in the folder; give one of .parquet files")
        parts = [_file_part(file, file.relative_to(path).as_posix()) for file in files]
    elif path.is_file():
        parts = [_file_part(path, path.name)]
    else:
        raise UserError(f"{path}: there is no such folder or file of Parquet")
    if not any(part.rows for part in parts):
        raise UserError(f"{path}: its files hold no rows; give at least one item")
    return tuple(part for part in parts if part.rows), path.name


def _file_part(path: Path, name: str) -> Part:
    from pyarrow import parquet

    try:
        footer = parquet.read_metadata(path)
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # It holds the sizes of all pages and, where they were written, the extremes of all columns.
            file.seek(max(0, size - footer.serialized_size - 8))
            end = file.read()
    except Exception as error:  # Arrow's own errors, of many kinds
        raise UserError(f"{name} is not a Parquet file that can be read: {shown(str(error), 200)}") from None
    digest = hashlib.sha256(f"{size} ".encode() + end).hexdigest()
    columns = tuple(footer.schema.to_arrow_schema().names)
    return Part(name, footer.num_rows, columns, partial(_file_batches, path.absolute()), digest)


def _file_batches(path: Path, names: Sequence[str], rows: int, first: int) -> Iterator[Any]:
    from pyarrow import parquet

    # Buffered, so that a row group of a million rows is not held whole.
    with parquet.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
        sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        starts = list(accumulate(sizes, initial=0))
        groups = [number for number, stop in enumerate(starts[1:]) if stop > first]
        batches = file.iter_batches(
            batch_size=rows, row_groups=groups, columns=list(names), use_threads=False
        )
        yield from _from_row(batches, first - starts[groups[0]] if groups else 0)


def _from_row(batches: Iterator[Any], first: int) -> Iterator[Any]:
    """Yield what batches hold from a row on."""
    for batch in batches:
        if first < batch.num_rows:
            yield batch.slice(first) if first else batch
        first = max(0, first - batch.num_rows)


def _dataset_part(number: int, fragment: Any) -> Part:
    name = Path(str(getattr(fragment, "path", "") or f"fragment-{number}")).name
    rows = int(fragment.count_rows())

    # Two fragments may lie in folders of their own, under one name.
    columns = tuple(fragment.physical_schema.names)
    return Part(f"{number}/{name}", rows, columns, partial(_dataset_batches, fragment), str(rows))


def _dataset_batches(fragment: Any, names: Sequence[str], rows: int, first: int) -> Iterator[Any]:
    batches = fragment.to_batches(
        columns=list(names), batch_size=rows, batch_readahead=1, fragment_readahead=1, use_threads=False
    )
    yield from _from_row(batches, first)


def rebatched(part: Part, names: list[str], rows: int, first: int = 0) -> Iterator[Any]:
    """Yield tables of exactly ``rows`` rows, but for the last, from the row ``first`` on."""
    import pyarrow as pa

    if missing := [name for name in names if name not in part.columns]:
        raise UserError(
            f"{part.name} has no column {listed(map(repr, missing))}; {near(missing[0], part.columns)}"
        )
    waiting: list[Any] = []
    count = 0
    try:
        for batch in part.batches(names, rows, first):
            # Offsets that a damaged file got wrong would be read past their end later.
            batch.validate(full=True)
            if batch.nbytes > _MOST_BYTES:
                raise UserError(
                    f"{part.name}: {batch.num_rows:,} of its rows take {batch.nbytes:,} bytes; split them"
                )
            waiting.append(batch)
            count += batch.num_rows
            while count >= rows:
                table = pa.Table.from_batches(waiting)
                yield table.slice(0, rows)
                waiting, count = table.slice(rows).to_batches(), count - rows
        if count:
            yield pa.Table.from_batches(waiting)
    except (UserError, GeneratorExit):
        raise
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UserError(f"{part.name} cannot be read: {shown(str(error), 200)}") from None
