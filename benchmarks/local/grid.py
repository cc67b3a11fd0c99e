"""The grids of the local benchmark: sets x settings x seeds x methods, as a list of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.local import baselines, sets
from labelwise import methods
from labelwise.experiments import Job

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
