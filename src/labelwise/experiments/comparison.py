"""Printed and measured numbers side by side, as Markdown and HTML."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from labelwise.experiments.jobs import Job
from labelwise.experiments.publications import Published, published
from labelwise.experiments.spec import Spec
from labelwise.metrics import RULE_METRICS, TITLES

if TYPE_CHECKING:
    import pandas as pd

NAMES = {
    **TITLES,
    "seconds_per_epoch": "seconds an epoch",
    "gradient_difference": "accumulated gradient difference an item",
}
"""Names of metrics for readers, where the code has other words."""

_OWN_UNIT = ("seconds_per_epoch", "gradient_difference")


@dataclass(frozen=True)
class Compared:
    """A cell's printed and measured number, in the table's unit.

    Attributes:
        dataset: The paper's name of the data set.
        setting: Name of the setting.
        fraction: Share that is labelled or known, or None.
        row: Name of the row, with the values of its sweep.
        metric: Name of the metric.
        rule: Decision rule, "" where none is needed.
        as_printed: Whether the rule is the one behind the printed number.
        protocol: The protocol, and what departs from it.
        printed: Printed number, None where nothing is printed.
        printed_std: Printed standard deviation, if any.
        note: A note on the printed number.
        measured: Mean over seeds, None where nothing is measured.
        std: Standard deviation over seeds, None for one seed.
        seeds: Number of measured seeds.
        state: "measured", "not run", "failed" or "stopped".
        error: Error of a run that failed or was stopped.
    """

    dataset: str
    setting: str
    fraction: float | None
    row: str
    metric: str
    rule: str
    as_printed: bool
    protocol: str
    printed: float | None
    printed_std: float | None
    note: str
    measured: float | None
    std: float | None
    seeds: int
    state: str
    error: str = ""

    @property
    def difference(self) -> float | None:
        """Measured minus printed, None unless both rest on the same rule."""
        if self.printed is None or self.measured is None or not self.as_printed:
            return None
        return self.measured - self.printed


def compare(spec: Spec, jobs: Sequence[Job], results: pd.DataFrame) -> list[Compared]:
    """Return the measured numbers of jobs beside the printed ones.

    They are in the order of the jobs. Metrics that need a decision rule come once by the rule behind the printed
    number and, where a run has a rule of its own, once by that.
    """
    printed = printed_cells(spec)
    cells: dict[tuple[str, str, float | None, str, str], list[Job]] = {}
    for job in jobs:
        place = (job.dataset, job.setting, job.fraction, row_name(job, spec), protocol_of(job))
        cells.setdefault(place, []).append(job)
    by_key = dict(tuple(results.groupby("key"))) if len(results) else {}
    rows = []
    for (dataset, setting, fraction, name, _), group in cells.items():
        first = group[0]
        frames = [by_key[job.key] for job in group if job.key in by_key]
        rule = spec.rows[first.row].rule
        model_rules = {json.loads(frame.facts.iloc[0]).get("rule") for frame in frames} - {None, rule}
        for metric in spec.metrics:
            rules = [rule, *sorted(model_rules if first.protocol != "published" else ())]
            if metric not in RULE_METRICS:
                rules = [""]
            number = printed.get((dataset, first.row, setting, fraction, metric))
            for each in rules:
                rows.append(_compared(spec, first, name, metric, each, each in ("", rule), number, frames))
    return rows


def printed_cells(spec: Spec) -> dict[tuple[str, str, str, float | None, str], Published]:
    """Return the printed numbers by (dataset, row, setting, fraction, metric)."""
    return {(*number.cell, number.metric): number for table in spec.tables for number in published(table)}


def row_name(job: Job, spec: Spec) -> str:
    """Return a row's name with the values of its sweep.

    A row that is named like a hyper-parameter of its sweep is named once.
    """
    values = {name: job.hyperparameters[name] for name in spec.rows[job.row].sweep}
    swept = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    ]
    return ", ".join(swept if job.row in values else [job.row, *swept])


def setting_of(setting: str, fraction: float | None = None) -> str:
    """Return a setting in words, with its share."""
    words = "semi-supervised" if setting == "semi_supervised" else setting.replace("_", " ")
    return words if fraction is None else f"{words} {fraction:.0%}"


def protocol_of(job: Job) -> str:
    """Return a run's protocol and its departures, "search" and "leak_truth"."""
    departures = {"search": "search" in job.options, "leak_truth": job.hyperparameters.get("leak_truth")}
    return ", ".join([job.protocol, *(name for name, departs in departures.items() if departs)])


