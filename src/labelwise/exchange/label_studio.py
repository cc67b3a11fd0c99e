"""Label Studio's JSON: tasks with annotations and predictions of choices.

A task is labelled where it has an annotation that was not cancelled. Where several annotators differ on a label, it is
unknown; an annotation marked as ground truth counts alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise.data import TableOptions
from labelwise.errors import UserError, shown
from labelwise.exchange.fields import content_key, field_of, id_number, score_of, text_of, texts_of, the_one
from labelwise.exchange.format import Format, Written, left_out, refuse_bytes, write_array
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, agreed, note_on_differences, to_items
from labelwise.exchange.silence import FIELD, Beside, Silence, count_open
from labelwise.exchange.source import Source

TITLE = "Label Studio JSON"
CONTROL = "labels"
"""The name of the control that holds the choices in files that are written here."""
_TO = {"image": "image", "text": "text", "features": "text"}


def recognises(source: Source) -> bool:
    """Return whether a file holds tasks with their data."""
    if source.ending not in (".json", ".jsonl"):
        return False
    first = source.first()
    return (
        isinstance(first, dict)
        and isinstance(first.get("data"), dict)
        and ("annotations" in first or "predictions" in first)
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read tasks: their choices, and the scores of their last prediction."""
    tasks = source.records()
    control = _control(source, tasks, options.labels_column)
    kind, key = content_key(source.name, [task.get("data") for task in tasks], options)
    entries, labels, others = [], [], Counter[str]()
    for number, task in enumerate(tasks, 1):
        place = f"{source.name}: task {number}"
        data = field_of(task, "data", dict, place)
        record = _meta(task).get(FIELD)
        silence = None if record is None else Silence.from_dict(record, place)
        if record is not None:
            labels += texts_of(record.get("labels", []), f"{place}: {FIELD}.labels")
        answers = [_choices(one.get("result"), control, place, others) for one in _annotations(task, place)]
        relevant, unknown = agreed(answers)
        entries.append(
            Entry(
                item=_item(task, data, options, number, place),
                relevant=relevant,
                unknown=unknown,
                annotated=bool(answers),
                content=None if key is None or data.get(key) is None else str(data[key]),
                scores=_scores(task, control, place),
                silence=silence,
            )
        )
    notes = note_on_differences(entries)
    if others:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in others.items())
        notes.append(f"left out, since they are no choices: results of {kinds}")
    return to_items(
        source.name,
        TITLE,
        entries,
        kind=kind,
        labels=labels,
        beside=Beside(),
        unlisted=options.unlisted,
        notes=notes,
    )


def _meta(task: Mapping[str, Any]) -> Mapping[str, Any]:
    meta = task.get("meta")
    return meta if isinstance(meta, dict) else {}


def _item(
    task: Mapping[str, Any], data: Mapping[str, Any], options: TableOptions, number: int, place: str
) -> str:
    if options.item_column is not None:
        return text_of(data.get(options.item_column), f"{place}: data.{options.item_column}")
    return text_of(task.get("id", number), f"{place}: its id")


def _annotations(task: Mapping[str, Any], place: str) -> list[Mapping[str, Any]]:
    """Return the annotations that count."""
    given = task.get("annotations") or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise UserError(f"{place}: 'annotations' is {shown(given)}, not a list of objects")
    counted = [one for one in given if not one.get("was_cancelled") and not one.get("skipped")]
    truth = [one for one in counted if one.get("ground_truth")]
    return truth or counted


def _results(results: Any, place: str) -> Iterator[Mapping[str, Any]]:
    if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
        raise UserError(f"{place}: 'result' is {shown(results)}, not a list of objects")
    yield from results


def _choices(results: Any, control: str | None, place: str, others: Counter[str]) -> list[str]:
    names: list[str] = []
    for one in _results(results if results is not None else [], place):
        if one.get("type") != "choices":
            others[str(one.get("type"))[:40]] += 1
        elif one.get("from_name") == control:
            names += texts_of(field_of(one, "value", dict, place).get("choices"), f"{place}: its choices")
    return list(dict.fromkeys(names))


