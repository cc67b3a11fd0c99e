"""Forward and backward time of every loss at 4,096 x 1,000, beside binary cross-entropy with logits.

`python -m benchmarks.speed.losses`: each timing of a loss follows one of torch's binary cross-entropy, so that the two
of a ratio share the machine's state; the table holds medians over the rounds. A time covers the loss, its mean and the
backward pass into a leaf tensor. Anything else that runs on the cores inflates the ratios: threads wait for each other
after every operation, and these losses have more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from types import SimpleNamespace

import torch
from torch.nn import functional as F

from benchmarks.common import RESULTS, median_ratio, place, publish, script_parser, seconds
from labelwise import losses

ROWS, LABELS = 4096, 1000
LIMITS = {"balanced_binary_angular_margin": "4.5"}
TABLE = RESULTS / "losses.csv"
REFERENCE = "binary_cross_entropy_with_logits"

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
        REFERENCE: (
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


def timed(inputs: torch.Tensor, loss: Loss) -> float:
    """Return the time of one forward and backward pass; the copy is not part of it."""
    leaf = inputs.clone().requires_grad_()
    return seconds(lambda: loss(leaf).backward())


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--threads", type=int, default=2, help="torch threads [default: 2]")
    given = parser.parse_args()
    table = place(given, TABLE)
    torch.set_num_threads(given.threads)
    contenders = cases()
    reference = contenders.pop(REFERENCE)
    timed(*reference)
    base: list[float] = []
    figures = {}
    for name, case in contenders.items():
        timed(*case)
        before, spent = zip(*((timed(*reference), timed(*case)) for _ in range(given.rounds)), strict=True)
        base += before
        figures[name] = (median(spent), median_ratio(spent, before), LIMITS.get(name, "3.0"))
    rows = [
        {
            "loss": name,
            "rows": ROWS,
            "labels": LABELS,
            "machine": f"{given.threads} cores",
            "milliseconds": f"{spent * 1e3:.1f}",
            "ratio": f"{ratio:.2f}",
            "limit": limit,
        }
        for name, (spent, ratio, limit) in {REFERENCE: (median(base), 1.0, ""), **figures}.items()
    ]
    publish(table, rows)


if __name__ == "__main__":
    main()
