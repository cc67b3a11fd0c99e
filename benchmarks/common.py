"""Where the scripts of this folder write: to ``runs/benchmarks``, and over committed results with ``--write`` alone."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["place", "script_parser"]

ROOT = Path(__file__).parents[1]
UNCOMMITTED = Path("runs", "benchmarks")


def script_parser(told: str | None, committed: Path, *, option: str = "--out") -> argparse.ArgumentParser:
    """Return a script's parser, with ``--write`` for the committed file and ``option`` for another one."""
    parser = argparse.ArgumentParser(
        description=told, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--write", action="store_true", help=f"write {committed.relative_to(ROOT)}, which is committed"
    )
    where.add_argument(
        option,
        type=Path,
        metavar="FILE",
        dest="place",
        help=f"write FILE [default: {UNCOMMITTED / committed.name}]",
    )
    return parser


def place(given: argparse.Namespace, committed: Path, default: Path | None = None) -> Path:
    """Return the file to write, in a folder that is there."""
    path: Path = committed if given.write else given.place or default or UNCOMMITTED / committed.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
