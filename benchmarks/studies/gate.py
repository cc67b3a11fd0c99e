"""The gate's demand, chosen leave-one-set-out.

`python -m benchmarks.studies.gate`: for each cell of four real sets from LABELWISE_DATA, the out-of-pool scores that
the gate of `auto` asks are made once, with the ensemble's and the tuned ridge's scores of the test rows. Every demand
(caution, margin, deviation between labels) is then applied to them. A row of the table is a demand on a set: its mean
gain in test mAP over the set's cells and its worst cell; `chosen` marks the demand that the *other* sets would have
chosen: the best mean gain among those whose worst cell there is not below -.003.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from benchmarks.auto import grid
from benchmarks.common import RESULTS, place, publish, script_parser

SETS = ("scene", "yeast", "voc12_animals", "ohsumed")
SETTINGS = ("5% labelled", "10% labelled", "20% labelled")
CAUTIONS, MARGINS, BETWEENS = (1.0, 1.25, 1.5, 2.0), (0.0, 0.005, 0.01), (0.0, 0.02, 0.03)
LEAST = -0.003
TABLE = RESULTS / "gate.csv"


def cell(name: str, setting: str, seed: int) -> dict[str, Any]:
    """Return what the gate asks in a cell, and both scores of the test rows."""
    from benchmarks.local import sets
    from labelwise.ensemble.recipe import EnsembleFit
    from labelwise.models import solve_ridge

    X, Y, X_test, Y_test = sets.load(name)
    seen = sets.hide(Y, grid.cell(name, setting, "auto", seed))
    solution = solve_ridge(X, seen)
    fit = EnsembleFit(X, seen, solution)
    simple, stacked, trees = fit.evidence()
    return {
        "simple": simple,
        "rich": [fit.recipe.mixed(one, trees) for one in stacked],
        "known": fit.known,
        "ridge": solution.predict(X_test),
        "ensemble": fit.ungated(X_test),
        "truth": Y_test,
    }


def gain(found: dict[str, Any], caution: float, margin: float, between: float) -> float:
    """Return the gain in test mAP over ridge under a demand."""
    import labelwise as lw
    from labelwise.ensemble import open_gate
    from labelwise.ensemble.gate import Demand

    known = found["known"]
    opening = open_gate(found["simple"], found["rich"], known, Demand(caution, margin, between))
    share = np.where(known.both, opening.share, 0.0)
    mixed = (1 - share) * found["ridge"] + share * found["ensemble"]
    each = [lw.metrics.average_precision(found["truth"], one) for one in (mixed, found["ridge"])]
    return float(np.nanmean(each[0] - each[1]))


def rows(seeds: int, names: tuple[str, ...] = SETS) -> list[dict[str, Any]]:
    """Return the table: every demand on every set, with what the other sets would have chosen."""
    demands = list(product(CAUTIONS, MARGINS, BETWEENS))
    gains = np.zeros((len(names), len(SETTINGS), len(demands)))
    for i, j, seed in product(range(len(names)), range(len(SETTINGS)), range(seeds)):
        found = cell(names[i], SETTINGS[j], seed)
        gains[i, j] += [gain(found, *demand) / seeds for demand in demands]
    table = []
    for i, name in enumerate(names):
        others = np.delete(gains, i, axis=0)
        allowed = others.min(axis=(0, 1)) >= LEAST
        best = int(np.argmax(np.where(allowed, others.mean(axis=(0, 1)), -np.inf)))
        for d, (caution, margin, between) in enumerate(demands):
            table.append(
                {
                    "set": name,
                    "caution": caution,
                    "margin": margin,
                    "between": between,
                    "gain": round(float(gains[i, :, d].mean()), 5),
                    "worst_cell": round(float(gains[i, :, d].min()), 5),
                    "chosen": int(d == best),
                }
            )
    return table


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="seeds [default: 3]")
    given = parser.parse_args()
    publish(place(given, TABLE), rows(given.seeds))


if __name__ == "__main__":
    main()
