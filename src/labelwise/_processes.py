"""Place of this process among those of one run."""

from __future__ import annotations

import os


def is_first_process() -> bool:
    """Return whether this process is the first of a run, or alone."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "GROUP_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") in ("", "0") for name in names)
