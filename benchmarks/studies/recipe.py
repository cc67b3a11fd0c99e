"""The constants of `auto` together, chosen leave-one-set-out: `python -m benchmarks.studies.recipe --cache DIR`.

Real sets from LABELWISE_DATA, as the grid of `benchmarks.auto` has them. A recipe is a list of members, a share of the
trees, and the demands of the gate where negatives are known and where they are not. In each cell every list of members
is fitted once; the shares and demands are applied to what it gives. A cell's figure is the gain in test mAP over the
tuned ridge as a share of the gap to the ceiling with all labels, at most 1, as in `benchmarks.auto`; cells whose gap
is below .01 do not count.

For each set the recipe is taken that the *other* sets choose: the best mean share, of those that lose nowhere there
more than .003 mAP. A row of the table is a set: its mean share with the committed recipe, with the one that the others
chose, and the best in hindsight, with the worst gain and the words of each. The last row is the mean over all cells.
DIR keeps the cells that are done; the same command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.auto import grid
from benchmarks.auto.tables import LEAST_GAP
from benchmarks.common import RESULTS, ROOT, place, publish, read_rows, script_parser, show
from benchmarks.studies.gate import LEAST, gain

MEMBERS = {
    "committed": "c d p c1 d1 p1 p1.ntk p8 w1 w1.rbf3",
    "no kernels": "c d p c1 d1 p1 p8 w1",
    "kernels alone smoothed": "c d p p1.ntk w1.rbf3",
    "few": "c p p1 p8",
}
TREES = (0.0, 1 / 3, 1 / 2)
DEMANDS = {
    "committed": ((1.25, 0.01, 0.03), (2.0, 0.0, 0.0)),
    "bold": ((1.0, 0.0, 0.02), (1.0, 0.0, 0.0)),
    "no margin": ((1.25, 0.0, 0.03), (1.5, 0.0, 0.0)),
    "careful": ((2.0, 0.01, 0.03), (3.0, 0.0, 0.0)),
}
RECIPES = list(product(MEMBERS, TREES, DEMANDS))
COMMITTED = RECIPES.index(("committed", 1 / 3, "committed"))
TABLE = RESULTS / "recipe.csv"
CELLS = ROOT / "docs" / "results" / "auto" / "cells.csv"


def cell(name: str, setting: str, seed: int, cache: Path) -> list[float]:
    """Return the gain in test mAP over ridge of every recipe in a cell."""
    from benchmarks.auto.run import read
    from benchmarks.local import sets
    from labelwise.ensemble import MemberSpec
    from labelwise.ensemble.recipe import EnsembleFit, Recipe
    from labelwise.models import solve_ridge

    X, Y, X_test, Y_test = read(name, str(cache))
    seen = sets.hide(Y, grid.cell(name, setting, "auto", seed))
    solution = solve_ridge(X, seen)
    ridge = solution.predict(X_test)
    gains = []
    for words in MEMBERS.values():
        recipe = Recipe(tuple(map(MemberSpec.parse, words.split())))
        fit = EnsembleFit(X, seen, solution, recipe=recipe)
        simple, stacked, trees = fit.evidence()
        for share in TREES:
            fit.recipe = Recipe(recipe.members, share)
            found = {
                "simple": simple,
                "rich": [fit.recipe.mixed(one, trees) for one in stacked],
                "known": fit.known,
                "ridge": ridge,
                "ensemble": fit.ungated(X_test),
                "truth": Y_test,
            }
            negatives = 0 if (seen == 0).any() else 1
            gains += [gain(found, *demands[negatives]) for demands in DEMANDS.values()]
    return gains


def measured(
    names: list[str], settings: list[str], seeds: int, cache: Path
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield set, setting and the mean gain of every recipe."""
    for name, setting in product(names, settings):
        found = []
        for seed in range(seeds):
            path = cache / f"{name}-{setting.replace(' ', '_').replace('%', '')}-{seed}.json"
            if not path.is_file():
                path.write_text(json.dumps(cell(name, setting, seed, cache)))
                show({"cell": path.stem, "committed": json.loads(path.read_text())[COMMITTED]})
            found.append(json.loads(path.read_text()))
        yield name, setting, np.mean(found, axis=0)


def rows(
    found: list[tuple[str, str, np.ndarray]], gaps: dict[tuple[str, str], float]
) -> list[dict[str, Any]]:
    """Return the table."""
    of = np.array([name for name, *_ in found])
    gains = np.array([gain for *_, gain in found])
    gap = np.array([gaps[name, setting] for name, setting, _ in found])
    counts = gap >= LEAST_GAP
    shares = np.minimum(gains / np.where(counts, gap, np.inf)[:, None], 1)
    table, chosen_shares, best_shares = [], shares.copy(), shares.copy()
    for name in dict.fromkeys(of):
        here = of == name
        chosen, best = (
            choice(gains[~here], shares[~here & counts]),
            choice(gains[here], shares[here & counts]),
        )
        chosen_shares[here], best_shares[here] = shares[here][:, [chosen]], shares[here][:, [best]]
        table.append(
            row(name, here, counts, {"committed": COMMITTED, "chosen": chosen, "best": best}, gains, shares)
        )
    total = {
        which: round(float(one[counts, COMMITTED].mean()), 4)
        for which, one in (("committed", shares), ("chosen", chosen_shares), ("best", best_shares))
    }
    return [
        *table,
        {key: total.get(key, "") for key in table[0]}
        | {"set": "mean of all cells", "cells": int(counts.sum())},
    ]


def row(
    name: str,
    here: np.ndarray,
    counts: np.ndarray,
    which: dict[str, int],
    gains: np.ndarray,
    shares: np.ndarray,
) -> dict[str, Any]:
    """Return a set's row: mean share, worst gain, and the words of each recipe."""
    found: dict[str, Any] = {"set": name, "cells": int((here & counts).sum())}
    for word, at in which.items():
        found[word] = round(float(shares[here & counts, at].mean()), 4)
        found[f"{word}_worst_gain"] = round(float(gains[here, at].min()), 5)
        members, trees, demand = RECIPES[at]
        found[f"{word}_recipe"] = f"members {members}; trees {trees:.2f}; gate {demand}"
    return found


def choice(gains: np.ndarray, shares: np.ndarray) -> int:
    """Return the recipe with the best mean share, of those that lose nowhere more than .003 where there are any."""
    allowed = gains.min(axis=0) >= LEAST
    return int(np.argmax(np.where(allowed | ~allowed.any(), shares.mean(axis=0), -np.inf)))


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="the folder of cells")
    parser.add_argument("--sets", nargs="+", choices=grid.SETS, default=grid.SETS, metavar="SET")
    parser.add_argument(
        "--settings", nargs="+", choices=grid.SETTINGS, default=grid.SETTINGS, metavar="SETTING"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds [default: 1]")
    given = parser.parse_args()
    if len({*given.sets}) < 2:
        parser.error("the other sets choose: name at least two")
    given.cache.mkdir(parents=True, exist_ok=True)
    gaps = {(one["set"], one["setting"]): float(one["gap"]) for one in read_rows(CELLS) if one["gap"]}
    found = list(measured(given.sets, given.settings, given.seeds, given.cache))
    publish(place(given, TABLE), rows(found, gaps))


if __name__ == "__main__":
    main()
