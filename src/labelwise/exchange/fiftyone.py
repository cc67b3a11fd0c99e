"""FiftyOne: samples with a field of ``Classifications``, as ``Dataset.write_json`` and FiftyOneDataset write them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from labelwise._files import replacing
from labelwise.data import TableOptions
from labelwise.errors import UserError, listed, near, shown
from labelwise.exchange.fields import field_of, score_of, text_of
from labelwise.exchange.format import Format, Written, check_pictures, left_out
from labelwise.exchange.items import LabelledItems
from labelwise.exchange.listing import Entry, to_items
from labelwise.exchange.silence import FIELD, Beside, count_open
from labelwise.exchange.source import Source

TITLE = "FiftyOne samples"
LABELS, SCORES = "ground_truth", "predictions"
"""The fields of states and of scores in files that are written here."""


def recognises(source: Source) -> bool:
    """Return whether a file holds samples with their files' paths."""
    document = source.first() if source.ending == ".json" else None
    samples = document.get("samples") if isinstance(document, dict) else None
    return isinstance(samples, list) and (
        not samples or (isinstance(samples[0], dict) and "filepath" in samples[0])
    )


def read(source: Source, options: TableOptions) -> LabelledItems:
    """Read the classifications of samples: labels of one field, scores of ``predictions``."""
    document = source.record()
    samples = field_of(document, "samples", list, source.name)
    if not all(isinstance(sample, dict) for sample in samples):
        raise UserError(f"{source.name}: 'samples' holds what is no object; give FiftyOne's own file")
    name = _field(source, samples, options.labels_column)
    info = document.get("info")
    own = info.get(FIELD) if isinstance(info, dict) else None
    beside = Beside() if own is None else Beside.from_dict(own, f"{source.name}: info")
    entries = []
    for number, sample in enumerate(samples, 1):
        place = f"{source.name}: sample {number}"
        path = text_of(sample.get("filepath"), f"{place}: its filepath")
        given = _classifications(sample.get(name), f"{place}: {name!r}")
        entries.append(
            Entry(
                item=path,
                relevant=list(dict.fromkeys(label for label, _ in given or ())),
                annotated=given is not None,
                content=path,
                scores={
                    label: score
                    for label, score in _classifications(sample.get(SCORES), f"{place}: {SCORES!r}") or ()
                    if name != SCORES and score is not None
                },
                size=_size(sample.get("metadata")),
            )
        )
    return to_items(
        source.name,
        TITLE,
        entries,
        kind="image",
        labels=_classes(document, name),
        beside=beside,
        unlisted=options.unlisted,
    )


def _classes(document: Mapping[str, Any], name: str) -> list[str]:
    """Return the classes that the data set declares for a field."""
    classes = document.get("classes")
    declared = classes.get(name) if isinstance(classes, dict) else None
    declared = declared or document.get("default_classes")
    return [one for one in declared if isinstance(one, str) and one] if isinstance(declared, list) else []


def _classifications(value: Any, place: str) -> list[tuple[str, float | None]] | None:
    """Return labels and confidences, None where the sample has none of the field."""
    if value is None:
        return None
    if isinstance(value, dict) and value.get("_cls") == "Classification":
        value = {"classifications": [value]}
    found = []
    for one in field_of(value, "classifications", list, place):
        if not isinstance(one, dict):
            raise UserError(f"{place}: a classification is {shown(one)}, not an object")
        score = one.get("confidence")
        label = text_of(one.get("label"), f"{place}: a label")
        found.append((label, None if score is None else score_of(score, place)))
    return found


def _size(metadata: Any) -> tuple[int, int]:
    sides = [metadata.get(key) if isinstance(metadata, dict) else None for key in ("width", "height")]
    width, height = (side if isinstance(side, int) and 0 < side < 1 << 31 else 0 for side in sides)
    return (width, height) if width and height else (0, 0)


def _field(source: Source, samples: Sequence[Mapping[str, Any]], asked: str | None) -> str:
    """Return the field that holds the labels."""
    names: Counter[str] = Counter()
    for sample in samples:
        names.update(
            key
            for key, value in sample.items()
            if isinstance(value, dict) and value.get("_cls") in ("Classifications", "Classification")
        )
    if asked is not None:
        if asked not in names:
            raise UserError(f"{source.name}: --labels-column names the field {asked!r}; {near(asked, names)}")
        return asked
    # What a model predicted is no label, unless the user says so.
    if set(names) <= {LABELS, SCORES} and any(LABELS in sample for sample in samples):
        return LABELS
    if set(names) == {SCORES}:
        raise UserError(
            f"{source.name} has classifications in {SCORES!r} alone, which are read as scores; if they are labels, give"
            f" --labels-column {SCORES}"
        )
    if len(names) > 1:
        raise UserError(
            f"{source.name} has several fields of classifications: {listed(map(shown, names))}; name the one of the"
            " labels by --labels-column"
        )
    return next(iter(names), LABELS)


def write(path: Path, items: LabelledItems) -> Written:
    """Write a document of samples; what it cannot say stands in its ``info``."""
    check_pictures(items, TITLE)
    names = [_path(items, row) for row in range(len(items))]
    beside = Beside.of(items)
    # Samples are known by their files here, which may not be the items' ids.
    by_file = {names[row]: beside.items[item] for row, item in enumerate(items.items) if item in beside.items}
    own = Beside(beside.labels, beside.rest, by_file).to_dict()
    with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
        head = {"name": path.stem, "media_type": "image", "num_samples": len(items)}
        head |= {"classes": {LABELS: list(items.label_names)}, "info": {FIELD: own}}
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "samples": [')
        for row in range(len(items)):
            file.write((",\n" if row else "\n") + json.dumps(_sample(items, row), ensure_ascii=False))
        file.write("\n]}\n")
    return Written(
        second=f"info.{FIELD} of the file: {count_open(items, (1,))}",
        left_out=left_out(items, "image", "scores", "size"),
    )


def _path(items: LabelledItems, row: int) -> str:
    content = None if items.contents is None else items.contents[row]
    return items.items[row] if content is None else str(content)


def _sample(items: LabelledItems, row: int) -> dict[str, Any]:
    sample: dict[str, Any] = {"filepath": _path(items, row), "tags": []}
    if items.sizes is not None and items.sizes[row].all():
        width, height = items.sizes[row].tolist()
        sample["metadata"] = {"_cls": "ImageMetadata", "width": width, "height": height}
    chosen = [{"_cls": "Classification", "tags": [], "label": name} for name in items.names_in(row, 1)]
    known = bool((items.matrix[row] >= 0).any())
    sample[LABELS] = {"_cls": "Classifications", "classifications": chosen} if known else None
    if items.scores is not None:
        scores = items.scores[row]
        sample[SCORES] = {
            "_cls": "Classifications",
            "classifications": [
                {
                    "_cls": "Classification",
                    "tags": [],
                    "label": items.label_names[column],
                    "confidence": round(float(scores[column]), 6),
                }
                for column in np.flatnonzero(~np.isnan(scores))
            ],
        }
    return sample


FORMAT = Format(
    name="fiftyone",
    title=TITLE,
    endings=(".json",),
    says=(1,),
    silence="lists classifications; irrelevant and unknown labels go to info.labelwise of the file",
    recognises=recognises,
    read=read,
    write=write,
    options=("unlisted", "labels_column"),
)
