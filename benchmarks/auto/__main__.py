"""The default method measured on real frozen features: `python -m benchmarks.auto`.

`python -m benchmarks.auto --out DIR [--parts grid ranks stress sizes] [--workers 2]` needs LABELWISE_DATA. Each run is
a shard under DIR: stop at any time, and the same command computes what is missing. Tables and a figure go to
`DIR/page`; with `--write`, for the whole grid, to what is committed: `docs/results/auto` and the marked regions of
`docs/results/auto.md`.

Learners: `auto`; `ridge`, the tuned floor; `logistic`, scikit-learn's usual pipeline (StandardScaler, then one logistic
regression a label, C = 1), and `logistic_l2` (rows of unit length, C = 10). The ceiling is the best of the last three
with all labels. All see the same hidden labels with their default settings, on one thread; nothing is chosen on test
rows. `grid` measures these on every set in every setting. `ranks` runs `auto` on the local benchmark's sample of
GoEmotions too: its other cells are the grid's, so that `auto` is ranked beside all its committed runs. `stress`
compares `auto` with `ridge` on hostile data; `sizes` takes time and memory. A run that takes longer than `--cap`
seconds is stopped and reported as such.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.auto import grid, page, sizes, stress
from benchmarks.common import LOCAL, plain_parser
from benchmarks.local import run as local
from benchmarks.local import sets
from benchmarks.local.grid import GRIDS
from labelwise.experiments import Job

PARTS = ("grid", "ranks", "stress", "sizes")


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks.auto")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the runs")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="[default: all]")
    every = (*grid.SETS, *grid.TEXTS)
    parser.add_argument(
        "--sets", nargs="+", choices=every, default=every, metavar="SET", help=", ".join(every)
    )
    parser.add_argument(
        "--settings", nargs="+", choices=grid.SETTINGS, default=grid.SETTINGS, metavar="SETTING"
    )
    parser.add_argument("--methods", nargs="+", default=grid.METHODS, metavar="METHOD")
    parser.add_argument("--seeds", type=int, default=3, help="[default: 3]")
    parser.add_argument("--workers", type=int, default=2, help="[default: 2]")
    parser.add_argument(
        "--cap", type=float, default=1800.0, help="seconds that a run may take [default: 1800]"
    )
    parser.add_argument("--no-runs", action="store_true", help="tables of the runs that are there")
    parser.add_argument("--write", action="store_true", help="write what is committed, of the whole grid")
    given = parser.parse_args()
    jobs = grid.jobs(given.sets, given.settings, given.seeds, given.methods)
    if given.write and {*jobs} != {*grid.jobs(every)}:
        raise SystemExit(f"{page.COMMITTED} holds the whole grid: a part of it is written without --write")
    if not given.no_runs:
        for part in given.parts:
            compute(part, jobs, given.out, given.workers, given.cap)
    folder = page.COMMITTED if given.write else given.out / "page"
    page.write(jobs, rank_jobs(), given.out, folder, LOCAL / "runs.csv")
    if given.write:
        page.fill_pages(folder)
    else:
        page.list_tables(folder)


def compute(part: str, jobs: list[Job], out: Path, workers: int, cap: float) -> None:
    """Compute the runs of a part that are not there yet."""
    if part == "grid":
        local.compute(jobs, "benchmarks.auto.run:run", out, workers, cap)
    elif part == "ranks":
        local.compute(rank_jobs(), "benchmarks.local.run:run", out / "ranks", workers, cap)
    elif part == "stress":
        local.compute(stress.jobs(), "benchmarks.auto.stress:run", out / "stress", workers, cap)
    else:
        # One call a run: the peak memory of a process counts what earlier runs have left there.
        for job in sizes.jobs():
            local.compute([job], "benchmarks.auto.sizes:run", out / "sizes", 1, cap)


def rank_jobs() -> list[Job]:
    """Return the runs of `auto` in the local benchmark's cells that the grid does not hold: another sample."""
    default = GRIDS["default"]
    return [
        sets.job("goemotions", setting, grid.DEFAULT, seed, default.rows)
        for setting in default.settings
        for seed in range(default.seeds)
    ]


if __name__ == "__main__":
    main()
