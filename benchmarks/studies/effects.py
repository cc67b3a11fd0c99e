"""Gain of each part of the published protocol: one thing switched at a time, on the local benchmark's sets.

`python -m benchmarks.studies.effects --out DIR [--seeds 3] [--workers 2]` runs what is missing and writes
`DIR/page/effects.csv` (`--table FILE`; `--write`: `docs/results/local/effects.csv`): for each effect, set, setting and
seed the mAP without and with it. The mAP alone, since calibration and thresholds are learnt anew on either side and
would add their own noise.

- *label leak*: `bbam` whose pseudo-labels take the angle transform of an unlabelled item's true label;
- *second split*: `bbam` whose warm-up learns from another draw of labelled rows (RandomState(1000 + seed); the released
  code's is 1000) than the second stage, so that it has seen labels of nearly twice the rows. How lucky a draw is moves
  mAP more than that, so the other side is the mean of two honest runs, one on each of the two draws alone;
- *selection on test*: the epoch of the best test mAP instead of the last one, with a method's own budget of small steps
  and with the learning rate of 1e-3 at which whole networks are trained.

The decision rule needs no runs of its own: the local benchmark judges each run by three rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import LOCAL, place, script_parser, write_rows
from benchmarks.local import run as local
from benchmarks.local import sets
from labelwise.experiments import Job, Measured
from labelwise.experiments.results import read_shards

SETTINGS = ("5% labelled", "20% labelled")
SMALL_SETS = ("scene", "yeast", "voc12_animals")
LARGE_SETS = ("ohsumed", "goemotions")
SELECTED = ("asl", "bam", "cap", "softmatch")
STEEP = 1e-3
OTHER_DRAW = 1000
PUBLISHED = ("label leak", "second split")
SELECTION: dict[str, dict[str, Any]] = {
    "selection on test": {},
    "selection on test, rate 1e-3": {"learning_rate": STEEP},
}
FIELDS = ("effect", "set", "setting", "method", "seed", "without", "with")
TABLE = LOCAL / "effects.csv"


def run(job: Job, folder: str) -> Measured:
    """Train and judge a job, with its epoch chosen on the test rows where it says so."""
    import torch

    torch.set_num_threads(1)
    X, Y, X_test, Y_test = local.read(job.dataset, folder, job.options.get("rows"))
    given: dict[str, Any] = {}
    if "learning_rate" in job.options:
        given["learning_rate"] = job.options["learning_rate"]
    if "epoch" in job.options:
        # Everything but the choice of the epoch is the same on both sides: the rows, the scaling, the scores.
        given |= {"validation": (X_test, Y_test), "rule": 0.5, "calibrate": False}
        given["patience"] = 10_000 if job.options["epoch"] == "best on test" else None
    model = local.fitted(job, X, Y, sets.hide(Y, job), **given)
    found = local.figures(Y_test, model.predict_proba(X_test), model.rule_)
    return Measured(found, {"epochs": len(model.history_), "best_epoch": model.best_epoch_})


def pairs(seeds: int) -> Iterator[tuple[str, str, list[Job], Job]]:
    """Yield (effect, setting, the runs without it, the run with it): the small sets first, then seed by seed."""
    rows = sets.GOEMOTIONS_ROWS
    for names in (SMALL_SETS, LARGE_SETS):
        for seed in range(seeds):
            for name in names:
                for setting in SETTINGS:
                    plain = sets.job(name, setting, "bbam", seed, rows)
                    leaking = replace(plain, hyperparameters={"leak_truth": True}, protocol="published")
                    yield PUBLISHED[0], setting, [plain], leaking
                    other = OTHER_DRAW + seed
                    split = replace(plain, hyperparameters={"warm_up_seed": other}, protocol="published")
                    yield PUBLISHED[1], setting, [plain, replace(plain, seed=other)], split
            for name, method in product(names if names is SMALL_SETS else (), SELECTED):
                plain = sets.job(name, SETTINGS[0], method, seed, rows)
                for effect, rate in SELECTION.items():
                    last, best = (
                        replace(
                            plain, options={**plain.options, **rate, "epoch": epoch}, protocol="published"
                        )
                        for epoch in ("last", "best on test")
                    )
                    yield effect, SETTINGS[0], [last], best


def table(out: Path, seeds: int) -> list[dict[str, Any]]:
    """Return the mAP of each pair that is whole."""
    found = {
        shard["key"]: {(m["metric"], m["rule"]): m["value"] for m in shard["measurements"]}
        for shard in read_shards(out)
        if shard["status"] == "done"
    }
    rows = []
    for effect, setting, without, switched in pairs(seeds):
        if all(job.key in found for job in (*without, switched)):
            plain = np.mean([found[job.key]["map", ""] for job in without])
            values = round(float(plain), 5), round(found[switched.key]["map", ""], 5)
            told = (effect, switched.dataset, setting, switched.method, switched.seed, *values)
            rows.append(dict(zip(FIELDS, told, strict=True)))
    return rows


def measure(out: Path, path: Path, *, seeds: int = 3, workers: int = 2, cap: float = 300.0) -> None:
    """Run what is missing under `out` and write the table of every whole pair."""
    sets.read("goemotions", out / "embeddings")
    jobs = list(dict.fromkeys(job for _, _, without, job in pairs(seeds) for job in (*without, job)))
    local.compute(jobs, "benchmarks.studies.effects:run", out, workers, cap)
    rows = table(out, seeds)
    if not rows:
        raise SystemExit(f"no pair of runs under {out} is whole: {path} stays as it is")
    write_rows(path, rows)
    for effect in dict.fromkeys(row["effect"] for row in rows):
        gains = [r["with"] - r["without"] for r in rows if r["effect"] == effect]
        print(f"{effect}: mAP {np.mean(gains):+.4f} over {len(gains)} pairs")


def main() -> None:
    parser = script_parser(__doc__, TABLE, option="--table")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cap", type=float, default=300.0, help="seconds that a run may take")
    given = parser.parse_args()
    path = place(given, TABLE, given.out / "page" / TABLE.name)
    measure(given.out, path, seeds=given.seeds, workers=given.workers, cap=given.cap)


if __name__ == "__main__":
    main()
