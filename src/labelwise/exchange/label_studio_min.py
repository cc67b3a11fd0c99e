"""Label Studio's JSON-MIN: one flat record an annotation.

A single choice stands as its name, several as ``{"choices": [...]}``, none not at all. Records of one id are the
annotations of one task: a label on which they differ is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from labelwise.data import TableOptions
from labelwise.errors import UserError, listed, near, shown
from labelwise.exchange.fields import content_key, text_of, texts_of
from labelwise.exchange.format import Format, Written, left_out, refuse_bytes, write_array
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.label_studio import data_of
from labelwise.exchange.listing import Entry, agreed, note_on_differences, to_items
from labelwise.exchange.silence import FIELD, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "Label Studio JSON-MIN"
CONTROL = "labels"
"""The name of the control that holds the choices in files that are written here."""
_OWN = frozenset(("id", "annotation_id", "annotator", "created_at", "updated_at", "lead_time", FIELD))


def recognises(source: Source) -> bool:
    """Return whether a file holds flat records of annotations."""
    first = source.first() if source.ending == ".json" else None
    return isinstance(first, dict) and ("annotation_id" in first or "annotator" in first)


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read flat records; those of one id are one item."""
    records = source.records()
    control = _control(source, records, options.labels_column)
    rows = [
        {key: value for key, value in record.items() if key not in (*_OWN, control)} for record in records
    ]
    kind, key = content_key(source.name, rows, options)
    answers: dict[str, list[list[str]]] = {}
    entries: dict[str, Entry] = {}
    labels: list[str] = []
    for number, record in enumerate(records, 1):
        place = f"{source.name}: record {number}"
        item = text_of(record.get(options.item_column or "id", number), f"{place}: its id")
        own = record.get(FIELD)
        if item not in entries:
            content = None if key is None or record.get(key) is None else str(record[key])
            silence = None if own is None else Silence.from_dict(own, place)
            entries[item] = Entry(item, content=content, silence=silence)
            labels += [] if own is None else texts_of(own.get("labels", []), f"{place}: {FIELD}.labels")
        # A record without an annotation is a task that nobody labelled yet.
        if record.get("annotation_id") is not None or control in record:
            answers.setdefault(item, []).append(_names(record.get(control), place))
    for item, entry in entries.items():
        entry.relevant, entry.unknown = agreed(answers.get(item, ()))
        entry.annotated = item in answers
    rows_of_one = list(entries.values())
    return to_items(
        source.name,
        TITLE,
        rows_of_one,
        kind=kind,
        labels=labels,
        unlisted=options.unlisted,
        notes=note_on_differences(rows_of_one),
    )


def _names(value: Any, place: str) -> list[str]:
    """Return the names of a control's value: none, one, or several."""
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        value = value.get("choices")
    elif isinstance(value, str | int):
        value = [value]
    return list(dict.fromkeys(texts_of(value, f"{place}: its choices")))


def _control(source: Source, records: Sequence[Mapping[str, Any]], asked: str | None) -> str:
    """Return the field that holds the labels."""
    fields = Counter(key for record in records for key in record if key not in _OWN)
    if asked is not None:
        if asked not in fields:
            raise UserError(
                f"{source.name}: --labels-column names the field {asked!r}; {near(asked, fields)}"
            )
        return asked
    several = dict.fromkeys(
        key
        for record in records
        for key, value in record.items()
        if isinstance(value, dict) and "choices" in value and key not in _OWN
    )
    if CONTROL in fields and not set(several) - {CONTROL}:
        return CONTROL
    if len(several) == 1:
        return next(iter(several))
    if all(FIELD in record for record in records):
        return CONTROL
    raise UserError(
        f"{source.name}: which field holds the choices is not clear; name it by --labels-column, one of"
        f" {listed(map(shown, several or fields))}"
    )


def write(path: Path, items: LabelledItems) -> Written:
    """Write one record an item."""
    refuse_bytes(items, TITLE)
    if CONTROL in data_of(items, 0):
        raise UserError(f"the field {CONTROL!r} is that of the choices")
    write_array(path, (_record(items, row) for row in range(len(items))))
    return Written(
        second=f"{FIELD} of each record: {count_open(items, (1,))}", left_out=left_out(items, "text", "image")
    )


def _record(items: LabelledItems, row: int) -> dict[str, Any]:
    names = items.names_in(row, 1)
    record: dict[str, Any] = {"id": items.items[row], **data_of(items, row)}
    if bool((items.matrix[row] >= 0).any()):
        record["annotation_id"] = row + 1
    if names:
        record[CONTROL] = names[0] if len(names) == 1 else {"choices": names}
    own = Silence.of(items, row).to_dict()
    return record | {FIELD: own | ({"labels": list(items.label_names)} if row == 0 else {})}


FORMAT = Format(
    name="label-studio-min",
    title=TITLE,
    endings=(".json",),
    says=(1,),
    silence="lists the choices; irrelevant and unknown labels go to the field labelwise of each record",
    recognises=recognises,
    read=read,
    write=write,
    options=("unlisted", "labels_column", "item_column", "text_column"),
)
