"""Wall time of whole commands: `labelwise --help` and `labelwise demo`, each in a process of its own.

`python -m benchmarks.speed.commands`: the median of five runs of the first, after one that warms the disk's cache, and
one run of the second, in seconds, beside their limits.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from statistics import median

from benchmarks.common import RESULTS, place, publish, script_parser, seconds

TABLE = RESULTS / "commands.csv"
MAIN = [sys.executable, "-c", "from labelwise.cli import main; main()"]


def spent(*arguments: str) -> float:
    """Return the wall time of one command, which must succeed."""
    return seconds(lambda: subprocess.run([*MAIN, *arguments], check=True, capture_output=True))


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=5).parse_args()
    table = place(given, TABLE)
    spent("--help")
    rows = [("labelwise --help", median(spent("--help") for _ in range(given.rounds)), 0.5)]
    with tempfile.TemporaryDirectory() as folder:
        rows.append(("labelwise demo", spent("demo", "--out", f"{folder}/demo"), 120.0))
    publish(table, [{"command": n, "seconds": f"{s:.2f}", "limit": f"{limit:g}"} for n, s, limit in rows])


if __name__ == "__main__":
    main()
