"""Published and measured numbers side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelwise.experiments._job import Job
from labelwise.experiments._published import Published, published
from labelwise.experiments._spec import Spec

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Compared", "compare", "printed_cells"]

_RULE_METRICS = ("micro_f1", "macro_f1", "hamming_loss")


@dataclass(frozen=True)
class Compared:
    """One number of a table: as printed (None where nothing is), and as measured over ``seeds`` runs.

    All in the unit that the table prints, percent or fraction. ``rule`` is the decision rule ("" where none is
    needed), and ``as_printed`` tells whether it is the one behind the printed number. ``state``: "measured", "not
    run", "failed" or "stopped"; ``std`` is over seeds, None for one.
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
    cells: dict[tuple[str, str, float | None, str], list[Job]] = {}
    for job in jobs:
        cells.setdefault((job.dataset, job.setting, job.fraction, row_name(job, spec)), []).append(job)
    by_key = dict(tuple(results.groupby("key"))) if len(results) else {}
    rows = []
    for (dataset, setting, fraction, name), group in cells.items():
        first = group[0]
        found = [by_key[job.key] for job in group if job.key in by_key]
        own = {json.loads(frame.facts.iloc[0]).get("rule") for frame in found} - {None}
        rule = spec.rows[first.row].rule
        for metric in spec.metrics:
            rules = [rule, *sorted(own - {rule})] if metric in _RULE_METRICS else [""]
            if metric in _RULE_METRICS and first.protocol == "published":
                rules = [rule]
            number = printed.get((dataset, first.row, setting, fraction, metric))
            for each in rules:
                rows.append(_compared(spec, first, name, metric, each, each in ("", rule), number, found))
    return rows


def printed_cells(spec: Spec) -> dict[tuple[str, str, str, float | None, str], Published]:
    """Return the printed numbers of the experiment's tables by (dataset, row, setting, fraction, metric)."""
    return {(*number.cell, number.metric): number for table in spec.tables for number in published(table)}


def row_name(job: Job, spec: Spec) -> str:
    """Return a row's name, with the values of its sweep."""
    values = [f"{name} {job.hyperparameters[name]:g}" for name in spec.rows[job.row].sweep]
    return ", ".join([job.row, *values])


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
    unit = 100.0 if spec.percent else 1.0
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
        job.protocol,
        None if number is None else number.value,
        None if number is None else number.std,
        "" if number is None else number.note,
        float(np.mean(values)) if values else None,
        float(np.std(values, ddof=1)) if len(values) > 1 else None,
        len(values),
        state,
        errors[0] if errors else "",
    )
