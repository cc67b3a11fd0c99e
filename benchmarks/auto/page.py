"""Tables, figure and page of `benchmarks.auto`: `docs/results/auto/*.csv` and the regions of `docs/results/auto.md`.

`python -m benchmarks.auto.page` says whether the page is stale, with `--write` it fills its marked regions.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.auto import grid, sizes, stress, tables
from benchmarks.auto.grid import PLAIN, TITLES
from benchmarks.common import ROOT, plain_parser
from benchmarks.local.page import percent, points
from benchmarks.local.tables import save
from benchmarks.pages import fill, fill_page, list_regions, table
from labelwise import plots
from labelwise.experiments import Job
from labelwise.experiments.results import read_shards

COMMITTED = ROOT / "docs" / "results" / "auto"
PAGE = ROOT / "docs" / "results" / "auto.md"
PIPELINE = "logistic"
LEARNERS = {"logistic": "logistic regression, standardised", "logistic_l2": "logistic regression, unit rows"}
Frames = dict[str, pd.DataFrame]


def write(jobs: list[Job], rank_jobs: list[Job], out: Path, folder: Path, committed: Path) -> Frames:
    """Write every table and the figure of the runs under `out` into `folder`; return the tables."""
    found = tables.runs(out, jobs)
    made = {"runs": found, "missing": missing(jobs, found)}
    if not found.empty:
        made["cells"] = tables.cells(found)
        made["verdict"] = tables.verdict(made["cells"]) if len(made["cells"]) else pd.DataFrame()
    made["rank_runs"] = tables.runs(out / "ranks", rank_jobs)
    if len(own := tables.in_local_cells(found, made["rank_runs"])):
        made["ranks"] = tables.ranks(pd.read_csv(committed), own)
    made["stress"] = stress.rows_of(list(read_shards(out / "stress")))
    made["sizes"] = pd.DataFrame([sizes.row_of(shard) for shard in read_shards(out / "sizes")])
    # That nothing is missing is told too: what an earlier grid lacked must not stay.
    made = {name: frame for name, frame in made.items() if name == "missing" or not frame.empty}
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in made.items():
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
        print(f"{name}: {len(frame)} rows")
    if "cells" in made:
        save(gain_figure(made["cells"]), folder / "gains.svg")
    return made


def missing(jobs: list[Job], found: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the grid that have no figures, and why."""
    columns = ["set", "setting", "method", "seed"]
    states = {}
    if not found.empty:
        keys = zip(*(found[name] for name in columns), strict=True)
        states = dict(zip(keys, zip(found["status"], found["error"], strict=True), strict=True))
    rows = []
    for job in jobs:
        key = (job.dataset, grid.setting_of(job), job.method, job.seed)
        status, error = states.get(key, ("not run", ""))
        if status != "done":
            rows.append((*key, f"{status}: {error}" if error else status))
    return pd.DataFrame(rows, columns=[*columns, "why"])


