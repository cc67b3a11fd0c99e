"""Forward and backward time of every loss at 4,096 x 1,000, relative to torch's binary cross-entropy with logits.

    python benchmarks/losses.py            # --write: benchmarks/results/losses.csv

Each timing of a loss follows one of binary cross-entropy, so that the two of a ratio share the machine's state;
the table holds medians over the rounds. A time covers the loss, its mean and the backward pass into a leaf
tensor. Anything else that runs on the cores inflates the ratios: threads wait for each other after every
operation, and these losses have more of them.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional as F
from writing import place, script_parser

from labelwise import losses

ROWS, LABELS = 4096, 1000
LIMITS = {"balanced_binary_angular_margin": "4.5"}
RESULTS = Path(__file__).parent / "results" / "losses.csv"

Loss = Callable[[torch.Tensor], torch.Tensor]


def cases() -> dict[str, tuple[torch.Tensor, Loss]]:
    """Return for each row of the table its input and the scalar loss of it."""
    seeded = torch.Generator().manual_seed(0)
    logits = torch.randn(ROWS, LABELS, generator=seeded) * 3
    cosines = torch.rand(ROWS, LABELS, generator=seeded) * 2 - 1
    state = torch.rand(ROWS, LABELS, generator=seeded)
    labels = (state < 0.05).to(torch.int8) - (state > 0.3).to(torch.int8)
    targets = labels.clamp(min=0).float()
    soft = torch.rand(ROWS, LABELS, generator=seeded)
    scale, margin = (torch.tensor(value, requires_grad=True) for value in (20.0, 0.3))
    angles = SimpleNamespace(
        mean_negative=torch.full((LABELS,), 1.2),
        mean_positive=torch.full((LABELS,), 0.8),
        variance_negative=torch.full((LABELS,), 0.0144),
        variance_positive=torch.full((LABELS,), 0.0324),
    )

    def entrywise(loss: Callable[..., torch.Tensor], *rest: object, **keywords: object) -> Loss:
        return lambda x: losses.reduce(loss(x, *rest, **keywords))

    return {
        "binary_cross_entropy_with_logits": (
            logits,
            lambda x: F.binary_cross_entropy_with_logits(x, targets),
        ),
        "assume_negative": (logits, entrywise(losses.assume_negative, labels)),
        "weak_assume_negative": (logits, entrywise(losses.weak_assume_negative, labels)),
        "label_smoothing": (logits, entrywise(losses.label_smoothing, labels)),
        "ignore_unknown": (logits, entrywise(losses.ignore_unknown, labels)),
        "entropy_maximization": (logits, entrywise(losses.entropy_maximization, labels)),
        "entropy_minimization": (logits, entrywise(losses.entropy_minimization, labels)),
        "focal": (logits, entrywise(losses.focal, labels)),
        "asymmetric": (logits, entrywise(losses.asymmetric, labels)),
        "asymmetric, detach_focus=False": (
            logits,
            entrywise(losses.asymmetric, labels, detach_focus=False),
        ),
        "soft_targets": (logits, entrywise(losses.soft_targets, soft)),
        "hyperspherical": (cosines, entrywise(losses.hyperspherical, labels)),
        "hyperspherical, margin_on=positives": (
            cosines,
            entrywise(losses.hyperspherical, labels, margin_on="positives"),
        ),
        "hyperspherical, learned scale and margin": (
            cosines,
            entrywise(losses.hyperspherical, labels, scale, margin),
        ),
        "binary_angular_margin": (cosines, entrywise(losses.binary_angular_margin, labels)),
        "balanced_binary_angular_margin": (
            cosines,
            entrywise(losses.balanced_binary_angular_margin, labels, angles),
        ),
        "gradient_balance": (logits, lambda x: losses.gradient_balance(x, labels)),
        "expected_positives": (
            logits,
            lambda x: losses.expected_positives(x.sigmoid(), 2.9),
        ),
    }


def seconds(inputs: torch.Tensor, loss: Loss) -> float:
    """Return the time of one forward and backward pass."""
    leaf = inputs.clone().requires_grad_()
    start = time.perf_counter()
    loss(leaf).backward()
    return time.perf_counter() - start


def main() -> None:
    """Time all losses in interleaved rounds, print the table and write it."""
    parser = script_parser(__doc__, RESULTS)
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default 5)")
    parser.add_argument("--threads", type=int, default=2, help="torch threads (default 2)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    table = cases()
    reference = table.pop("binary_cross_entropy_with_logits")
    seconds(*reference)
    times: dict[str, list[float]] = {name: [] for name in table}
    ratios: dict[str, list[float]] = {name: [] for name in table}
    base: list[float] = []
    for name, case in table.items():
        seconds(*case)
        for _ in range(arguments.rounds):
            before = seconds(*reference)
            spent = seconds(*case)
            base.append(before)
            times[name].append(spent)
            ratios[name].append(spent / before)
    rows = [("binary_cross_entropy_with_logits", statistics.median(base) * 1e3, 1.0, "")]
    for name in table:
        limit = LIMITS.get(name, "3.0")
        rows.append((name, statistics.median(times[name]) * 1e3, statistics.median(ratios[name]), limit))
    with place(arguments, RESULTS).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["loss", "rows", "labels", "machine", "milliseconds", "ratio", "limit"])
        for name, spent, ratio, limit in rows:
            cells = [f"{spent:.1f}", f"{ratio:.2f}", limit]
            writer.writerow([name, ROWS, LABELS, f"{arguments.threads} cores", *cells])
            print(f"{name:42} {spent:7.1f} ms  {ratio:5.2f} x" + (f"  (limit {limit})" if limit else ""))


if __name__ == "__main__":
    main()
