"""Skipped items: those that could not be read, with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labelwise.report.section import Section


@dataclass(frozen=True)
class Skipped:
    """An item that could not be used; ``row`` counts from 0."""

    row: int
    item: str
    reason: str


def show(skipped: Sequence[Skipped]) -> dict[str, Any] | None:
    """Return the items, whose rows a reader counts from 1."""
    return {"skipped": [(bad.item, f"{bad.row + 1:,}", bad.reason) for bad in skipped]} if skipped else None


SKIPPED = Section(
    "skipped",
    "Skipped items",
    ("skipped",),
    show,
    gather=lambda subject: {
        "skipped": tuple(Skipped(int(bad.row), str(bad.item), str(bad.reason)) for bad in subject.skipped)
    },
)