def read(folder: Path) -> Frames:
    """Return the tables of a folder by name."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def regions(found: Frames) -> dict[str, str]:
    """Return every table of the page by its name; one that was not measured is empty."""
    makers: dict[str, tuple[str, Callable[[pd.DataFrame], list[str]]]] = {
        "verdict": ("verdict", verdict_table),
        "summary": ("cells", summary),
        "cells": ("cells", cell_table),
        "decisions": ("cells", decision_table),
        "costs": ("cells", cost_table),
        "ranks": ("ranks", rank_table),
        "stress": ("stress", stress_table),
        "sizes": ("sizes", size_table),
        "missing": ("missing", missing_table),
    }
    return {
        name: "\n".join(make(found[source])) if source in found else ""
        for name, (source, make) in makers.items()
    }


def fill_pages(folder: Path = COMMITTED) -> None:
    """Fill the regions of the page, and write the summary as text for README."""
    made = regions(read(folder))
    (folder / "summary.txt").write_text(made["summary"] + "\n", encoding="utf-8")
    fill_page(PAGE, made)


def list_tables(folder: Path) -> None:
    """Write all tables, one after the other, as `tables.md` beside the results."""
    list_regions(folder / "tables.md", regions(read(folder)))


def gain_figure(cells: pd.DataFrame) -> object:
    """Return the gain over the floor in each cell, with two standard errors to either side."""
    names = list(dict.fromkeys(cells["set"]))
    panels = {}
    for setting in dict.fromkeys(cells["setting"]):
        own = cells[cells["setting"] == setting].set_index("set").reindex(names)
        error = 2 * own["gain_error"].fillna(0.0)
        parts = (own["gain"], own["gain"] - error, own["gain"] + error)
        panels[setting] = tuple((100 * part).tolist() for part in parts)
    titles = [TITLES[name].replace("`", "") for name in names]
    return plots.paired_gains(
        titles, panels, label="mAP of auto over ridge, points, ± 2 standard errors", width=860
    )


def with_error(value: float, error: float) -> str:
    """Return a difference in points with its standard error."""
    spread = f" ± {100 * error:.1f}" if np.isfinite(error) else ""
    return points(value) + spread


def share_text(share: float) -> str:
    """Return a share of the gap in percent."""
    return f"{points(share, 0)}%" if np.isfinite(share) else "–"


def verdict_table(verdict: pd.DataFrame) -> list[str]:
    """Return what was measured beside what was asked."""
    rows = []
    for _, row in verdict.iterrows():
        whole = row["figure"].startswith("cells")
        shown = [
            f"{value:.0f}" if whole else f"{value:.3f}".replace("-", "−")
            for value in (row["value"], row["asked"])
        ]
        asked = "–" if pd.isna(row["asked"]) else shown[1]
        rows.append([row["figure"], shown[0], asked, row["cell"] if isinstance(row["cell"], str) else ""])
    return table(["", "measured", "asked", "cell"], rows, words=(0, 3))


def summary(cells: pd.DataFrame) -> list[str]:
    """Return each set's mAP, means over settings and seeds, beside what a user would pick instead."""
    rows = []
    for name, part in cells.groupby("set", sort=False):
        over = [points(part[column].mean()) for column in (f"over_{PIPELINE}", "gain") if column in part]
        values = [part[column].mean() for column in (*PLAIN, "floor", "auto") if column in part]
        shown = [*map(percent, values), *over, percent(part["ceiling"].mean())]
        rows.append([TITLES[str(name)], str(len(part)), *shown])
    head = [
        "mAP, mean of the settings",
        "settings",
        "scikit-learn's pipeline",
        "unit rows",
        "`ridge`",
        "`auto`",
    ]
    head += ["over the pipeline", "over `ridge`", "all labels"]
    return table(head, rows)


def cell_table(cells: pd.DataFrame) -> list[str]:
    """Return floor, default and ceiling of each cell, with differences paired by seed."""
    rows = []
    for _, row in cells.iterrows():
        over = [
            with_error(row[f"over_{name}"], row[f"over_{name}_error"])
            for name in PLAIN
            if f"over_{name}" in row
        ]
        gain = with_error(row["gain"], row["gain_error"]) + (" **below**" if row["below_floor"] else "")
        values = [percent(row[name]) for name in ("floor", "auto")]
        rows.append(
            [
                TITLES[row["set"]],
                row["setting"],
                str(int(row["seeds"])),
                *values,
                gain,
                *over,
                percent(row["ceiling"]),
                share_text(row["share"]),
            ]
        )
    head = ["set", "labels", "seeds", "`ridge`", "`auto`", "over `ridge`"]
    head += [f"over {LEARNERS[name]}" for name in PLAIN if f"over_{name}" in cells]
    return table([*head, "all labels", "share of the gap"], rows, words=(0, 1))


def decision_table(cells: pd.DataFrame) -> list[str]:
    """Return calibration error and micro-F1 of default and floor, by their own rules."""
    rows = []
    for _, row in cells.iterrows():
        whole = row["setting"] in grid.WHOLE_ROWS
        errors = [f"{row[f'{name}_ece']:.3f}" if whole else "–" for name in ("auto", "floor")]
        f1 = [row[f"{name}_micro_f1"] for name in ("auto", "floor")]
        rows.append([TITLES[row["set"]], row["setting"], *errors, *map(percent, f1), points(f1[0] - f1[1])])
    head = ["set", "labels", "calibration error of `auto`", "of `ridge`", "micro-F1 of `auto`", "of `ridge`"]
    return table([*head, "difference"], rows, words=(0, 1))


