"""What thousands of machines would take, from constants measured on this one: `python -m benchmarks.scale [--write]`.

Measures in a minute on one core how fast features are read and summed, how fast scores are counted, what the mergeable
summaries weigh, and how long two of them take to join. `--write` fills docs/scale.md, whose second table multiplies
these constants; the network's speed there is an assumption.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, ROOT, place, read_rows, script_parser, show, write_rows
from benchmarks.pages import fill_page, table

TABLE = RESULTS / "scale.csv"
PAGE = ROOT / "docs" / "scale.md"
ROWS, FEATURES, LABELS = 20_000, 384, 1_000
WORKERS, ITEMS, NETWORK = 1_000, 10**10, 1.25e9
"""The case of the page: machines, items, and bytes a second between two of them (10 Gbit/s)."""


def timed(action: Callable[[], object], rounds: int = 5) -> float:
    """Return the median processor time of a call, after one that does not count: what else runs takes no part."""
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return median(times[1:])


def reading() -> float:
    """Return the bytes a second at which float16 features are read and widened, from the system's page cache."""
    rows = np.random.default_rng(0).standard_normal((ROWS, FEATURES), dtype=np.float32).astype(np.float16)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.bin")
        rows.tofile(path)
        return rows.nbytes / timed(lambda: np.fromfile(path, np.float16).astype(np.float32))


def moments() -> dict[str, float]:
    """Return operations a second of the sums of ridge, their bytes, and the time to join two of them and to solve."""
    from labelwise.models.ridge import RidgeMoments
    from labelwise.models.ridge.moments import Moments

    random = np.random.default_rng(0)
    rows = random.standard_normal((ROWS, FEATURES), dtype=np.float32)
    states = (random.random((ROWS, LABELS)) < 0.02).astype(np.int8)

    def gathered() -> RidgeMoments:
        one = RidgeMoments(FEATURES, LABELS)
        one.update(rows, states, 0)
        return one

    seconds = timed(gathered, 3)
    square, cross = np.eye(FEATURES) * ROWS, np.ones((FEATURES, LABELS))
    sums = Moments(float(ROWS), np.zeros(FEATURES), square, np.zeros(LABELS), cross)
    return {
        "flops": 2 * ROWS * FEATURES * (FEATURES + LABELS) / seconds,
        "bytes": sum(np.asarray(value).nbytes for value in vars(sums).values()),
        "join": timed(lambda: sums.join(sums)),
        "solve": timed(sums.decompose, 3),
    }


def counting() -> dict[str, float]:
    """Return the scores a second that a histogram counts in one of its passes, and its bytes a label."""
    from labelwise.summaries import ScoreHistogram

    scores = np.random.default_rng(0).random((ROWS, 100), dtype=np.float32)
    histogram = ScoreHistogram(np.full(100, ROWS // 10))
    seconds = timed(lambda: histogram.update(scores, 0))
    held = [value for value in vars(histogram).values() if isinstance(value, np.ndarray) and value.ndim == 2]
    return {"scores": scores.size / seconds, "bytes": sum(value.nbytes for value in held) / 100}


def labelled() -> float:
    """Return the operations a second of per-label sums of features (prototypes)."""
    from labelwise.summaries import LabelMoments

    random = np.random.default_rng(0)
    rows = random.standard_normal((ROWS, FEATURES), dtype=np.float32)
    targets = (random.random((ROWS, 200)) < 0.02).astype(np.float32)
    summary = LabelMoments(200, FEATURES)
    return 2 * ROWS * FEATURES * 200 / timed(lambda: summary.update(rows, targets), 3)


def measured() -> list[dict[str, Any]]:
    """Return the constants, each a row."""
    sums, counts = moments(), counting()
    rows = (
        ("reading", "features read (float16, page cache)", reading() / 1e9, "GB/s"),
        ("flops", "sums of ridge, 384 features, 1,000 labels", sums["flops"] / 1e9, "GFLOP/s"),
        ("labels", "sums of features by label", labelled() / 1e9, "GFLOP/s"),
        ("scores", "scores counted in one pass of three", counts["scores"] / 1e6, "million/s"),
        ("moments", "sums of ridge, 384 features, 1,000 labels: size", sums["bytes"] / 1e6, "MB"),
        ("histogram", "histogram of scores: size a label", counts["bytes"] / 1024, "KiB"),
        ("join", "two sums of ridge joined", sums["join"] * 1e3, "ms"),
        ("solve", "eigenvectors of 384 features", sums["solve"] * 1e3, "ms"),
    )
    return [
        {"name": name, "what": what, "value": f"{value:.4g}", "unit": unit}
        for name, what, value, unit in rows
    ]


def extrapolated(found: dict[str, float]) -> list[list[str]]:
    """Return the lines of the case: what, formula, of one worker, of all."""
    rows = ITEMS / WORKERS
    size = rows * FEATURES * 2
    read = size / (found["reading"] * 1e9)
    summed = 2 * rows * FEATURES * (FEATURES + LABELS) / (found["flops"] * 1e9)
    depth = int(np.ceil(np.log2(WORKERS)))
    step = found["moments"] * 1e6 / NETWORK + found["join"] / 1e3
    counted = 3 * rows * LABELS / (found["scores"] * 1e6)
    histogram = found["histogram"] * 1024 * LABELS
    counts = f"{3 * 2 * histogram / NETWORK * 1e3:,.0f} ms (3 all-reduces)"
    one, moved = f"{found['moments']:.2f} MB", f"{found['moments'] * (WORKERS - 1) / 1e3:,.2f} GB"
    return [
        ["bytes of features", "2 N D / W", f"{size / 1e9:,.2f} GB", f"{size * WORKERS / 1e12:,.2f} TB"],
        ["reading them once", "bytes / reading", f"{read:,.1f} s", f"{read:,.1f} s"],
        ["sums of ridge", "2 N D (D + K) / (W flops)", f"{summed:,.0f} s", f"{summed:,.0f} s"],
        ["their size, moved at each join", "8 (D^2 + D + D K + K + 1)", one, moved],
        ["joining them, a tree", "ceil(log2 W) (size / network + join)", "", f"{depth * step * 1e3:,.0f} ms"],
        ["solving", "one eigendecomposition", "", f"{found['solve']:,.0f} ms"],
        ["exact selection of K N scores", "3 N K / (W scores)", f"{counted:,.0f} s", f"{counted:,.0f} s"],
        ["its counts, moved at each pass", "8 x 2048 K", f"{histogram / 1e6:,.1f} MB", counts],
    ]  # fmt: skip


def made(rows: list[dict[str, str]]) -> dict[str, str]:
    """Return the regions of the page."""
    found = {row["name"]: float(row["value"]) for row in rows}
    constants = [[row["what"], f"{float(row['value']):,g}", row["unit"]] for row in rows]
    return {
        "constants": "\n".join(table(["measured", "value", "unit"], constants, words=(0, 2))),
        "case": "\n".join(table(["what", "formula", "one worker", "all"], extrapolated(found), words=(0, 1))),
    }


def main() -> None:
    given = script_parser(__doc__, TABLE).parse_args()
    path = place(given, TABLE)
    rows = measured()
    write_rows(path, rows)
    for row in rows:
        show(row)
    if given.write:
        fill_page(PAGE, made(read_rows(path)))


if __name__ == "__main__":
    main()
