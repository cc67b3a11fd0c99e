"""The papers' printed numbers as data, one record a number."""

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
    "L48": "l48",
}
"""Names in ``labelwise.data.datasets`` by the papers' names of the data sets."""


@dataclass(frozen=True)
class Published:
    """One printed number.

    Attributes:
        table: Name of the table.
        dataset: The paper's name of the data set.
        method: The table's row.
        setting: Name of the setting.
        labelled_fraction: In (0, 1], or None.
        metric: Name of the metric.
        value: As printed, in percent or as a fraction by table; None where the source cannot be read.
        std: Printed standard deviation, if any.
        note: A known misprint, or the source of the number.
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
        """Dataset, row, setting and labelled fraction: those of one trained model."""
        return self.dataset, self.method, self.setting, self.labelled_fraction


@cache
def published(table: str | None = None) -> tuple[Published, ...]:
    """Return all printed numbers, or those of one table.

    Raises:
        UserError: For an unknown table.
    """
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
    numbers = tuple(number for number in published() if number.table == table)
    if not numbers:
        raise UserError(f"there is no published table {table!r}: {near(table, tables())}")
    return numbers


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
