"""What the figures of the local benchmark can and cannot tell, in sentences whose numbers are computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from textwrap import fill

import numpy as np
import pandas as pd

from benchmarks.local import sets
from benchmarks.local.grid import Grid
from labelwise._random import generator

SETS = {
    "scene": "`scene` (6 labels)",
    "yeast": "`yeast` (14)",
    "ohsumed": "Ohsumed (bag of words, 23)",
    "voc12_animals": "VOC12-animals (EfficientNet-Lite0, 17 of VOC's labels)",
    "goemotions": "GoEmotions (MiniLM, 28; {rows} training comments, all 5,427 test comments)",
    "tmc2007-500": "`tmc2007-500` (22)",
    "bibtex": "`bibtex` (159)",
}
NUMBERS = dict(enumerate(("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"), 0))


def table(head: list[str], rows: Iterable[list[str]], words: Collection[int] = (0,)) -> list[str]:
    """Return a Markdown table as lines; the columns at ``words`` hold text and start at the left."""
    line = "|" + "".join("---|" if place in words else "---:|" for place in range(len(head)))
    return ["| " + " | ".join(head) + " |", line, *("| " + " | ".join(row) + " |" for row in rows)]


def points(value: float, digits: int = 1) -> str:
    """Return a fraction in points with its sign."""
    text = f"{100 * value:+.{digits}f}".replace("-", "−")
    return text if np.isfinite(value) else "–"


def sets_told(grid: Grid) -> str:
    """Return what the grid's sets are, in a sentence's middle."""
    rows = "all 43,410" if grid.rows is None else f"a keyed sample of {grid.rows:,} of its 43,410"
    return ", ".join(SETS[name].format(rows=rows) for name in grid.sets)


def dependence(cells: pd.DataFrame) -> list[str]:
    """Say what the ranks take for independent and for different that is not."""
    labelled = cells[cells["setting"].isin(labelled_settings(cells))]
    lines = []
    if len(labelled_settings(cells)) > 1:
        lines.append(
            f"The {count(len(labelled_settings(cells)))} labelled settings share their sets, so their blocks are not "
            "independent, and p values are somewhat too small."
        )
    if same := same_everywhere(labelled):
        told = "; ".join(", ".join(f"`{name}`" for name in names) for names in same)
        lines.append(
            f"In every labelled cell these have the same mAP: {told}. Where a labelled row has no unknown entry their "
            "losses are one, and the ranks count one learner several times."
        )
    return [fill(" ".join(lines), 118)] if lines else []


def same_everywhere(cells: pd.DataFrame) -> list[list[str]]:
    """Return the groups of learners whose gains are equal in every cell."""
    if cells.empty:
        return []
    wide = cells.pivot_table(index="method", columns=["setting", "set"], values="gain", sort=False)
    groups = wide.round(5).groupby([*wide.columns], dropna=False, sort=False).groups.values()
    return [sorted(names) for names in groups if len(names) > 1]


def labelled_settings(cells: pd.DataFrame) -> list[str]:
    """Return the settings with some rows labelled, in the order of the cells."""
    return [s for s in dict.fromkeys(cells["setting"]) if sets.KINDS[s][0] == "semi_supervised"]


def count(number: int) -> str:
    """Return a small number as a word."""
    return NUMBERS.get(number, str(number))


@cache
def coverage(n: int, draws: int = 2_000, resamplings: int = 1_000) -> tuple[float, float]:
    """Return how often a percentile bootstrap's 95% interval of n normal gains holds their mean, and lies above it."""
    draw = generator(0, "coverage", n)
    gains = draw.standard_normal((draws, n))
    means = np.stack([row[draw.integers(0, n, (resamplings, n))].mean(axis=1) for row in gains])
    low, high = np.quantile(means, [0.025, 0.975], axis=1)
    return float(((low <= 0) & (high >= 0)).mean()), float((low > 0).mean())


def time_told(seconds: float) -> str:
    """Return a duration in hours or minutes."""
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"


def few_lines(cells: pd.DataFrame, n_sets: int, n_methods: int) -> list[str]:
    """Say what intervals over so few sets are worth where so many methods are judged."""
    covered, chance = coverage(n_sets)
    text = (
        f"{count(n_sets).capitalize()} sets are few. Such an interval is narrower than its name says: of normal gains "
        f"it holds the mean in {100 * covered:.0f}% of draws. Nothing is corrected for the number of methods either: "
        f"of {n_methods} without any effect, {n_methods * chance:.0f} would lie above 0 by chance. `cells.csv` has "
        "each set, with an interval over test items."
    )
    fewer = sorted(set(cells[cells["seeds"] < cells["seeds"].max()]["method"]))
    if fewer:
        text += (
            f" {', '.join(f'`{name}`' for name in fewer)} have fewer seeds in some cells "
            "([What is missing](#what-is-missing)): their mAP is of those, their gain over the floor of the same seeds."
        )
    return [fill(text, 118)]


def spreading_lines(cells: pd.DataFrame) -> list[str]:
    """Return where label spreading is above the tuned floor, below it, or neither, by intervals over test items."""
    own = cells[cells["method"] == "label_spreading"]
    above, below = own[own["gain_low"] > 0], int((own["gain_high"] < 0).sum())
    if above.empty:
        return []
    told = "; ".join(f"{row['set']}, {row['setting']}: {points(row['gain'])}" for _, row in above.iterrows())
    return [
        f"- **Label spreading**, which is not linear, is above the tuned floor in {len(above)} of {len(own)} cells "
        f"({told}), below it in {below}, and not told apart from it in {len(own) - len(above) - below}."
    ]


def missing_words(lost: pd.DataFrame, name: str) -> str:
    """Say how many runs of the grid have no figures."""
    if lost.empty:
        return "Every run of the grid is there."
    return f"{len(lost)} runs of the {name} grid have no figures: [What is missing](#what-is-missing)."


def missing_lines(lost: pd.DataFrame, name: str) -> list[str]:
    """Return the runs without figures, by cell."""
    if lost.empty:
        return [f"Nothing: every run of the {name} grid ended within the cap."]
    rows = []
    for (held, setting, why), part in lost.groupby(["set", "setting", "why"], sort=False):
        by_seed = part.groupby("seed")["method"].apply(list)
        told = "; ".join(
            f"seed {seed}: {len(m)} learners" if len(m) > 4 else f"seed {seed}: {', '.join(m)}"
            for seed, m in by_seed.items()
        )
        rows.append([held, setting, why, told])
    return table(["set", "setting", "why", "runs"], rows, words=range(4))
