"""The local benchmark: every method, in every setting of a grid that it accepts, on real sets of frozen features.

``python -m benchmarks.local.grid --grid quick|default|full --out DIR [--workers 2]`` needs LABELWISE_DATA. Each run is a
shard under DIR: stop at any time, and the same command computes what is missing, seed by seed, so that a part of the
grid is a whole grid of fewer seeds. ``benchmarks/local/tables.py`` makes tables and figures of what is there.

Every learner sees the same hidden labels, trains with its default hyper-parameters and budget on one thread, and is
judged on the test rows; nothing is chosen on them (protocol ``honest``). Where no negative is known, methods that
need a prior get one number, the mean number of labels of a training item, as a practitioner would know it, and the
row says so. ``logistic`` is the plain floor, and with all labels the plain ceiling; ``logistic_l2`` differs in its
scaling only. ``ridge`` (scaling and strength by leave-one-out) is the tuned floor, and the best of all three with all
labels the tuned ceiling. A run that takes longer than ``--cap`` seconds is stopped and reported as such. Beside the
learner's own decision rule, F1 and Hamming loss are taken by a threshold of one half and by the *oracle count*, which
reads each item's number of labels from the truth: to measure what the rule does (``effects.py``), never for a
ranking.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.local import baselines, sets
from labelwise import methods
from labelwise.experiments import Job, run_jobs

SLOW = ("mime", "drml")
CEILING = ("logistic", "logistic_l2", "ridge")
MOST_LABELS = 30


@dataclass(frozen=True)
class Grid:
    """Sets x settings x seeds x methods; None stands for every method, and for every row of GoEmotions."""

    sets: tuple[str, ...]
    settings: tuple[str, ...]
    seeds: int
    methods: tuple[str, ...] | None = None
    rows: int | None = sets.GOEMOTIONS_ROWS

    def jobs(self, folder: Path) -> list[Job]:
        """Return every run: ceilings first, then seed by seed, the slow methods after the others' next seed."""
        labels = {name: sets.read(name, folder, self.rows)[1].shape[1] for name in self.sets}
        found = [
            sets.job(name, setting, method, seed, self.rows)
            for seed in range(self.seeds)
            for setting in self.settings
            for name in self.sets
            for method in self.learners(sets.KINDS[setting][0])
            if labels[name] <= MOST_LABELS or method not in SLOW
        ]
        found.sort(key=lambda job: job.seed + 1.5 * (job.method in SLOW))
        ceilings = [sets.job(name, "all labels", m, 0, self.rows) for name in self.sets for m in CEILING]
        return list(dict.fromkeys([*ceilings, *found]))

    def learners(self, setting: str) -> list[str]:
        """Return the baselines and the grid's methods that a setting of the registry allows."""
        fitting = [m for m in methods.fitting(setting) if self.methods is None or m in self.methods]
        return [*baselines.applicable(setting), *fitting]


GRIDS = {
    "quick": Grid(
        ("scene", "voc12_animals"),
        ("single positive", "10% labelled"),
        seeds=1,
        methods=("ridge", "an", "asl", "em_apl", "hml", "bam", "bbam", "cap"),
    ),
    "default": Grid(sets.SETS, sets.SETTINGS, seeds=3),
    "full": Grid((*sets.SETS, *sets.MORE_SETS), tuple(sets.KINDS), seeds=5, rows=None),
}


def show(finished: int, of: int, shard: Mapping[str, Any]) -> None:
    """Print a line on a run that ended."""
    figures = {m["metric"]: m["value"] for m in shard["measurements"]}
    told = f"mAP {figures['map']:.4f}" if figures else f"{shard['status']}: {shard['error']}"
    print(f"{finished}/{of}  {shard['key'].rpartition('-')[0]}  {told}  {shard['seconds']} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", choices=GRIDS, default="default")
    parser.add_argument(
        "--quick", action="store_const", const="quick", dest="grid", help="the same as --grid quick"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cap", type=float, default=300.0, help="seconds that a run may take")
    options = parser.parse_args()
    jobs = GRIDS[options.grid].jobs(options.out / "embeddings")
    tally = run_jobs(
        jobs,
        "benchmarks.local.run:run",
        options.out,
        data=str(options.out),
        workers=options.workers,
        time_cap=options.cap,
        progress=show,
    )
    print(
        f"{tally.done} done, {tally.before} before, {tally.capped} stopped by the cap, {tally.failed} failed"
    )


if __name__ == "__main__":
    main()
