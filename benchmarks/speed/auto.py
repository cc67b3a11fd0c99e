"""The default at the sizes that the documentation promises, each beside its bar: `python -m benchmarks.speed.auto`.

`python -m benchmarks.speed.auto [--only NAME ...] [--settings SETTING ...] [--cap SECONDS]` needs LABELWISE_DATA. The
cases are those of `benchmarks.auto.sizes`, and `minilm+words`: 8,000 comments of GoEmotions. Each runs in a process of
its own, the small first; one that takes longer than `--cap` is stopped and stands as such. `seconds` and `cpu` are wall
time and processor time of the fit, `bar` what it may take, on two cores; `peak_mb` the largest memory of the process,
libraries and data included; `rows_a_second` those scored by processor time. `reference` is the wall time of one
eigendecomposition of order 1,280 over its processor time, just before: where it is far above 1, other work had the
cores, and `cpu` tells more than `seconds`. `form` is what the fit said of thinner forms.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import eigh

import labelwise as lw
from benchmarks.auto import grid
from benchmarks.auto.sizes import SIZES, Size
from benchmarks.common import RESULTS, data_folder, place, read_rows, script_parser, show, write_rows
from benchmarks.local import sets

TABLE = RESULTS / "auto.csv"
TEXTS = "minilm+words"
MOST_ROWS = 20_000  # that are scored
ROWS_A_SECOND = {"VOC's size": 5000}
CASES = (*SIZES, TEXTS)
FORMS = ("keyed rows", "come from faiss")


def cases(only: Sequence[str], settings: Sequence[str]) -> list[tuple[str, str]]:
    """Return (case, setting) of every run, the small first."""
    every = [(name, setting) for name, size in SIZES.items() for setting in size.settings]
    every.insert(7, (TEXTS, "5% labelled"))
    return [
        (name, setting) for name, setting in every if name in only and (setting in settings or not settings)
    ]


def reference() -> float:
    """Return wall time over processor time of one eigendecomposition."""
    A = np.random.default_rng(0).standard_normal((1280, 1280))
    wall, cpu = time.perf_counter(), time.process_time()
    eigh(A @ A.T, driver="evd")
    return (time.perf_counter() - wall) / max(time.process_time() - cpu, 1e-9)


def measure(name: str, setting: str, answer: Any) -> None:
    """Send the figures of one run."""
    try:
        answer.send(measured(name, setting))
    except MemoryError:
        answer.send({"status": "out of memory"})


def measured(name: str, setting: str) -> dict[str, str]:
    """Fit the default, and score rows; return the figures as text."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    if name == TEXTS:
        texts, Y, *_ = grid.read("goemotions_words", data_folder())
        X: Any = texts
        options: dict[str, Any] = {"backbone": grid.BACKBONES["goemotions_words"]}
    else:
        X, Y = SIZES[name].read()
        options = {}
    seen = sets.hide(Y, sets.job(name, setting, "auto", 0))
    busy = reference()
    wall, cpu = time.perf_counter(), time.process_time()
    model = lw.MultiLabelClassifier("auto", device="cpu", random_state=0, **options).fit(X, seen)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = lw.models.peak_memory() or 0
    part = X[:MOST_ROWS]
    model.predict_proba(part[:100])
    began = time.process_time()
    model.predict_proba(part)
    rate = (len(part) if isinstance(part, list) else part.shape[0]) / (time.process_time() - began)
    return {
        "seconds": f"{wall:.1f}",
        "cpu": f"{cpu:.1f}",
        "peak_mb": str(peak >> 20),
        "rows_a_second": f"{rate:.0f}",
        "reference": f"{busy:.1f}",
        "form": "; ".join(note for note in model.notes_ if any(form in note for form in FORMS)),
    }


def run(name: str, setting: str, cap: float) -> dict[str, str]:
    """Return the figures of a run in a process of its own, or why it has none."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=measure, args=(name, setting, its))
    process.start()
    its.close()
    try:
        if mine.poll(cap):
            return dict(mine.recv())
        return {"status": f"stopped after {cap:.0f} s"}
    except EOFError:
        return {"status": "failed"}
    finally:
        process.kill()
        process.join()


def row_of(name: str, setting: str, found: dict[str, str]) -> dict[str, str]:
    """Return the row of a run with its bars and the verdict."""
    size = SIZES.get(name)
    bars = {
        "case": name,
        "shape": size.shape if size else "8,000 texts x 28",
        "setting": setting,
        "bar": f"{size.most_seconds:g}" if size else "",
        "bar_mb": f"{1024 * size.most_gb:.0f}" if size and size.most_gb else "",
        "bar_rows": str(ROWS_A_SECOND.get(name, "")),
    }
    return {**bars, **found, "verdict": found.get("status") or verdict(name, size, found)}


def verdict(name: str, size: Size | None, found: dict[str, str]) -> str:
    """Say which bars are kept."""
    words = []
    if size:
        wall, cpu = float(found["seconds"]), float(found["cpu"])
        within = "within" if wall <= size.most_seconds else "over by wall time"
        if wall > size.most_seconds >= cpu:
            within += ", within by processor time"
        words.append(f"time {within}")
        if size.most_gb:
            words.append(f"memory {'within' if int(found['peak_mb']) <= 1024 * size.most_gb else 'over'}")
    if name in ROWS_A_SECOND:
        words.append(
            f"rate {'reached' if float(found['rows_a_second']) >= ROWS_A_SECOND[name] else 'missed'}"
        )
    return "; ".join(words) or "no bar"


def parser() -> argparse.ArgumentParser:
    own = script_parser(__doc__, TABLE)
    own.add_argument("--only", nargs="+", choices=CASES, default=CASES, metavar="NAME", help=", ".join(CASES))
    own.add_argument("--settings", nargs="+", default=(), metavar="SETTING", help="[default: all of a case]")
    own.add_argument("--cap", type=float, default=3600.0, help="seconds that a run may take [default: 3600]")
    return own


def main() -> None:
    given = parser().parse_args()
    table = place(given, TABLE)
    rows = {(row["case"], row["setting"]): row for row in read_rows(table)}
    every = cases(CASES, ())
    for name, setting in cases(given.only, given.settings):
        rows[name, setting] = row_of(name, setting, run(name, setting, given.cap))
        show(rows[name, setting])
        # a stop loses no run that ended
        write_rows(table, [rows[key] for key in every if key in rows])


if __name__ == "__main__":
    main()
