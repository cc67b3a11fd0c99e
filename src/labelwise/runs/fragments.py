"""Folders that fragments are written to, each whole, so that a command goes on where it was killed."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, TypeVar

from labelwise._files import make_folder, read_text
from labelwise.data import ContentStream, TableStream
from labelwise.errors import UserError
from labelwise.runs.directory import write_json

Stream = TypeVar("Stream", TableStream, ContentStream)


def begun(out: Path, wanted: Mapping[str, Any], names: set[str], manifest: str, what: str) -> set[str]:
    """Return the fragments that are in ``out`` already; refuse a folder that holds anything else.

    Args:
        out: The folder; it is made where there is none.
        wanted: All that decides what is written, kept in the file ``manifest`` there.
        names: Those of the fragments' files.
        manifest: The name of that file.
        what: What the fragments are, in words.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file: give a folder for the fragments of these rows")
    make_folder(out)
    there = {entry.name for entry in out.iterdir() if not entry.name.startswith(".")}
    if not there:
        write_json(out / manifest, dict(wanted))
        return set()
    try:
        before = json.loads(read_text(out / manifest))
    except (OSError, ValueError):
        before = None
    if before != dict(wanted):
        kind = (
            "is not empty"
            if before is None
            else f"holds {what} of other rows, of another model or other options"
        )
        raise UserError(f"--out {out} {kind}: give a new folder")
    return there & names


def one_by_one(stream: Stream, done: Container[str] = (), ending: str = ".parquet") -> list[Stream]:
    """Return a stream for each fragment whose file is not done: the tasks of workers."""
    left = [one.number for one in stream.fragments() if f"{one.name}{ending}" not in done]
    return [stream.part(range(number, number + 1)) for number in left]
