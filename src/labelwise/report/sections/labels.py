"""The labels: their setting, and how many entries of each are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from labelwise import plots
from labelwise.annotations import Summary
from labelwise.report import formats
from labelwise.report.section import Section

_SETTINGS = {
    "full": "Every entry is known.",
    "single_positive": "No item shows more than one relevant label, and nothing is known to be irrelevant.",
    "partial_positive": "Some relevant labels are known; nothing is known to be irrelevant.",
    "semi_supervised": "Some items carry all their labels, the others none.",
    "partial": "Some entries are known to be relevant or irrelevant, the others are unknown.",
    "unlabelled": "No entry is known.",
}


def show(summary: Summary | Mapping[str, Any] | None, summary_words: Sequence[str]) -> dict[str, Any] | None:
    """Return the labels' setting and counts.

    Those with the most known positives are drawn.
    """
    if not summary:
        return None
    facts = summary if isinstance(summary, Mapping) else summary.to_dict()
    names, positives = list(facts["label_names"]), np.asarray(facts["positives"])
    most = formats.MOST_BARS
    drawn = np.argsort(-positives, kind="stable")[:most] if len(names) > most else range(len(names))
    columns = [[facts[key][k] for k in drawn] for key in ("label_names", "positives", "negatives", "unknown")]
    gaps = [
        ("No known relevant item", facts["labels_without_positive"]),
        ("Rare (fewer than 10 known relevant items)", facts["rare_labels"]),
        ("No known irrelevant item", facts["labels_without_negative"] if facts["negatives_known"] else ()),
    ]
    return {
        "words": [*summary_words, _SETTINGS.get(facts["setting"], ""), _counts(facts), _balance(facts)],
        "plot": formats.drawings(
            lambda width: plots.label_counts(*columns, width=width),
            "Stacked bars: for each label, how many items are known to be relevant, known to be irrelevant, and "
            "unknown. The numbers are written beside the bars.",
            "labels",
        ),
        "caption": formats.partial_caption("with the most known relevant items", len(names)),
        "gaps": [(title, formats.join_names(labels)) for title, labels in gaps if labels],
        "unclear": list(facts["not_identified"]),
    }


def _counts(facts: Mapping[str, Any]) -> str:
    """Return in words how many entries and items are known."""
    n_items, n_labels = facts["n_items"], facts["n_labels"]
    # A table may have no rows.
    total = max(n_items * n_labels, 1)
    positives, negatives, unknown = (
        f"{formats.count(sum(facts[key]))} ({formats.percent(sum(facts[key]) / total)})"
        for key in ("positives", "negatives", "unknown")
    )
    return (
        f"Of {formats.count(total)} entries ({formats.count(n_items)} items × {formats.count(n_labels)} labels), "
        f"{positives} are known to be relevant, {negatives} are known to be irrelevant, and {unknown} are unknown. "
        f"{_items(facts)}"
    )


def _items(facts: Mapping[str, Any]) -> str:
    parts = [
        (facts[key], text)
        for key, text in (
            ("rows_fully_known", "all their labels"),
            ("rows_partly_known", "some"),
            ("rows_unknown", "none"),
        )
        if facts[key]
    ]
    if len(parts) == 1:
        number, text = parts[0]
        return f"All {formats.count(number)} items carry {text} of their labels.".replace("all their", "all")
    phrases = [f"{formats.count(number)} carry {text}" for number, text in parts]
    return f"Of the items, {', '.join(phrases[:-1])} and {phrases[-1]}."


def _balance(facts: Mapping[str, Any]) -> str:
    """Return in words an item's number of labels and the labels' frequencies."""
    sentences = []
    if facts.get("cardinality") is not None:
        sentences.append(f"Fully known items carry {facts['cardinality']:.2f} relevant labels on average.")
    names, positives = facts["label_names"], list(facts["positives"])
    if len(names) > 1 and max(positives) > min(positives):
        most, least = positives.index(max(positives)), positives.index(min(positives))
        sentences.append(
            f"Most often known to be relevant is {names[most]} ({formats.count(positives[most])} items), least often "
            f"{names[least]} ({formats.count(positives[least])})."
        )
    return " ".join(sentences)


LABELS = Section(
    "labels",
    "Labels",
    ("summary", "summary_words"),
    show,
    gather=lambda subject: {"summary": subject.model.summary_},
)
