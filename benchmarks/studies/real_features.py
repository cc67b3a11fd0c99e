"""``ridge``, ``bam``, ``cap``, ``bbam`` and ``hml`` with default settings, paired with logistic regression.

``python -m benchmarks.studies.real_features [--sets ...] [--seeds 5] [--jobs 2] [--out FILE]`` reads the frozen features of
VOC12-animals and Ohsumed from LABELWISE_DATA. Every learner sees the same hidden labels (10% of the rows labelled, or
one positive a row, see ``benchmarks/studies/ridge.py``) and is judged on the same test rows: mAP over the labels with a
positive in train and in test. The logistic regression is one-vs-rest, C = 10, on the rows with a known entry, unknown
as absent; ``floor`` is the better of its two input scalings in each cell. For single positives ``cap`` and ``bbam``
are given the training set's mean number of labels per item, as a practitioner would know it, and nothing else.
Rows that the output file already holds are not computed again.
"""

from __future__ import annotations

import csv
import os
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.common import place, script_parser
from benchmarks.studies.ridge import SETTINGS, hide, load, logistic, mean_average_precision

LOGISTIC = ("logistic_standardised", "logistic_l2")
METHODS = ("ridge", "bam", "cap", "bbam", "hml")
FIELDS = ("set", "setting", "seed", "learner", "map", "seconds", "protocol")
RESULTS = Path(__file__).parents[1] / "results" / "real_features.csv"
_load = cache(load)


def judge(name: str, setting: str, seed: int, learner: str) -> dict[str, Any]:
    """Return one row of the results."""
    import torch

    import labelwise as lw

    torch.set_num_threads(1)
    X, Y, X_test, Y_test = _load(name, Path(os.environ["LABELWISE_DATA"]))
    seen = hide(Y, setting, seed)
    start = time.perf_counter()
    if learner in LOGISTIC:
        scores = logistic(X, seen, X_test, learner.removeprefix("logistic_"))
    else:
        needs = lw.methods.get(learner).spec.needs
        prior = float(Y.sum(1).mean()) if "prior" in needs and setting == "single positive" else None
        model = lw.MultiLabelClassifier(learner, prior=prior, random_state=seed)
        scores = model.fit(X, seen).decision_scores(X_test)
    spent = time.perf_counter() - start
    value = mean_average_precision(Y_test, scores)
    cells = (name, setting, seed, learner, f"{value:.4f}", f"{spent:.1f}", "honest")
    return dict(zip(FIELDS, cells, strict=True))


def missing(path: Path, sets: list[str], seeds: int) -> Iterator[tuple[str, str, int, str]]:
    """Yield the runs that the file does not hold yet."""
    done = {tuple(row[key] for key in FIELDS[:4]) for row in read(path)}
    for name in sets:
        for setting in SETTINGS:
            for seed in range(seeds):
                for learner in (*LOGISTIC, *METHODS):
                    if (name, setting, str(seed), learner) not in done:
                        yield name, setting, seed, learner


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(rows: list[dict[str, str]]) -> str:
    """Return mean mAP per cell and learner, and the mean paired difference to the floor with its standard error."""
    lines = [f"{'cell':32}{'floor':>8}" + "".join(f"{name:>16}" for name in METHODS)]
    cells = sorted({(row["set"], row["setting"]) for row in rows})
    for cell in cells:
        values: dict[str, dict[str, float]] = {}
        for row in rows:
            if (row["set"], row["setting"]) == cell:
                values.setdefault(row["learner"], {})[row["seed"]] = float(row["map"])
        floor = max((values[name] for name in LOGISTIC), key=lambda seeds: statistics.mean(seeds.values()))
        line = f"{cell[0] + ', ' + cell[1]:32}{statistics.mean(floor.values()):8.4f}"
        for name in METHODS:
            gaps = [values[name][seed] - floor[seed] for seed in floor]
            error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
            line += f"{statistics.mean(gaps):+9.4f} ±{error:.4f}"
        lines.append(line)
    return "\n".join(lines)


def main() -> None:
    parser = script_parser(__doc__, RESULTS)
    parser.add_argument("--sets", nargs="+", default=["voc12_animals", "ohsumed"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    if "LABELWISE_DATA" not in os.environ:
        raise SystemExit("set LABELWISE_DATA to the folder with the real data")
    results = place(arguments, RESULTS)
    rows = read(results)
    with ProcessPoolExecutor(arguments.jobs) as pool:
        tasks = [pool.submit(judge, *run) for run in missing(results, arguments.sets, arguments.seeds)]
        for task in as_completed(tasks):
            rows.append({key: str(value) for key, value in task.result().items()})
            rows.sort(key=lambda row: (row["set"], row["setting"], int(row["seed"]), row["learner"]))
            with results.open("w", newline="") as file:
                writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
