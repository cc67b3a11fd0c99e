"""Steps with `compile=True` beside the same steps without: CPU time, time of the first step, and how equal they train.

`python -m benchmarks.speed.compiling` trains `an` on random items with 20 labels, on one thread: a linear head on 1,280
features (64 in a batch), an MLP with 1,024 hidden units on them, and `smallcnn` on pictures of 64 x 64 (32 in a batch).
Two runs from the same weights take the same steps, one of them compiled; in every round each takes an epoch, in turn.

- `ratio`: the median over the rounds of the CPU time of a compiled step beside one without: below 1 it pays.
- `first_step_s`: seconds of clock of the first compiled step, into which the compilation falls. torch's cache on disk,
  which makes it shorter in later processes, is left out.
- `loss_difference`, `weight_difference`: the largest difference after all of them, in the epochs' losses, and in the
  network's tensors as a share of the largest weight of its tensor.
"""

from __future__ import annotations

import os
import time
from statistics import median
from typing import Any

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")

import numpy as np
import torch

from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, script_parser, seconds
from labelwise.data import as_source
from labelwise.engine import Run, Settings
from labelwise.engine.settings import make_fabric
from labelwise.methods import Budget, Problem, get
from labelwise.models import Network, build_backbone, step_threads

TABLE = RESULTS / "compiling.csv"
CASES: dict[str, tuple[str, tuple[int, ...], int, int]] = {
    # backbone, shape of an item, items, batch
    "a head on 1,280 features": ("features", (1280,), 2048, 64),
    "an MLP, 1,280 features": ("mlp", (1280,), 512, 64),
    "smallcnn, 3 x 64 x 64": ("smallcnn", (3, 64, 64), 128, 32),
}
K = 20


def start(name: str, shape: tuple[int, ...], n: int, batch: int, compiles: bool) -> Run:
    """Return a run before its first step."""
    random = np.random.default_rng(0)
    X = random.random((n, *shape), dtype=np.float32)
    labels = (random.random((n, K)) < 0.1).astype(np.int8)
    problem = Problem(labels, "full", labels.mean(0), "all", 0, Budget(100, batch, 1e-3), head_start="random")
    method = get("an")(problem, {})
    torch.manual_seed(0)
    backbone: Any = build_backbone(name, shape)
    network = Network(backbone, method.head(backbone.n_features))
    settings = Settings(device="cpu", compile=compiles)
    run = Run(network, method, as_source(X), settings, make_fabric(settings))
    run.begin_stage()
    return run


def epoch(run: Run) -> None:
    """Take the steps of an epoch."""
    run.step, run.loss_sum, run.loss_items = 0, 0.0, 0
    for members in run.batches():
        run.take_step(members)
    run.read_losses()


def difference(one: Run, other: Run) -> float:
    """Return the largest difference of the weights, as a share of the largest of their tensor."""
    weights = other.network.state_dict()
    return max(
        float((value - weights[name]).abs().max() / value.abs().max().clamp(min=1e-12))
        for name, value in one.network.state_dict().items()
        if value.is_floating_point()
    )


def compare(what: str, rounds: int) -> dict[str, Any]:
    """Return a network's row."""
    name, shape, n, batch = CASES[what]
    plain, compiled = (start(name, shape, n, batch, compiles) for compiles in (False, True))
    losses: list[float] = []

    def noted(run: Run) -> None:
        epoch(run)
        losses.append(run.loss_sum / run.loss_items)

    with step_threads(plain.network, batch):
        plain.take_step(plain.batches()[0])
        first = seconds(lambda: compiled.take_step(compiled.batches()[0]))
        cases = {"plain": lambda: noted(plain), "compiled": lambda: noted(compiled)}
        in_turns(cases, 1)
        times = in_turns(cases, rounds, time.process_time)
    steps = len(plain.batches())
    return {
        "network": what,
        "batch": batch,
        "plain_ms": round(1e3 * median(times["plain"]) / steps, 3),
        "compiled_ms": round(1e3 * median(times["compiled"]) / steps, 3),
        "ratio": round(median_ratio(times["compiled"], times["plain"]), 3),
        "first_step_s": round(first, 1),
        "loss_difference": f"{max(abs(a - b) for a, b in zip(losses[::2], losses[1::2], strict=True)):.1e}",
        "weight_difference": f"{difference(plain, compiled):.1e}",
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--networks", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    given = parser.parse_args()
    torch.set_num_threads(1)
    publish(place(given, TABLE), [compare(what, given.rounds) for what in given.networks])


if __name__ == "__main__":
    main()
