"""OpenImages' verified labels: one row an image and label, Confidence 1 or 0.

A Confidence between them is a machine's score, which says nothing of the state.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.data.tables import Columns, read_columns
from labelwise.errors import UserError, listed, shown
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import Beside, Silence, read_beside, write_beside
from labelwise.exchange.source import Source

TITLE = "OpenImages verified labels"
_NEEDED = ("ImageID", "LabelName", "Confidence")
_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence")


def recognises(source: Source) -> bool:
    """Return whether a CSV's header has OpenImages' columns."""
    header = source.head.split("\n", 1)[0].strip().split(",")
    return source.ending == ".csv" and {"ImageID", "LabelName", "Confidence"} <= set(header)


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read verified labels; what has no row is unknown."""
    beside = read_beside(source.path) or Beside()
    columns = _columns(source, options, empty=bool(beside.items))
    images, labels, marks = (columns.data[name].to_pylist() for name in _NEEDED)
    entries: dict[str, Entry] = {}
    states: dict[tuple[str, str], int] = {}
    for row, (image, label, mark) in enumerate(zip(images, labels, marks, strict=True)):
        if not image or not label:
            raise UserError(f"{columns.where(row)}: an image or a label without a name; fill or drop the row")
        entry = entries.setdefault(image, Entry(image, [], []))
        score = _confidence(mark, columns.where(row, "Confidence"))
        if 0 < score < 1:
            entry.scores[label] = score
        elif states.setdefault((image, label), int(score)) != int(score):
            raise UserError(
                f"{columns.where(row)}: {shown(label)} of image {shown(image)} has Confidence 0 and 1; keep one row"
            )
    for (image, label), state in states.items():
        entry = entries[image]
        chosen = entry.relevant if state else entry.irrelevant
        assert isinstance(chosen, list)
        chosen.append(label)
    for item in beside.items:
        entries.setdefault(item, Entry(item))
    return to_items(
        source.name,
        TITLE,
        list(entries.values()),
        kind="image",
        beside=Beside(beside.labels, -1, {}),
        unlisted=options.unlisted,
        rest=-1,
    )


def _columns(source: Source, options: TableOptions, *, empty: bool) -> Columns:
    """Return the file's columns; ``empty``: it may be a header alone, where all is said beside it."""
    if empty and source.head.strip().count("\n") == 0:
        return Columns(source.path, {name: pa.array([], pa.string()) for name in _NEEDED}, 0)
    columns = read_columns(source.path, delimiter=",", max_rows=options.max_rows)
    if missing := [name for name in _NEEDED if name not in columns.data]:
        raise UserError(
            f"{source.name} has no column {listed(map(shown, missing))}; it is no file of {TITLE}"
        )
    return columns


def _confidence(mark: object, place: str) -> float:
    try:
        score = float(str(mark))
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise UserError(f"{place}: {shown(mark)} is no confidence; write 1 (verified), 0 (verified absent)")
    return score


def write(path: Path, items: LabelledItems) -> Written:
    """Write one row for each known entry, and one for each score of an unknown one."""
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(_COLUMNS)
        for row, item in enumerate(items.items):
            for column, state in enumerate(items.matrix[row].tolist()):
                if state >= 0:
                    rows.writerow([item, "verification", items.label_names[column], state])
                elif items.scores is not None and 0 < items.scores[row, column] < 1:
                    score = round(float(items.scores[row, column]), 6)
                    rows.writerow([item, "machine", items.label_names[column], score])
    known = items.matrix >= 0
    bare, unseen = int((~known.any(axis=1)).sum()), int((~known.any(axis=0)).sum())
    if not bare and not unseen:
        write_beside(path, None)
        return Written(left_out=left_out(items, "scores"))
    # Items that no row names are listed; of the labels all are, so that their order is kept.
    silent = [item for row, item in enumerate(items.items) if not known[row].any()]
    place = write_beside(path, Beside(items.label_names, -1, {item: Silence(-1) for item in silent}))
    assert place is not None
    return Written(
        second=f"{place.name}: {bare:,} items and {unseen:,} labels without a known entry",
        left_out=left_out(items, "scores"),
    )


FORMAT = Format(
    name="openimages",
    title=TITLE,
    endings=(".csv",),
    says=(1, 0, -1),
    silence="says all three states; items and labels without a known entry go to FILE.states.csv",
    recognises=recognises,
    read=read,
    write=write,
    options=("max_rows",),
)
