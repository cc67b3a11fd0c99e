"""Two workers of Ray beside one process, on the same files: time, and whether the bits are the same.

`python -m benchmarks.speed.workers [--rows N] [--rounds N]`: simulated features (float16, 384 of them) in Parquet
files, with 1,000 labels of which a row lists three. Measured in turns, in one run: the streaming fit (`solve_stream`)
and scoring of all rows (`labelwise predict`, the ten highest labels of each), by this process and by two workers of a
Ray that was started before, each with one thread of linear algebra. `ratio` is the time by the clock of the workers
beside that of the process, their start in each pass included; `same` says whether weights, thresholds and files are
equal to the bit. The fit chooses lambda and judges in the process that asked, whoever gathers the sums: of few rows
that is most of it.
"""

from __future__ import annotations

import os

# Read by the linear algebra when it is imported; its threads decide how sums are rounded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, script_parser, show
from benchmarks.speed.streaming import write_part
from labelwise import runs
from labelwise.data import TableOptions, TableStream
from labelwise.models import solve_stream
from labelwise.workers import HERE, Workers, open_workers

TABLE = RESULTS / "workers.csv"
FEATURES, LABELS, FILES, COUNT = 384, 1_000, 8, 2
MOST = 1.0


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=1)
    parser.add_argument("--rows", type=int, default=120_000, metavar="N", help="rows of all files")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "items").mkdir()
        for number in range(FILES):
            write_part(folder / "items", number, given.rows // FILES, FEATURES, LABELS)
        publish(place(given, TABLE), measured(folder, given.rows, given.rounds))


def measured(folder: Path, rows: int, rounds: int) -> list[dict[str, str]]:
    """Return a row for the fit, and one for scoring."""
    options = TableOptions(labels_column="tags", unlisted="absent")
    # As many fragments as files.
    stream = replace(TableStream.open(folder / "items", options), most_rows=rows // FILES)
    # What scores is trained on few rows.
    (folder / "few").mkdir()
    write_part(folder / "few", FILES, 2_000, FEATURES, LABELS)
    settings = {"table": str(folder / "few"), "labels_column": "tags", "unlisted": "absent"}
    runs.train(runs.RunConfig.build(settings), folder / "run")
    crew = open_workers("ray", COUNT)
    found = []
    for phase, work in (("fit", partial(fit, stream)), ("score", partial(score, folder))):
        results: list[list[bytes]] = []

        def take(workers: Workers, work: Any = work, results: list[list[bytes]] = results) -> None:
            results.append(work(workers))

        times = in_turns({"one": partial(take, HERE), "two": partial(take, crew)}, rounds)
        row = {
            "phase": phase,
            "rows": f"{rows}",
            "features": f"{FEATURES}",
            "labels": f"{LABELS}",
            "one_seconds": f"{median(times['one']):.2f}",
            "two_seconds": f"{median(times['two']):.2f}",
            "ratio": f"{median_ratio(times['two'], times['one']):.2f}",
            "bound": f"{MOST}",
            "same": "yes" if all(result == results[0] for result in results) else "no",
        }
        show(row)
        found.append(row)
    return found


def fit(stream: TableStream, workers: Workers) -> list[bytes]:
    """Return the bytes of what a streaming fit finds."""
    solution = solve_stream(replace(stream, workers=workers)).solution
    names = ("weight", "bias", "loo_scores", "thresholds", "lambdas_averaged")
    return [np.asarray(getattr(solution, name)).tobytes() for name in names]


def score(folder: Path, workers: Workers) -> list[bytes]:
    """Return the bytes of the files that scoring writes."""
    given: dict[str, Any] = {} if workers is HERE else {"engine": "ray", "workers": COUNT}
    with tempfile.TemporaryDirectory(dir=folder) as name:
        out = Path(name) / "scores"
        runs.predict(folder / "run", folder / "items", out, top=10, **given)
        return [path.read_bytes() for path in sorted(out.glob("*.parquet"))]


if __name__ == "__main__":
    main()
