"""Published and measured numbers side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
"""What readers call a metric, where it is not the word of the code."""

_OWN_UNIT = ("seconds_per_epoch", "gradient_difference")


@dataclass(frozen=True)
class Compared:
    """One number of a table: as printed (None where nothing is), and as measured over ``seeds`` runs.

    All in the unit that the table prints, percent or fraction. ``rule`` is the decision rule ("" where none is
    needed), and ``as_printed`` tells whether it is the one behind the printed number. ``protocol`` is that of
    ``protocol_of``. ``state``: "measured", "not run", "failed" or "stopped"; ``std`` is over seeds, None for one.
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
        """Measured minus printed; None unless both are there and rest on the same rule."""
        if self.printed is None or self.measured is None or not self.as_printed:
            return None
        return self.measured - self.printed


def compare(spec: Spec, jobs: Sequence[Job], results: pd.DataFrame) -> list[Compared]:
    """Return every number of the experiment's jobs beside the printed one, in the order of the jobs.

    Metrics that need a decision rule come once by the rule behind the printed number and, where a run has a rule of
    its own, once by that.
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
        found = [by_key[job.key] for job in group if job.key in by_key]
        own = {json.loads(frame.facts.iloc[0]).get("rule") for frame in found} - {None}
        rule = spec.rows[first.row].rule
        for metric in spec.metrics:
            rules = [rule, *sorted(own - {rule})] if metric in RULE_METRICS else [""]
            if metric in RULE_METRICS and first.protocol == "published":
                rules = [rule]
            number = printed.get((dataset, first.row, setting, fraction, metric))
            for each in rules:
                rows.append(_compared(spec, first, name, metric, each, each in ("", rule), number, found))
    return rows


def printed_cells(spec: Spec) -> dict[tuple[str, str, str, float | None, str], Published]:
    """Return the printed numbers of the experiment's tables by (dataset, row, setting, fraction, metric)."""
    return {(*number.cell, number.metric): number for table in spec.tables for number in published(table)}


def row_name(job: Job, spec: Spec) -> str:
    """Return a row's name, with the values of its sweep; one that is named like its sweep is told once."""
    values = {name: job.hyperparameters[name] for name in spec.rows[job.row].sweep}
    told = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    ]
    return ", ".join(told if job.row in values else [job.row, *told])


def setting_of(setting: str, fraction: float | None = None) -> str:
    """Return a setting in words, with the share that is labelled or known."""
    words = "semi-supervised" if setting == "semi_supervised" else setting.replace("_", " ")
    return words if fraction is None else f"{words} {fraction:.0%}"


def protocol_of(job: Job) -> str:
    """Return a run's protocol, and what departs from it: a search of learning rates, pseudo-labels from the truth."""
    departures = {"search": "search" in job.options, "leak_truth": job.hyperparameters.get("leak_truth")}
    return ", ".join([job.protocol, *(name for name, there in departures.items() if there)])


def _compared(
    spec: Spec,
    job: Job,
    name: str,
    metric: str,
    rule: str,
    as_printed: bool,
    number: Published | None,
    found: list[pd.DataFrame],
) -> Compared:
    unit = 100.0 if spec.percent and metric not in _OWN_UNIT else 1.0
    values = [
        float(value) * unit
        for frame in found
        for value in frame[(frame.metric == metric) & (frame.rule == rule)].value
        if np.isfinite(value)
    ]
    statuses = [frame.status.iloc[0] for frame in found]
    errors = [frame.error.iloc[0] for frame in found if frame.status.iloc[0] != "done"]
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
