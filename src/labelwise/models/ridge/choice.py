"""Choice of scaling, block by block, and of the blocks' weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.errors import UserError
from labelwise.models.blocks import FeatureBlocks, is_blocks
from labelwise.models.ridge.tuning import Search, Trial, choose, climb
from labelwise.models.scaling import (
    BlockScaling,
    FeatureMatrix,
    InputScaling,
    Scaling,
    fit_scaling,
    unit_scaling,
)

Array: TypeAlias = npt.NDArray[Any]
Record: TypeAlias = dict[str, str | float]

RATIOS = tuple(float(2.0**power) for power in np.linspace(-2, 2, 9))
"""Weights of a block relative to those before it; the middle one is 1."""

_TRIED = 5  # ratios of a climb, about


@dataclass(frozen=True)
class Choice:
    """What was chosen.

    Attributes:
        best: The trial that was chosen.
        table: One record for each pair tried.
        contenders: The first scaling and the best of the others, between which all rows may decide anew.
    """

    best: Trial
    table: list[Record]
    contenders: tuple[Trial, ...] = ()


@dataclass(frozen=True)
class Candidates:
    """Scalings to choose from.

    Attributes:
        fitted: Scalings of the whole matrix.
        kinds: Kinds for each block by itself, empty where the whole is scaled.
        count: Number of trials that choosing takes.
    """

    fitted: tuple[Scaling, ...]
    kinds: tuple[str, ...]
    count: int

    @classmethod
    def of(cls, X: FeatureMatrix, scalings: Sequence[str | Scaling]) -> Candidates:
        """Read what is given for ``X`` (n, D): kinds, or fitted scalings.

        Raises:
            UserError: For a kind that does not exist, or a scaling of another form than X.
        """
        if not is_blocks(X):
            fitted = [fit_scaling(X, one) if isinstance(one, str) else one for one in scalings]
            return cls(tuple(fitted), (), len(fitted))
        kinds = [one for one in scalings if isinstance(one, str) and "*" not in one]
        if len(kinds) == len(scalings):
            n_blocks = len(X.parts)
            return cls((), tuple(kinds), len(kinds) * n_blocks + _TRIED * (n_blocks - 1))
        if kinds or any(isinstance(one, InputScaling) for one in scalings):
            raise UserError(
                "scalings of blocks are kinds, each for every block, or scalings of all blocks; give one sort"
            )
        joint = [BlockScaling.fit(X, one) if isinstance(one, str) else one for one in scalings]
        return cls(tuple(joint), (), len(joint))

    def choose(self, X: FeatureMatrix, search: Search) -> Choice:
        """Choose for ``X`` (n, D) by the search's leave-one-out."""
        return choose_blocks(X, self.kinds, search) if self.kinds else choose_scaling(X, self.fitted, search)


def choose_scaling(X: FeatureMatrix, scalings: Sequence[Scaling], search: Search) -> Choice:
    """Choose one of several fitted scalings of ``X`` (n, D), the first in preference."""
    best: Trial | None = None
    first: Trial | None = None
    second: Trial | None = None
    table: list[Record] = []
    for scaling in scalings:
        trial = search.trial(X, scaling)
        table += records(trial)
        best = choose(best, first, trial)
        if first is not None and (second is None or trial.value > second.value):
            second = trial
        first = first or trial
    assert best is not None
    assert first is not None
    return Choice(best, table, (first,) if second is None else (first, second))


def choose_blocks(X: FeatureBlocks, kinds: Sequence[str], search: Search) -> Choice:
    """Choose each block's scaling by that block alone, then the blocks' weights together.

    Blocks join in the order of what they reach alone, each with one of ``RATIOS`` times the weight of those before it:
    the best by the criterion, from 1 up or down. A block is left out where that beats the best ratio by one standard
    error of the paired labels.
    """
    alone = [choose_scaling(part, [unit_scaling(part, kind) for kind in kinds], search) for part in X.parts]
    parts = []
    table: list[Record] = []
    for name, choice in zip(X.names, alone, strict=True):
        assert isinstance(choice.best.scaling, InputScaling)
        parts.append(choice.best.scaling)
        table += [{**record, "scaling": f"{name} {record['scaling']}"} for record in choice.table]
    order = np.argsort([-choice.best.value for choice in alone], kind="stable").tolist()
    weights = np.zeros(len(parts))
    weights[order[0]] = 1.0
    best = _alone(X, alone[order[0]].best, parts, order[0])
    for block in order[1:]:
        joint = _join(X, parts, weights, block, search)
        table += [record for trial in joint for record in records(trial)]
        together = max(joint, key=lambda trial: trial.value)
        best = choose(together, together, best)
        assert isinstance(best.scaling, BlockScaling)
        weights = np.array(best.scaling.weights)
    return Choice(best, table)


def _join(
    X: FeatureBlocks, parts: Sequence[InputScaling], weights: Array, block: int, search: Search
) -> list[Trial]:
    """Return the trials of a climb over the weight of one more block, the nearest to 1 first."""
    trials: dict[int, Trial] = {}

    def value(place: int) -> float:
        joined = weights.copy()
        joined[block] = RATIOS[place]
        trials[place] = search.trial(X, BlockScaling.of(X.names, parts, joined))
        return trials[place].value

    climb(value, len(RATIOS) // 2, len(RATIOS))
    return list(trials.values())


def records(trial: Trial) -> list[Record]:
    """Return one record for each lambda of a trial."""
    pairs = zip(trial.lambdas, trial.values, strict=True)
    kind = trial.scaling.kind
    return [{"scaling": kind, "lambda": float(lambda_), "value": float(value)} for lambda_, value in pairs]


def _alone(X: FeatureBlocks, trial: Trial, parts: Sequence[InputScaling], block: int) -> Trial:
    """Return a block's trial as one of all blocks, the others with weight 0."""
    scaling = BlockScaling.of(X.names, parts, np.eye(len(parts))[block])
    if trial.solution is None:
        return replace(trial, scaling=scaling)
    weight, bias = trial.solution
    wide = np.zeros((len(bias), scaling.n_features))
    wide[:, scaling.slices[block]] = weight
    return replace(trial, scaling=scaling, solution=(wide, bias))
