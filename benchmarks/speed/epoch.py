"""Time of a training epoch: ``bbam``'s second stage beside plain "assume negative" with the same head and batches.

``python benchmarks/epoch.py`` trains on 5,717 x 1,280 random features with 20 labels, 5% of the rows labelled, and
prints the seconds of an epoch of each, the refresh apart, and their ratio: medians over interleaved rounds of one
run. ``--write``: ``benchmarks/results/epoch.csv``.
"""

from __future__ import annotations

import csv
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from writing import place, script_parser

from labelwise import losses
from labelwise.data import ArraySource
from labelwise.engine import Run, Settings
from labelwise.engine.loop import _fabric
from labelwise.engine.threads import step_threads
from labelwise.methods import Batch, Problem, Stage, get
from labelwise.models import Network, build_backbone

RESULTS = Path(__file__).parent / "results" / "epoch.csv"

N, D, K = 5717, 1280, 20


class AssumeNegativeOnCosines(get("bbam")):  # type: ignore[misc]
    """The same head, batches, views and optimiser; the loss of ``an``, and neither refresh nor average."""

    def plan(self) -> list[Stage]:
        return [replace(stage, refresh=False, ema=None) for stage in super().plan()]

    def loss(self, batch: Batch) -> Tensor:
        return self.mean(losses.assume_negative(self.hp.scale * batch.scores, batch.labels), batch)


def start(method_class: type, labels: np.ndarray, source: ArraySource) -> Run:
    """Return a run at the beginning of the method's second stage, refreshed once."""
    torch.manual_seed(0)
    prior = np.full(K, 0.08)
    method = method_class(Problem(labels, "semi_supervised", prior), {})
    network = Network(build_backbone("features", (D,)), method.head(D))
    settings = Settings(device="cpu")
    run = Run(network, method, source, settings, _fabric(settings))
    run.stage_index = 1
    run.begin_stage()
    if run.stage.refresh:
        run.refresh()
    return run


def epoch(run: Run) -> float:
    """Return the seconds of one pass over the epoch's batches."""
    began = time.perf_counter()
    with step_threads(run.network, 64):
        for members in run.batches():
            run.take_step(members)
    seconds = time.perf_counter() - began
    run.step = 0
    return seconds


def main() -> None:
    parser = script_parser(__doc__, RESULTS)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = np.full((N, K), -1, np.int8)
    rows = rng.permutation(N)[: N // 20]
    labels[rows] = rng.random((len(rows), K)) < 0.08
    source = ArraySource(rng.normal(size=(N, D)).astype(np.float32))
    runs = {"bbam": start(get("bbam"), labels, source), "an": start(AssumeNegativeOnCosines, labels, source)}
    for run in runs.values():
        epoch(run)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(arguments.rounds):
        for name, run in runs.items():
            times[name].append(epoch(run))
    ratio = median(b / a for b, a in zip(times["bbam"], times["an"], strict=True))
    record = {
        "items": N,
        "features": D,
        "labels": K,
        "rounds": arguments.rounds,
        "an_seconds": round(median(times["an"]), 4),
        "bbam_seconds": round(median(times["bbam"]), 4),
        "ratio": round(ratio, 3),
        "bound": 1.15,
    }
    print("  ".join(f"{name} {value}" for name, value in record.items()))
    with place(arguments, RESULTS).open("w", newline="") as file:
        writer = csv.DictWriter(file, record)
        writer.writeheader()
        writer.writerow(record)


if __name__ == "__main__":
    main()
