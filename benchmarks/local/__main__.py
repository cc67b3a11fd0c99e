"""The whole local benchmark with one command: what is missing is run, then tables, figures and page are written anew.

``python benchmarks/publish_local.py --out DIR [--grid quick|default|full | --quick] [--workers 2]`` needs
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
    parser.add_argument("--write", action="store_true", help="write what is committed, of the default grid")
    given = parser.parse_args()
    grid = ("--grid", given.grid, "--out", str(given.out))
    folder, workers = folder_of(given.grid, given.out, write=given.write), ("--workers", given.workers)

    def target(name: str) -> tuple[str, ...]:
        return ("--write",) if given.write else ("--table", str(folder / name))

    run("local.py", *grid, *workers)
    if given.grid != "quick":
        run(
            "effects.py",
            "--out",
            str(given.out / "effects"),
            *workers,
            *target("effects.csv"),
        )
        run("paper_size.py", "--out", str(given.out), *target("paper_size.csv"))
    write = ("--write",) if given.write else ()
    run("local_tables.py", *grid, *write)
    run("local_page.py", *grid, *write)


if __name__ == "__main__":
    main()
