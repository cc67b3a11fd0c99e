"""What a format is: its names, how it is recognised, read and written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.source import Source


@dataclass(frozen=True)
class Written:
    """What became of the items in a file.

    Attributes:
        second: A sentence on what was written to a second place; empty where the format says it all.
        left_out: What the format has no place for at all, and that is not a label state.
        notes: Other sentences, as on how to read the file again.
    """

    second: str = ""
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """A format of labels.

    Attributes:
        name: The name by which it is asked for.
        title: The name by which its owners call it.
        endings: The endings of its files, with their dots; the first is the usual one.
        says: The label states that it says itself.
        silence: A sentence on what it cannot say, and where that is written.
        recognises: Whether a file is one of it, from its ending and its beginning.
        read: Reads a file, by the options that ``options`` names.
        write: Writes items to a path.
        options: The fields of ``TableOptions`` that reading uses.
        owns_ending: Whether its usual ending alone says that a file to write is of it.
        holds_bytes: Whether it holds pictures within the file.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    says: tuple[int, ...]
    silence: str
    recognises: Callable[[Source], bool]
    read: Callable[[Source, TableOptions], LabelledItems]
    write: Callable[[Path, LabelledItems], Written]
    options: tuple[str, ...] = ("unlisted",)
    owns_ending: bool = False
    holds_bytes: bool = False


def left_out(items: LabelledItems, *holds: str) -> tuple[str, ...]:
    """Return what of some items a format leaves out that holds no more than ``holds``.

    These are of "text", "image" (paths), "bytes" (pictures within), "features", "scores" and "size".
    """
    contents = [content for content in items.contents or () if content is not None]
    differ = any(content != item for content, item in zip(items.contents or (), items.items, strict=False))
    cases = {
        "text": (items.kind == "text" and bool(contents), "the texts"),
        "image": (items.kind == "image" and differ, "the pictures' paths"),
        "features": (items.features is not None, "the features"),
        "scores": (items.scores is not None, "the scores"),
        "size": (items.sizes is not None, "the pictures' sizes"),
    }
    return tuple(words for name, (present, words) in cases.items() if present and name not in holds)


def refuse_bytes(items: LabelledItems, title: str) -> None:
    """Refuse pictures that are bytes, for a format that names files."""
    for item, content in zip(items.items, items.contents or (), strict=False):
        if isinstance(content, bytes):
            raise UserError(
                f"item {shown(item)} is a picture's bytes, which {title} cannot hold; convert to Hugging Face Parquet"
                " (--to huggingface), or write the pictures to files and name them"
            )


def check_pictures(items: LabelledItems, title: str) -> None:
    """Refuse items that are no picture files, in a format that holds nothing else."""
    refuse_bytes(items, title)
    if items.kind != "image":
        kind = items.kind.removesuffix("s")
        raise UserError(f"the items are {kind}s, and {title} holds pictures; convert to another format")


def write_array(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write the objects of a JSON array, of which there is one at least, one a line."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for number, record in enumerate(records):
            file.write("[\n" if number == 0 else ",\n")
            file.write(json.dumps(record, ensure_ascii=False, allow_nan=False))
        file.write("\n]\n")
