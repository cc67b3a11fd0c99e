"""Texts and pictures of Parquet files, read in fragments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from labelwise.data.images.paths import resolve_inside
from labelwise.data.tables import looks
from labelwise.data.tables.columns import Columns
from labelwise.data.tables.parts import Part, parts_of, rebatched
from labelwise.data.tables.stream import Fragment, fragments_of
from labelwise.errors import UserError, near, shown

CONTENT_ROWS = 4096
"""Most rows of a fragment of texts or pictures."""

_FLAG = "--images"


@dataclass(frozen=True, eq=False)
class ContentStream:
    """A column of texts or pictures, read fragment by fragment.

    Attributes:
        parts: What is read, in the order of their names.
        source: The folder, file or kind of dataset, for messages.
        column: The column.
        kind: "text" or "image".
        folder: That of the pictures' files, which a column may name.
        rows: Most rows of a fragment.
        only: The fragments that are read, by their numbers; None: all.
    """

    parts: tuple[Part, ...]
    source: str
    column: str
    kind: str
    folder: Path
    rows: int = CONTENT_ROWS
    only: range | None = None

    @classmethod
    def open(cls, source: str | Path, column: str, kind: str, folder: str | Path | None = None) -> Self:
        """Look at a folder of Parquet files, or one such file.

        Raises:
            UserError: For a source without rows or without the column.
        """
        parts, name = parts_of(source)
        for part in parts:
            if column not in part.columns:
                raise UserError(f"{part.name} has no column {shown(column)}; {near(column, part.columns)}")
        path = Path(source)
        beside = path if path.is_dir() else path.parent
        return cls(parts, name, column, kind, Path(folder or beside).absolute(), CONTENT_ROWS)

    def fragments(self) -> list[Fragment]:
        """Return the fragments, in their order."""
        found = fragments_of(self.parts, self.rows)
        return found if self.only is None else [found[number] for number in self.only]

    def part(self, fragments: range) -> Self:
        """Return a stream of some of the fragments, for a worker."""
        return replace(self, only=fragments)

    def items(self) -> Iterator[tuple[Fragment, Any, list[Any], list[str]]]:
        """Yield each fragment, its Arrow table, and its items' texts, paths or bytes, and their names in messages.

        Raises:
            UserError: For an empty cell, and for a path out of the folder.
        """
        for fragment in self.fragments():
            tables = rebatched(fragment.part, list(fragment.part.columns), fragment.rows, fragment.start)
            table = next(tables)
            columns = Columns(
                Path(fragment.part.name),
                dict(zip(table.column_names, table.columns, strict=True)),
                table.num_rows,
            )
            names = [f"{fragment.part.name}:{fragment.start + row + 1}" for row in range(fragment.rows)]
            contents = self._contents(columns)
            if empty := [row for row, value in enumerate(contents) if not value]:
                more = f" ({len(empty) - 1} more rows)" if len(empty) > 1 else ""
                raise UserError(
                    f"{names[empty[0]]}, column {shown(self.column)}: empty{more}; drop such rows before"
                )
            yield fragment, table, contents, names

    def _contents(self, columns: Columns) -> list[Any]:
        if self.kind == "text":
            return list(columns.strings(self.column))
        if looks.holds_pictures(columns, self.column):
            cells = columns.data[self.column].to_pylist()
            return [cell["bytes"] if isinstance(cell, dict) else cell for cell in cells]
        names = [str(value or "") for value in columns.strings(self.column)]
        where = partial(_where, columns, self.column)
        return [
            path if name else None
            for name, path in zip(names, resolve_inside(names, self.folder, where, _FLAG), strict=True)
        ]


def _where(columns: Columns, name: str, row: int) -> str:
    return columns.where(row, name)
