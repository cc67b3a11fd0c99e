"""Example items with known, hidden and predicted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise.report import formats
from labelwise.report.section import Section


@dataclass(frozen=True, eq=False)
class Example:
    """An item with its known, hidden and predicted labels."""

    known: Sequence[str]
    hidden: Sequence[str]
    predicted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Labels predicted, by the title of the method."""
    name: str = ""
    picture: NDArray[np.uint8] | NDArray[np.float32] | None = None
    """(H, W) grey or (H, W, 3) colour."""
    text: str | None = None


def show(examples: Sequence[Example], examples_words: Sequence[str]) -> dict[str, Any] | None:
    """Return a card for each item."""
    if not examples:
        return None
    return {
        "words": list(examples_words),
        "examples": [_card(example, i) for i, example in enumerate(examples)],
    }


def _card(example: Example, place: int) -> dict[str, Any]:
    """Return an item with each method's predictions sorted into right and wrong."""
    name = example.name or f"Item {place + 1}"
    hidden, relevant = list(example.hidden), {*example.known, *example.hidden}
    alt = f"{name}; relevant labels: {', '.join([*example.known, *hidden]) or 'none'}"
    return formats.item_card(name, alt, example.picture, example.text) | {
        "known": list(example.known),
        "hidden": hidden,
        "methods": [
            {
                "title": title,
                "found": [label for label in hidden if label in set(predicted)],
                "missed": [label for label in hidden if label not in set(predicted)],
                "wrong": [label for label in predicted if label not in relevant],
            }
            for title, predicted in example.predicted.items()
        ],
    }


EXAMPLES = Section("examples", "Examples", ("examples", "examples_words"), show)
