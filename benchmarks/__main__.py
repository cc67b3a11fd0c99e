"""All speed and memory figures with one command: ``python benchmarks``.

Runs each benchmark in a process of its own, one after the other, and leaves their tables in ``benchmarks/results``.
Use a machine that does nothing else. The comparisons on real data are apart, since they need ``LABELWISE_DATA``:
``ridge.py`` and ``real_features.py`` in this folder; ``embedding.py`` and ``cached_start.py`` run where it is set.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    names = ["losses", "selection", "refresh", "epoch", "steps", "images", "commands"]
    if "LABELWISE_DATA" in os.environ:
        names += ["embedding", "cached_start"]
    for name in names:
        print(f"== {name}", flush=True)
        subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=True)


if __name__ == "__main__":
    main()
