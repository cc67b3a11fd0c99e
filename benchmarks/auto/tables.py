"""Tables of `benchmarks.auto`: cells, what was asked of them, and ranks among all methods.

A cell is a set in a setting, over the seeds that each learner of it has. Differences are paired by seed; their standard
error is that of the mean over seeds. A cell lies *below* a reference where its mean difference is under -.003 and under
minus two standard errors. The ceiling is the best of the floor and the logistic regressions with all labels known; a
cell has a gap where that is at least .01 above the floor, and its share is the part of the gap that `auto` closes.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.auto import grid
from benchmarks.auto.grid import DEFAULT, FLOOR, PLAIN
from benchmarks.local import sets
from benchmarks.local.tables import ORACLE
from labelwise.experiments import Job
from labelwise.experiments.results import read_shards

TOLERANCE = 0.003
LEAST_GAP = 0.01
FACTS = ("rule", "fit_seconds", "fit_cpu_seconds", "predict_seconds", "items", "test_items")
CAPPED = "mean share of the gap, at most 1 a cell"
CAPPED_NAMED = f"{CAPPED}, GoEmotions with names"
GOALS = {
    CAPPED: 0.46,
    CAPPED_NAMED: 0.46,
    "largest calibration error, rows wholly known": 0.03,
    "worst micro-F1 against the floor's": -0.005,
}


def runs(out: Path, jobs: Iterable[Job]) -> pd.DataFrame:
    """Return a row for each run that is there."""
    wanted = {job.key for job in jobs}
    shards = [shard for shard in read_shards(out) if shard["key"] in wanted]
    return pd.DataFrame([run_row(shard) for shard in shards])


def run_row(shard: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a shard."""
    job, facts = Job.from_dict(shard["job"]), shard["facts"]
    return {
        "set": job.dataset,
        "setting": grid.setting_of(job),
        "method": job.method,
        "seed": job.seed,
        "status": shard["status"],
        "error": " ".join(shard["error"].split()),
        **{m["metric"]: m["value"] for m in shard["measurements"]},
        **{name: facts.get(name) for name in FACTS},
        "seconds": shard["seconds"],
        "memory_mb": shard["memory_mb"],
        "version": shard["version"],
    }


