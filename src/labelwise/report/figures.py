"""The sections with figures, a comparison of methods and a model's results, as what the template prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from labelwise import plots
from labelwise.metrics import Reliability
from labelwise.report import words
from labelwise.report.content import Column, Comparison, Results
from labelwise.report.drawing import MOST_BARS, drawing, left_out


def comparison_view(comparison: Comparison) -> dict[str, Any]:
    """Return the bars of the drawn columns and the table of all columns."""
    best = {column.key: _best(comparison, column) for column in comparison.columns}
    return {
        "words": list(comparison.words),
        "plots": [_method_plot(comparison, key) for key in comparison.drawn],
        "columns": list(comparison.columns),
        "rows": [
            {
                "title": row.title,
                "role": row.role,
                "cells": [
                    {
                        "value": _cell(column, row.values.get(column.key)),
                        "interval": _interval(row.intervals.get(column.key), column.kind),
                        "best": row.values.get(column.key) is not None
                        and row.values.get(column.key) == best[column.key]
                        and row.role != "ceiling",
                    }
                    for column in comparison.columns
                ],
            }
            for row in comparison.rows
        ],
    }


def _method_plot(comparison: Comparison, key: str) -> list[tuple[str, Markup]]:
    rows = comparison.rows
    values = [math.nan if row.values.get(key) is None else float(row.values[key]) for row in rows]
    places = {row.role: i for i, row in enumerate(rows) if row.role}
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

    return drawing(draw, f"Bars: {title} of each method; the table below has the numbers.", f"methods-{key}")


def _best(comparison: Comparison, column: Column) -> float | None:
    found = [row.values.get(column.key) for row in comparison.rows if row.role != "ceiling"]
    known = [value for value in found if isinstance(value, int | float) and not math.isnan(value)]
    if column.better is None or not known:
        return None
    return max(known) if column.better == "high" else min(known)


def _cell(column: Column, value: Any) -> str:
    if column.kind == "text":
        return words.MISSING if value is None else str(value)
    return {"share": words.share, "gain": words.gain, "seconds": words.duration}[column.kind](value)


def _interval(ends: tuple[float, float] | None, kind: str = "share") -> str:
    if ends is None or any(math.isnan(end) for end in ends):
        return ""
    form = words.gain if kind == "gain" else words.share
    return f"{form(ends[0])} to {form(ends[1])}"


def results_view(results: Results) -> dict[str, Any]:
    """Return the figures, what they leave out, and the per-label table."""
    facts = results.facts()
    table = facts["per_label"]
    names, ap = table["name"], table.get("average_precision")
    left = facts["n_unknown"]
    told = [
        results.judged_on,
        f"{words.count(facts['n_items'])} items were judged; decision rule: {facts['rule'].replace('_', ' ')}.",
        results.rule_source,
        f"{words.count(left)} unknown entries were left out"
        + (
            f", among them {words.count(facts['n_items_left_out'])} items without a known label."
            if facts["n_items_left_out"]
            else "."
        )
        if left
        else "No entry was unknown, so none was left out.",
    ]
    without = facts["labels_without_positive"]
    if without:
        fate = "left out of mAP and macro-F1" if facts["empty_labels"] == "omit" else "counted as 0"
        told.append(
            f"Labels without a relevant item among those judged, {fate}: {words.names_in_words(without)}."
        )
    told += facts.get("notes", ())
    return {
        "words": [" ".join(words.sentence(text) for text in told if text)],
        "figures": [
            {
                "title": title,
                "value": words.share(facts["metrics"][key]),
                "interval": _interval(results.map_interval) if key == "map" else "",
                "lower": key in words.LOWER_IS_BETTER,
            }
            for key, title in words.METRIC_TITLES.items()
            if key in facts["metrics"]
        ],
        "level": f"{results.level:.0%}" if results.low is not None else "",
        "plot": None if ap is None else _ap_plot(names, ap, results),
        "caption": left_out("with the lowest average precision", len(names)),
        "rows": _label_rows(table, results),
        "reliability": [
            _reliability(title, found, i) for i, (title, found) in enumerate(results.reliability)
        ],
        "reliability_words": reliability_words(results),
        "trained": results.known_positives is not None,
    }


def _ap_plot(names: Sequence[str], ap: Sequence[float | None], results: Results) -> list[tuple[str, Markup]]:
    values = [math.nan if value is None else value for value in ap]
    order = list(range(len(values)))
    if len(order) > MOST_BARS:
        order = sorted(order, key=lambda k: (math.isnan(values[k]), values[k]))[:MOST_BARS]
    low, high = (None if end is None else [end[k] for k in order] for end in (results.low, results.high))
    shown, lengths = [names[k] for k in order], [values[k] for k in order]
    return drawing(
        lambda width: plots.label_bars(shown, lengths, low, high, width=width),
        "Bars: average precision of each label; the table below has the numbers.",
        "ap",
    )


def _reliability(title: str, found: Reliability, place: int) -> Markup:
    error = found.expected_calibration_error
    figure = plots.reliability_diagram(
        found.edges, found.counts, found.predicted, found.observed, title=title
    )
    description = (
        f"Reliability diagram, {title.lower()}: observed share of relevant entries against predicted probability, in "
        f"{len(found.counts)} bins; expected calibration error {error:.3f}."
    )
    return Markup(plots.as_svg(figure, description, name=f"reliability-{place}"))


def reliability_words(results: Results) -> str:
    """Return what the diagrams show, with each one's expected calibration error."""
    if not results.reliability:
        return ""
    errors = ", ".join(
        f"{title[:1].lower() + title[1:]} {found.expected_calibration_error:.3f}"
        for title, found in results.reliability
    )
    told = (
        "Known entries of all labels by predicted probability, ten bins: on the dashed line, as many are relevant as "
        f"was predicted. Expected calibration error: {errors}."
    )
    crossed = " Calibration was judged on rows that it was not fitted to, five parts taking turns."
    return told + (crossed if len(results.reliability) > 1 else "")


def _label_rows(table: Mapping[str, Any], results: Results) -> list[list[dict[str, Any]]]:
    """Return the cells of each label's row; ``sort`` is what a column is sorted by."""
    rows = []
    for k, name in enumerate(table["name"]):
        judged = table["positives"][k] + table["negatives"][k]
        ap, f1 = (table.get(key, [None] * (k + 1))[k] for key in ("average_precision", "f1"))
        predicted = table["predicted"][k] / judged if table.get("predicted") is not None and judged else None
        threshold = None if results.thresholds is None else results.thresholds[k]
        ends = None if results.low is None or results.high is None else (results.low[k], results.high[k])
        never = threshold is not None and math.isinf(threshold)
        cells = [_number(table["positives"][k], words.count(table["positives"][k]))]
        if results.known_positives is not None:
            cells.insert(0, _number(results.known_positives[k], words.count(results.known_positives[k])))
        cells += [
            {**_number(ap, words.share(ap)), "interval": _interval(ends)},
            _number(f1, words.share(f1)),
            _number(threshold, "never" if never else words.share(threshold)),
            _number(predicted, words.MISSING if predicted is None else words.percent(predicted)),
        ]
        rows.append([{"text": name, "sort": name}, *cells])
    return rows


def _number(value: float | None, text: str) -> dict[str, Any]:
    return {
        "text": text,
        "interval": "",
        "sort": -1 if value is None or math.isnan(value) else min(value, 1e300),
    }
