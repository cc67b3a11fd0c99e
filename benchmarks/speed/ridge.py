"""The closed form beside scikit-learn's and himalaya's ridge, each choosing among the same lambdas.

`python -m benchmarks.speed.ridge` fits 20,000 x 512 features with 200 labels, float32, by the library's own grid of
lambdas. scikit-learn's `RidgeCV` chooses by exact leave-one-out, one lambda for all labels; himalaya's `RidgeCV` (left
out where it is not installed) by 5 folds, one lambda for each label, on its NumPy backend. They take turns, five
rounds, on as many threads as OMP_NUM_THREADS says, the slow ones (`--slow`, a run of their own) for one; the ratio of
processor times is the median of the rounds'. The bar is that of the same question: one scaling, by squared error.
`solve_ridge` returns every row's leave-one-out scores besides. The other rows choose by average precision, as the
library does, and among its five scalings, which the others do not.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, read_rows, script_parser
from labelwise._random import generator
from labelwise.models import solve_ridge

TABLE = RESULTS / "ridge_beside.csv"
N, D, K = 20_000, 512, 200
BESIDE = "scikit-learn RidgeCV"
SLOW = ("himalaya RidgeCV", "labelwise, five scalings by average precision")


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features (n, D) float32 around one direction a label, and full labels (n, K) int8."""
    random = generator(0, "speed of ridge")
    labels = (random.random((n, K)) < 0.05).astype(np.int8)
    directions = random.standard_normal((K, D), dtype=np.float32)
    noise = random.standard_normal((n, D), dtype=np.float32)
    return labels.astype(np.float32) @ directions + 2 * noise, labels


def himalaya_ridge() -> Any | None:
    """Return himalaya's `RidgeCV`, or None where it is not installed."""
    try:
        from himalaya.ridge import RidgeCV
    except ImportError:
        return None
    return RidgeCV


def contenders(X: np.ndarray, Y: np.ndarray) -> dict[str, Callable[[], object]]:
    """Return what takes turns, by name; the grid is that of a first fit."""
    from sklearn.linear_model import RidgeCV

    first = solve_ridge(X, Y, scalings=("none",))
    grid = sorted(float(record["lambda"]) for record in first.table)
    targets = Y.astype(np.float32)
    cases: dict[str, Callable[[], object]] = {
        "labelwise, one scaling": lambda: solve_ridge(X, Y, scalings=("none",), criterion="squared_error"),
        BESIDE: lambda: RidgeCV(alphas=grid).fit(X, targets),
    }
    other = himalaya_ridge()
    if other is not None:
        cases["himalaya RidgeCV"] = lambda: other(alphas=grid, fit_intercept=True, cv=5).fit(X, targets)
    cases["labelwise, one scaling by average precision"] = lambda: solve_ridge(X, Y, scalings=("none",))
    cases["labelwise, five scalings by average precision"] = lambda: solve_ridge(X, Y)
    return cases


def rows_of(times: dict[str, list[float]], n: int) -> list[dict[str, Any]]:
    """Return a row for each solver, beside the faster one of the other libraries."""
    others = {name: spent for name, spent in times.items() if not name.startswith("labelwise")}
    fastest = min(others, key=lambda name: median(others[name]))
    return [
        {
            "solver": name,
            "rows": n,
            "features": D,
            "labels": K,
            "rounds": len(spent),
            "cpu_seconds": f"{median(spent):.2f}",
            "beside": fastest,
            "ratio": f"{median_ratio(spent, others[fastest]):.3f}",
            "bound": 1 if name == "labelwise, one scaling" else "",
        }
        for name, spent in times.items()
    ]


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--rows", type=int, default=N, help=f"number of rows [default: {N}]")
    parser.add_argument(
        "--slow", action="store_true", help="time the slow ones, once, and keep the other rows"
    )
    given = parser.parse_args()
    table = place(given, TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = contenders(*data(given.rows))
        if given.slow and "himalaya RidgeCV" not in cases:
            print("himalaya is not installed: its row is left out")
        chosen = [name for name in cases if (name in SLOW) == given.slow or name == BESIDE]
        rounds = 1 if given.slow else given.rounds
        times = in_turns({name: cases[name] for name in chosen}, rounds, time.process_time)
    found = {row["solver"]: row for row in read_rows(table)}
    new = {
        row["solver"]: row
        for row in rows_of(times, given.rows)
        if not (given.slow and row["solver"] == BESIDE)
    }
    publish(table, list((found | new).values()))


if __name__ == "__main__":
    main()
