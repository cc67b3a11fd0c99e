"""Time of an epoch of `bbam`'s second stage beside "assume negative" with the same head and batches.

`python -m benchmarks.speed.epoch` trains on 5,717 x 1,280 random features with 20 labels, 5% of the rows labelled, and
prints the seconds of an epoch of each, the refresh apart, and their ratio: medians over interleaved rounds of one run.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from statistics import median

import numpy as np
import torch
from torch import Tensor

from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, script_parser
from labelwise import losses
from labelwise.data import ArraySource
from labelwise.engine import Run, Settings
from labelwise.engine.settings import make_fabric
from labelwise.methods import Batch, Problem, Stage, get
from labelwise.models import Network, build_backbone, step_threads

TABLE = RESULTS / "epoch.csv"
N, D, K = 5717, 1280, 20


class AssumeNegativeOnCosines(get("bbam")):  # type: ignore[misc]
    """The same head, batches, views and optimiser; the loss of `an`, and neither refresh nor average."""

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
    run = Run(network, method, source, settings, make_fabric(settings))
    run.stage_index = 1
    run.begin_stage()
    if run.stage.refresh:
        run.refresh()
    return run


def epoch(run: Run) -> None:
    """Pass once over the epoch's batches."""
    with step_threads(run.network, 64):
        for members in run.batches():
            run.take_step(members)
    run.step = 0


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=7).parse_args()
    table = place(given, TABLE)
    rng = np.random.default_rng(0)
    labels = np.full((N, K), -1, np.int8)
    rows = rng.permutation(N)[: N // 20]
    labels[rows] = rng.random((len(rows), K)) < 0.08
    source = ArraySource(rng.normal(size=(N, D)).astype(np.float32))
    runs = {"bbam": start(get("bbam"), labels, source), "an": start(AssumeNegativeOnCosines, labels, source)}
    cases = {name: partial(epoch, run) for name, run in runs.items()}
    in_turns(cases, 1)
    times = in_turns(cases, given.rounds)
    record = {
        "items": N,
        "features": D,
        "labels": K,
        "rounds": given.rounds,
        "an_seconds": round(median(times["an"]), 4),
        "bbam_seconds": round(median(times["bbam"]), 4),
        "ratio": round(median_ratio(times["bbam"], times["an"]), 3),
        "bound": 1.15,
    }
    publish(table, [record])


if __name__ == "__main__":
    main()
