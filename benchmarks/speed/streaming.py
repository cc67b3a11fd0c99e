"""Rows that do not fit in memory: time beside reading the files, and the largest memory.

`python -m benchmarks.speed.streaming --folder DIR [--rows 10000000] [--make]`: simulated features (float16, 384 of
them) in Parquet files of 250,000 rows, with 1,000 labels of which a row lists three, the more frequent ones more often.
`--make` writes them first, 8 GB for ten million rows; delete the folder afterwards. Measured, each in a process of its
own: the files read once (`read`), `labelwise train` on the folder (`train`), and the ten highest labels of each of the
first million rows (`predict`). `cpu` is processor time, which other work on the machine hardly changes; `reads` is the
wall time beside that of reading once; `peak_mb` the largest memory.
"""

from __future__ import annotations

import multiprocessing
import shutil
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from benchmarks.common import RESULTS, place, publish, script_parser, show
from labelwise._random import generator
from labelwise.models import peak_memory

TABLE = RESULTS / "streaming.csv"
FEATURES, LABELS, PART = 384, 1_000, 250_000
MOST_MB = 4_096


@lru_cache(maxsize=1)
def noise(features: int) -> NDArray[np.float32]:
    """Return normal numbers, from which rows are taken at random offsets: drawing them anew takes half an hour."""
    return generator(0, "streaming-noise").standard_normal(50_000 * features + (1 << 22), dtype=np.float32)


def write_part(folder: Path, number: int, rows: int, features: int = FEATURES, labels: int = LABELS) -> None:
    """Write one file: rows around the directions of their three labels."""
    directions = generator(0, "streaming").standard_normal((labels, features), dtype=np.float32)
    directions *= np.float32(0.4)
    random = generator(0, "streaming", number)
    share = np.cumsum(1 / np.arange(1, labels + 1) ** 0.7)
    writer = None
    for start in range(0, rows, 50_000):
        n = min(50_000, rows - start)
        chosen = np.searchsorted(share, random.random((n, 3)) * share[-1]).astype(np.int32)
        x = (
            noise(features)[(at := int(random.integers(1 << 22))) : at + n * features]
            .reshape(n, features)
            .copy()
        )
        for column in range(3):
            x += directions[chosen[:, column]]
        lists = pa.ListArray.from_arrays(np.arange(0, 3 * n + 1, 3, dtype=np.int32), chosen.ravel())
        values = pa.array(x.astype(np.float16).ravel())
        table = pa.table({"embedding": pa.FixedSizeListArray.from_arrays(values, features), "tags": lists})
        if writer is None:
            path = folder / f"part-{number:04d}.parquet"
            writer = parquet.ParquetWriter(path, table.schema, compression="none", use_dictionary=["tags"])
        writer.write_table(table)
    if writer is not None:
        writer.close()


def make(folder: Path, rows: int) -> None:
    """Write the files that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(range(0, rows, PART)):
        if not (folder / f"part-{number:04d}.parquet").exists():
            write_part(folder, number, min(PART, rows - start))


def read(folder: Path, run: Path) -> None:
    """Read all files once, decoded."""
    for path in sorted(folder.glob("*.parquet")):
        with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=65_536, use_threads=False):
                assert batch.num_rows


def train(folder: Path, run: Path) -> None:
    """Train on the folder."""
    from labelwise import runs

    config = runs.RunConfig.build(
        {"table": str(folder), "labels_column": "tags", "unlisted": "absent", "stream": True}
    )
    outcome = runs.train(config, run / "run")
    assert outcome is not None
    print(outcome.rule, *outcome.notes, sep="\n", flush=True)


def predict(folder: Path, run: Path) -> None:
    """Score all rows, and write the ten highest labels of each."""
    from labelwise import runs

    first = run / "first"
    first.mkdir()
    for path in sorted(folder.glob("*.parquet"))[:4]:
        (first / path.name).symlink_to(path.resolve())
    runs.predict(run / "run", first, run / "scores", top=10)


PHASES: dict[str, Callable[[Path, Path], None]] = {"read": read, "train": train, "predict": predict}


def measured(phase: str, folder: Path, run: Path) -> dict[str, str]:
    """Return the row of one phase."""
    start, start_cpu = time.perf_counter(), time.process_time()
    PHASES[phase](folder, run)
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    return {
        "phase": phase,
        "seconds": f"{wall:.0f}",
        "cpu": f"{cpu:.0f}",
        "peak_mb": f"{(peak_memory() or 0) / 1e6:.0f}",
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--folder", type=Path, default=Path("runs", "streaming"), help="where the files are")
    parser.add_argument("--rows", type=int, default=10_000_000, metavar="N", help="rows of all files")
    parser.add_argument("--make", action="store_true", help="write the files first")
    parser.add_argument("--only", nargs="+", choices=list(PHASES), default=list(PHASES), help="some phases")
    given = parser.parse_args()
    if given.make:
        make(given.folder, given.rows)
    run = given.folder.with_name(f"{given.folder.name}-run")
    if "train" in given.only:
        shutil.rmtree(run, ignore_errors=True)
    run.mkdir(exist_ok=True)
    files = sorted(given.folder.glob("*.parquet"))
    rows = sum(parquet.read_metadata(path).num_rows for path in files)
    found = []
    # "spawn": a forked process would count its parent's memory as its own.
    for phase in given.only:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row = pool.apply(measured, (phase, given.folder, run))
        # Predictions are of the first four files alone.
        of_phase = min(rows, 4 * PART) if phase == "predict" else rows
        once = next((float(one["seconds"]) for one in found if one["phase"] == "read"), 0.0)
        reads = f"{float(row['seconds']) / once:.1f}" if once and phase == "train" else ""
        size = {"rows": f"{of_phase}", "features": f"{FEATURES}", "labels": f"{LABELS}"}
        found.append({**size, **row, "reads": reads, "most_mb": f"{MOST_MB}"})
        show(found[-1])
    publish(place(given, TABLE), found)


if __name__ == "__main__":
    main()
