"""Speed of training on a CUDA device: pictures a second of ResNet-50, and epochs a second of heads on features.

`python -m benchmarks.speed.accelerator` trains timm's ResNet-50 (random weights) with 20 labels at 224 pixels, in
bfloat16, on synthetic pictures that lie on the device already, so that the network and the library's own work are
timed and no decoding. `an`, `hml`, `bbam` and `cap` are timed in turns, three rounds of 30 steps of 256 pictures; a
method that sees an item in several views, or scores it once more before an epoch, is counted by what passes through
the network: every view is a forward pass. Then heads are trained on 5,717 x 1,280 features with 20 labels, 64 in a
batch. Bars: 2,500 pictures a second for `an`, the others within 5% of it a forward pass; 20 epochs a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import RESULTS, place, script_parser, show, write_rows
from labelwise.data import ArraySource, Source
from labelwise.engine import Run, Settings
from labelwise.engine.settings import make_fabric
from labelwise.methods import Budget, Problem, get
from labelwise.models import Network, build_backbone

TABLE = RESULTS / "accelerator.csv"
METHODS = ("an", "hml", "bbam", "cap")
SIDE, BATCH, K = 224, 256, 20


class Pictures:
    """Random pictures on the device; a view of an item is one of a few that are kept."""

    def __init__(self, n: int, device: torch.device) -> None:
        self._n = n
        self._kept = torch.randn(2 * BATCH, 3, SIDE, SIDE, device=device)
        self._kept = self._kept.contiguous(memory_format=torch.channels_last)

    shape = (3, SIDE, SIDE)

    def __len__(self) -> int:
        return self._n

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        return self._kept[: len(index)]


def run_of(
    name: str, source: Source, backbone: torch.nn.Module, tune: Any, precision: str, batch: int
) -> Run:
    """Return a run in its first epoch."""
    n, spec = len(source), get(name).spec
    draw = np.random.default_rng(0)
    truth = (draw.random((n, K)) < 0.08).astype(np.int8)
    truth[np.arange(n), draw.integers(0, K, n)] = 1
    if "semi_supervised" in spec.settings:
        setting, labels = "semi_supervised", np.where(np.arange(n)[:, None] % 10 == 0, truth, np.int8(-1))
    else:
        setting, labels = "single_positive", np.full_like(truth, -1)
        labels[np.arange(n), truth.argmax(1)] = 1
    torch.manual_seed(0)
    problem = Problem(labels, setting, truth.mean(0), tune, 0, Budget(2, batch, 1e-4))
    method = get(name)(problem, {})
    settings = Settings(device="cuda", precision=precision)
    run = Run(
        Network(backbone, method.head(backbone.n_features)), method, source, settings, make_fabric(settings)
    )
    run.stage_index = len(run.plan) - 1
    run.begin_stage()
    return run


def timed(work: Callable[[], Any]) -> float:
    """Return the seconds until the device has done the work."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def pictures(rounds: int, steps: int) -> list[dict[str, Any]]:
    """Return the rows of whole networks."""
    device = torch.device("cuda")
    runs, passes = {}, {}
    for name in METHODS:
        source = Pictures(steps * BATCH * 4, device)
        runs[name] = run_of(
            name,
            source,
            build_backbone("timm/resnet50", source.shape, pretrained=False),
            "all",
            "bf16",
            BATCH,
        )

    def some(run: Run) -> int:
        """Take steps, and return how many pictures passed through the network."""
        seen = 0
        for members in run.batches()[:steps]:
            run.take_step(members)
            index, rows = run._rank_share(members)
            seen += sum(len(index[span]) for span in rows.values())
        run.step = 0
        return seen

    for name in METHODS:
        passes[name] = some(runs[name])
    rates: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(rounds):
        for name in METHODS:
            rates[name].append(passes[name] / timed(lambda name=name: some(runs[name])))
    base = median(rates["an"])
    return [
        {
            "what": f"ResNet-50, {SIDE} px, bf16, {BATCH} a batch",
            "method": name,
            "pictures_per_second": round(median(rates[name])),
            "share_of_an": round(median(rates[name]) / base, 3),
            "bar": "2500 a second" if name == "an" else "share at least .95",
            "verdict": "holds"
            if (base >= 2500 if name == "an" else median(rates[name]) >= 0.95 * base)
            else "FAILS",
        }
        for name in METHODS
    ]


def heads(rounds: int) -> list[dict[str, Any]]:
    """Return the rows of heads on features."""
    x = np.random.default_rng(1).normal(size=(5717, 1280)).astype(np.float32)
    rows = []
    for name in ("an", "hml", "em_apl", "bbam", "cap", "ll_r"):
        run = run_of(name, ArraySource(x), build_backbone("features", (1280,)), "head", "32", 64)

        def epoch(run: Run = run) -> None:
            if run.stage.refresh:
                run.refresh()
            for members in run.batches():
                run.take_step(members)
            run.read_losses()
            run.step = 0

        epoch()
        rate = 1 / median(timed(epoch) for _ in range(rounds))
        verdict = "holds" if rate >= 20 else "FAILS"
        rows.append(
            {
                "what": f"head on 5,717 x 1,280 features, 64 a batch, {len(run.batches())} steps and its refresh",
                "method": name,
                "epochs_per_second": round(rate, 2),
                "steps_per_second": round(rate * len(run.batches())),
                "bar": "20 epochs a second",
                "verdict": verdict,
            }
        )
    return rows


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=3)
    parser.add_argument("--steps", type=int, default=30, help="steps of a round [default: 30]")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(0, "no CUDA device: nothing to time\n")
    table = place(given, TABLE)
    card = torch.cuda.get_device_name()
    fields = (
        "what",
        "method",
        "pictures_per_second",
        "share_of_an",
        "epochs_per_second",
        "steps_per_second",
        "bar",
        "verdict",
    )
    rows = []
    for row in [*pictures(given.rounds, given.steps), *heads(given.rounds)]:
        rows.append(
            {**{field: row.get(field, "") for field in fields}, "card": card, "torch": torch.__version__}
        )
        show(rows[-1])
    write_rows(table, rows)


if __name__ == "__main__":
    main()