def _compared(
    spec: Spec,
    job: Job,
    name: str,
    metric: str,
    rule: str,
    as_printed: bool,
    number: Published | None,
    frames: list[pd.DataFrame],
) -> Compared:
    unit = 100.0 if spec.percent and metric not in _OWN_UNIT else 1.0
    values = [
        float(value) * unit
        for frame in frames
        for value in frame[(frame.metric == metric) & (frame.rule == rule)].value
        if np.isfinite(value)
    ]
    statuses = [frame.status.iloc[0] for frame in frames]
    errors = [frame.error.iloc[0] for frame in frames if frame.status.iloc[0] != "done"]
    state = "measured"
    if not values:
        state = "failed" if "failed" in statuses else "stopped" if "capped" in statuses else "not run"
    return Compared(
        job.dataset,
        job.setting,
        job.fraction,
        name,
        metric,
        rule,
        as_printed,
        protocol_of(job),
        None if number is None else number.value,
        None if number is None else number.std,
        "" if number is None else number.note,
        float(np.mean(values)) if values else None,
        float(np.std(values, ddof=1)) if len(values) > 1 else None,
        len(values),
        state,
        errors[0] if errors else "",
    )


_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}"
    "p{max-width:50rem}div{overflow-x:auto}svg{max-width:100%;height:auto}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .7rem;border-bottom:1px solid #8884;text-align:right;white-space:nowrap;"
    "vertical-align:top}.word{text-align:left}small{display:block;opacity:.75}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}"
)


@dataclass(frozen=True)
class _Grid:
    """A table as text.

    Attributes:
        title: The heading.
        words: Heads of the columns of words.
        numbers: Heads of the columns of numbers.
        body: Lines of words, and of (number, small print).
    """

    title: str
    words: list[str]
    numbers: list[str]
    body: list[tuple[list[str], list[tuple[str, str]]]]


