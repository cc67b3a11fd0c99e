"""Exact selection at 1,000,000 x 80: `python -m benchmarks.speed.selection`.

Selects each label's highest scores, as many as COCO's labels are frequent on average (2.9 of 80), from float32 scores
that arrive 65,536 items at a time. Beside it, on the whole matrix at once: `numpy.partition`, of each label's column
in turn (its fastest form) and along the items' axis, and `torch.sort`. Ratios are medians of five of the ratio to
`numpy.partition` by column in the same round. Peak memory is what the selection allocates, traced in a run of its own;
`torch.sort`'s is the size of its two results.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import cache
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, script_parser
from labelwise._random import generator
from labelwise.summaries import ScoreHistogram, TopScores

N, K, ROWS = 1_000_000, 80, 65_536
TABLE = RESULTS / "selection.csv"
COUNTS = np.full(K, int(2.9 / K * N))


@cache
def scores() -> NDArray[np.float32]:
    return generator(0, "selection-benchmark").standard_normal((N, K), dtype=np.float32)


def top_scores(n: int = N) -> object:
    summary = TopScores(COUNTS)
    for start in range(0, n, ROWS):
        summary.update(scores()[start : min(start + ROWS, n)], start)
    return summary.finalize()


def score_histogram(n: int = N) -> object:
    summary = ScoreHistogram(COUNTS * n // N)
    for _ in summary.passes:
        for start in range(0, n, ROWS):
            summary.update(scores()[start : min(start + ROWS, n)], start)
        summary.next_pass()
    return summary.finalize()


def partition_columns() -> object:
    return [np.partition(scores()[:, label], N - count)[N - count] for label, count in enumerate(COUNTS)]


def partition_axis() -> object:
    return np.partition(scores(), N - COUNTS[0], axis=0)[N - COUNTS[0]]


def torch_sort() -> object:
    return torch.sort(torch.from_numpy(scores()), dim=0, descending=True)


BASE, SORT = "numpy.partition, by column", "torch.sort, dim=0"
CONTENDERS: dict[str, Callable[[], object]] = {
    BASE: partition_columns,
    "numpy.partition, axis=0": partition_axis,
    SORT: torch_sort,
    "TopScores": top_scores,
    "ScoreHistogram": score_histogram,
}


def peak(action: Callable[[], object]) -> float:
    """Return the most memory allocated during an action, in MB."""
    # Never stopped: before Python 3.12.9 that ends a process in which another thread allocates just then.
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    tracemalloc.clear_traces()
    kept = action()
    most = tracemalloc.get_traced_memory()[1]
    del kept
    return most / 1e6


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=5).parse_args()
    table = place(given, TABLE)
    scores()
    times = in_turns(CONTENDERS, given.rounds)
    # Torch allocates outside of what tracemalloc sees.
    memory = {name: N * K * (4 + 8) / 1e6 if name == SORT else peak(CONTENDERS[name]) for name in CONTENDERS}
    rows = [
        {
            "selection": name,
            "items": N,
            "labels": K,
            "count": COUNTS[0],
            "seconds": f"{median(values):.3f}",
            "ratio": f"{median_ratio(values, times[BASE]):.2f}",
            "peak_mb": f"{memory[name]:.0f}",
        }
        for name, values in times.items()
    ]
    for n in (N // 4, N // 2):
        most = peak(lambda n=n: score_histogram(n))
        part = {"selection": "ScoreHistogram", "items": n, "labels": K, "count": COUNTS[0] * n // N}
        rows.append({**part, "seconds": "", "ratio": "", "peak_mb": f"{most:.0f}"})
    publish(table, rows)


if __name__ == "__main__":
    main()
