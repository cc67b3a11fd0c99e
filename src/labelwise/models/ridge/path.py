"""Lambda on all rows, from the one that a sample of them chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.models.ridge.direct import OneLambda, Solved
from labelwise.models.ridge.tuning import Group, Judge, Search, Trial, climb, means

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Path:
    """What a climb over lambdas found.

    Attributes:
        solved: The solution, averaged over the best lambdas.
        lambdas: These, best first.
        values: The criterion of every lambda that was tried.
    """

    solved: Solved
    lambdas: Array
    values: dict[float, float]


def climb_lambdas(one: OneLambda, group: Group, trial: Trial, search: Search) -> Path:
    """Climb the lambdas of a trial on a sample, by leave-one-out on all rows.

    It starts from the trial's best lambda and ends where neither neighbour does better.
    """
    judge = Judge.of(search.entries, search.criterion)
    grid = np.sort(trial.lambdas)
    solved: dict[int, Solved] = {}

    def value(place: int) -> float:
        found = one.at(float(grid[place]))
        solved[place] = replace(found, scores=group.spread(found.scores))
        each = judge.each(solved[place].scores)[None]
        defined = search.defined(judge, each)
        return float(means(each[:, defined], search.shares(judge, defined))[0])

    start = int(np.searchsorted(grid, trial.lambdas[trial.top[0]]))
    values = climb(value, start, len(grid), search.average)
    best = sorted(values, key=lambda place: (-values[place], place))[: search.average]
    return Path(
        _mean([solved[place] for place in best]),
        grid[best],
        {float(grid[place]): found for place, found in values.items()},
    )


def _mean(solved: list[Solved]) -> Solved:
    if len(solved) == 1:
        return solved[0]
    parts = zip(*((one.weight, one.bias, one.scores) for one in solved), strict=True)
    return Solved(*(np.mean(part, axis=0) for part in parts))
