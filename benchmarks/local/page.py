"""Tables and figures of `docs/benchmark.md` and README, made from the committed results.

`python -m benchmarks.local.page` names the pages that are stale, with `--write` it fills their marked regions.
Everything is computed from `docs/results/local/*.csv` and the published numbers that the package ships.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.common import LOCAL, ROOT, plain_parser
from benchmarks.local import sets
from benchmarks.local.grid import Grid
from benchmarks.local.tables import FLOOR, ORACLE, ceilings
from benchmarks.pages import fill, list_regions, table, upright
from labelwise._random import generator
from labelwise.methods import names as method_names

PUBLISHED = ROOT / "src" / "labelwise" / "experiments" / "published" / "bbam.csv"
PAGES = (ROOT / "docs" / "benchmark.md", ROOT / "README.md")
BASELINES = {
    "logistic": "logistic regression, standardised (plain floor)",
    "logistic_l2": "logistic regression, unit rows",
    "self_training": "self-training (scikit-learn)",
    "label_spreading": "label spreading (scikit-learn)",
}
EFFECTS = ("label leak", "second split", "selection on test", "selection on test, rate 1e-3")
RULE_LEARNERS = ("softmatch", "flatmatch", "mime", "drml", "cap", "bbam", FLOOR, "bce", "an")
README_LEARNERS = ("logistic", "self_training", "label_spreading", FLOOR, "an", "em_apl", "hml", "bam", "cap")
README_LEARNERS += ("softmatch", "bbam", "auto")
PAIRED_SETS = {"ohsumed": "Ohsumed", "voc12_animals": "VOC12-animals"}
PAIRED = (FLOOR, "bam", "cap", "bbam", "hml")
Frames = dict[str, pd.DataFrame]


def read(folder: Path) -> Frames:
    """Return the tables in a folder by name; those of a part that was not run are left out."""
    names = ("runs", "cells", "methods", "ranks", "missing", "effects", "paper_size")
    return {n: pd.read_csv(folder / f"{n}.csv") for n in names if (folder / f"{n}.csv").exists()}


def regions(found: Frames) -> dict[str, str]:
    """Return every table and every figure by its name."""
    cells, methods, runs, lost = (found[name] for name in ("cells", "methods", "runs", "missing"))
    made = {
        "summary": summary(methods, cells["set"].nunique()),
        "verdict": verdict(methods),
        "spreading": spreading(cells),
        "references": references(cells, runs),
        "shares": shares(cells, methods),
        "rule": rule_table(cells),
        "missing": missing(lost),
        "readme": readme(methods, cells),
        "paired": paired(runs),
    }
    if "ranks" in found and len(found["ranks"]):
        made["ranks"] = rank_table(found["ranks"])
    if "effects" in found:
        made["effects"] = effect_table(found["effects"])
    if "paper_size" in found:
        made["sizes"] = size_table(found["paper_size"])
    return {name: "\n".join(lines) for name, lines in made.items()} | figures(found)


def figures(found: Frames) -> dict[str, str]:
    """Return the figures that the prose names."""
    cells, methods, runs, lost = (found[name] for name in ("cells", "methods", "runs", "missing"))
    covered, chance = coverage(cells["set"].nunique())
    most_judged = int(judged(methods).groupby("setting").size().max())
    weak = weak_ceilings(cells, runs)
    best = published(cells).groupby(["setting", "set"], sort=False)["share_of_gap"].max().dropna()
    labelled = cells[cells["setting"].isin(labelled_settings(cells))]
    gains = methods.set_index(["setting", "method"])["gain"]
    over_plain = -100 * gains.xs("logistic", level="method")
    best_gains = 100 * published(methods).groupby("setting")["gain"].max()
    default = 100 * gains.xs("auto", level="method") if "auto" in set(methods["method"]) else best_gains
    fewer = sorted(set(cells[cells["seeds"] < cells["seeds"].max()]["method"]))
    values = {
        "runs": int((runs["status"] == "done").sum()),
        "hours": f"{runs['seconds'].sum() / 3600:.1f}",
        "runs-missing": len(lost),
        "fewer-seeds": named(fewer),
        "methods-without-runs": named([name for name in method_names() if name not in {*runs["method"]}]),
        "coverage": f"{100 * covered:.0f}%",
        "methods-judged": most_judged,
        "above-by-chance": f"{most_judged * chance:.0f}",
        "weak-ceilings": f"{len(weak)} of {cells['set'].nunique()}",
        "weak-ceiling-sets": ", ".join(weak) or "none",
        "third-of-gap": f"{int((best >= 1 / 3).sum())} of {len(best)}",
        "floor-over-plain-least": f"{over_plain.min():.1f}",
        "floor-over-plain-most": f"{over_plain.max():.1f}",
        "best-gain-least": f"{best_gains.min():+.1f}",
        "best-gain-most": f"{best_gains.max():+.1f}",
        "auto-gain-least": f"{default.min():+.1f}",
        "auto-gain-most": f"{default.max():+.1f}",
        "same-learners": "; ".join(named(names) for names in same_everywhere(labelled)) or "none",
        **spreading_figures(cells),
        **rule_figures(cells),
    }
    if "effects" in found:
        effects = found["effects"]
        values |= {"pairs": len(effects), "pair-sets": ", ".join(sorted(set(effects["set"])))}
    return {name: str(value) for name, value in values.items()}


def stale_pages(folder: Path = LOCAL) -> dict[Path, str]:
    """Return the pages whose regions differ from the results, with their new text."""
    made = regions(read(folder))
    texts = {path: path.read_text(encoding="utf-8") for path in PAGES}
    return {path: new for path, text in texts.items() if (new := fill(text, made)) != text}


def fill_pages(folder: Path = LOCAL) -> None:
    """Fill the regions of every page from the tables in a folder, and write the README's as text."""
    (folder / "summary.txt").write_text(regions(read(folder))["readme"] + "\n", encoding="utf-8")
    for path, text in stale_pages(folder).items():
        path.write_text(text, encoding="utf-8")
        print(f"{path.relative_to(ROOT)} filled")


