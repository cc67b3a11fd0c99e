"""Lambda on all rows, from the one that a sample of them chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.models.ridge.direct import OneLambda, Solved, mean_of
from labelwise.models.ridge.tuning import Group, Judge, Search, Trial, choose, climb
from labelwise.models.scaling import Scaling

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Path:
    """What a climb over lambdas found.

    Attributes:
        scaling: The scaling of the features.
        solved: The solution, averaged over the best lambdas.
        lambdas: These, best first.
        values: The criterion of every lambda that was tried.
    """

    scaling: Scaling
    solved: Solved
    lambdas: Array
    values: dict[float, float]


class Lambdas:
    """Solutions on all rows by lambda, each found when it is asked for.

    The lambdas are those of a trial on a sample, in ascending order.

    Args:
        one: Solves one lambda.
        group: Spreads the scores of different rows to the entries; None where they are the entries' own.
        trial: The trial on the sample.
        search: The entries that are judged, and the rule.
        judge: Judges their scores; None: by these entries alone.
    """

    def __init__(
        self, one: OneLambda, group: Group | None, trial: Trial, search: Search, judge: Judge | None = None
    ) -> None:
        self._one, self._group, self._trial, self._search = one, group, trial, search
        self._judge = judge or Judge.of(search.entries, search.criterion)
        self.grid = np.sort(trial.lambdas)
        self.start = int(np.searchsorted(self.grid, trial.lambdas[trial.top[0]]))
        self._solved: dict[int, Solved] = {}
        self._scores: dict[int, npt.NDArray[np.float32]] = {}

    def at(self, place: int) -> Solved:
        """Return the solution for a lambda by its place."""
        if place not in self._solved:
            self._solved[place] = self._spread(self._one.at(float(self.grid[place])))
        return self._solved[place]

    def scores(self, place: int) -> npt.NDArray[np.float32]:
        """Return the leave-one-out scores (m, K) by which a lambda is judged."""
        if place not in self._scores:
            near = self._one.near(float(self.grid[place]))
            self._scores[place] = (self.at(place) if near is None else self._spread(near)).scores
        return self._scores[place]

    def _spread(self, solved: Solved) -> Solved:
        return solved if self._group is None else replace(solved, scores=self._group.spread(solved.scores))

    def trial(self, place: int) -> Trial:
        """Return the trial of one lambda on all rows."""
        scores = self.scores(place)
        each = self._judge.each(scores)[None]
        defined = self._search.defined(self._judge, each)
        share = self._search.shares(self._judge, defined)
        lambdas = self.grid[place : place + 1]
        return Trial(self._trial.scaling, lambdas, each[:, defined], share, np.array([0]), scores)

    def climb(self) -> Path:
        """Climb from the sample's best lambda to where neither neighbour does better."""
        average = self._search.average
        values = climb(lambda place: self.trial(place).value, self.start, len(self.grid), average)
        best = sorted(values, key=lambda place: (-values[place], place))[:average]
        tried = {float(self.grid[place]): value for place, value in values.items()}
        return Path(self._trial.scaling, mean_of([self.at(place) for place in best]), self.grid[best], tried)


def better(first: Lambdas, other: Lambdas) -> Lambdas:
    """Return the other one where it is clearly better on all rows, else the first."""
    ahead = first.trial(first.start)
    return first if choose(ahead, ahead, other.trial(other.start)) is ahead else other
