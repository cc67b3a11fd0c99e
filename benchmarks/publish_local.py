"""The whole local benchmark with one command: what is missing is run, then tables, figures and page are written anew.

``python benchmarks/publish_local.py --out DIR [--grid quick|default|full | --quick] [--workers 2]`` needs
LABELWISE_DATA. Stop it at any time; the same command goes on. The default grid writes ``docs/results/local`` and
``docs/benchmark.md``; another one writes ``DIR/page``, and leaves what is committed alone. The quick grid (minutes)
leaves out what has no small form: the effects of the published protocol, and the papers' size.

Each part is a script with a help of its own: ``local.py`` (the grid), ``effects.py``, ``paper_size.py``,
``local_tables.py``, ``local_page.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from local import GRIDS
from local_tables import folder_of

HERE = Path(__file__).parent


def run(script: str, *options: str) -> None:
    """Run one script of this folder; stop where it fails."""
    print(f"== {script}", flush=True)
    answer = subprocess.run([sys.executable, str(HERE / script), *options], check=False)
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
    given = parser.parse_args()
    grid = ("--grid", given.grid, "--out", str(given.out))
    folder, workers = folder_of(given.grid, given.out), ("--workers", given.workers)
    run("local.py", *grid, *workers)
    if given.grid != "quick":
        run(
            "effects.py",
            "--out",
            str(given.out / "effects"),
            *workers,
            "--table",
            str(folder / "effects.csv"),
        )
        run("paper_size.py", "--out", str(given.out), "--table", str(folder / "paper_size.csv"))
    run("local_tables.py", *grid)
    run("local_page.py", *grid)


if __name__ == "__main__":
    main()
