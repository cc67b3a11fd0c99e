"""Whole networks on pictures and on texts: every method with one budget, rates chosen on clean validation.

`python -m benchmarks.studies.whole_networks --out DIR` trains EfficientNet-Lite0 on a fifth less than the training
pictures of VOC12-animals in LABELWISE_DATA (or in a `--pack`), with one positive a picture or a share of them fully
labelled, and scores the fifth that was left out, by its true labels, and the val pictures. `--items texts` trains
MiniLM on comments of GoEmotions in their place, the keyed samples of `benchmarks.auto`. `--epochs` counts passes over
as many items as there are, whatever a method trains on. A run trains one network at one learning rate; the better of
the rates by the mAP of the fifth is what the summary reports. Starts: `pretrained` (the weights that come with the
network, the head in closed form where the method takes it), `random` (nothing known beforehand), `frozen` (the head
alone on the pretrained features). Methods that need a prior are given the training items' mean number of labels where
nothing identifies it.

Rows are appended to a file of DIR as runs end; what any file there holds is not run again, so that a study goes on
where it stopped. `--shard i/n` takes every n-th run, `--jobs n` runs n shards side by side, and `--minutes` begins no
run that would end later. Pictures are decoded once into DIR. `--export-pack FILE` writes them small into one file for
a machine without the data, and runs nothing. `--write` writes the committed table from DIR's rows.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch

import labelwise as lw
from benchmarks import pictures
from benchmarks.auto import grid
from benchmarks.common import RESULTS, data_folder, place, read_rows, script_parser, write_rows
from benchmarks.studies.end_to_end import epochs_for
from labelwise.errors import UserError
from labelwise.models import build_backbone

TABLE = RESULTS / "whole_networks.csv"
METHODS = ("auto", "an", "hml", "em_apl", "bbam")
SETTINGS = ("single_positive", "10%")
STARTS = ("pretrained", "random", "frozen")
RATES = (1e-3, 3e-4)
BOOST = "+boost"
NETWORKS = {"pictures": "efficientnet-lite0", "texts": "minilm"}
CELL = ("items", "setting", "start", "method", "size", "epochs", "seed", "device", "precision", "limit")
KEY = (*CELL, "rate")
FIELDS = (*KEY, "trained_epochs", "clean_map", "map", "micro_f1", "seconds", "gpu_mb", "status")


@dataclass(frozen=True)
class Run:
    """A network to train."""

    items: str
    setting: str
    start: str
    method: str
    size: int
    epochs: int
    seed: int
    device: str
    precision: str
    limit: int
    rate: float

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from all others, as a table holds it."""
        return tuple(str(getattr(self, name)) for name in KEY)


@dataclass(frozen=True)
class Split:
    """Chosen items as a source, labels (n, K) of all, and the rows of each part."""

    source: Callable[[np.ndarray], Any]
    labels: np.ndarray
    train: np.ndarray
    clean: np.ndarray
    test: np.ndarray

    @classmethod
    def of(cls, given: argparse.Namespace, seed: int) -> Split:
        """Read the items, and leave a fifth of those for training out."""
        source, labels, training = (comments if given.items == "texts" else shown)(given)
        rows, test = np.flatnonzero(training), np.flatnonzero(~training)
        if given.limit:
            rows, test = rows[: given.limit], test[: given.limit]
        train, clean = lw.split(labels[rows], [0.8, 0.2], seed=seed)
        return cls(source, labels, rows[train], rows[clean], test)


Items = tuple[Callable[[np.ndarray], Any], np.ndarray, np.ndarray]


def shown(given: argparse.Namespace) -> Items:
    """Return the pictures, their labels, and which are for training."""
    found = read(given)
    pixels = pictures.decoded(found, given.size, given.out)
    workers = min(4, os.cpu_count() or 1)
    return (lambda rows: pictures.DecodedPictures(pixels, rows, workers=workers)), found.labels, found.train


def comments(given: argparse.Namespace) -> Items:
    """Return GoEmotions' comments, their labels, and which are for training."""
    (train, Y), (test, Y_test) = grid.sample("train", grid.ROWS), grid.sample("test", grid.TEST_ROWS)
    every = [*train, *test]
    labels = np.concatenate([Y, Y_test]).astype(np.int8)
    return (lambda rows: [every[row] for row in rows]), labels, np.arange(len(every)) < len(train)


def read(given: argparse.Namespace) -> pictures.Pictures:
    """Return the pictures of the pack, or of the data."""
    return pictures.from_pack(given.pack) if given.pack else pictures.from_data(data_folder())


def hide(labels: np.ndarray, setting: str, seed: int) -> np.ndarray:
    """Return the labels that the training sees."""
    if setting == "single_positive":
        return lw.simulate.single_positive(labels, seed=1200 + seed)
    share = float(setting.removesuffix("%")) / 100
    return lw.simulate.semi_supervised(labels, labelled_fraction=share, seed=1 + seed, rule="cap")


