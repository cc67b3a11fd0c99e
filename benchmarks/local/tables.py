"""Tables and figures of the local benchmark, from the runs that are there.

`runs.csv` has every run, `cells.csv` a learner on a set in a setting (over the seeds that every learner of the cell
has, with the paired difference to the tuned floor and its interval over test items), `methods.csv` a learner in a
setting over the sets (with its interval over sets); `ranks.csv`, `missing.csv` and the figures go with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.local import sets
from benchmarks.local.grid import CEILING, SLOW, Grid
from labelwise import analysis, plots
from labelwise.experiments import Job
from labelwise.experiments.results import read_shards

FLOOR = "ridge"
ORACLE = "bce_single_positive_all_negatives"
CELL = ["set", "setting"]
GROUPS = {"single positive": "single_positive", "labelled": "semi_supervised"}
WORDS = {value: word for word, value in sets.KINDS.items()}


def runs(out: Path, jobs: list[Job]) -> pd.DataFrame:
    """Return one row for each run of the grid that is there."""
    wanted = {job.key for job in jobs}
    rows = []
    for shard in read_shards(out):
        job = Job.from_dict(shard["job"])
        if job.key not in wanted:
            continue
        facts = shard["facts"]
        row: dict[str, Any] = {
            "set": job.dataset,
            "setting": WORDS[job.setting, job.fraction],
            "method": job.method,
            "seed": job.seed,
            "status": shard["status"],
            "error": " ".join(shard["error"].split()),
            "protocol": "oracle" if facts.get("oracle") else "honest",
        }
        for m in shard["measurements"]:
            suffix = "" if m["rule"] in ("", "own") else f"_{m['rule']}"
            row[m["metric"] + suffix] = np.nan if m["value"] is None else round(m["value"], 5)
        row |= {
            "rule": facts.get("rule"),
            "rule_source": facts.get("rule_source"),
            "prior": facts.get("prior"),
        }
        row |= {"epochs": facts.get("epochs"), "seconds": shard["seconds"], "memory_mb": shard["memory_mb"]}
        rows.append({**row, "version": shard["version"], "key": job.key})
    return pd.DataFrame(rows)


def missing(jobs: list[Job], found: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of the grid that have no figures, and why."""
    told = {"done": "", "capped": "stopped at the cap of time"}
    status = {
        key: told.get(state, f"failed: {error}")
        for key, state, error in zip(found["key"], found["status"], found["error"], strict=True)
    }
    rows = []
    for job in jobs:
        if why := status.get(job.key, "not run"):
            rows.append((job.dataset, WORDS[job.setting, job.fraction], job.method, job.seed, why))
    return pd.DataFrame(rows, columns=["set", "setting", "method", "seed", "why"])


def cells(found: pd.DataFrame, out: Path) -> pd.DataFrame:
    """Return a row for each learner in each cell; floors and differences are over the same seeds as its figures."""
    done = found[found["status"] == "done"]
    full = ceilings(done)
    rows = []
    for (name, setting), cell in done[done["setting"] != "all labels"].groupby(CELL, sort=False):
        by_seed = {method: part.set_index("seed") for method, part in cell.groupby("method", sort=False)}
        if FLOOR not in by_seed or name not in full:
            continue
        seeds_of_all = set.intersection(*(set(part.index) for m, part in by_seed.items() if m not in SLOW))
        for method, part in by_seed.items():
            seeds = part.index.intersection(sorted(seeds_of_all))
            if not len(seeds):
                continue
            part, floor = part.loc[seeds], by_seed[FLOOR].loc[seeds]
            gains = np.mean(
                [replicates(out, part.loc[s, "key"]) - replicates(out, floor.loc[s, "key"]) for s in seeds],
                axis=0,
            )
            low, high = np.nanquantile(gains, [0.025, 0.975])
            value, base = part["map"].mean(), floor["map"].mean()
            ceiling = full[name].max()
            rows.append(
                {
                    "set": name,
                    "setting": setting,
                    "method": method,
                    "seeds": len(seeds),
                    "map": value,
                    "map_sd": part["map"].std(ddof=1),
                    "one_error": part["one_error"].mean(),
                    "tuned_floor": base,
                    "tuned_ceiling": ceiling,
                    "gain": value - base,
                    "gain_low": low,
                    "gain_high": high,
                    "share_of_gap": float(analysis.gap_share(value, base, ceiling)),
                    **{c: part[c].mean() for c in found if c.startswith(("micro", "macro", "hamming"))},
                    "rule": part["rule"].iloc[0],
                    "prior": part["prior"].iloc[0],
                    "protocol": part["protocol"].iloc[0],
                }
            )
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    place = {name: i for i, name in enumerate([*sets.KINDS, *sets.SETS, *sets.MORE_SETS])}
    return table.sort_values(["setting", "set"], key=lambda column: column.map(place), kind="stable")


def ceilings(done: pd.DataFrame) -> pd.Series:
    """Return the mAP of the three learners of the ceiling with all labels, by (set, method); of the first seed."""
    full = done[(done["setting"] == "all labels") & done["method"].isin(CEILING) & (done["seed"] == 0)]
    return full.set_index(["set", "method"])["map"]


