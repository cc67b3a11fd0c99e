"""Memory and time of `complete` on 1,000,000 items x 100 labels: a million rows of 32 features, streamed.

`lw.complete` on arrays, then `labelwise complete RUN TABLE` on a Parquet file of them, in a process of its own.

python -m benchmarks.speed.complete --write
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, UNCOMMITTED, place, script_parser, write_rows

COMMITTED = RESULTS / "complete.csv"
ITEMS, LABELS, FEATURES, TRAIN, ROWS = 1_000_000, 100, 32, 20_000, 100_000


def peak() -> float:
    """Return the greatest resident memory of the process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def write_table(path: Path, items: int, seed: int) -> None:
    """Write a Parquet file of features and labels, a fifth of these known, in parts."""
    import pyarrow as pa
    from pyarrow import parquet

    random = np.random.default_rng(seed)
    directions = np.random.default_rng(0).standard_normal((FEATURES, LABELS), dtype=np.float32)
    writer = None
    for start in range(0, items, 50_000):
        n = min(50_000, items - start)
        X = random.standard_normal((n, FEATURES), dtype=np.float32)
        scores = X @ directions + 3 * random.standard_normal((n, LABELS), dtype=np.float32)
        unknown = random.random(scores.shape, dtype=np.float32) >= 0.2
        columns = {"id": pa.array([f"i{row}" for row in range(start, start + n)])}
        columns |= {f"x_{j}": pa.array(X[:, j]) for j in range(FEATURES)}
        states = (scores > 8).astype(np.int8)
        columns |= {f"label_{k}": pa.array(states[:, k], mask=unknown[:, k]) for k in range(LABELS)}
        table = pa.table(columns)
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def command(items: int) -> dict[str, object]:
    """Return time and memory of the command on a table of so many items."""
    with tempfile.TemporaryDirectory() as folder:
        train, table, run = Path(folder, "train.parquet"), Path(folder, "table.parquet"), Path(folder, "run")
        write_table(train, TRAIN, 1)
        write_table(table, items, 2)
        program = [sys.executable, "-c", "from labelwise.cli import main; main()"]
        settings = ["--method", "ridge", "--device", "cpu", "--out", str(run)]
        subprocess.run([*program, "train", str(train), *settings], check=True, stdout=subprocess.DEVNULL)
        start = time.perf_counter()
        words = ["complete", str(run), str(table), "--out", str(Path(folder, "ranked.parquet")), "--json"]
        process = subprocess.Popen([*program, *words], stdout=subprocess.PIPE)
        assert process.stdout is not None
        found = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, status
        return {
            "what": "the command",
            "items": items,
            "labels": LABELS,
            "unknown": found["unknown"],
            "rows_written": ROWS,
            "seconds": f"{time.perf_counter() - start:.1f}",
            "cpu_seconds": f"{usage.ru_utime + usage.ru_stime:.1f}",
            "gb_peak": f"{usage.ru_maxrss * 1024 / 1e9:.2f}",
        }


def arrays(items: int) -> dict[str, object]:
    """Return time and memory of the function on arrays of so many items."""
    random = np.random.default_rng(0)
    X = random.standard_normal((items, FEATURES), dtype=np.float32)
    directions = random.standard_normal((FEATURES, LABELS), dtype=np.float32)
    Y = np.full((items, LABELS), -1, np.int8)
    for start in range(0, items, 50_000):
        part = slice(start, start + 50_000)
        scores = X[part] @ directions + 3 * random.standard_normal((len(X[part]), LABELS), dtype=np.float32)
        known = random.random(scores.shape, dtype=np.float32) < 0.2
        Y[part][known] = (scores > 8)[known]
    model = lw.MultiLabelClassifier("ridge").fit(X[:TRAIN], Y[:TRAIN])
    start, cpu = time.perf_counter(), time.process_time()
    completion = lw.complete(model, X, Y, seen=False, top=ROWS)
    out = UNCOMMITTED / "complete_ranked.csv"
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    rows = 0
    with out.open("w", newline="", encoding="utf-8") as file:
        for place_, block in enumerate(completion.blocks()):
            block.to_csv(file, index=False, header=not place_)
            rows += len(block)
    out.unlink()
    return {
        "what": "arrays",
        "items": items,
        "labels": LABELS,
        "unknown": completion.plan.entries.n_unknown,
        "rows_written": rows,
        "seconds": f"{time.perf_counter() - start:.1f}",
        "cpu_seconds": f"{time.process_time() - cpu:.1f}",
        "gb_peak": f"{peak():.2f}",
    }


def main() -> None:
    parser = script_parser(__doc__, COMMITTED)
    parser.add_argument("--items", type=int, default=ITEMS)
    given = parser.parse_args()
    records = [arrays(given.items), command(given.items)]
    for record in records:
        print(record)
    write_rows(place(given, COMMITTED), records)


if __name__ == "__main__":
    main()
