"""The closed form beside scikit-learn's and himalaya's ridge, each choosing among the same lambdas.

`python -m benchmarks.speed.ridge` fits 20,000 x 512 features with 200 labels, float32, one scaling, by the library's own
grid of lambdas. scikit-learn's `RidgeCV` chooses by exact leave-one-out, one lambda for all labels, from the same grid;
himalaya's `RidgeCV` (skipped where it is not installed) by 5 folds, one lambda for each label, on its NumPy backend.
They take turns, five rounds, on as many threads as OMP_NUM_THREADS says; the ratio of processor times is the median of
the rounds'. `solve_ridge` also returns every row's leave-one-out scores, which the others throw away. The last row is
the whole choice, of five scalings, which no other library has.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, in_turns, place, publish, script_parser
from labelwise._random import generator
from labelwise.models import solve_ridge

TABLE = RESULTS / "ridge_beside.csv"
N, D, K = 20_000, 512, 200
SLOW = ("himalaya RidgeCV",)


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
        "scikit-learn RidgeCV": lambda: RidgeCV(alphas=grid).fit(X, targets),
    }
    other = himalaya_ridge()
    if other is not None:
        cases["himalaya RidgeCV"] = lambda: other(alphas=grid, fit_intercept=True, cv=5).fit(X, targets)
    cases["labelwise, one scaling by average precision"] = lambda: solve_ridge(X, Y, scalings=("none",))
    cases["labelwise, five scalings by average precision"] = lambda: solve_ridge(X, Y)
    return cases


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--rows", type=int, default=N, help=f"number of rows [default: {N}]")
    given = parser.parse_args()
    table = place(given, TABLE)
    if himalaya_ridge() is None:
        print("himalaya is not installed: its row is left out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = contenders(*data(given.rows))
        slow = {name: cases.pop(name) for name in SLOW if name in cases}
        times = in_turns(cases, given.rounds, time.process_time)
        times |= in_turns(slow, 1, time.process_time)
    others = {name: spent for name, spent in times.items() if not name.startswith("labelwise")}
    fastest = min(others, key=lambda name: median(others[name]))
    rows = [
        {
            "solver": name,
            "rows": given.rows,
            "features": D,
            "labels": K,
            "rounds": len(spent),
            "cpu_seconds": f"{median(spent):.2f}",
            "beside": fastest,
            "ratio": f"{median(spent) / median(others[fastest]):.3f}",
            "bound": 1 if name == "labelwise, one scaling" else "",
        }
        for name, spent in times.items()
    ]
    publish(table, rows)


if __name__ == "__main__":
    main()
