"""The local benchmark: every method, in every setting of a grid that it accepts, on real frozen features.

`python -m benchmarks.local --out DIR [--grid quick|default|full | --quick] [--workers 2]` needs LABELWISE_DATA. Each
run is a shard under DIR: stop at any time, and the same command computes what is missing, seed by seed, so that a part
of the grid is a whole grid of fewer seeds. Tables and figures go to `DIR/page`; with `--write`, for the default grid,
to what is committed: `docs/results/local`, and the marked regions of `docs/benchmark.md` and README. The quick grid
(minutes) leaves out what has no small form: the effects of the published protocol, and the papers' size.

Every learner sees the same hidden labels, trains with its default hyper-parameters and budget on one thread, and is
judged on the test rows; nothing is chosen on them (protocol `honest`). Where no negative is known, methods that need a
prior get one number, the mean number of labels of a training item, as a practitioner would know it, and the row says
so. `logistic` is the plain floor, and with all labels the plain ceiling; `logistic_l2` differs in its scaling only.
`ridge` (scaling and strength by leave-one-out) is the tuned floor, and the best of all three with all labels the tuned
ceiling. A run that takes longer than `--cap` seconds is stopped and reported as such. Beside the learner's own decision
rule, F1 and Hamming loss are taken by a threshold of one half and by the *oracle count*, which reads each item's number
of labels from the truth: to measure what the rule does, never for a ranking.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.common import LOCAL, plain_parser
from benchmarks.local import page, run, tables
from benchmarks.local.grid import GRIDS
from benchmarks.studies import effects, paper_size


def main() -> None:
    parser = plain_parser(__doc__, "benchmarks.local")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the runs")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--grid", choices=GRIDS, default="default", help="[default: default]")
    quick = "the same as --grid quick"
    size.add_argument("--quick", action="store_const", const="quick", dest="grid", help=quick)
    parser.add_argument("--workers", type=int, default=2, help="[default: 2]")
    parser.add_argument("--cap", type=float, default=300.0, help="seconds that a run may take [default: 300]")
    parser.add_argument("--no-runs", action="store_true", help="tables of the runs that are there")
    parser.add_argument("--write", action="store_true", help="write what is committed, of the default grid")
    given = parser.parse_args()
    if given.write and given.grid != "default":
        raise SystemExit(f"{LOCAL} holds the default grid: the {given.grid} one is written without --write")
    grid, folder = GRIDS[given.grid], LOCAL if given.write else given.out / "page"
    jobs = grid.jobs(given.out / "embeddings")
    if not given.no_runs:
        run.compute(jobs, "benchmarks.local.run:run", given.out, given.workers, given.cap)
        if given.grid != "quick":
            effects.measure(
                given.out / "effects", folder / "effects.csv", workers=given.workers, cap=given.cap
            )
            paper_size.measure(given.out, folder / "paper_size.csv")
    tables.write(grid, jobs, given.out, folder)
    if given.write:
        page.fill_pages(folder)
    else:
        page.write_tables(folder, grid)


if __name__ == "__main__":
    main()
