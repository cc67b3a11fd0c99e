"""Time of a method's step beside a step of `an` with the same head, batch and optimiser; its item state.

`python -m benchmarks.speed.steps` trains every method of the registry on 2,048 x 1,280 random features with 20 labels,
half of the rows labelled (or one positive a row where a method takes no unlabelled rows), 64 in a batch, in the last
epoch of its plan. Beside each runs its reference: the same class with the loss and step of `an`, without refresh, item
state and averaged weights. The ratio of the CPU time of their epochs, on one thread, is taken in five rounds, method
and reference in turn, and its median is printed:

- for a whole network (an MLP with 1,024 hidden units) beside its bound: 1.15 for a method whose step sees every item
  once, and a bound of its own, from this measurement, for those that do more by definition;
- for a head on fixed features, where a step takes less than a millisecond, most of it spent on starting operations
  rather than on numbers, so that a second loss or a ranking is seen. `head_beyond` is what its step does beyond forward
  pass, backward pass and optimiser, and the reference's does not, as a share of the reference's step.

`bytes` is the item state of an entry, beside its bound (`role` keeps 4 bytes an item besides).
"""

from __future__ import annotations

import time
from dataclasses import replace
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.common import (
    RESULTS,
    median_ratio,
    place,
    read_rows,
    script_parser,
    seconds,
    show,
    write_rows,
)
from labelwise import losses
from labelwise.data import ArraySource
from labelwise.engine import Run, Settings
from labelwise.engine.settings import make_fabric
from labelwise.methods import Budget, Method, Problem, get, names
from labelwise.models import MLP, Network, build_backbone, step_threads

TABLE = RESULTS / "steps.csv"
Figures = tuple[float, float, float, float, int]
PARTS = ("forward", "backward", "update")
N, D, K = 2048, 1280, 20
BOUND = 1.15
BOUNDS = {
    "role": (1.3, "three arrays of the label estimator are read, moved and written"),
    "role_linear_init": (1.3, "as role"),
    "softmatch": (2.0, "unlabelled rows are seen twice, once without gradient"),
    "flatmatch": (3.0, "two gradients, unlabelled rows seen twice, and the weights moved and set back"),
    "drml": (4.0, "four forward and backward passes, each with its own optimiser"),
}


def reference(cls: type[Method]) -> type[Method]:
    """Return the class with the loss and step of `an`, and nothing else but its head, batches and optimiser."""

    def plan(self: Any) -> list[Any]:
        stage = cls.plan(self)[-1]
        several = any(len(views) > 1 for views in stage.views.values())
        views = {} if several else stage.views
        optimisers = {"main": next(iter(stage.optimisers.values()))}
        if len(stage.optimisers) > 1:
            optimisers = {"main": replace(optimisers["main"], parameters=())}
        return [replace(stage, refresh=False, ema=None, views=views, optimisers=optimisers)]

    def loss(self: Any, batch: Any) -> Any:
        scale = float(self.hyperparameters.get("scale", 1.0))
        values = losses.assume_negative(scale * batch.scores if scale != 1 else batch.scores, batch.labels)
        return self.mean(values, batch)

    kept = {name: getattr(Method, name) for name in ("slots", "refresh", "step", "after_step")}
    return type("Reference", (cls,), {"plan": plan, "loss": loss, **kept})


def start(cls: type[Method], source: ArraySource, tune: Literal["head", "all"]) -> Run:
    """Return a run in the last epoch of the method's last stage, refreshed."""
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    truth = (random.random((N, K)) < 0.1).astype(np.int8)
    truth[:, 0] |= ~truth.any(1)
    if "semi_supervised" in cls.spec.settings:
        setting, labels = "semi_supervised", np.where(np.arange(N)[:, None] % 2, truth, np.int8(-1))
    else:
        setting, labels = "single_positive", np.full_like(truth, -1)
        labels[np.arange(N), truth.argmax(1)] = 1
    problem = Problem(labels, setting, truth.mean(0), tune, 0, Budget(10, 64, 1e-4), true_labels=truth)
    method = cls(problem, {})
    backbone = build_backbone("features", (D,)) if tune == "head" else MLP((D,), hidden=(1024,))
    network = Network(backbone, method.head(backbone.n_features))
    settings = Settings(device="cpu")
    run = Run(network, method, source, settings, make_fabric(settings))
    run.stage_index = len(run.plan) - 1
    run.begin_stage()
    run.epoch = run.stage.epochs - 1
    if run.stage.refresh:
        run.refresh()
    return run


