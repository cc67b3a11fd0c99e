"""All speed and memory figures with one command: `python -m benchmarks.speed [NAME ...] [--rounds N] [--write]`.

Runs each benchmark in a process of its own, one after the other, and leaves their tables in `runs/benchmarks`; with
`--write` in `benchmarks/results`, over those that are committed. Use a machine that does nothing else. `refresh`,
`embedding` and `cached_start` run where LABELWISE_DATA is set; `auto`, an hour of large fits, `accelerator`, which
needs a CUDA device, `complete`, which takes 2 GB, `streaming`, whose files take 8 GB, `serving`, `workers`,
which needs Ray, and `compiling`, which needs a C++ compiler, only by their names.
`--rounds 1` shows in a few minutes that all work.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.common import plain_parser

SPEED = (
    "losses",
    "selection",
    "epoch",
    "steps",
    "images",
    "commands",
    "closed_form",
    "review",
    "metrics",
    "ridge",
)
ON_DATA = ("refresh", "embedding", "cached_start")
BY_NAME = ("auto", "accelerator", "complete", "streaming", "serving", "workers", "compiling")


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks.speed")
    everything = (*SPEED, *ON_DATA, *BY_NAME)
    told = f"some of {', '.join(everything)} [default: all that can run but the last seven]"
    parser.add_argument("names", nargs="*", metavar="NAME", help=told)
    parser.add_argument("--rounds", metavar="N", help="timed rounds of each [default: each one's own]")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results, which is committed")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in everything]:
        parser.error(f"{', '.join(unknown)}: there are {', '.join(everything)}")
    options = [*(("--rounds", given.rounds) if given.rounds else ()), *(("--write",) if given.write else ())]
    for name in given.names or (*SPEED, *(ON_DATA if "LABELWISE_DATA" in os.environ else ())):
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.speed.{name}", *options], check=True)


if __name__ == "__main__":
    main()
