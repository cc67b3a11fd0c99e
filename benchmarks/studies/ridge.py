"""Ridge with default settings beside one-vs-rest logistic regression (C = 10), on frozen features.

`python -m benchmarks.studies.ridge [--sets voc12_animals ohsumed ...] [--seeds 5]` reads LABELWISE_DATA, prints a table
and writes one row per (set, setting, seed). Both learners see the same labels in the same run. mAP is the mean average
precision over the labels with a positive in train and in test. Settings: 10% of the rows labelled (the first
`int(.1 n)` of `RandomState(seed).permutation(n)`), and a single positive per row (`RandomState(1200 + seed)`, unknown
as absent for both learners). Beside the default: the plain maximum over scalings and lambdas, the squared error as
criterion, and the average of the three best lambdas. `seconds` is the wall time of the default fit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, place, script_parser, write_rows
from benchmarks.local import baselines, sets
from labelwise.metrics import mean_average_precision
from labelwise.models import solve_ridge

TABLE = RESULTS / "ridge.csv"
SETS = ("voc12_animals", "scene", "yeast", "ohsumed", "tmc2007-500")
SETTINGS = ("10% labelled", "single positive")
LOGISTIC = {"logistic_standardised": baselines.logistic, "logistic_l2": baselines.logistic_l2}
LEARNERS = (*LOGISTIC, "ridge", "ridge_plain_maximum", "ridge_squared_error", "ridge_average_3")


def compare(name: str, setting: str, seed: int) -> dict[str, Any]:
    """Return the record of one set, setting and seed."""
    X, Y, X_test, Y_test = sets.load(name)
    seen = sets.hide(Y, sets.job(name, setting, "ridge", seed))
    record: dict[str, Any] = {"set": name, "setting": setting, "seed": seed}
    for learner, scores in LOGISTIC.items():
        record[learner] = round(mean_average_precision(Y_test, scores(X, seen, X_test, logits=True)), 4)
    start = time.perf_counter()
    solution = solve_ridge(X, seen)
    spent = time.perf_counter() - start
    best = max(solution.table, key=lambda row: row["value"])
    solutions = {
        "ridge": solution,
        "ridge_plain_maximum": solve_ridge(X, seen, scalings=[best["scaling"]], lambdas=[best["lambda"]]),
        "ridge_squared_error": solve_ridge(X, seen, criterion="squared_error"),
        "ridge_average_3": solve_ridge(X, seen, average=3),
    }
    for learner, found in solutions.items():
        record[learner] = round(mean_average_precision(Y_test, found.predict(X_test)), 4)
    chosen = {"scaling": solution.scaling.kind, "lambda": round(solution.lambda_, 4)}
    return {**record, **chosen, "seconds": round(spent, 2)}


def records(names: list[str], seeds: int) -> Iterator[dict[str, Any]]:
    """Yield one record per set, setting and seed."""
    for name in names:
        for setting in SETTINGS:
            for seed in range(seeds):
                yield compare(name, setting, seed)


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    table, found = place(given, TABLE), []
    for record in records(given.sets, given.seeds):
        found.append(record)
        write_rows(table, found)
        print(*record.values(), sep="\t", flush=True)
    print("\nmAP, mean of the seeds; last: ridge less the better logistic regression", *LEARNERS, sep="\n  ")
    for name in given.sets:
        for setting in SETTINGS:
            cell = [r for r in found if (r["set"], r["setting"]) == (name, setting)]
            means = [np.mean([r[learner] for r in cell]) for learner in LEARNERS]
            line = "".join(f"{mean:8.4f}" for mean in means)
            print(f"{name:15}{setting:17}{line}{means[2] - max(means[:2]):+10.4f}")


if __name__ == "__main__":
    main()
