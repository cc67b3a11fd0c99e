"""All speed and memory figures with one command: ``python benchmarks [NAME ...] [--write]``.

Runs each benchmark in a process of its own, one after the other, and leaves their tables in ``runs/benchmarks``; with
``--write`` in ``benchmarks/results``, over those that are committed. Use a machine that does nothing else. The
comparisons on real data are apart, since they need ``LABELWISE_DATA``: ``ridge.py`` and ``real_features.py`` in this
folder; ``embedding.py`` and ``cached_start.py`` run where it is set.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
SPEED = ("losses", "selection", "refresh", "epoch", "steps", "images", "commands")
ON_DATA = ("embedding", "cached_start")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    everything = (*SPEED, *ON_DATA)
    told = f"some of {', '.join(everything)} [default: all that can run]"
    parser.add_argument("names", nargs="*", metavar="NAME", help=told)
    parser.add_argument("--write", action="store_true", help="write benchmarks/results, which is committed")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in everything]:
        parser.error(f"{', '.join(unknown)}: there are {', '.join(everything)}")
    for name in given.names or (*SPEED, *(ON_DATA if "LABELWISE_DATA" in os.environ else ())):
        print(f"== {name}", flush=True)
        command = [sys.executable, str(HERE / f"{name}.py"), *(("--write",) if given.write else ())]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
