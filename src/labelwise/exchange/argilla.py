"""Argilla's records: fields, responses of annotators, suggestions with scores.

Where several responses differ on a label, it is unknown. A suggestion is a score and never a state.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.fields import content_key, field_of, score_of, text_of, texts_of, the_one
from labelwise.exchange.format import Format, Written, left_out, refuse_bytes, write_array
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.label_studio import data_of
from labelwise.exchange.listing import Entry, agreed, note_on_differences, to_items
from labelwise.exchange.silence import FIELD, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "Argilla records"
QUESTION = "labels"
"""The question that holds the labels in files that are written here."""
_USER = "00000000-0000-0000-0000-000000000000"


def recognises(source: Source) -> bool:
    """Return whether a file holds records with fields, responses and suggestions."""
    first = source.first() if source.ending in (".json", ".jsonl", ".ndjson") else None
    return (
        isinstance(first, dict)
        and isinstance(first.get("fields"), dict)
        and ("responses" in first or "suggestions" in first)
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read records: responses are states, suggestions scores."""
    records = source.records()
    question = _question(source, records, options.labels_column)
    kind, key = content_key(source.name, [record.get("fields") for record in records], options)
    entries, labels = [], []
    for number, record in enumerate(records, 1):
        place = f"{source.name}: record {number}"
        fields = field_of(record, "fields", dict, place)
        own = _own(record, place)
        labels += texts_of(own.get("labels", []), f"{place}: {FIELD}.labels")
        answers = [
            texts_of(_value(one, place), f"{place}: a response")
            for one in _responses(record, question, place)
        ]
        relevant, unknown = agreed([list(dict.fromkeys(answer)) for answer in answers])
        entries.append(
            Entry(
                item=text_of(record.get("id", number), f"{place}: its id"),
                relevant=relevant,
                unknown=unknown,
                annotated=bool(answers),
                content=None if key is None or fields.get(key) is None else str(fields[key]),
                scores=_scores(record, question, place),
                silence=Silence.from_dict(own, place) if own else None,
            )
        )
    return to_items(
        source.name,
        TITLE,
        entries,
        kind=kind,
        labels=labels,
        unlisted=options.unlisted,
        notes=note_on_differences(entries),
    )


def _own(record: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the second place, which metadata hold as text, since they take no objects."""
    metadata = record.get("metadata")
    text = metadata.get(FIELD) if isinstance(metadata, dict) else None
    if text is None:
        return {}
    try:
        own = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        own = None
    if not isinstance(own, dict):
        raise UserError(f"{place}: metadata.{FIELD} is {shown(text)}, not an object as JSON; take it out")
    return own


def _responses(record: Mapping[str, Any], question: str, place: str) -> list[Mapping[str, Any]]:
    given = (record.get("responses") or {}).get(question) or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise UserError(f"{place}: its responses are {shown(given)}, not a list of objects")
    return [one for one in given if one.get("status", "submitted") == "submitted"]


def _value(given: Mapping[str, Any], place: str) -> Any:
    value = given.get("value")
    if value is None:
        raise UserError(f"{place}: a response or suggestion without a value; take it out")
    return [value] if isinstance(value, str) else value


def _scores(record: Mapping[str, Any], question: str, place: str) -> dict[str, float]:
    given = (record.get("suggestions") or {}).get(question)
    if not isinstance(given, dict) or given.get("score") is None:
        return {}
    names = texts_of(_value(given, place), f"{place}: a suggestion")
    score = given["score"]
    scores = score if isinstance(score, list) else [score] * len(names)
    if len(scores) != len(names):
        raise UserError(
            f"{place}: a suggestion has {len(names)} labels and {len(scores)} scores; give one for each"
        )
    return {name: score_of(one, place) for name, one in zip(names, scores, strict=True)}


def _question(source: Source, records: Sequence[Mapping[str, Any]], asked: str | None) -> str:
    """Return the question that holds the labels."""
    names: Counter[str] = Counter()
    for number, record in enumerate(records, 1):
        for part in ("responses", "suggestions"):
            given = record.get(part) or {}
            if not isinstance(given, dict):
                raise UserError(f"{source.name}: record {number}: {part!r} is {shown(given)}, not an object")
            names.update(given.keys())
    found = the_one(source.name, names, asked, "question", "answers to several questions")
    return QUESTION if found is None else found


def write(path: Path, items: LabelledItems) -> Written:
    """Write records as ``Dataset.records.from_json`` takes them."""
    refuse_bytes(items, TITLE)
    write_array(path, (_record(items, row) for row in range(len(items))))
    return Written(
        second=f"metadata.{FIELD} of each record: {count_open(items, (1,))}",
        left_out=left_out(items, "text", "image", "scores"),
    )


def _record(items: LabelledItems, row: int) -> dict[str, Any]:
    own = Silence.of(items, row).to_dict() | ({"labels": list(items.label_names)} if row == 0 else {})
    known = bool((items.matrix[row] >= 0).any())
    responses = {QUESTION: [{"value": items.names_in(row, 1), "user_id": _USER}]} if known else {}
    return {
        "id": items.items[row],
        "fields": data_of(items, row),
        "metadata": {FIELD: json.dumps(own, ensure_ascii=False)},
        "suggestions": _suggestion(items, row),
        "responses": responses,
        "vectors": {},
    }


def _suggestion(items: LabelledItems, row: int) -> dict[str, Any]:
    """Return every scored label with its score, the highest first."""
    if items.scores is None:
        return {}
    scores = items.scores[row]
    columns = [int(column) for column in np.argsort(-scores, kind="stable") if not np.isnan(scores[column])]
    if not columns:
        return {}
    return {
        QUESTION: {
            "value": [items.label_names[column] for column in columns],
            "score": [round(float(scores[column]), 6) for column in columns],
            "agent": "labelwise",
        }
    }


FORMAT = Format(
    name="argilla",
    title=TITLE,
    endings=(".json", ".jsonl"),
    says=(1,),
    silence="responses list labels; irrelevant and unknown ones go to metadata.labelwise of each record",
    recognises=recognises,
    read=read,
    write=write,
    options=("unlisted", "labels_column", "text_column"),
)
