"""Unknown entries left out or taken for "no": which is better depends on how labels went missing.

`python -m benchmarks.studies.how_labels_go_missing [--sets ...] [--seeds 3]` hides labels of the local benchmark's
small sets in each way of `WAYS` and measures test mAP of two forms of two learners: `ignore_unknown` and `an`, and the
closed form on the known entries alone (`ridge`) and on labels whose unknown entries were written as 0 (`ridge, unknown
= no`). `csl` joins them where it is listed. The ways: each entry hidden alike (Ben-Baruch et al.'s random partial
setting), some positives and as many negatives of each label (their fixed per class), and a tenth of the rows complete
beside one positive noted of every other, the frequent ones more often.

Rows that the table holds are not computed again. Prints the mean over seeds.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, place, read_rows, script_parser, write_rows
from benchmarks.local import sets
from labelwise import simulate
from labelwise.metrics import ranking_score

TABLE = RESULTS / "how_labels_go_missing.csv"
SETS = ("scene", "yeast", "voc12_animals")


def noted(Y: np.ndarray, seed: int) -> np.ndarray:
    """Return a tenth of the rows complete, and one positive of every other, frequent labels more often."""
    rows = simulate.semi_supervised(Y, 0.1, seed)
    return np.where(rows >= 0, rows, simulate.biased_positives(Y, seed=seed))


WAYS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    **{
        f"{share:.0%} of the entries hidden": lambda Y, seed, q=share: simulate.random_partial(Y, q, seed)
        for share in (0.5, 0.8, 0.95)
    },
    **{
        f"{m} positives and {m} negatives a label": lambda Y, seed, m=m: simulate.fixed_per_class(
            Y, m, seed=seed
        )
        for m in (10, 40)
    },
    "10% complete, else one positive, frequent ones noted more": noted,
}


def scores_of(learner: str, X: Any, seen: np.ndarray, X_test: Any, seed: int) -> np.ndarray:
    """Return test scores of a learner."""
    labels = np.maximum(seen, 0) if learner.endswith("= no") else seen
    method = learner.partition(",")[0]
    model = lw.MultiLabelClassifier(method, device="cpu", random_state=seed, validation=None, calibrate=False)
    return np.asarray(model.fit(X, labels).decision_function(X_test))


def cells(names: list[str], seeds: int) -> Iterator[tuple[str, str, int, str]]:
    """Yield (set, way, seed, learner)."""
    more = [name for name in ("csl",) if name in lw.methods.names()]
    learners = ["ignore_unknown", "an", "ridge", "ridge, unknown = no", *more]
    yield from itertools.product(names, WAYS, range(seeds), learners)


def main() -> None:
    """Measure what the table lacks, and print means."""
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    path = place(given, TABLE)
    rows: list[dict[str, Any]] = list(read_rows(path))
    done = {(r["set"], r["way"], int(r["seed"]), r["learner"]) for r in rows}
    for cell in cells(given.sets, given.seeds):
        if cell in done:
            continue
        name, way, seed, learner = cell
        X, Y, X_test, Y_test = sets.load(name)
        scores = scores_of(learner, X, WAYS[way](Y, seed), X_test, seed)
        found = ranking_score(Y_test, scores)
        rows.append({"set": name, "way": way, "seed": seed, "learner": learner, "map": round(found, 5)})
        write_rows(path, rows)
    for name, way in itertools.product(given.sets, WAYS):
        print(f"{name}, {way}")
        for learner in dict.fromkeys(row["learner"] for row in rows):
            of = [float(r["map"]) for r in rows if (r["set"], r["way"], r["learner"]) == (name, way, learner)]
            print(f"  {learner:24} {100 * statistics.mean(of):5.1f}" if of else f"  {learner:24} missing")


if __name__ == "__main__":
    main()