def write_tables(folder: Path, grid: Grid) -> None:
    """Write all regions, one after the other, as `tables.md` beside the tables of a grid."""
    rows = "all" if grid.rows is None else str(grid.rows)
    asked = {"sets": ", ".join(grid.sets), "settings": ", ".join(grid.settings), "seeds": str(grid.seeds)}
    asked |= {"methods": ", ".join(grid.methods or ["all"]), "rows of GoEmotions": rows}
    images = "\n".join(f"![{figure.stem}]({figure.name})" for figure in sorted(folder.glob("*.svg")))
    list_regions(folder / "tables.md", asked | regions(read(folder)) | {"figures": images})


def points(value: float, digits: int = 1) -> str:
    """Return a fraction in points with its sign."""
    text = f"{100 * value:+.{digits}f}".replace("-", "−")
    return text if np.isfinite(value) else "–"


def percent(value: float | None) -> str:
    """Return a fraction in percent, a dash where there is none."""
    return "–" if value is None or not np.isfinite(value) else f"{100 * value:.1f}"


def interval(row: pd.Series) -> str:
    """Return a gain with its interval."""
    return f"{points(row['gain'])} ({points(row['gain_low'])} to {points(row['gain_high'])})"


def named(names: Collection[str]) -> str:
    """Return names in code type, or none."""
    return ", ".join(f"`{name}`" for name in names) or "none"


def by_gain(methods: pd.DataFrame) -> pd.Index:
    """Return the learners, best mean gain first."""
    return methods.groupby("method")["gain"].mean().sort_values(ascending=False).index


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of methods: neither baselines, nor the floor, nor oracles."""
    return rows[~rows["method"].isin([*BASELINES, FLOOR]) & (rows["protocol"] != "oracle")]


def published(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of published methods: those that are judged, without the library's own default."""
    own = judged(rows)
    return own[own["method"] != "auto"]


def labelled_settings(cells: pd.DataFrame) -> list[str]:
    """Return the settings with some rows labelled, in the order of the cells."""
    return [s for s in dict.fromkeys(cells["setting"]) if sets.KINDS[s][0] == "semi_supervised"]


def same_everywhere(cells: pd.DataFrame) -> list[list[str]]:
    """Return the groups of learners whose gains are equal in every cell."""
    if cells.empty:
        return []
    wide = cells.pivot_table(index="method", columns=["setting", "set"], values="gain", sort=False)
    groups = wide.round(5).groupby([*wide.columns], dropna=False, sort=False).groups.values()
    return [sorted(names) for names in groups if len(names) > 1]