def replicates(out: Path, key: str) -> np.ndarray:
    """Return the mAP of the resampled test sets of a run."""
    found: np.ndarray = np.load(out / "replicates" / f"{key}.npy", allow_pickle=False)
    return found


def whole(table: pd.DataFrame, settings: tuple[str, ...], wanted: tuple[str, ...]) -> pd.DataFrame:
    """Return gains over the floor by (setting, set) and learner, without the learners that lack a cell.

    Gains, since learners with figures for fewer seeds would otherwise be judged on other labelled rows.
    """
    part = table[table["setting"].isin(settings) & table["set"].isin(wanted)]
    return part.pivot_table(index=["setting", "set"], columns="method", values="gain").dropna(axis=1)


def by_method(table: pd.DataFrame, settings: tuple[str, ...], wanted: tuple[str, ...]) -> pd.DataFrame:
    """Return a row for each learner and setting over the sets, with intervals over sets; gaps in no way filled."""
    rows = []
    for setting in settings:
        part = table[(table["setting"] == setting) & table["set"].isin(wanted)]
        for method, own in part.groupby("method", sort=False):
            gain = analysis.mean_difference(own["map"], own["tuned_floor"])
            rows.append(
                {
                    "setting": setting,
                    "method": method,
                    "sets": len(own),
                    "map": own["map"].mean(),
                    "one_error": own["one_error"].mean(),
                    "gain": gain.value,
                    "gain_low": gain.low,
                    "gain_high": gain.high,
                    "wins": int((own["gain_low"] > 0).sum()),
                    "losses": int((own["gain_high"] < 0).sum()),
                    "share_of_gap": own["share_of_gap"].mean(),
                    "micro_f1": own["micro_f1"].mean(),
                    "micro_f1_half": own["micro_f1_half"].mean(),
                    "micro_f1_oracle_count": own["micro_f1_oracle_count"].mean(),
                    "protocol": own["protocol"].iloc[0],
                }
            )
    return pd.DataFrame(rows)


def ranked(table: pd.DataFrame, grid: Grid) -> Iterator[tuple[str, analysis.Ranks]]:
    """Yield the ranks of each group of settings, oracles left out."""
    for group, kind in GROUPS.items():
        settings = tuple(setting for setting in grid.settings if sets.KINDS[setting][0] == kind)
        scores = whole(table, settings, grid.sets).drop(columns=ORACLE, errors="ignore")
        if len(scores) >= 2 and scores.shape[1] >= 2:
            yield group, analysis.compare_ranks(list(scores.columns), scores.to_numpy())


def draw(table: pd.DataFrame, ranks: dict[str, analysis.Ranks], folder: Path) -> None:
    """Write the figures: ranks of each group, and the gains over the tuned floor."""
    for group, found in ranks.items():
        figure = plots.critical_difference(
            found.names,
            found.mean_ranks.tolist(),
            found.critical_difference,
            found.cliques,
            emphasis=(FLOOR,),
        )
        save(figure, folder / f"ranks_{group.replace(' ', '_')}.svg")
    order = table.groupby("method")["gain"].mean().sort_values(ascending=False)
    names = [name for name in order.index if name not in (FLOOR, ORACLE)]
    panels = {}
    for setting in dict.fromkeys(table["setting"]):
        own = table[table["setting"] == setting].set_index("method").reindex(names)
        panels[setting] = tuple((100 * own[c]).tolist() for c in ("gain", "gain_low", "gain_high"))
    figure = plots.paired_gains(
        names, panels, label="mAP over the tuned floor, points", limits=(-4, 4), width=760
    )
    save(figure, folder / "gains.svg")


def save(figure: Any, path: Path) -> None:
    """Write a figure that looks the same on light and dark pages."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "labelwise"}):
        figure.savefig(path, facecolor="white", metadata={"Date": None})


def rank_table(ranks: dict[str, analysis.Ranks]) -> pd.DataFrame:
    """Return the ranks of all groups as one table."""
    rows = [
        {
            "settings": group,
            "blocks": r.n_blocks,
            "learners": len(r.names),
            "method": name,
            "mean_rank": rank,
            "critical_difference": r.critical_difference,
            "level": r.level,
            "friedman_p": r.f_p,
        }
        for group, r in ranks.items()
        for name, rank in zip(r.names, r.mean_ranks, strict=True)
    ]
    return pd.DataFrame(rows)


def write(grid: Grid, jobs: list[Job], out: Path, folder: Path) -> dict[str, pd.DataFrame]:
    """Write every table and figure of the runs under `out` into `folder`; return the tables."""
    found = runs(out, jobs)
    if found.empty:
        raise SystemExit(f"no run of this grid under {out}: leave --no-runs out")
    table = cells(found, out)
    if table.empty:
        raise SystemExit(f"no cell of the grid under {out} has its floor and its ceiling")
    methods = by_method(table, grid.settings, grid.sets)
    ranks = dict(ranked(table, grid))
    written = {
        "runs": found[found["status"] != "failed"].drop(columns=["key", "error"]),
        "cells": table,
        "methods": methods,
        "ranks": rank_table(ranks),
        "missing": missing(jobs, found),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in written.items():
        frame.to_csv(folder / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
        print(f"{name}: {len(frame)} rows")
    draw(methods, ranks, folder)
    return written
