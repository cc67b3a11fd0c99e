"""doccano's JSONL: a text a line, with the list of its labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.fields import text_of, texts_of
from labelwise.exchange.format import Format, Written, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import FIELD, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "doccano JSONL"
_LABELS = ("label", "labels")


def recognises(source: Source) -> bool:
    """Return whether the first line holds a text and a list of labels."""
    first = source.first() if source.ending in (".jsonl", ".ndjson") else None
    return (
        isinstance(first, dict)
        and "text" in first
        and any(isinstance(first.get(key), list) for key in _LABELS)
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read texts and their labels; an empty list is a text whose labels were looked for."""
    key = options.text_column or "text"
    entries, labels = [], []
    for number, record in enumerate(source.records(), 1):
        place = f"{source.name}: line {number}"
        given = next((record[name] for name in _LABELS if record.get(name) is not None), None)
        if isinstance(given, list) and any(isinstance(one, list | dict) for one in given):
            raise UserError(
                f"{place}: its labels are {shown(given)}: spans of a text, not labels of the whole text"
            )
        own = record.get(FIELD)
        if own is not None and isinstance(own, dict):
            labels += texts_of(own.get("labels", []), f"{place}: {FIELD}.labels")
        entries.append(
            Entry(
                item=text_of(record.get(options.item_column or "id", number), f"{place}: its id"),
                relevant=[]
                if given is None
                else list(dict.fromkeys(texts_of(given, f"{place}: its labels"))),
                annotated=given is not None,
                content=text_of(record.get(key), f"{place}: {key!r}"),
                silence=None if own is None else Silence.from_dict(own, place),
            )
        )
    bare = sum(entry.annotated and not entry.relevant and entry.silence is None for entry in entries)
    note = f"{bare:,} texts have an empty list, which doccano writes whether or not anybody looked"
    return to_items(
        source.name,
        TITLE,
        entries,
        kind="text",
        labels=labels,
        unlisted=options.unlisted,
        notes=[note] if bare and options.unlisted == "absent" else [],
    )


def write(path: Path, items: LabelledItems) -> Written:
    """Write one text a line."""
    if items.kind != "text" or items.contents is None:
        raise UserError(f"the items are no texts, and {TITLE} holds texts; convert to another format")
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        for row in range(len(items)):
            file.write(json.dumps(_record(items, row), ensure_ascii=False) + "\n")
    return Written(
        second=f"{FIELD} of each line: {count_open(items, (1,))}", left_out=left_out(items, "text")
    )


def _record(items: LabelledItems, row: int) -> dict[str, Any]:
    assert items.contents is not None
    own = Silence.of(items, row).to_dict() | ({"labels": list(items.label_names)} if row == 0 else {})
    return {"id": items.items[row], "text": items.contents[row], "label": items.names_in(row, 1), FIELD: own}


FORMAT = Format(
    name="doccano",
    title=TITLE,
    endings=(".jsonl",),
    says=(1,),
    silence="lists labels; irrelevant and unknown ones go to the field labelwise of each line",
    recognises=recognises,
    read=read,
    write=write,
    options=("unlisted", "item_column", "text_column"),
)
