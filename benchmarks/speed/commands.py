"""Time of whole commands: ``labelwise --help`` and ``labelwise demo``, each in a process of its own.

``python benchmarks/commands.py`` prints the median of five runs of the first (after one to warm the disk's cache) and
one run of the second, in seconds, beside their bounds, and writes them as a table: with
``--write``, ``benchmarks/results/commands.csv``.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from writing import place, script_parser

RESULTS = Path(__file__).parent / "results" / "commands.csv"
MAIN = [sys.executable, "-c", "from labelwise.cli import main; main()"]


def seconds(*arguments: str) -> float:
    """Return the wall time of one command, which must succeed."""
    start = time.perf_counter()
    subprocess.run([*MAIN, *arguments], check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    results = place(script_parser(__doc__, RESULTS).parse_args(), RESULTS)
    seconds("--help")
    rows = [("labelwise --help", statistics.median(seconds("--help") for _ in range(5)), 0.5)]
    with tempfile.TemporaryDirectory() as folder:
        rows.append(("labelwise demo", seconds("demo", "--out", f"{folder}/demo"), 120.0))
    with results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["command", "seconds", "limit"])
        for name, spent, limit in rows:
            writer.writerow([name, f"{spent:.2f}", f"{limit:g}"])
            print(f"{name:20} {spent:7.2f} s  (limit {limit:g})")


if __name__ == "__main__":
    main()