def cells(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each cell that has its floor, its ceiling and the default."""
    done = found[found["status"] == "done"]
    tops = ceilings(done)
    rows = []
    for name, setting in ordered(done):
        part = done[(done["set"] == name) & (done["setting"] == setting)]
        by = {method: own.set_index("seed") for method, own in part.groupby("method")}
        if {DEFAULT, FLOOR} <= {*by} and name in tops:
            rows.append({"set": name, "setting": setting, **cell(by, tops[name])})
    return pd.DataFrame(rows)


def ceilings(done: pd.DataFrame) -> dict[str, float]:
    """Return each set's best mAP of floor and logistic regressions with all labels known."""
    full = done[(done["setting"] == grid.CEILING) & done["method"].isin((FLOOR, *PLAIN))]
    return {str(name): float(value) for name, value in full.groupby("set")["map"].max().items()}


def ordered(done: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the cells that are there, in the grid's order."""
    there = set(zip(done["set"], done["setting"], strict=True))
    return [(n, s) for n in (*grid.SETS, *grid.TEXTS) for s in grid.SETTINGS if (n, s) in there]


def cell(by: dict[str, pd.DataFrame], ceiling: float) -> dict[str, Any]:
    """Return a cell's figures from its learners' runs by seed."""
    seeds = sorted(set.intersection(*(set(own.index) for own in by.values())))
    value, floor = (by[name].loc[seeds] for name in (DEFAULT, FLOOR))
    gain, error = paired(value["map"], floor["map"])
    gap = ceiling - floor["map"].mean()
    share = gain / gap if gap >= LEAST_GAP else np.nan
    row = {
        "seeds": len(seeds),
        "floor": floor["map"].mean(),
        "auto": value["map"].mean(),
        "gain": gain,
        "gain_error": error,
        "below_floor": below(gain, error),
        "ceiling": ceiling,
        "gap": gap,
        "share": share,
        # A share above 1 would let one easy cell pay for others; one below 0 counts in full.
        "share_capped": min(share, 1.0) if np.isfinite(share) else np.nan,
    }
    for name in PLAIN:
        if name in by:
            over, spread = paired(value["map"], by[name].loc[seeds, "map"])
            row |= {name: by[name].loc[seeds, "map"].mean(), f"over_{name}": over}
            row |= {f"over_{name}_error": spread, f"below_{name}": below(over, spread)}
    for name, own in (("auto", value), ("floor", floor)):
        row |= {f"{name}_{metric}": own[metric].mean() for metric in ("ece", "micro_f1")}
        row |= {f"{name}_{fact}": own[fact].mean() for fact in ("fit_seconds", "predict_seconds")}
        row[f"{name}_memory_mb"] = own["memory_mb"].max()
    return row


def paired(values: pd.Series, others: pd.Series) -> tuple[float, float]:
    """Return the mean difference by seed and its standard error, NaN of one seed."""
    difference = values - others
    return float(difference.mean()), float(difference.sem(ddof=1))


def below(gain: float, error: float) -> bool:
    """Return whether a difference is under -.003 and under minus two of its standard errors."""
    return bool(gain < -max(TOLERANCE, 2 * np.nan_to_num(error)))


def verdict(table: pd.DataFrame) -> pd.DataFrame:
    """Return what was asked and what was measured, over the sets of the grid."""
    own = table[table["set"].isin(grid.SETS)]
    whole = own[own["setting"].isin(grid.WHOLE_ROWS)]
    has_gap = own[own["share"].notna()]
    f1 = own["auto_micro_f1"] - own["floor_micro_f1"]
    rows = [
        (CAPPED, has_gap["share_capped"].mean(), None),
        (CAPPED_NAMED, with_names(table)["share_capped"].mean(), None),
        ("mean share of the gap", has_gap["share"].mean(), None),
        ("worst gain over the floor", own["gain"].min(), own["gain"]),
        ("cells below the floor", float(own["below_floor"].sum()), None),
        *(
            line
            for name in PLAIN
            if f"over_{name}" in own
            for line in (
                (f"worst gain over {name}", own[f"over_{name}"].min(), own[f"over_{name}"]),
                (f"cells below {name}", float(own[f"below_{name}"].sum()), None),
            )
        ),
        ("largest calibration error, rows wholly known", whole["auto_ece"].max(), -whole["auto_ece"]),
        ("worst micro-F1 against the floor's", f1.min(), f1),
        ("cells", float(len(own)), None),
        ("cells with a gap", float(len(has_gap)), None),
    ]
    return pd.DataFrame(
        [
            {"figure": name, "value": value, "asked": asked(name), "cell": place(own, at)}
            for name, value, at in rows
        ]
    )


def with_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return the grid's cells, GoEmotions as texts with the names of its labels in the place of bare features."""
    names = [{"goemotions": "goemotions_named"}.get(name, name) for name in grid.SETS]
    return table[table["set"].isin(names)]


def asked(name: str) -> float | None:
    """Return the bound of a figure, None where there is none."""
    return 0.0 if name.startswith("cells below") else GOALS.get(name)


def place(table: pd.DataFrame, values: pd.Series | None) -> str:
    """Return the cell of the least of some values, in words."""
    if values is None or values.dropna().empty:
        return ""
    row = table.loc[values.idxmin()]
    return f"{row['set']}, {row['setting']}"


def in_local_cells(found: pd.DataFrame, sampled: pd.DataFrame) -> pd.DataFrame:
    """Return the runs of `auto` in the cells of the local benchmark.

    Args:
        found: the grid's runs, which are the same ones but for GoEmotions.
        sampled: the runs on the local benchmark's sample of GoEmotions.
    """
    if found.empty:
        return sampled
    shared = found["set"].isin([name for name in sets.SETS if name != "goemotions"])
    own = found[(found["method"] == DEFAULT) & shared & found["setting"].isin(sets.SETTINGS)]
    return pd.concat([own, sampled])


def ranks(committed: pd.DataFrame, own: pd.DataFrame) -> pd.DataFrame:
    """Return mean ranks over the local benchmark's cells, and Wilcoxon's signed-rank test of `auto` against each.

    Args:
        committed: the runs of the local benchmark.
        own: runs of `auto` in its cells, with the same seeds.

    A learner is ranked among those that a cell has, ties by their mean; its test is over the cells that it has.
    With n cells the least p of the two-sided exact test is 2^(1 - n), .0625 for five.
    """
    from scipy.stats import rankdata, wilcoxon

    columns = ["set", "setting", "method", "seed", "map"]
    old = committed[(committed["status"] == "done") & ~committed["method"].isin([DEFAULT, ORACLE])]
    both = pd.concat([old[columns], own.loc[own["status"] == "done", columns]])
    both = both[both["setting"] != grid.CEILING]
    means = both.pivot_table(index=["set", "setting"], columns="method", values="map")
    means = means[means[DEFAULT].notna()].dropna(axis=1, how="all")
    placed = means.apply(
        lambda row: pd.Series(rankdata(-row.dropna()), index=row.dropna().index), axis=1, result_type="expand"
    )
    rows = []
    for method in means:
        shared = means[method].notna()
        difference = (means[DEFAULT] - means[method])[shared]
        moves = method != DEFAULT and (difference != 0).any()
        rows.append(
            {
                "method": method,
                "cells": int(shared.sum()),
                "mean_rank": placed[method].mean(),
                "auto_ahead": difference.mean(),
                "auto_wins": int((difference > 0).sum()),
                "wilcoxon_p": float(wilcoxon(difference).pvalue) if moves else np.nan,
            }
        )
    return pd.DataFrame(rows).sort_values("mean_rank", kind="stable")