def _scores(task: Mapping[str, Any], control: str | None, place: str) -> dict[str, float]:
    """Return the last prediction's scores by label."""
    scores: dict[str, float] = {}
    given = task.get("predictions") or []
    if not isinstance(given, list) or not given or not isinstance(given[-1], dict):
        return scores
    for one in _results(given[-1].get("result", []), place):
        if one.get("type") != "choices" or one.get("from_name") not in (control, CONTROL):
            continue
        meta = one.get("meta")
        own = meta.get("scores") if isinstance(meta, dict) else None
        if isinstance(own, dict):
            scores |= {text_of(name, place): score_of(value, place) for name, value in own.items()}
        elif one.get("score") is not None:
            names = texts_of(field_of(one, "value", dict, place).get("choices"), f"{place}: its choices")
            scores |= dict.fromkeys(names, score_of(one["score"], place))
    return scores


def _control(source: Source, tasks: Sequence[Mapping[str, Any]], asked: str | None) -> str | None:
    """Return the name of the control that holds the labels."""
    names: Counter[str | None] = Counter()
    for number, task in enumerate(tasks, 1):
        place = f"{source.name}: task {number}"
        for one in _annotations(task, place):
            for result in _results(one.get("result") or [], place):
                if result.get("type") == "choices":
                    name = result.get("from_name")
                    names[name if isinstance(name, str) else None] += 1
    return the_one(source.name, names, asked, "control", "choices of several controls")


def write(path: Path, items: LabelledItems) -> Written:
    """Write tasks, one a line of the array."""
    refuse_bytes(items, TITLE)
    write_array(path, (_task(items, row) for row in range(len(items))))
    return Written(
        second=f"meta.{FIELD} of each task: {count_open(items, (1,))}",
        left_out=left_out(items, "text", "image", "scores"),
    )


def _task(items: LabelledItems, row: int) -> dict[str, Any]:
    item, states = items.items[row], items.matrix[row]
    number = id_number(item)
    record = Silence.of(items, row, item=None if number is not None else item).to_dict()
    if row == 0:
        record["labels"] = list(items.label_names)
    task: dict[str, Any] = {"id": row + 1 if number is None else number, "data": data_of(items, row)}
    names = items.names_in(row, 1)
    known = bool((states >= 0).any())
    task["annotations"] = [{"result": [_result(items, names)] if names else []}] if known else []
    if items.scores is not None:
        task["predictions"] = _prediction(items, row)
    return task | {"meta": {FIELD: record}}


def data_of(items: LabelledItems, row: int) -> dict[str, Any]:
    """Return the data of a task: its text or its picture, or its id alone."""
    content = None if items.contents is None else items.contents[row]
    if items.kind == "image":
        return {"image": items.items[row] if content is None else content}
    return {"item": items.items[row]} if content is None else {"text": content}


def _result(items: LabelledItems, names: Sequence[str]) -> dict[str, Any]:
    return result_of(names, control=CONTROL, to=_TO[items.kind])


def result_of(names: Sequence[str], *, control: str, to: str) -> dict[str, Any]:
    """Return the result that chooses names in a control about ``to``."""
    return {"from_name": control, "to_name": to, "type": "choices", "value": {"choices": list(names)}}


def prediction(
    scores: Mapping[str, float], chosen: Sequence[str], *, control: str, to: str
) -> dict[str, Any]:
    """Return a prediction that ``read`` takes the scores of: they lie in the ``meta`` of its result.

    Its own score is the mean certainty, the larger one of each score and what is left to 1.
    """
    each = {name: round(float(score), 6) for name, score in scores.items()}
    mean = sum(max(float(score), 1 - float(score)) for score in scores.values()) / max(len(scores), 1)
    result = result_of(chosen, control=control, to=to) | {"meta": {"scores": each}}
    return {"score": round(mean, 6), "result": [result]}


def _prediction(items: LabelledItems, row: int) -> list[dict[str, Any]]:
    assert items.scores is not None
    scores = items.scores[row]
    known = np.flatnonzero(~np.isnan(scores))
    if not len(known):
        return []
    names = {items.label_names[column]: float(scores[column]) for column in known}
    chosen = [name for name, score in names.items() if score >= 0.5]
    made = prediction(names, chosen, control=CONTROL, to=_TO[items.kind])
    return [{"model_version": "labelwise", **made}]


FORMAT = Format(
    name="label-studio",
    title=TITLE,
    endings=(".json",),
    says=(1,),
    silence="lists the choices; irrelevant and unknown labels go to meta.labelwise of each task",
    recognises=recognises,
    read=read,
    write=write,
    options=("unlisted", "labels_column", "item_column", "text_column"),
)
