"""Numbers and facts as a reader wants them: formatted, and in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "–"

METRIC_TITLES = {
    "map": "mAP",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "hamming_loss": "Hamming loss",
    "one_error": "one-error",
    "coverage": "coverage",
    "ranking_loss": "ranking loss",
    "label_ranking_ap": "label-ranking AP",
    "micro_auc": "micro-AUC",
    "macro_auc": "macro-AUC",
}
LOWER_IS_BETTER = frozenset({"hamming_loss", "one_error", "coverage", "ranking_loss"})

_SETTINGS = {
    "full": "Every entry is known.",
    "single_positive": "No item shows more than one relevant label, and nothing is known to be irrelevant.",
    "partial_positive": "Some relevant labels are known; nothing is known to be irrelevant.",
    "semi_supervised": "Some items carry all their labels, the others none.",
    "partial": "Some entries are known to be relevant or irrelevant, the others are unknown.",
    "unlabelled": "No entry is known.",
}


def share(value: float | None) -> str:
    """Return a value in [0, 1] with three decimals, or a dash where it is undefined."""
    return MISSING if value is None or math.isnan(value) else f"{value:.3f}"


def bounded(value: float) -> str:
    """Return a score in [0, 1] with three decimals; none reads as if it were certain."""
    return "over 0.999" if value >= 0.9995 else share(value)


def gain(value: float | None) -> str:
    """Return a difference with its sign, a true minus before negative ones."""
    return MISSING if value is None or math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def count(value: int) -> str:
    """Return a whole number with separators of thousands."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Return a share in per cent; one that is not 0 or all never reads as if it were."""
    if 0 < value < 0.001:
        return "under 0.1%"
    if 0.999 < value < 1:
        return "over 99.9%"
    return f"{value:.0%}" if value in (0, 1) else f"{value:.1%}"


def duration(seconds: float | None) -> str:
    """Return a time span as seconds, minutes or hours."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def size(n_bytes: int) -> str:
    """Return an amount of memory in MiB or GiB."""
    mebi = n_bytes / 2**20
    return f"{mebi:.0f} MiB" if mebi < 1000 else f"{mebi / 1024:.1f} GiB"


def setting(value: Any) -> str:
    """Return a setting as it was given: names stay whole, lists are joined."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {setting(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return names_in_words([setting(inner) for inner in value]) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> str:
    """Return a setting's value in words."""
    if value is None:
        return "chosen from the data"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("_", " ")


def setting_in_words(facts: Mapping[str, Any]) -> str:
    """Return what the setting's name means."""
    return _SETTINGS.get(facts["setting"], "")


def counts_in_words(facts: Mapping[str, Any]) -> str:
    """Return how many entries and items are known, from ``Summary.to_dict()``."""
    total = max(facts["n_items"] * facts["n_labels"], 1)
    positives, negatives = sum(facts["positives"]), sum(facts["negatives"])
    unknown = sum(facts["unknown"])
    return (
        f"Of {count(total)} entries ({count(facts['n_items'])} items × {count(facts['n_labels'])} labels), "
        f"{count(positives)} ({percent(positives / total)}) are known to be relevant, "
        f"{count(negatives)} ({percent(negatives / total)}) are known to be irrelevant, and "
        f"{count(unknown)} ({percent(unknown / total)}) are unknown. {_items_in_words(facts)}"
    )


def balance_in_words(facts: Mapping[str, Any]) -> str:
    """Return how many labels an item has, and how far the labels' frequencies lie apart."""
    told = []
    if facts.get("cardinality") is not None:
        told.append(f"Fully known items carry {facts['cardinality']:.2f} relevant labels on average.")
    names, positives = facts["label_names"], list(facts["positives"])
    if len(names) > 1 and max(positives) > min(positives):
        most, least = positives.index(max(positives)), positives.index(min(positives))
        told.append(
            f"Most often known to be relevant is {names[most]} ({count(positives[most])} items), least often "
            f"{names[least]} ({count(positives[least])})."
        )
    return " ".join(told)


def names_in_words(names: Sequence[str], most: int = 12) -> str:
    """Return names joined by commas, and how many more there are."""
    more = f" and {count(len(names) - most)} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def _items_in_words(facts: Mapping[str, Any]) -> str:
    parts = (
        ("rows_fully_known", "all their labels"),
        ("rows_partly_known", "some"),
        ("rows_unknown", "none"),
    )
    there = [(facts[key], text) for key, text in parts if facts[key]]
    if len(there) == 1:
        return f"All {count(there[0][0])} items carry {there[0][1]} of their labels.".replace(
            "all their", "all"
        )
    told = [f"{count(number)} carry {text}" for number, text in there]
    return f"Of the items, {', '.join(told[:-1])} and {told[-1]}."