@cache
def coverage(n: int, draws: int = 2_000, resamplings: int = 1_000) -> tuple[float, float]:
    """Return how often a percentile bootstrap's 95% interval of n normal gains holds their mean, and lies above it."""
    draw = generator(0, "coverage", n)
    gains = draw.standard_normal((draws, n))
    means = np.stack([row[draw.integers(0, n, (resamplings, n))].mean(axis=1) for row in gains])
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return float(((low <= 0) & (high >= 0)).mean()), float((low > 0).mean())


def summary(methods: pd.DataFrame, n_sets: int) -> list[str]:
    """Return a learner's mAP and gain over the tuned floor in each setting, best mean gain first."""
    settings = list(dict.fromkeys(methods["setting"]))
    rows = []
    for name in by_gain(methods):
        own = methods[methods["method"] == name].set_index("setting")
        cells = []
        for setting in settings:
            if setting not in own.index:
                cells += ["–", "–"]
                continue
            row = own.loc[setting]
            part = "" if row["sets"] == n_sets else f" [{row['sets']:.0f} sets]"
            cells += [f"{100 * row['map']:.1f}{part}", "0" if name == FLOOR else interval(row)]
        title = f"*{BASELINES[name]}*" if name in BASELINES else f"`{name}`"
        title += " **tuned floor**" if name == FLOOR else " (oracle)" if name == ORACLE else ""
        rows.append([title, *cells])
    head = ["learner", *(word for s in settings for word in (f"{s}: mAP", "gain over the tuned floor (95%)"))]
    return table(head, rows)


def verdict(methods: pd.DataFrame) -> list[str]:
    """Return for each setting the floors, the best method, and the methods told apart from the tuned floor."""
    rows = []
    for setting, part in judged(methods).groupby("setting", sort=False):
        above, below = (
            part[held]["method"].tolist() for held in (part["gain_low"] > 0, part["gain_high"] < 0)
        )
        best = part.sort_values("gain", ascending=False).iloc[0]
        gains = methods[methods["setting"] == setting].set_index("method")["gain"]
        plain, unit = (f"{-100 * gains[name]:.1f}" for name in ("logistic", "logistic_l2"))
        share = f"{points(best['share_of_gap'], 0)}%" if np.isfinite(best["share_of_gap"]) else "–"
        told = [f"{len(names)}: {named(names)}" if names else "0" for names in (above, below)]
        rows.append(
            [setting, plain, unit, f"`{best['method']}`, {interval(best)}", share, str(len(part)), *told]
        )
    head = ["", "tuned floor over the plain floor", "tuned floor over unit rows"]
    head += ["best mean gain over the tuned floor", "its share of the tuned gap", "methods"]
    return upright([*head, "with an interval above 0", "with an interval below 0"], rows)


def spreading(cells: pd.DataFrame) -> list[str]:
    """Return the cells in which label spreading is above the tuned floor, by intervals over test items."""
    own = cells[(cells["method"] == "label_spreading") & (cells["gain_low"] > 0)]
    rows = [[row["set"], row["setting"], interval(row)] for _, row in own.iterrows()]
    return table(["set", "setting", "gain over the tuned floor (95%)"], rows, words=(0, 1)) if rows else []


def spreading_figures(cells: pd.DataFrame) -> dict[str, int | str]:
    """Return in how many cells label spreading is above the tuned floor, below it, or not told apart from it."""
    own = cells[cells["method"] == "label_spreading"]
    above, below = int((own["gain_low"] > 0).sum()), int((own["gain_high"] < 0).sum())
    names = ("spreading-above", "spreading-below", "spreading-open")
    return dict(zip(names, (f"{above} of {len(own)}", below, len(own) - above - below), strict=True))


