"""Whole networks fine-tuned on the VOC12-animals pictures, beside the same methods on frozen features.

`python -m benchmarks.studies.end_to_end [--size 128] [--passes 3] [--methods ...] [--seeds 1] [--device auto]` trains
EfficientNet-Lite0 from its ImageNet weights (backbone at a tenth of the head's learning rate) on the pictures in
LABELWISE_DATA with one row in ten labelled, or with one positive a row, and judges it on the val pictures: mAP over the
labels with a positive in both parts. `frozen` is the same method and the same labels with the backbone frozen at the
same size. One seed and a few epochs on 128 pixels say which way things go, not how far. For single positives the
methods that need a prior are given the training set's mean number of labels. Rows that the table holds are not computed
again; `--page` only rewrites the page, which lies beside the table, with `--write` in `docs/results`.
"""

from __future__ import annotations

import argparse
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, ROOT, data_folder, place, read_rows, script_parser, write_rows
from benchmarks.pages import publish_regions, table

TABLE = RESULTS / "end_to_end.csv"
PAGE = ROOT / "docs" / "results" / "end_to_end.md"
METHODS = ("an", "hml", "em_apl", "cap", "bam", "bbam")
SETTINGS = ("10% labelled", "single positive")
WAYS = (("head", "ridge"), ("all", "ridge"), ("all", "random"))
KEY = ("setting", "method", "tune", "start", "size", "passes", "seed", "device")
TWIN = ("setting", "method", "size", "seed", "device")
FIELDS = (*KEY, "epochs", "map", "seconds", "memory_mb", "protocol")


def load(data: Path) -> tuple[list[str], np.ndarray, list[str], np.ndarray]:
    """Return the paths and labels (n, 20) of train and val."""
    with np.load(data / "voc12_subset" / "voc12_animal_lite0.npz") as file:
        names, split, Y = file["names"], file["split"], file["Y"].astype(np.int8)
    paths = np.array([str(data / "voc12_subset" / "JPEGImages" / f"{name}.jpg") for name in names])
    train, val = split == "train", split == "val"
    present = Y[train].any(0) & Y[val].any(0)
    return list(paths[train]), Y[train][:, present], list(paths[val]), Y[val][:, present]


def hide(Y: np.ndarray, setting: str, seed: int) -> np.ndarray:
    """Return the labels that the training sees."""
    if setting == "single positive":
        return lw.simulate.single_positive(Y, seed=1200 + seed)
    return lw.simulate.semi_supervised(Y, labelled_fraction=0.1, seed=1 + seed, rule="cap")


def key(
    given: argparse.Namespace, setting: str, method: str, tune: str, start: str, seed: int
) -> tuple[object, ...]:
    """Return what tells a run from all others."""
    return (
        setting,
        method,
        tune,
        start,
        given.size,
        given.passes if tune == "all" else 0,
        seed,
        given.device,
    )


def epochs_for(method: str, seen: np.ndarray, passes: int) -> int:
    """Return the epochs in which a method draws `passes` times as many items as there are.

    An epoch of a method that learns from the labelled rows alone is one pass over these, which are few.
    """
    problem = lw.methods.Problem(seen, lw.describe(seen).setting, tune="all")
    *_, paced = lw.methods.get(method)(problem).plan()[-1].mixture
    return max(1, round(passes * len(seen) / max(len(problem.groups[paced]), 1)))


def judge(
    given: argparse.Namespace, setting: str, method: str, tune: str, head_start: str, seed: int
) -> dict[str, object]:
    """Train one network, or one head, and judge it."""
    paths, Y, paths_val, Y_val = load(data_folder())
    seen = hide(Y, setting, seed)
    needs = lw.methods.get(method).spec.needs
    prior = float(Y.sum(1).mean()) if "prior" in needs and setting == "single positive" else None
    epochs = epochs_for(method, seen, given.passes)
    whole = {"epochs": epochs, "batch_size": 32} if tune == "all" else {}
    start = time.perf_counter()
    model = lw.MultiLabelClassifier(
        method,
        "efficientnet-lite0",
        tune=tune,
        head_start=head_start,
        image_size=given.size,
        validation=None,
        prior=prior,
        device=given.device,
        random_state=seed,
        picture_cache=given.pictures,
        **whole,
    ).fit(paths, seen)
    spent = time.perf_counter() - start
    value = lw.metrics.mean_average_precision(Y_val, model.decision_scores(paths_val))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cells = (*key(given, setting, method, tune, head_start, seed), len(model.history_))
    return dict(zip(FIELDS, (*cells, f"{value:.4f}", f"{spent:.0f}", f"{memory:.0f}", "honest"), strict=True))


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--methods", nargs="*", default=METHODS)
    parser.add_argument("--settings", nargs="*", default=SETTINGS)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--passes", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--pictures", type=Path, help="a folder for decoded pictures")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    path = place(given, TABLE)
    found: list[dict[str, Any]] = list(read_rows(path))
    done = {tuple(row[name] for name in KEY) for row in found}
    for seed, setting, method, way in product(range(given.seeds), given.settings, given.methods, WAYS):
        run = (given, setting, method, *way, seed)
        if given.page or tuple(map(str, key(*run))) in done:
            continue
        # A process of its own: its peak memory is that of one run.
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            found.append(process.submit(judge, *run).result())
        write_rows(path, found)
        print(*found[-1].values(), flush=True)
    publish_regions(PAGE, path, regions(read_rows(path)), write=given.write)


def summary(found: list[dict[str, str]]) -> dict[str, str]:
    """Return how far whole networks are from their frozen twins, in points of mAP."""
    frozen = {tuple(row[name] for name in TWIN): float(row["map"]) for row in found if row["tune"] == "head"}
    gains: dict[str, list[float]] = {"ridge": [], "random": []}
    for row in found:
        if row["tune"] == "all":
            twin = frozen[tuple(row[name] for name in TWIN)]
            gains[row["start"]].append(100 * (float(row["map"]) - twin))
    closed = gains["ridge"]
    return {
        "behind": f"{-max(gains['random']):.1f}",
        "ahead": f"{sum(gain > 0 for gain in closed)} of {len(closed)}",
        "most": f"{max(closed):.1f}",
        "least": f"{-min(closed):.1f}",
    }


def table_of(found: list[dict[str, str]]) -> list[str]:
    """Return the table of one setting, size and device."""
    rows = []
    for method in METHODS:
        cells = {(row["tune"], row["start"]): row for row in found if row["method"] == method}
        if ("all", "ridge") in cells:
            maps = [cells[way]["map"] if way in cells else "–" for way in WAYS]
            rest = [cells["all", "ridge"][name] for name in ("epochs", "seconds", "memory_mb")]
            rows.append([f"`{method}`", *maps, *rest])
    return table(["method", "frozen", "whole", "random head", "epochs", "whole, s", "memory, MB"], rows)


def regions(found: list[dict[str, str]]) -> dict[str, str]:
    """Return what the marks of the page stand for: the figures, and a table for each setting, size and device."""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in found:
        name = "-".join((row["setting"].replace(" ", "-"), row["size"], row["device"]))
        groups.setdefault(name, []).append(row)
    return summary(found) | {name: "\n".join(table_of(rows)) for name, rows in groups.items()}


if __name__ == "__main__":
    main()
