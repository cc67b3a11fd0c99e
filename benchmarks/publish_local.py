"""The whole local benchmark with one command: what is missing is run, then tables, figures and page are written anew.

``python benchmarks/publish_local.py --out DIR [--grid quick|default|full] [--workers 2]`` needs LABELWISE_DATA. Stop
it at any time; the same command goes on. Each part is a script with a help of its own: ``local.py`` (the grid),
``effects.py``, ``paper_size.py``, ``local_tables.py``, ``local_page.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(script: str, *options: str) -> None:
    """Run one script of this folder; stop where it fails."""
    print(f"== {script}", flush=True)
    subprocess.run([sys.executable, str(HERE / script), *options], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--grid", choices=("quick", "default", "full"), default="default")
    parser.add_argument("--workers", default="2")
    given = parser.parse_args()
    run("local.py", "--grid", given.grid, "--out", str(given.out), "--workers", given.workers)
    run("effects.py", "--out", str(given.out / "effects"), "--workers", given.workers)
    run("paper_size.py")
    run("local_tables.py", "--grid", given.grid, "--out", str(given.out))
    run("local_page.py")


if __name__ == "__main__":
    main()