def to_markdown(spec: Spec, rows: Sequence[Compared], words: Sequence[str] = ()) -> str:
    """Return the tables as Markdown, one for each metric and data set.

    A cell: printed → measured ± deviation (difference, seeds). ``words`` are sentences to put before them.
    """
    lines = [f"# {spec.title}", "", *_between([*_words(spec, rows), *words]), ""]
    for grid in _grids(spec, rows):
        head = [*grid.words, *grid.numbers]
        lines += [f"## {grid.title}", "", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        for words_, cells in grid.body:
            numbers = [f"{number} ({small})" if small else number for number, small in cells]
            lines.append(f"| {' | '.join([*words_, *numbers])} |")
        lines.append("")
    return "\n".join(lines)


def to_html(spec: Spec, rows: Sequence[Compared], words: Sequence[str] = (), figure: str = "") -> str:
    """Return the tables as one HTML page that needs no other file.

    ``words`` are sentences and ``figure`` an SVG to put before them.
    """
    parts = [
        f"<h1>{escape(spec.title)}</h1>",
        *(f"<p>{escape(word)}</p>" for word in [*_words(spec, rows), *words]),
        figure,
    ]
    for grid in _grids(spec, rows):
        head = _cells("th", grid.words, [(name, "") for name in grid.numbers])
        body = "".join(_cells("td", *line) for line in grid.body)
        parts.append(
            f"<h2>{escape(grid.title)}</h2><div><table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
        )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(spec.title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>{"".join(parts)}</html>\n'
    )


def _cells(tag: str, words: Iterable[str], numbers: Iterable[tuple[str, str]]) -> str:
    parts = [f'<{tag} class="word">{escape(word)}</{tag}>' for word in words]
    for number, small in numbers:
        parts.append(
            f"<{tag}>{escape(number)}" + (f"<small>{escape(small)}</small>" if small else "") + f"</{tag}>"
        )
    return f"<tr>{''.join(parts)}</tr>"


def _words(spec: Spec, rows: Sequence[Compared]) -> list[str]:
    unit = "In percent. " if spec.percent else ""
    words = [
        f"{spec.paper}.",
        f"{unit}A cell: printed → measured ± standard deviation over seeds (difference, seeds). A difference is given "
        "only under the decision rule of the printed number; a metric without a rule needs none.",
    ]
    if spec.note:
        words.append(spec.note)
    if any(row.metric in RULE_METRICS for row in rows):
        words.append(
            "oracle_cardinality reads the number of labels of each test item from the truth: only mAP and one-error, "
            "which need no rule, compare all rows."
        )
    words += _notes(rows)
    return words


def _notes(rows: Iterable[Compared]) -> list[str]:
    notes = {
        ", ".join(
            (row.row, row.dataset, setting_of(row.setting, row.fraction), NAMES.get(row.metric, row.metric))
        )
        + f": {row.note}."
        for row in rows
        if row.note
    }
    errors = Counter(row.error for row in rows if row.error and row.state in ("failed", "stopped"))
    unmeasured = (f"Not measured ({n} number{'s' if n > 1 else ''}): {error}" for error, n in errors.items())
    return [*sorted(notes), *unmeasured]


def _grids(spec: Spec, rows: Sequence[Compared]) -> list[_Grid]:
    """Return a table for each metric, and each data set with fractions."""
    wide = any(row.fraction is not None for row in rows)
    several = len({row.setting for row in rows}) > 1
    grids = []
    for dataset in dict.fromkeys(row.dataset for row in rows) if wide else [None]:
        for metric in spec.metrics:
            cells = [row for row in rows if row.metric == metric and dataset in (None, row.dataset)]
            if not cells:
                continue
            ruled = any(row.rule for row in cells)
            heads = {"row": True, "setting": several, "rule": ruled, "protocol": True}
            columns = list(dict.fromkeys(_column(row, wide) for row in cells))
            by_place = {(_line(row), _column(row, wide)): row for row in cells}
            # The rules and protocols of a row stand below each other.
            order = list(dict.fromkeys(row.row for row in cells))
            body = [
                (
                    [word for word, shown in zip(line, heads.values(), strict=True) if shown],
                    [_cell(by_place.get((line, column)), spec.percent) for column in columns],
                )
                for line in sorted(dict.fromkeys(map(_line, cells)), key=lambda line: order.index(line[0]))
            ]
            title = NAMES.get(metric, metric.replace("_", " "))
            words = [head for head, shown in heads.items() if shown]
            grids.append(_Grid(f"{dataset}: {title}" if dataset else title, words, columns, body))
    return grids


def _line(row: Compared) -> tuple[str, str, str, str]:
    return row.row, setting_of(row.setting), row.rule, row.protocol


def _column(row: Compared, wide: bool) -> str:
    if not wide:
        return row.dataset
    return "all" if row.fraction is None else f"{row.fraction:.0%}"


def _cell(row: Compared | None, percent: bool) -> tuple[str, str]:
    """Return "printed → measured ± deviation", and "difference, seeds" for small print."""
    if row is None:
        return "", ""
    digits = 2 if percent else 4
    printed = ""
    if row.printed is not None and row.as_printed:
        spread = "" if row.printed_std is None else f" ± {row.printed_std:.{digits}f}"
        printed = f"{row.printed:.{digits}f}{spread} → "
    if row.measured is None:
        return printed + row.state, ""
    spread = "" if row.std is None else f" ± {row.std:.{digits}f}"
    small = [] if row.difference is None else [f"{row.difference:+.{digits}f}".replace("-", "−")]
    small.append(f"{row.seeds} seed{'s' if row.seeds > 1 else ''}")
    return f"{printed}{row.measured:.{digits}f}{spread}", ", ".join(small)


def _between(words: Iterable[str]) -> list[str]:
    """Return paragraphs with an empty line between them."""
    return [line for word in words for line in (word, "")][:-1]
