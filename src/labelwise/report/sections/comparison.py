"""Methods compared: bars, and a table of all figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from markupsafe import Markup

from labelwise import plots
from labelwise.report import formats
from labelwise.report.section import Section


@dataclass(frozen=True)
class Column:
    """A column of figures in a comparison of methods."""

    key: str
    title: str
    kind: Literal["share", "gain", "seconds", "text"] = "share"
    better: Literal["high", "low"] | None = "high"
    """The end that is bold; None: no value is."""


@dataclass(frozen=True)
class ComparisonRow:
    """A method's figures by column key; None where undefined."""

    title: str
    values: Mapping[str, Any]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    role: Literal["", "reference", "ceiling"] = ""


@dataclass(frozen=True)
class Comparison:
    """Methods side by side.

    ``drawn`` are the keys of the columns that are drawn as bars, ``differences`` those of gains that are drawn as
    points with their intervals.
    """

    rows: Sequence[ComparisonRow]
    columns: Sequence[Column]
    drawn: Sequence[str] = ("map",)
    words: Sequence[str] = ()
    differences: Sequence[str] = ()


_FORMATS: dict[str, Callable[[Any], str]] = {
    "share": formats.share,
    "gain": formats.gain,
    "seconds": formats.duration,
    "text": lambda value: formats.MISSING if value is None else str(value),
}


def show(comparison: Comparison | None) -> dict[str, Any] | None:
    """Return the bars of drawn columns and the table of all columns."""
    if comparison is None:
        return None
    best = {column.key: _best(comparison, column) for column in comparison.columns}
    return {
        "words": list(comparison.words),
        "plots": [
            *(_plot(comparison, key) for key in comparison.drawn),
            *(_differences(comparison, key) for key in comparison.differences),
        ],
        "columns": list(comparison.columns),
        "rows": [
            {
                "title": row.title,
                "role": row.role,
                "cells": [_cell(row, column, best[column.key]) for column in comparison.columns],
            }
            for row in comparison.rows
        ],
    }


def _cell(row: ComparisonRow, column: Column, best: float | None) -> dict[str, Any]:
    value, ends = row.values.get(column.key), row.intervals.get(column.key)
    return {
        "value": _FORMATS[column.kind](value),
        "interval": formats.interval(ends, formats.gain if column.kind == "gain" else formats.share),
        "best": value is not None and value == best and row.role != "ceiling",
    }


def _best(comparison: Comparison, column: Column) -> float | None:
    values = [row.values.get(column.key) for row in comparison.rows if row.role != "ceiling"]
    known = [value for value in values if isinstance(value, int | float) and not math.isnan(value)]
    if column.better is None or not known:
        return None
    return max(known) if column.better == "high" else min(known)


def _plot(comparison: Comparison, key: str) -> list[tuple[str, Markup]]:
    rows = comparison.rows
    values = [math.nan if row.values.get(key) is None else float(row.values[key]) for row in rows]
    places = {row.role: i for i, row in enumerate(rows) if row.role}
    # The ceiling saw every label, so it is never the best; of equal methods the first is.
    running = [(v, -i) for i, v in enumerate(values) if rows[i].role == "" and not math.isnan(v)]
    intervals = [row.intervals.get(key) for row in rows]
    ends = None if None in intervals else [list(end) for end in zip(*intervals, strict=True)]
    title = next((column.title for column in comparison.columns if column.key == key), key)

    def draw(width: float) -> Any:
        return plots.method_bars(
            [row.title for row in rows],
            values,
            *(ends or (None, None)),
            label=title,
            reference=places.get("reference"),
            ceiling=places.get("ceiling"),
            best=-max(running)[1] if running else None,
            width=width,
        )

    description = f"Bars: {title} of each method; the table below has the numbers."
    return formats.drawings(draw, description, f"methods-{key}")


def _differences(comparison: Comparison, key: str) -> list[tuple[str, Markup]]:
    """Return the drawing of a column of differences, of the rows that have one."""
    title = next((column.title for column in comparison.columns if column.key == key), key)
    rows = [row for row in comparison.rows if row.values.get(key) is not None and key in row.intervals]
    values = [float(row.values[key]) for row in rows]
    ends = [row.intervals[key] for row in rows]

    def draw(width: float) -> Any:
        return plots.paired_gains(
            [row.title for row in rows],
            {title: (values, [low for low, _ in ends], [high for _, high in ends])},
            label="difference, with its interval",
            emphasis=[row.title for row in rows if row.role == "reference"],
            width=width,
        )

    description = (
        f"Points with intervals: the difference of each method {title}; the table below has the numbers."
    )
    return formats.drawings(draw, description, f"differences-{key}")


COMPARISON = Section("comparison", "Methods", ("comparison",), show)
