"""The sections on labels, examples and training, as what the template prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise import plots
from labelwise.annotations import Summary
from labelwise.report import words
from labelwise.report.content import Example, Training
from labelwise.report.drawing import MOST_BARS, drawing, left_out
from labelwise.report.pictures import shortened


def labels_view(summary: Summary | Mapping[str, Any], told: Sequence[str]) -> dict[str, Any]:
    """Return what is known of the labels."""
    facts = summary if isinstance(summary, Mapping) else summary.to_dict()
    names, positives = list(facts["label_names"]), np.asarray(facts["positives"])
    shown = np.argsort(-positives, kind="stable")[:MOST_BARS] if len(names) > MOST_BARS else range(len(names))
    columns = [[facts[key][k] for k in shown] for key in ("positives", "negatives", "unknown")]
    shown_names = [names[k] for k in shown]
    gaps = [
        ("No known relevant item", facts["labels_without_positive"]),
        ("Rare (fewer than 10 known relevant items)", facts["rare_labels"]),
        ("No known irrelevant item", facts["labels_without_negative"] if facts["negatives_known"] else ()),
    ]
    return {
        "setting": facts["setting"].replace("_", " "),
        "words": [
            *told,
            words.setting_in_words(facts),
            words.counts_in_words(facts),
            words.balance_in_words(facts),
        ],
        "plot": drawing(
            lambda width: plots.label_counts(shown_names, *columns, width=width),
            "Stacked bars: for each label, how many items are known to be relevant, known to be irrelevant, and "
            "unknown. The numbers are written beside the bars.",
            "labels",
        ),
        "caption": left_out("with the most known relevant items", len(names)),
        "gaps": [(title, words.names_in_words(found)) for title, found in gaps if found],
        "unclear": list(facts["not_identified"]),
    }


def example_view(example: Example, place: int) -> dict[str, Any]:
    """Return an item with the labels that were known and hidden, and each method's predictions sorted by them."""
    name = example.name or f"Item {place + 1}"
    hidden, true = list(example.hidden), {*example.known, *example.hidden}
    picture = example.picture
    carried = ", ".join([*example.known, *hidden]) or "none"
    return {
        "name": name,
        "picture": None if picture is None else plots.picture_data_uri(picture),
        "small": picture is not None and max(picture.shape[:2]) <= 64,
        "alt": f"{name}; relevant labels: {carried}",
        "text": None if example.text is None else shortened(example.text),
        "known": list(example.known),
        "hidden": hidden,
        "methods": [
            {
                "title": title,
                "found": [label for label in hidden if label in set(predicted)],
                "missed": [label for label in hidden if label not in set(predicted)],
                "wrong": [label for label in predicted if label not in true],
            }
            for title, predicted in example.predicted.items()
        ],
    }


def training_view(training: Training) -> dict[str, Any]:
    """Return how the model was trained."""
    facts = [
        ("Method", f"{training.title} ({training.method})" if training.title else training.method),
        ("Source", training.paper),
        ("Assumes that", training.assumption),
        ("Time", "" if training.seconds is None else words.duration(training.seconds)),
        ("Memory", "" if training.memory is None else f"{words.size(training.memory)} at most"),
        *((name.capitalize(), words.plain(value)) for name, value in training.settings.items()),
        ("Versions", ", ".join(f"{name} {number}" for name, number in training.versions.items())),
    ]
    return {
        "facts": [(title, text) for title, text in facts if text],
        "hyperparameters": [
            (name, words.plain(value), training.help.get(name, ""))
            for name, value in training.hyperparameters.items()
        ],
        "configuration": [(name, words.setting(value)) for name, value in training.configuration.items()],
        "notes": [words.sentence(note) for note in training.notes],
    }


def curves_view(history: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return the loss and, where there are some, validation score and VDFD over the epochs."""
    drawn = []
    for key, label in (
        ("loss", "training loss"),
        ("validation", "validation score"),
        ("vdfd", "VDFD, degrees²"),
    ):
        stages = _stages(history, key)
        values = [value for part in stages.values() for value in part]
        if not values or all(math.isnan(value) for value in values):
            continue
        mark = int(np.nanargmax(values)) + 1 if key == "validation" else None
        balanced = _stages(history, "vdfd_balanced") if key == "vdfd" else {}
        beside = balanced if any(not math.isnan(v) for part in balanced.values() for v in part) else None
        figure = plots.learning_curve(
            stages, label=label, mark=mark, beside=beside, titles=("as they are", "after balancing")
        )
        first, last = (f"{v:.4g}" for v in (values[0], values[-1]))
        description = f"Curve: {label} over {len(values)} epochs, from {first} to {last}."
        if beside is not None:
            description += f" After balancing it ends at {list(beside.values())[-1][-1]:.4g}."
        drawn.append(Markup(plots.as_svg(figure, description, name=f"curve-{key}")))
    return drawn


def _stages(history: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[float]]:
    """Return a value's course in each stage, NaN where there is none; squared radians become squared degrees."""
    factor = math.degrees(1) ** 2 if key.startswith("vdfd") else 1.0
    stages: dict[str, list[float]] = {}
    for record in history:
        value = record.get(key)
        found = math.nan if value is None else factor * float(value)
        stages.setdefault(str(record.get("stage", "")), []).append(found)
    return stages
