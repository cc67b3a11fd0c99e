"""Fill the tables and figures of ``docs/choosing.md``: ``python docs/make_choosing.py``.

What is recommended is asked of ``labelwise.recommend``; every figure is read from a committed table of the benchmarks.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from statistics import mean

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, ROOT
from benchmarks.pages import fill, table

PAGE = ROOT / "docs" / "choosing.md"
RESULTS_OF_HEADS = ROOT / "docs" / "results"
Rows = list[dict[str, str]]

_TRUTH = (np.random.default_rng(0).random((60, 5)) < 0.4).astype(np.int8)
_TRUTH[:, 0] |= ~_TRUTH.any(axis=1)
LABELS = {
    "every entry known": _TRUTH,
    "one positive an item, no negative": lw.simulate.single_positive(_TRUTH, seed=0),
    "some positives an item, no negative": lw.simulate.partial_positives(_TRUTH, fraction=0.6, seed=0),
    "positives and negatives, with gaps": lw.simulate.partial(_TRUTH, known_fraction=0.6, seed=0),
    "some items whole, the others not at all": lw.simulate.semi_supervised(
        _TRUTH, labelled_fraction=0.4, seed=1
    ),
}
"""Labels of each setting, by what they look like."""


_ALL = {name: lw.methods.get(name).spec for name in lw.methods.names()}
LOSSES = {name for name, spec in _ALL.items() if "true_labels" not in spec.needs} - {"ridge", "auto"}


def read(path: Path) -> Rows:
    """Return the rows of a committed table."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def points(value: float) -> str:
    """Return a difference in points of mAP, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def recommended() -> str:
    """Return what is recommended for each setting, by what is tuned."""
    rows = []
    for look, labels in LABELS.items():
        summary = lw.describe(labels)
        for tune, what in (("head", "a head on fixed features"), ("all", "the whole network")):
            advice = lw.recommend(summary, tune)  # type: ignore[arg-type]
            one_by_one = lw.recommend(summary, tune, entrywise=True).method  # type: ignore[arg-type]
            others = ", ".join(f"`{name}`" for name, _ in advice.alternatives)
            instead = "" if one_by_one == advice.method else f"`{one_by_one}`"
            rows.append([look, f"`{summary.setting}`", what, f"`{advice.method}`", instead, others])
    head = ["what is known", "setting", "what is tuned", "begin with", "entry by entry", "compare with"]
    return "\n".join(table(head, rows, words=range(len(head))))


def heads() -> str:
    """Return what losses and the default add to the tuned closed form on fixed features."""
    cells, rows = read(RESULTS_OF_HEADS / "auto" / "cells.csv"), []
    published = read(RESULTS_OF_HEADS / "local" / "methods.csv")
    for setting in ("single positive", "5% labelled", "10% labelled", "20% labelled", "half of the entries"):
        among = [row for row in published if row["setting"] == setting and row["method"] in LOSSES]
        best = max(among, key=lambda row: float(row["gain"]), default=None)
        gains = [float(row["gain"]) for row in cells if row["setting"] == setting]
        loss = "–" if best is None else f"{points(float(best['gain']))} (`{best['method']}`)"
        rows.append(
            [setting, loss, points(mean(gains)), points(min(gains)), points(max(gains)), str(len(gains))]
        )
    head = ["labels", "best single loss over `ridge`", "`auto` over `ridge`", "least", "most", "sets"]
    return "\n".join(table(head, rows, words=(0,)))


def _best_rates(rows: Iterable[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Return test mAP by method and seed, at the rate that clean validation chose."""
    chosen: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in rows:
        pair = (float(row["clean_map"]), float(row["map"]))
        seeds = chosen[row["method"]]
        seeds[row["seed"]] = max(seeds.get(row["seed"], pair), pair)
    return {name: {seed: pair[1] for seed, pair in seeds.items()} for name, seeds in chosen.items()}


def networks(setting: str, baseline: str) -> str:
    """Return differences to a baseline when whole networks are trained, seed by seed."""
    found = _best_rates(
        row
        for row in read(RESULTS / "whole_networks.csv")
        if row["setting"] == setting
        and row["start"] == "pretrained"
        and row["status"] == "trained"
        and (row["size"], row["limit"], row["device"]) == ("224", "0", "cuda")
    )
    base, rows = found.pop(baseline), []
    for name, seeds in found.items():
        gains = [value - base[seed] for seed, value in seeds.items() if seed in base]
        rows.append((mean(gains), [f"`{name}`", points(mean(gains)), points(min(gains)), str(len(gains))]))
    ordered = [row for _, row in sorted(rows, key=lambda pair: -pair[0])]
    return "\n".join(
        table(["method", f"mean gain over `{baseline}`", "worst seed", "seeds"], ordered, words=(0,))
    )


def missing() -> str:
    """Return how often unknown entries are better left out than taken for "no"."""
    found: dict[str, dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read(RESULTS / "how_labels_go_missing.csv"):
        found[row["way"]][row["set"], row["learner"]].append(float(row["map"]))
    rows = []
    for way, cells in found.items():
        sets = sorted({name for name, _ in cells})
        cell = [way]
        for left_out, as_no in (("ridge", "ridge, unknown = no"), ("ignore_unknown", "an")):
            gains = [mean(cells[name, left_out]) - mean(cells[name, as_no]) for name in sets]
            cell += [points(mean(gains)), f"{sum(gain > 0 for gain in gains)} of {len(gains)}"]
        rows.append(cell)
    head = [
        "labels went missing",
        '`ridge`: left out over "no"',
        "sets",
        "`ignore_unknown` over `an`",
        "sets",
    ]
    return "\n".join(table(head, rows, words=(0,)))


def regions() -> dict[str, str]:
    """Return the marked regions of the page."""
    return {
        "recommended": recommended(),
        "heads": heads(),
        "single-positive": networks("single_positive", "an"),
        "tenth-labelled": networks("10%", "hml"),
        "missing": missing(),
    }


def page() -> str:
    """Return the page with its regions anew."""
    return fill(PAGE.read_text(encoding="utf-8"), regions())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
