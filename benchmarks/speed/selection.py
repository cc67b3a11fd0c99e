"""Exact selection at 1,000,000 x 80: `python benchmarks/selection.py`.

Selects each label's highest scores, as many as COCO's labels are frequent on average (2.9 of 80), from float32 scores
that arrive 65,536 items at a time. Beside it, on the whole matrix at once: `numpy.partition`, of each label's column
in turn (its fastest form) and along the items' axis, and `torch.sort`. Ratios are medians of five of the ratio to
`numpy.partition` by column in the same round. Peak memory is what the selection allocates, traced in a run of its own;
`torch.sort`'s is the size of its two results. `--write`: `benchmarks/results/selection.csv`.
"""

from __future__ import annotations

import csv
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from writing import place, script_parser

from labelwise._random import generator
from labelwise.summaries import ScoreHistogram, TopScores

N, K, ROWS, REPEATS = 1_000_000, 80, 65_536, 5
RESULTS = Path(__file__).parent / "results" / "selection.csv"
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


CONTENDERS: dict[str, Callable[[], object]] = {
    "numpy.partition, by column": partition_columns,
    "numpy.partition, axis=0": partition_axis,
    "torch.sort, dim=0": torch_sort,
    "TopScores": top_scores,
    "ScoreHistogram": score_histogram,
}


def peak(action: Callable[[], object]) -> float:
    """Return the most memory allocated during an action, in MB."""
    tracemalloc.start()
    kept = action()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    del kept
    return most / 1e6


def main() -> None:
    results = place(script_parser(__doc__, RESULTS).parse_args(), RESULTS)
    scores()
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(REPEATS):
        for name, action in CONTENDERS.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    base = seconds["numpy.partition, by column"]
    memory = {name: peak(action) for name, action in CONTENDERS.items() if name != "torch.sort, dim=0"}
    memory["torch.sort, dim=0"] = N * K * (4 + 8) / 1e6
    with results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["selection", "items", "labels", "count", "seconds", "ratio", "peak_mb"])
        for name, values in seconds.items():
            ratio = statistics.median(value / other for value, other in zip(values, base, strict=True))
            row = [
                name,
                N,
                K,
                COUNTS[0],
                f"{statistics.median(values):.3f}",
                f"{ratio:.2f}",
                f"{memory[name]:.0f}",
            ]
            writer.writerow(row)
        for n in (N // 4, N // 2):
            most = peak(lambda n=n: score_histogram(n))
            writer.writerow(["ScoreHistogram", n, K, COUNTS[0] * n // N, "", "", f"{most:.0f}"])
    print(results.read_text(), end="")


if __name__ == "__main__":
    main()
