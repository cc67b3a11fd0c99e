"""The whole local benchmark with one command: what is missing is run, then tables, figures and page are written anew.

``python -m benchmarks.local --out DIR [--grid quick|default|full | --quick] [--workers 2]`` needs
LABELWISE_DATA. Stop it at any time; the same command goes on. It writes ``DIR/page``, and with ``--write``, for the
default grid, what is committed: ``docs/results/local`` and ``docs/benchmark.md``. The quick grid (minutes) leaves out
what has no small form: the effects of the published protocol, and the papers' size.

Each part is a script with a help of its own: ``local.py`` (the grid), ``effects.py``, ``paper_size.py``,
``local_tables.py``, ``local_page.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.local.grid import GRIDS
from benchmarks.local.tables import folder_of


def run(script: str, *options: str) -> None:
    """Run one of the parts; stop where it fails."""
    print(f"== {script}", flush=True)
    answer = subprocess.run([sys.executable, "-m", f"benchmarks.{script}", *options], check=False)
    if answer.returncode:
        raise SystemExit(f"{script} ended with {answer.returncode}: mend that, and the same command goes on")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--grid", choices=GRIDS, default="default")
    parser.add_argument(
        "--quick", action="store_const", const="quick", dest="grid", help="the same as --grid quick"
    )
    parser.add_argument("--workers", default="2")
    parser.add_argument("--write", action="store_true", help="write what is committed, of the default grid")
    given = parser.parse_args()
    grid = ("--grid", given.grid, "--out", str(given.out))
    folder, workers = folder_of(given.grid, given.out, write=given.write), ("--workers", given.workers)

    def target(name: str) -> tuple[str, ...]:
        return ("--write",) if given.write else ("--table", str(folder / name))

    run("local.grid", *grid, *workers)
    if given.grid != "quick":
        run(
            "studies.effects",
            "--out",
            str(given.out / "effects"),
            *workers,
            *target("effects.csv"),
        )
        run("studies.paper_size", "--out", str(given.out), *target("paper_size.csv"))
    write = ("--write",) if given.write else ()
    run("local.tables", *grid, *write)
    run("local.page", *grid, *write)


if __name__ == "__main__":
    main()