def cost_table(cells: pd.DataFrame) -> list[str]:
    """Return seconds and memory of a run, by set: the most of its settings."""
    rows = []
    for name, part in cells.groupby("set", sort=False):
        own = [
            f"{part[f'{who}_{what}'].max():.0f}"
            for who in ("floor", "auto")
            for what in ("fit_seconds", "memory_mb")
        ]
        rows.append([TITLES[str(name)], *own])
    head = ["most of the settings", "`ridge`: fit, s", "peak, MiB", "`auto`: fit, s", "peak, MiB"]
    return table(head, rows)


def rank_table(ranks: pd.DataFrame) -> list[str]:
    """Return every learner's mean rank, and how `auto` compares with it."""
    rows = []
    for _, row in ranks.iterrows():
        p = "–" if pd.isna(row["wilcoxon_p"]) else f"{row['wilcoxon_p']:.1g}"
        own = row["method"] == grid.DEFAULT
        ahead = ["–", "–"] if own else [points(row["auto_ahead"]), f"{row['auto_wins']} of {row['cells']}"]
        rows.append([f"`{row['method']}`", str(row["cells"]), f"{row['mean_rank']:.1f}", *ahead, p])
    head = ["learner", "cells", "mean rank", "`auto` ahead by", "cells it wins", "Wilcoxon p"]
    return table(head, rows)


def stress_table(found: pd.DataFrame) -> list[str]:
    """Return each hostile case, means over seeds, its worst seed, and the warnings of `auto`."""
    rows = []
    for (case, labelled), part in found.groupby(["case", "labelled"], sort=False):
        told = "; ".join(dict.fromkeys(part["warnings"].dropna().astype(str)))[:160]
        values = [percent(part[name].mean()) for name in ("ridge", "auto")]
        worst = part["difference"].min()
        rows.append([str(case), f"{100 * labelled:.0f}%", *values, points(worst), told or "none"])
    head = ["scene, with", "labelled", "`ridge`", "`auto`", "worst difference of a seed", "warnings"]
    return table(head, rows, words=(0, 5))


def size_table(found: pd.DataFrame) -> list[str]:
    """Return time and memory of each size, beside what it may take."""
    rows = []
    for _, row in found.sort_values(["most_seconds", "case"], kind="stable").iterrows():
        if row["status"] != "done":
            rows.append([row["case"], row["shape"], row["setting"], row["status"], *["–"] * 5])
            continue
        took = [f"{row[name]:.0f}" for name in ("seconds", "cpu_seconds", "most_seconds")]
        memory = [f"{row['memory_mb'] / 1024:.1f}", f"{row['most_gb']:g}"]
        rows.append(
            [row["case"], row["shape"], row["setting"], *took, *memory, f"{row['rows_a_second']:,.0f}"]
        )
    head = ["data", "size", "labels", "s", "cpu s", "s asked", "peak GiB", "asked", "rows a second"]
    return table(head, rows, words=(0, 1, 2))


def missing_table(lost: pd.DataFrame) -> list[str]:
    """Return the runs without figures, by set and reason."""
    if lost.empty:
        return ["None: every run of the grid is there."]
    rows = [
        [str(name), str(method), str(why), str(len(part))]
        for (name, method, why), part in lost.groupby(["set", "method", "why"], sort=False)
    ]
    return table(["set", "learner", "why", "runs"], rows, words=(0, 1, 2))


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks.auto.page")
    parser.add_argument("--write", action="store_true", help="fill the page, which is committed")
    if parser.parse_args().write:
        fill_pages()
    elif fill(PAGE.read_text(encoding="utf-8"), regions(read(COMMITTED))) != PAGE.read_text(encoding="utf-8"):
        raise SystemExit(f"stale: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
