"""Memory and time of `complete` on 1,000,000 items x 100 labels: a million rows of 32 features, streamed.

python -m benchmarks.speed.complete --write
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, UNCOMMITTED, place, script_parser, write_rows

COMMITTED = RESULTS / "complete.csv"
ITEMS, LABELS, FEATURES, TRAIN = 1_000_000, 100, 32, 20_000


def peak() -> float:
    """Return the greatest resident memory of the process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    parser = script_parser(__doc__, COMMITTED)
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args()
    random = np.random.default_rng(0)
    X = random.standard_normal((given.items, FEATURES), dtype=np.float32)
    directions = random.standard_normal((FEATURES, LABELS), dtype=np.float32)
    Y = np.full((given.items, LABELS), -1, np.int8)
    for start in range(0, given.items, 50_000):
        part = slice(start, start + 50_000)
        scores = X[part] @ directions + 3 * random.standard_normal((len(X[part]), LABELS), dtype=np.float32)
        known = random.random(scores.shape, dtype=np.float32) < 0.2
        Y[part][known] = (scores > 8)[known]
    began = peak()
    model = lw.MultiLabelClassifier("ridge").fit(X[:TRAIN], Y[:TRAIN])
    start = time.perf_counter()
    completion = lw.complete(model, X, Y, seen=False, top=100_000)
    ranked = time.perf_counter() - start
    out = UNCOMMITTED / "complete_ranked.csv"
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    with out.open("w", newline="", encoding="utf-8") as file:
        for place_, block in enumerate(completion.blocks()):
            block.to_csv(file, index=False, header=not place_)
            rows += len(block)
    out.unlink()
    record = {
        "items": given.items,
        "labels": LABELS,
        "unknown": completion.plan.entries.n_unknown,
        "rows_written": rows,
        "seconds_ranking": f"{ranked:.1f}",
        "seconds_writing": f"{time.perf_counter() - start - ranked:.1f}",
        "gb_data": f"{(X.nbytes + Y.nbytes) / 1e9:.2f}",
        "gb_peak_before": f"{began:.2f}",
        "gb_peak": f"{peak():.2f}",
    }
    print(record)
    write_rows(place(given, COMMITTED), [record])


if __name__ == "__main__":
    main()
