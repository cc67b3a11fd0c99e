"""An experiment from its name to its tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from labelwise.errors import UserError
from labelwise.experiments.comparison import Compared, compare, protocol_of, to_html, to_markdown
from labelwise.experiments.figures import draw_figure, draw_without_runs
from labelwise.experiments.jobs import Job, part_of
from labelwise.experiments.loading import load_spec
from labelwise.experiments.results import collect, locked, merge_results, write_text
from labelwise.experiments.runner import Progress, Tally, run_jobs
from labelwise.experiments.spec import Protocol, Spec, Value

if TYPE_CHECKING:
    import pandas as pd

_LEAK: dict[str, Value] = {"leak_truth": True}
_PROTOCOLS: tuple[tuple[Protocol, dict[str, Value] | None], ...] = (
    ("honest", None),
    ("published", None),
    ("published", _LEAK),
)
"""Protocols, and the hyper-parameters that they add."""
_MEASURE = "labelwise.experiments.measuring:measure"


@dataclass(frozen=True)
class Outcome:
    """The outcome of an experiment.

    Attributes:
        spec: The experiment.
        tally: Counts of its runs.
        rows: Its numbers beside the printed ones.
        files: The files that were written.
    """

    spec: Spec
    tally: Tally
    rows: list[Compared]
    files: list[Path] = field(default_factory=list)


def run_experiment(
    name: str | Spec,
    data: str | Path | None = None,
    out: str | Path | None = None,
    *,
    protocol: str = "honest",
    rows: Sequence[str] | None = None,
    datasets: Sequence[str] | None = None,
    seeds: Sequence[int] | None = None,
    limit: int | None = None,
    workers: int | None = None,
    devices: Sequence[str] = (),
    time_cap: float | None = None,
    search: bool = False,
    leak_truth: bool = False,
    shard: str | None = None,
    merge: Sequence[str | Path] = (),
    progress: Progress | None = None,
) -> Outcome:
    """Run the missing jobs of an experiment and write its tables.

    ``out`` gets ``shards/``, ``results.parquet``, ``table.md`` and ``table.html``, and for a figure ``figure.png``,
    ``figure.svg`` and its data as ``figure.csv``; the same call goes on where one was stopped, and tables tell "not
    run" where nothing is yet. A figure of theory or of losses needs no ``data`` and gets its three files
    alone. Several machines or devices share an experiment by ``shard``, and ``merge`` puts their results together.

    Args:
        name: One of ``spec_names()``, a TOML file, or an experiment.
        data: The folder with the sets.
        out: Folder of results, ``experiments/NAME`` by default, ``experiments/NAME-i-of-n`` for a part.
        protocol: "honest" or "published".
        rows: Rows, or methods for all their rows, to choose.
        datasets: Data sets to choose.
        seeds: Seeds in the place of the experiment's.
        limit: Run at most so many jobs.
        workers: Number of processes: as many as ``devices`` by default, else 2.
        devices: The workers' devices by turns: "cpu", "cuda:0", ...
        time_cap: Seconds that a run may take.
        search: Try the listed learning rates and batch sizes.
        leak_truth: Let BBAM's pseudo-labels see the truth, as the released code does; for the published protocol
            and experiments with such a row.
        shard: "i/n", to run the i-th of n disjoint parts.
        merge: Folders of parts, whose results are put into ``out``; nothing is run.
        progress: Called after every run.

    Raises:
        UserError: Unknown names, ``data`` that is no folder, another run at ``out``, or when every run failed;
            parts that have a run twice, or with other results than ``out``.
    """
    spec = load_spec(name) if isinstance(name, str) else name
    if leak_truth and protocol != "published":
        raise UserError("leak_truth reads the labels of unlabelled items: it needs --protocol published")
    extra = _LEAK if leak_truth else None
    jobs = spec.jobs(protocol, rows=rows, datasets=datasets, seeds=seeds, search=search, extra=extra)  # type: ignore[arg-type]
    if spec.figure is not None and not spec.rests_on_runs:
        if shard is not None or merge:
            raise UserError(
                f"{spec.name} is drawn without any run: leave shard and merge (--shard, --merge) out"
            )
        target = _target(spec, out)
        with locked(target):
            return Outcome(spec, Tally(0, 0, 0, 0, 0), [], draw_without_runs(spec.figure, target))
    if not jobs:
        raise UserError(f"nothing of {spec.name} is left by this choice of rows, datasets and seeds")
    if leak_truth and not any("leak_truth" in job.hyperparameters for job in jobs):
        raise UserError(f"{spec.name} has no row that leak_truth concerns: leave it out")
    if search and spec.search is None:
        raise UserError(f"{spec.name} lists no learning rates or batch sizes: leave search out")
    chosen = jobs if shard is None else part_of(jobs, shard)
    if merge:
        if shard is not None:
            raise UserError("merge puts parts together and shard runs one: give one of them")
        target = _target(spec, out)
        merged = merge_results(merge, target)
        statuses = [merged.get(key, "left") for key in dict.fromkeys(job.key for job in jobs)]
        tally = Tally(statuses.count("done"), 0, *map(statuses.count, ("capped", "failed", "left")))
        with locked(target):
            return write_tables(spec, jobs, target, tally)
    if data is None:
        raise UserError(
            "give --data DIR, the folder with the sets; 'labelwise datasets' tells where they are published"
        )
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"--data {data}: there is no such folder; 'labelwise datasets' tells where each set is published"
        )
    target = _target(spec, out, "" if shard is None else f"-{shard.replace('/', '-of-')}")
    source = _source(folder, target if spec.figure else None)
    tally = run_jobs(
        chosen,
        _MEASURE,
        target,
        data=source,
        workers=workers,
        devices=devices,
        limit=limit,
        time_cap=time_cap,
        progress=progress,
    )
    with locked(target):
        return write_tables(spec, jobs, target, tally)


def _target(spec: Spec, out: str | Path | None, part: str = "") -> Path:
    return Path(out) if out is not None else Path("experiments") / f"{spec.name}{part}"


def write_tables(spec: Spec, jobs: Sequence[Job], out: Path, tally: Tally) -> Outcome:
    """Write ``results.parquet``, the figure and the tables of all runs in ``out``.

    Raises:
        UserError: The first error, if all of these jobs failed.
    """
    results = collect(out)
    chosen = results[results.key.isin([job.key for job in jobs])]
    if tally.failed and not (chosen.status == "done").any():
        raise UserError(chosen.error[chosen.status == "failed"].iloc[0])
    shown = _with_results(spec, jobs, results)
    rows, words = compare(spec, shown, results), _warnings(shown, results)
    # A figure shows each row under one protocol, a table all that were measured.
    protocols = {job.row: protocol_of(job) for job in jobs}
    drawn = [job for job in shown if protocol_of(job) == protocols.get(job.row, protocol_of(jobs[0]))]
    figure = draw_figure(spec, drawn, results, out)
    svg = figure[1].read_text(encoding="utf-8") if figure else ""
    write_text(out / "table.md", to_markdown(spec, rows, words))
    write_text(out / "table.html", to_html(spec, rows, words, svg[svg.find("<svg") :]))
    files = [out / name for name in ("results.parquet", "table.md", "table.html")]
    return Outcome(spec, tally, rows, files + figure)


def _with_results(spec: Spec, jobs: Sequence[Job], results: pd.DataFrame) -> list[Job]:
    """Return the chosen runs and all that have results.

    They are in the spec's order, whichever their protocol, search and seed.
    """
    keys = {job.key for job in jobs} | set(results.key)
    seeds = list(dict.fromkeys([*(job.seed for job in jobs), *map(int, results.seed)]))
    variants = [
        spec.jobs(protocol, seeds=seeds, search=search, extra=extra)
        for protocol, extra in _PROTOCOLS
        for search in (False, True)
    ]
    return list(dict.fromkeys(job for variant in variants for job in variant if job.key in keys))


def _warnings(jobs: Sequence[Job], results: pd.DataFrame) -> list[str]:
    """Return sentences on departures from the paper's training."""
    runs = results[results.key.isin([job.key for job in jobs])].drop_duplicates("key")
    pairs = zip(runs.dataset.astype(str), runs.facts.astype(str), strict=True)
    fixed = {name for name, facts in pairs if json.loads(facts).get("kind") == "features"}
    if not fixed:
        return []
    return [
        f"{', '.join(sorted(fixed))}: measured on fixed features with a head alone and its own default budget, not "
        "with the paper's network: the numbers say nothing of fine-tuned networks."
    ]


def _source(folder: Path, out: Path | None) -> object:
    from labelwise.experiments.measuring import Source

    return Source(str(folder.absolute()), None if out is None else str((out / "columns").absolute()))
