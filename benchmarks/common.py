"""Shared parts of the benchmarks: options, result tables, timing in turns, the folder of real data.

Tables go to `runs/benchmarks`; the committed ones are written with `--write` alone.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LOCAL = ROOT / "docs" / "results" / "local"
UNCOMMITTED = Path("runs", "benchmarks")


def plain_parser(about: str | None, module: str | None = None) -> argparse.ArgumentParser:
    """Return a parser that shows a docstring as it stands, for a file or for `python -m MODULE`."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}" if module else None,
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def script_parser(
    about: str | None, committed: Path, *, option: str = "--out", rounds: int = 0
) -> argparse.ArgumentParser:
    """Return a parser with `--write` for the committed file and `option` for another one.

    Args:
        about: the script's docstring.
        committed: the committed table.
        option: name of the option for another file.
        rounds: default of `--rounds`; 0 leaves that option out.
    """
    parser = plain_parser(about)
    where = parser.add_mutually_exclusive_group()
    name = committed.relative_to(ROOT)
    where.add_argument("--write", action="store_true", help=f"write {name}, which is committed")
    default = f"write FILE [default: {UNCOMMITTED / committed.name}]"
    where.add_argument(option, type=Path, metavar="FILE", dest="place", help=default)
    if rounds:
        text = f"timed rounds [default: {rounds}]"
        parser.add_argument("--rounds", type=int, default=rounds, metavar="N", help=text)
    return parser


def place(given: argparse.Namespace, committed: Path, default: Path | None = None) -> Path:
    """Return the file to write, in a folder that exists."""
    path: Path = committed if given.write else given.place or default or UNCOMMITTED / committed.name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table, whole or not at all; its columns are the rows' keys in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w", newline="", encoding="utf-8") as file:
        columns = dict.fromkeys(key for row in rows for key in row)
        writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    draft.replace(path)


def show(row: Mapping[str, Any]) -> None:
    """Print one row, a name before each value."""
    print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)


def publish(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table and print its rows."""
    write_rows(path, rows)
    for row in rows:
        show(row)


def data_folder() -> Path:
    """Return the folder of real data."""
    if "LABELWISE_DATA" not in os.environ:
        raise SystemExit("set LABELWISE_DATA to the folder with the real data")
    return Path(os.environ["LABELWISE_DATA"])


def seconds(action: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the time of one call."""
    start = clock()
    action()
    return clock() - start


def in_turns(
    cases: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Time all cases once a round, so that the parts of a ratio share the machine's state."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, action in cases.items():
            times[name].append(seconds(action, clock))
    return times


def median_ratio(values: Iterable[float], base: Iterable[float]) -> float:
    """Return the median of the ratios within a round."""
    return median(value / other for value, other in zip(values, base, strict=True))
