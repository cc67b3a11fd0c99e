"""The most memory that this process has held."""

from __future__ import annotations

import sys


def peak_memory() -> int | None:
    """Return the peak resident memory of this process in bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