def watch(run: Run) -> list[float]:
    """Return a list that the run adds the CPU seconds to which it spends in forward, backward and optimiser."""
    spent: list[float] = []
    for name in PARTS:
        part = getattr(run, name)

        def timed(*given: Any, part: Any = part) -> None:
            spent.append(seconds(lambda: part(*given), time.process_time))

        setattr(run, name, timed)
    return spent


def epoch(run: Run, times: int) -> float:
    """Return the CPU seconds of a step, from passes over the epoch's batches."""
    batches = run.batches()

    def passes() -> None:
        for _ in range(times):
            run.step = 0
            for members in batches:
                run.take_step(members)

    with step_threads(run.network, 64):
        return seconds(passes, time.process_time) / (times * len(batches))


def beyond(run: Run, spent: list[float], times: int) -> float:
    """Return the CPU seconds of a step outside of forward, backward and optimiser."""
    spent.clear()
    whole = epoch(run, times)
    return whole - sum(spent) / (times * len(run.batches()))


def pairs(cls: type[Method], source: ArraySource, rounds: int, tune: Literal["head", "all"]) -> Figures:
    """Return the seconds of a step of method and reference, their median ratio, what stands beyond, and state's bytes.

    What a step does beyond forward, backward and optimiser is that beyond the reference's, as a share of its step.
    """
    run, plain = start(cls, source, tune), start(reference(cls), source, tune)
    times = 4 if tune == "head" else 1
    for one in (run, plain):
        epoch(one, 1)
    own, an = zip(*((epoch(run, times), epoch(plain, times)) for _ in range(rounds)), strict=True)
    size = sum(run.state[slot].nbytes for slot, kind in run.state.slots.items() if kind.per == "entry")
    if tune == "all":  # whose schedules end with these epochs
        return median(own), median(an), median_ratio(own, an), float("nan"), size
    watched = {one: watch(one) for one in (run, plain)}
    more = [beyond(run, watched[run], times) - beyond(plain, watched[plain], times) for _ in range(rounds)]
    return median(own), median(an), median_ratio(own, an), median(more) / median(an), size


def compare(name: str, source: ArraySource, rounds: int) -> dict[str, Any]:
    """Return a method's row."""
    own, plain, ratio, _, size = pairs(get(name), source, rounds, "all")
    head_own, head_plain, head_ratio, head_beyond, _ = pairs(get(name), source, rounds, "head")
    bound, why = BOUNDS.get(name, (BOUND, ""))
    return {
        "method": name,
        "network_ms": round(1e3 * own, 3),
        "network_an_ms": round(1e3 * plain, 3),
        "network_ratio": round(ratio, 3),
        "bound": bound,
        "head_ms": round(1e3 * head_own, 3),
        "head_an_ms": round(1e3 * head_plain, 3),
        "head_ratio": round(head_ratio, 3),
        "head_beyond": round(head_beyond, 3),
        "bytes": round(size / (N * K), 2),
        "bytes_bound": 12 if name.startswith("role") else 4,
        "why": why,
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--methods", nargs="+", default=[m for m in names() if get(m).spec.passes])
    given = parser.parse_args()
    table = place(given, TABLE)
    torch.set_num_threads(1)
    source = ArraySource(np.random.default_rng(1).normal(size=(N, D)).astype(np.float32))
    rows = []
    for name in given.methods:
        rows.append(compare(name, source, given.rounds))
        over = {} if rows[-1]["network_ratio"] <= rows[-1]["bound"] else {"OVER": "!"}
        show({**rows[-1], **over})
    # some methods alone leave the others' rows as they are
    found = {row["method"]: row for row in [*read_rows(table), *rows]}
    write_rows(table, [found[name] for name in names() if name in found])


if __name__ == "__main__":
    main()