def references(cells: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return floors and ceilings of each set: plain and tuned."""
    full = ceilings(runs[runs["status"] == "done"])
    rows = []
    for (name, setting), part in cells.groupby(["set", "setting"], sort=False):
        own, ceiling = part.set_index("method")["map"], full[name]
        values = [own.get("logistic"), own.get("logistic_l2"), own.get(FLOOR), ceiling.get("logistic")]
        gap = points(ceiling.max() - own[FLOOR])
        rows.append([name, setting, *map(percent, [*values, ceiling.max()]), gap])
    head = ["set", "setting", "plain floor", "unit rows", "tuned floor", "plain ceiling", "tuned ceiling"]
    return table([*head, "tuned gap"], rows, words=(0, 1))


def weak_ceilings(cells: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Return the sets whose plain ceiling is below the tuned floor of some setting."""
    full = ceilings(runs[runs["status"] == "done"])
    floors = cells[cells["method"] == FLOOR].groupby("set")["tuned_floor"].max()
    return [name for name, floor in floors.items() if full.get((name, "logistic"), np.inf) < floor]


def shares(cells: pd.DataFrame, methods: pd.DataFrame) -> list[str]:
    """Return the share of the tuned gap that each learner recovers, by set and setting."""
    wide = cells.pivot_table(index="method", columns=["setting", "set"], values="share_of_gap", sort=False)
    rows = [
        [name, *("0" if abs(share) < 0.005 else points(share, 0) for share in wide.loc[name])]
        for name in by_gain(methods)
        if name in wide.index and name != FLOOR
    ]
    return table(["learner", *(f"{name}, {setting}" for setting, name in wide.columns)], rows)


def rank_table(ranks: pd.DataFrame) -> list[str]:
    """Return Friedman's test, the critical difference and the ranks at both ends, for each group of settings."""
    rows = []
    for group, part in ranks.groupby("settings", sort=False):
        best, width = part.iloc[0], part["critical_difference"].iloc[0]
        floor = part.set_index("method")["mean_rank"][FLOOR]
        apart = (part["mean_rank"] <= floor - width, part["mean_rank"] >= floor + width)
        shape = [str(best["learners"]), str(best["blocks"]), f"{best['friedman_p']:.1g}", f"{width:.1f}"]
        ends = [f"`{best['method']}` ({best['mean_rank']:.1f})", f"{floor:.1f}"]
        rows.append([group, *shape, *ends, *(named(part[held]["method"].tolist()) for held in apart)])
    level = f"{ranks['level'].iloc[0]:g}"
    head = [
        "",
        "learners",
        "blocks",
        "Friedman (Iman-Davenport) p",
        f"critical difference at {level}, in ranks",
    ]
    head += [
        "best mean rank",
        "mean rank of the tuned floor",
        "significantly better than it",
        "significantly worse",
    ]
    return upright(head, rows)


def rule_rows(cells: pd.DataFrame) -> list[tuple[str, str, float, float, float]]:
    """Return (learner, setting, micro-F1 at one half, by its own rule, by the oracle count), means over the sets."""
    columns = ["micro_f1_half", "micro_f1", "micro_f1_oracle_count"]
    rows = []
    for setting, part in cells.groupby("setting", sort=False):
        for name in RULE_LEARNERS:
            own = part[part["method"] == name]
            if len(own):
                rows.append((name, setting, *own[columns].mean()))
    return rows


def rule_table(cells: pd.DataFrame) -> list[str]:
    """Return micro-F1 by three decision rules on the same scores."""
    rows = [
        [f"`{name}`", setting, percent(half), percent(own), percent(oracle), points(oracle - half)]
        for name, setting, half, own, oracle in rule_rows(cells)
    ]
    head = ["method", "setting", "one half", "own rule", "oracle count", "oracle − half"]
    return table(head, rows, words=(0, 1))


def rule_figures(cells: pd.DataFrame) -> dict[str, str]:
    """Return what the oracle count adds here with some rows labelled, and the published lead of BBAM."""
    labelled = labelled_settings(cells)
    effects = [(o - half, o - own) for _, setting, half, own, o in rule_rows(cells) if setting in labelled]
    over_half, over_own = np.mean(effects, axis=0) if effects else (np.nan, np.nan)
    entries = pd.read_csv(PUBLISHED)
    part = entries[(entries["table"] == "bbam-table") & entries["dataset"].isin(["VOC", "COCO", "AWA"])]
    index = ["dataset", "labelled_fraction", "metric"]
    wide = part.pivot_table(index=index, columns="method", values="value")
    lead = wide["bbam"] - wide.drop(columns="bbam").max(axis=1)
    leads = {metric: points(lead.xs(metric, level="metric").mean()) for metric in ("micro_f1", "map")}
    return {
        "labelled-settings": " and ".join(labelled) or "no rows labelled",
        "published-lead-f1": leads["micro_f1"],
        "published-lead-map": leads["map"],
        "oracle-over-half": points(over_half),
        "oracle-over-own": points(over_own),
    }


def effect_table(effects: pd.DataFrame) -> list[str]:
    """Return what the leak, the second split and selection on test do to mAP, one at a time."""
    rows = []
    for (effect, setting), part in effects.groupby(["effect", "setting"], sort=False):
        gains = part["with"] - part["without"]
        by_set = gains.groupby(part["set"]).mean()
        low, high = by_set.idxmin(), by_set.idxmax()
        spread = f"{points(by_set[low], 2)} ({low}) to {points(by_set[high], 2)} ({high})"
        above = f"{int((gains > 0).sum())} of {len(gains)}"
        rows.append(
            [effect, setting, ", ".join(sorted(set(part["method"]))), points(gains.mean(), 2), spread, above]
        )
    rows += [[e, "–", "–", "not run", "–", "–"] for e in EFFECTS if e not in set(effects["effect"])]
    head = ["switched on", "setting", "methods", "mean change", "by set", "pairs above 0"]
    return table(head, rows, words=(0, 1, 2, 4))


def size_table(sizes: pd.DataFrame) -> list[str]:
    """Return time and memory at the papers' size."""
    rows = []
    for method, part in sizes.groupby("method", sort=False):
        row = [f"`{method}`"]
        for name in ("voc12", "coco14"):
            one = next((one for _, one in part.iterrows() if one["set"] == name), None)
            if one is None or one["status"] != "trained":
                row += ["–" if one is None else one["status"], "–", "–", "–"]
            else:
                row += [one["setting"], *(f"{one[c]:.0f}" for c in ("seconds", "cpu_seconds", "peak_mb"))]
        rows.append(row)
    head = [f"{name}: {word}" for name in ("VOC", "COCO") for word in ("labels", "s", "cpu s", "peak MiB")]
    return table(["method", *head], rows, words=(0, 1, 5))


def missing(lost: pd.DataFrame) -> list[str]:
    """Return the runs without figures, by cell and reason."""
    rows = []
    for (name, setting, why), part in lost.groupby(["set", "setting", "why"], sort=False):
        by_seed = part.groupby("seed")["method"].apply(list)
        told = (f"{len(m)} learners" if len(m) > 4 else ", ".join(m) for m in by_seed)
        runs = "; ".join(f"seed {seed}: {words}" for seed, words in zip(by_seed.index, told, strict=True))
        rows.append([name, setting, why, runs])
    return table(["set", "setting", "why", "runs"], rows, words=range(4)) if rows else []


def readme(methods: pd.DataFrame, cells: pd.DataFrame) -> list[str]:
    """Return the summary of the README: a fixed choice of learners, and the tuned ceiling."""
    settings = list(dict.fromkeys(methods["setting"]))
    rows = []
    for name in README_LEARNERS:
        own = methods[methods["method"] == name].set_index("setting")
        title = BASELINES.get(name, f"`{name}`" + (" (tuned floor)" if name == FLOOR else ""))
        rows.append([title, *(percent(own["map"].get(setting)) for setting in settings)])
    ceiling = cells.groupby("set")["tuned_ceiling"].first().mean()
    rows.append(["all labels (tuned ceiling)", *[f"{100 * ceiling:.1f}"] * len(settings)])
    return table(["mAP, mean of the sets", *settings], rows)


def paired(runs: pd.DataFrame) -> list[str]:
    """Return mAP beside the better logistic regression on the same labels, with standard errors over the seeds."""
    rows = []
    for name, title in PAIRED_SETS.items():
        part = runs[(runs["set"] == name) & (runs["setting"] != "all labels") & (runs["status"] == "done")]
        for setting, cell in part.groupby("setting", sort=False):
            by = cell.pivot_table(index="seed", columns="method", values="map")
            floor = max((by[m] for m in ("logistic", "logistic_l2")), key=lambda column: column.mean())
            gaps = [100 * (by[m] - floor).dropna() for m in PAIRED if m in by]
            told = [f"{gap.mean():+.1f} ± {gap.sem():.1f}".replace("-", "−") for gap in gaps]
            rows.append([f"{title}, {setting}", percent(floor.mean()), *told])
    return table(["set, labels", "better logistic regression", *(f"`{name}`" for name in PAIRED)], rows)


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks.local.page")
    parser.add_argument("--write", action="store_true", help="fill the pages, which are committed")
    if parser.parse_args().write:
        fill_pages()
    elif stale := stale_pages():
        raise SystemExit(f"stale: {', '.join(str(path.relative_to(ROOT)) for path in stale)}")


if __name__ == "__main__":
    main()
