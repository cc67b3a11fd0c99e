"""Texts read by MiniLM, at one depth or three, by their words, and by both: the closed form on GoEmotions.

`python -m benchmarks.studies.sources` reads LABELWISE_DATA: the 8,000 training and 3,000 fully labelled test comments
of `benchmarks.auto`. Each backbone reads all of them once, as in a fit; then `ridge` is trained on what was read
(`--methods auto`: the default, without names of labels), in each setting and with each seed, and the mean average
precision of the test comments is told. It writes a row a run and `docs/results/sources.md`, with `--write` those that
are committed; what is not measured now stays as it is.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.auto import grid
from benchmarks.common import RESULTS, ROOT, place, read_rows, script_parser, show, write_rows
from benchmarks.local import sets
from benchmarks.pages import publish_regions, table

TABLE = RESULTS / "sources.csv"
PAGE = ROOT / "docs" / "results" / "sources.md"
BACKBONES = ("minilm", "minilm:layers", "words", "minilm+words", "minilm:layers+words")
SETTINGS = ("5% labelled", "single positive")
METHODS = ("ridge", "auto")
SEEDS = 3
KEY = ("backbone", "method", "setting", "seed")


def records(given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield one row a run."""
    (train, Y), (test, Y_test) = grid.sample("train", grid.ROWS), grid.sample("test", grid.TEST_ROWS)
    for backbone in given.backbones:
        X, X_test = both_read(backbone, train, test)
        for seed, setting, method in product(range(given.seeds), given.settings, given.methods):
            seen = sets.hide(Y, sets.job("goemotions", setting, "ridge", seed))
            start = time.process_time()
            model = lw.MultiLabelClassifier(method).fit(X, seen)
            yield {
                "backbone": backbone,
                "method": method,
                "setting": setting,
                "seed": seed,
                "map": f"{model.score(X_test, Y_test):.4f}",
                "cpu_s": f"{time.process_time() - start:.1f}",
                "columns": X.shape[1],
                "scaling": model.scaling_.kind if model.scaling_ else "",
            }


def both_read(backbone: str, train: list[str], test: list[str]) -> tuple[Any, Any]:
    """Return the features of training and test texts, read as in a fit, whatever the labels."""
    few = np.full((len(train), 1), -1)
    few[:20, 0] = np.arange(20) % 2
    read: list[Any] = []
    model = lw.MultiLabelClassifier("ridge", backbone).fit(train, few, on_read=read.append)
    return read[0].X, model.read(test).X


def regions(found: list[dict[str, str]]) -> dict[str, str]:
    """Return the page's table: the mean over seeds of each backbone in each setting."""
    rows = []
    for backbone, method in product(BACKBONES, METHODS):
        of_it = [row for row in found if (row["backbone"], row["method"]) == (backbone, method)]
        if not of_it:
            continue
        maps = [_mean(of_it, "map", setting, 3) for setting in SETTINGS]
        seconds = [_mean(of_it, "cpu_s", setting, 0) for setting in SETTINGS]
        rows.append([f"`{backbone}`", f"`{method}`", *maps, f"{int(of_it[0]['columns']):,}", *seconds])
    head = [
        "backbone",
        "method",
        *(f"mAP, {s}" for s in SETTINGS),
        "columns",
        *(f"CPU seconds, {s}" for s in SETTINGS),
    ]
    return {"goemotions": "\n".join(table(head, rows))}


def _mean(rows: list[dict[str, str]], name: str, setting: str, digits: int) -> str:
    """Return the mean over a setting's draws, and how many there are where that is not all."""
    values = [float(row[name]) for row in rows if row["setting"] == setting]
    if not values:
        return ""
    of = f" ({len(values)} of {SEEDS})" if len(values) < SEEDS else ""
    return f"{np.mean(values):.{digits}f}{of}"


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--settings", nargs="+", default=SETTINGS, choices=SETTINGS)
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    parser.add_argument("--methods", nargs="+", default=METHODS[:1], choices=METHODS)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"[default: {SEEDS}]")
    given = parser.parse_args()
    path = place(given, TABLE)
    found: dict[tuple[str, ...], dict[str, Any]] = {_key(row): row for row in read_rows(path)}
    for record in records(given):
        found[_key(record)] = record
        write_rows(path, list(found.values()))
        show(record)
    publish_regions(PAGE, path, regions(read_rows(path)), write=given.write)


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEY)


if __name__ == "__main__":
    main()
