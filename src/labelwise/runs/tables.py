"""Sources of items: a table's file, standard input, or a folder of pictures."""

from __future__ import annotations

import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labelwise.data import Table, list_pictures
from labelwise.errors import UserError

STDIN = "-"
"""The name by which standard input is given in the place of a file."""


@contextmanager
def opened(table: str | Path) -> Iterator[Path]:
    """Yield the path of a table; standard input lies in a file of its own meanwhile, of the format that it has."""
    if str(table) != STDIN:
        yield Path(table)
        return
    data = sys.stdin.buffer.read()
    if not data.strip():
        raise UserError(
            "standard input is empty: send a table, as in 'cat new.csv | labelwise predict RUN - --out ...'"
        )
    with tempfile.TemporaryDirectory(prefix="labelwise-") as folder:
        path = Path(folder) / f"stdin{_ending(data)}"
        path.write_bytes(data)
        yield path


def pictures_of(table: str | Path, kind: str, images: str | None) -> str | None:
    """Return the folder of a table's pictures; the working directory for one that is no file."""
    return "." if images is None and kind == "image" and str(table) == STDIN else images


def read_folder(folder: Path) -> Table:
    """Return the pictures in a folder and those below it as a table without labels; their ids are relative paths."""
    items = list_pictures(folder)
    if not items:
        raise UserError(
            f"{folder} holds no pictures (.jpg, .png, .webp, .gif, .bmp, .tiff): give another folder"
        )
    return Table(
        items=items,
        kind="image",
        features=None,
        feature_names=(),
        labels=None,
        contents=[str(folder.resolve() / item) for item in items],
        path=folder,
    )


def _ending(data: bytes) -> str:
    if data.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            return _ending(zlib.decompressobj(31).decompress(data, 1 << 16)) + ".gz"
    start = data[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if data.startswith(b"PAR1"):
        return ".parquet"
    if start.startswith(b"{"):
        return ".jsonl"
    if start.startswith(b"["):
        return ".json"
    header = start.splitlines()[0] if start else b""
    return ".tsv" if b"\t" in header and b"," not in header and b";" not in header else ".csv"
