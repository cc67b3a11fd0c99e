"""Missing labels: the unknown entries that are most likely relevant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.report import formats
from labelwise.report.section import Section, Subject


@dataclass(frozen=True, eq=False)
class MissingExample:
    """An item that seems to miss a label."""

    name: str
    label: str
    score: float
    """In [0, 1]."""
    known: Sequence[str] = ()
    """Labels known to be relevant."""
    picture: str | NDArray[np.uint8] | NDArray[np.float32] | None = None
    """A ``data:`` URI, or (H, W) grey or (H, W, 3) colour."""
    text: str | None = None


@dataclass(frozen=True, eq=False)
class Missing:
    """The unknown entries that are most likely relevant."""

    examples: Sequence[MissingExample]
    names: Sequence[str]
    predicted: Sequence[int]
    """(K,) unknown entries of each label that the decision rule predicts."""
    unknown: Sequence[int]
    """(K,) unknown entries of each label."""
    words: Sequence[str] = ()


def gather(subject: Subject) -> dict[str, Any]:
    """Return the most probable missing labels with their items' pictures or texts."""
    if subject.survey is None or subject.survey.missing is None:
        return {}
    entries = subject.survey.missing
    calibrated = subject.model.calibration_ is not None
    meaning = "calibrated probability" if calibrated else "score (which is no probability)"
    total, claimed = int(entries.unknown.sum()), int(entries.predicted.sum())
    words = (
        f"Of the {formats.count(total)} unknown entries of the training items, the model takes "
        f"{formats.count(claimed)} ({formats.percent(claimed / total)}) for relevant by its decision rule.",
        f"Below are entries of the highest {meaning}: one an item, and few of each label. Nobody has confirmed "
        "them, and the model was trained on these very items.",
    )
    columns = (entries.rows.tolist(), entries.labels.tolist(), entries.scores.tolist())
    examples = [_example(subject, *entry) for entry in zip(*columns, strict=True)]
    names = subject.model.label_names_
    return {"missing": Missing(examples, names, entries.predicted.tolist(), entries.unknown.tolist(), words)}


def _example(subject: Subject, row: int, label: int, score: float) -> MissingExample:
    names, kind = subject.model.label_names_, subject.kind
    content = None if subject.contents is None else subject.contents[row]
    picture: Any = None
    if kind == "image" and content is not None:
        picture = content if isinstance(content, np.ndarray) else formats.thumbnail(content)
    return MissingExample(
        f"Item {row + 1}" if subject.items is None else str(subject.items[row]),
        names[label],
        score,
        tuple(names[k] for k in np.flatnonzero(subject.annotations[row] == 1).tolist()),
        picture,
        str(content) if kind == "text" and content is not None else None,
    )


def show(missing: Missing | None) -> dict[str, Any] | None:
    """Return items that seem to miss a label, and counts per label."""
    if missing is None:
        return None
    order = sorted(range(len(missing.names)), key=lambda k: (-missing.predicted[k], k))
    if len(order) > formats.MOST_ROWS:
        order = order[: formats.MOST_BARS]
    return {
        "words": list(missing.words),
        "partial": formats.partial_caption("with the most that are predicted", len(missing.names))
        if len(order) < len(missing.names)
        else "",
        "examples": [_card(example) for example in missing.examples],
        "rows": [
            (
                missing.names[k],
                formats.count(missing.unknown[k]),
                formats.count(missing.predicted[k]),
                formats.percent(missing.predicted[k] / missing.unknown[k]),
            )
            for k in order
            if missing.unknown[k]
        ],
    }


def _card(example: MissingExample) -> dict[str, Any]:
    known = ", ".join(example.known) or "nothing"
    alt = f"{example.name}; known: {known}; probably also {example.label}"
    return formats.item_card(example.name, alt, example.picture, example.text) | {
        "label": example.label,
        # No score reads as if it were certain.
        "score": "over 0.999" if example.score >= 0.9995 else formats.share(example.score),
        "known": list(example.known),
    }


MISSING = Section("missing", "Missing labels", ("missing",), show, gather)
