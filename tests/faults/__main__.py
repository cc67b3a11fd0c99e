"""Try faults, in a process whose system calls can be made to fail: `python -m tests.faults [NAME ...] [--long]`.

NAME is a fault, the file of tests that shows some (`test_disk`), or the beginning of either. Prints a JSON line each.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.faults.injection import built, loaded


def rows(names: Sequence[str], long: bool = False) -> Iterator[dict[str, Any]]:
    """Yield a record of each fault as it was tried, from a process of its own."""
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        memory = Path("/dev/shm")
        environment = {
            **os.environ,
            "LD_PRELOAD": str(built(Path(folder))),
            "OMP_NUM_THREADS": "1",
            # What is tried does not depend on the disk, and thousands of flushes would wait for it.
            "TMPDIR": str(memory if memory.is_dir() and os.access(memory, os.W_OK) else Path(folder)),
        }
        command = [sys.executable, "-m", "tests.faults", *names, *(["--long"] if long else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield json.loads(line)
        assert process.returncode == 0, f"{command} ended with {process.returncode}"


def main() -> None:
    """Try the faults in this process, which is started again where it lacks the library."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--long", action="store_true", help="everywhere, not at some places alone")
    given = parser.parse_args()
    if not loaded():
        for row in rows(given.names, given.long):
            print(json.dumps(row), flush=True)
        return
    from labelwise.engine import progress
    from tests.faults.disk import Tally
    from tests.faults.table import FAULTS

    # A line of progress comes by the clock: on a slow machine it would be among what commands say.
    progress.PACE = progress.Pace(math.inf)

    for name, fault in FAULTS.items():
        if given.names and not any(name.startswith(one) or fault.group == one for one in given.names):
            continue
        try:
            tally = fault.long() if given.long else fault.short()
        except Exception:
            tally = Tally(1, [traceback.format_exc()])
        row = {"fault": name, "promise": fault.promise, "test": fault.group, "tries": tally.tries}
        print(json.dumps({**row, "failures": tally.failures, "seconds": round(tally.seconds, 1)}), flush=True)


if __name__ == "__main__":
    main()