def options(run: Run, seen: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Return the classifier's options for a run."""
    method, boosted = run.method.removesuffix(BOOST), run.method.endswith(BOOST)
    spec = lw.methods.get(method).spec
    network, size = NETWORKS[run.items], {"max_length" if run.items == "texts" else "image_size": run.size}
    given: dict[str, Any] = {
        "method": method,
        "backbone": network,
        "tune": "head" if run.start == "frozen" else "all",
        "validation": None,
        "device": run.device,
        "precision": run.precision,
        "random_state": run.seed,
    }
    if "prior" in spec.needs and run.setting == "single_positive":
        given["prior"] = float(labels.sum(1).mean())
    if boosted:
        given["positive_boost"] = 5.0
    if run.start == "frozen":
        # A frozen network's head trains in seconds: the default budget, whatever the epochs of the whole.
        return given | size
    given |= {"epochs": epochs_for(method, seen, run.epochs), "batch_size": 32, "learning_rate": run.rate}
    if run.start == "pretrained":
        return given | size
    blank = build_backbone(network, (), pretrained=False, **size)
    return given | {"backbone": blank, "head_start": "random", "backbone_learning_rate": run.rate}


def train(run: Run, split: Split) -> dict[str, Any]:
    """Train one network and judge it; return its row."""
    labels = split.labels[split.train]
    seen = hide(labels, run.setting, run.seed)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    cells: dict[str, Any] = dict(zip(KEY, run.key, strict=True))
    try:
        model = lw.MultiLabelClassifier(**options(run, seen, labels)).fit(split.source(split.train), seen)
    except UserError as error:
        return {**dict.fromkeys(FIELDS, ""), **cells, "status": f"refused: {error}"}
    seconds = time.perf_counter() - began
    clean, test = (model.decision_scores(split.source(rows)) for rows in (split.clean, split.test))
    found = lw.metrics.evaluate(split.labels[split.test], test, model.rule_)
    return cells | {
        "trained_epochs": len(model.history_),
        "clean_map": f"{mean_ap(split.labels[split.clean], clean):.4f}",
        "map": f"{mean_ap(split.labels[split.test], test):.4f}",
        "micro_f1": f"{found['micro_f1']:.4f}",
        "seconds": f"{seconds:.1f}",
        "gpu_mb": f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if torch.cuda.is_available() else "",
        "status": "trained",
    }


def mean_ap(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the mAP over the labels with a positive among these rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(lw.metrics.mean_average_precision(labels, scores))


def runs_of(given: argparse.Namespace) -> list[Run]:
    """Return the runs, seed by seed, so that a study that is cut short has whole seeds."""
    made = []
    for seed, start, setting, method in product(given.seeds, given.starts, given.settings, given.methods):
        # A frozen head has the method's own rate and epochs.
        rates, epochs = (given.rates, given.epochs) if start != "frozen" else ([0.0], 0)
        cell = (
            given.items,
            setting,
            start,
            method,
            given.size,
            epochs,
            seed,
            given.device,
            given.precision,
            given.limit,
        )
        made += [Run(*cell, rate) for rate in rates]
    return made


def rows_in(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the rows of every file of runs in a folder."""
    for path in sorted(folder.glob("runs-*.csv")):
        # A run that was killed while it wrote leaves half a line; files from before texts name no items.
        yield from ({"items": "pictures", **row} for row in read_rows(path) if row.get("status"))


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row to a file, and see it written."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
        file.flush()
        os.fsync(file.fileno())


def work(given: argparse.Namespace) -> None:
    """Run what this shard is to run and no file holds yet."""
    shard, shards = given.shard
    path = given.out / f"runs-{shard}-of-{shards}.csv"
    began, longest, splits = time.monotonic(), 0.0, dict[int, Split]()
    done = {tuple(row[name] for name in KEY) for row in rows_in(given.out)}
    for run in runs_of(given)[shard - 1 :: shards]:
        if run.key in done:
            continue
        if given.minutes and time.monotonic() - began + longest > 60 * given.minutes:
            print(f"shard {shard}/{shards}: out of time", flush=True)
            return
        start = time.monotonic()
        if run.seed not in splits:
            splits = {run.seed: Split.of(given, run.seed)}
        row = train(run, splits[run.seed])
        append(path, row)
        longest = max(longest, time.monotonic() - start)
        print(*(row[name] for name in FIELDS), flush=True)


def side_by_side(given: argparse.Namespace, words: list[str]) -> None:
    """Run `--jobs` shards at once, each in a process of its own."""
    if given.items == "pictures":
        # Decoded here, once, before any of them asks for it.
        pictures.decoded(read(given), given.size, given.out)
    command = [sys.executable, "-m", "benchmarks.studies.whole_networks", *words]
    shards = [[*command, "--jobs", "1", "--shard", f"{i}/{given.jobs}"] for i in range(1, given.jobs + 1)]
    started = [subprocess.Popen(shard) for shard in shards]
    codes = [process.wait() for process in started]
    if any(codes):
        raise SystemExit(f"shards ended with {codes}")


def chosen(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return, of each cell, the row with the best mAP on clean validation."""
    best: dict[tuple[str, ...], dict[str, str]] = {}
    for row in rows:
        cell = tuple(row[name] for name in CELL)
        if row["status"] == "trained" and (
            cell not in best or float(row["clean_map"]) > float(best[cell]["clean_map"])
        ):
            best[cell] = row
    return list(best.values())


def summary(rows: list[dict[str, str]]) -> list[str]:
    """Return a line for each setting, start, size, budget and method: mean test mAP over the seeds."""
    groups: dict[tuple[str, ...], list[dict[str, str]]] = {}
    names = ("items", "setting", "start", "size", "epochs", "device", "limit", "method")
    for row in chosen(rows):
        groups.setdefault(tuple(row[name] for name in names), []).append(row)
    lines = ["  ".join((*names, "seeds", "map", "micro_f1", "seconds"))]
    for group in sorted(groups, key=lambda g: (g[:-1], -mean(float(row["map"]) for row in groups[g]))):
        figures = [mean(float(row[name]) for row in groups[group]) for name in ("map", "micro_f1", "seconds")]
        figure = f"{figures[0]:.4f}  {figures[1]:.4f}  {figures[2]:.0f}"
        lines.append("  ".join((*group, str(len(groups[group])), figure)))
    return lines


def shard_of(text: str) -> tuple[int, int]:
    """Return (i, n) of "i/n", with 1 <= i <= n."""
    i, _, n = text.partition("/")
    if not (i.isdigit() and n.isdigit() and 1 <= int(i) <= int(n)):
        raise argparse.ArgumentTypeError(f"{text!r}: give i/n, as in 1/4")
    return int(i), int(n)


def setting_of(text: str) -> str:
    """Return a setting's name, checked."""
    number = text.removesuffix("%")
    share = float(number) if number != text and number.replace(".", "", 1).isdigit() else 0.0
    if text != "single_positive" and not 0 < share < 100:
        raise argparse.ArgumentTypeError(f"{text!r}: give single_positive, or a share like 10%")
    return text


def parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    made = script_parser(__doc__, TABLE, option="--table")
    made.add_argument("--out", type=Path, metavar="DIR", help="the folder of rows and decoded pictures")
    names = [*lw.methods.names(), *(f"{name}{BOOST}" for name in lw.methods.names())]
    told = f"methods; ID{BOOST} multiplies positive scores by 5 at each place of the map"
    made.add_argument("--methods", nargs="+", default=list(METHODS), choices=names, metavar="ID", help=told)
    made.add_argument("--items", default="pictures", choices=list(NETWORKS))
    made.add_argument("--settings", nargs="+", default=list(SETTINGS), type=setting_of)
    made.add_argument("--starts", nargs="+", default=["pretrained"], choices=STARTS)
    made.add_argument("--seeds", nargs="+", type=int, default=[0])
    made.add_argument(
        "--rates", nargs="+", type=float, default=list(RATES), help="learning rates of the head"
    )
    made.add_argument("--size", type=int, default=128, help="side of the pictures, or tokens of a text")
    made.add_argument("--epochs", type=int, default=5, help="passes over as many items as there are")
    made.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    made.add_argument("--precision", default="32", choices=("32", "bf16", "16"))
    made.add_argument("--limit", type=int, default=0, help="items of each part at most, for a short trial")
    made.add_argument("--shard", type=shard_of, default=(1, 1), metavar="I/N")
    made.add_argument("--jobs", type=int, default=1, help="shards to run side by side")
    made.add_argument("--minutes", type=float, default=0.0, help="begin no run that would end later")
    made.add_argument("--pack", type=Path, metavar="FILE", help="read the pictures from this file")
    made.add_argument("--export-pack", type=Path, metavar="FILE", help="write the pictures to this file")
    made.add_argument("--pack-size", type=int, default=144, help="short side of a pack's pictures")
    made.add_argument("--quality", type=int, default=85, help="JPEG quality of a pack's pictures")
    made.add_argument("--summary", action="store_true", help="train nothing, and show what DIR holds")
    return made


def main() -> None:
    words = sys.argv[1:]
    made = parser()
    given = made.parse_args()
    if given.export_pack:
        size = pictures.export_pack(read(given), given.export_pack, given.pack_size, given.quality)
        print(f"{given.export_pack}: {size:,} bytes")
        return
    if given.out is None:
        made.error("--out is needed: the folder that keeps the rows")
    given.out.mkdir(parents=True, exist_ok=True)
    if not given.summary:
        if given.jobs > 1:
            side_by_side(given, words)
        else:
            work(given)
    if given.shard == (1, 1):
        rows = list(rows_in(given.out))
        write_rows(place(given, TABLE, given.out / TABLE.name), rows)
        print("\n".join(summary(rows)))


if __name__ == "__main__":
    main()
