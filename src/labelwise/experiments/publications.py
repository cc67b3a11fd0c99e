"""The numbers that the papers print, as data: every table of the sources, one record a number."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from labelwise.errors import UserError, near

DATASETS = {
    "VOC": "voc2012",
    "COCO": "coco2014",
    "NUS": "nuswide",
    "CUB": "cub200",
    "AWA": "awa2",
    "Ohsumed": "ohsumed",
    "AAPD": "aapd",
}
"""The papers' names of the data sets, and those of ``labelwise.data.datasets``."""


@dataclass(frozen=True)
class Published:
    """One printed number.

    ``method`` is the table's row, ``labelled_fraction`` in (0, 1] or None. ``value`` and ``std`` are as printed, in
    percent or as fractions by table; ``value`` is None where the source cannot be read. ``note`` marks what is known
    to be a misprint, or where a number is from.
    """

    table: str
    dataset: str
    method: str
    setting: str
    labelled_fraction: float | None
    metric: str
    value: float | None
    std: float | None
    note: str

    @property
    def cell(self) -> tuple[str, str, str, float | None]:
        """Dataset, row, setting and labelled fraction: what one trained model stands for."""
        return self.dataset, self.method, self.setting, self.labelled_fraction


@cache
def published(table: str | None = None) -> tuple[Published, ...]:
    """Return all printed numbers, or those of one table; ``UserError`` for an unknown table."""
    if table is None:
        folder = files("labelwise.experiments") / "published"
        sources = sorted(
            (path for path in folder.iterdir() if path.name.endswith(".csv")), key=lambda p: p.name
        )
        return tuple(
            _record(row)
            for path in sources
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        )
    found = tuple(number for number in published() if number.table == table)
    if not found:
        raise UserError(f"there is no published table {table!r}: {near(table, tables())}")
    return found


def tables() -> list[str]:
    """Return the names of the published tables."""
    return sorted({number.table for number in published()})


def _record(row: dict[str, str]) -> Published:
    def number(name: str) -> float | None:
        return float(row[name]) if row[name] else None

    return Published(
        row["table"],
        row["dataset"],
        row["method"],
        row["setting"],
        number("labelled_fraction"),
        row["metric"],
        number("value"),
        number("std"),
        row["note"] or "",
    )
