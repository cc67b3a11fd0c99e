"""Seconds of `labelwise train` to its first training step, on pictures whose features are kept.

`python -m benchmarks.speed.cached_start` needs LABELWISE_DATA and the extra `vision`. It writes a table of the 1,697
training pictures of `voc12_subset` with 20 labels, 10% of the rows labelled, and runs `labelwise train` with
`efficientnet-lite0` and `bbam` on it: once with an empty cache, then five times with what that one kept (the median
stands beside its limit). The time runs from the start of the process to the end of its first step.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.common import RESULTS, data_folder, place, publish, script_parser

TABLE = RESULTS / "cached_start.csv"
MAIN = """
import os, sys, time
from importlib import abc, machinery, util

class Finder(abc.MetaPathFinder):
    # The engine is imported when the command wants it, not before: its time belongs to the command.
    def find_spec(self, name, path=None, target=None):
        if name != "labelwise.engine.run":
            return None
        sys.meta_path.remove(self)
        spec = util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            step = module.Run.take_step

            def first(run, members):
                step(run, members)
                print(time.monotonic(), flush=True)
                os._exit(0)

            module.Run.take_step = first

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
from labelwise.cli import main
main()
"""


def write_table(data: Path, path: Path) -> None:
    """Write the training pictures' table: every tenth row is labelled."""
    with np.load(data / "voc12_subset" / "voc12_animal_lite0.npz", allow_pickle=False) as file:
        names, labels, split, label_names = (file[k] for k in ("names", "Y", "split", "label_names"))
    rows = np.flatnonzero(split == "train")
    with path.open("w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["image", *label_names])
        for position, row in enumerate(rows):
            known = labels[row].tolist() if position % 10 == 0 else [""] * len(label_names)
            writer.writerow([f"{names[row]}.jpg", *known])


def first_step(data: Path, table: Path, out: Path, cache: Path) -> float:
    """Return the seconds from the start of `labelwise train` to the end of its first step."""
    command = [sys.executable, "-c", MAIN, "train", table, "--images", data / "voc12_subset" / "JPEGImages"]
    command += ["--backbone", "efficientnet-lite0", "--method", "bbam", "--device", "cpu", "--out", out]
    environment = {**os.environ, "LABELWISE_CACHE": str(cache)}
    began = time.monotonic()
    done = subprocess.run(
        [str(part) for part in command], env=environment, stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout.split()[-1]) - began


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=5).parse_args()
    results, data = place(given, TABLE), data_folder()
    with tempfile.TemporaryDirectory() as folder:
        table, cache = Path(folder, "photos.csv"), Path(folder, "cache")
        write_table(data, table)
        cold = first_step(data, table, Path(folder, "cold"), cache)
        warm = [first_step(data, table, Path(folder, f"warm-{run}"), cache) for run in range(given.rounds)]
    rows = (("empty", cold, ""), ("kept", median(warm), "6"))
    publish(
        results, [{"cache": n, "seconds_to_first_step": f"{s:.2f}", "limit": limit} for n, s, limit in rows]
    )


if __name__ == "__main__":
    main()
