"""The form of a solution, by the size of its problem."""

from __future__ import annotations

from dataclasses import dataclass

from labelwise.models.ridge.direct import ByCholesky, ByDecomposition
from labelwise.models.ridge.tuning import Entries, sample
from labelwise.models.scaling import FeatureMatrix

_WORK = 4e11  # most floating-point operations spent on decompositions: tens of seconds on two cores
_JUDGED = 2_000_000  # most entries whose leave-one-out scores are ranked for every scaling and lambda
_SAMPLES = (10_000, 5_000, 2_500, 1_500)  # rows on which scaling and lambda are chosen beyond these
_FEWER = 0.5  # share of the work that a sample may take
_SMALL_SAMPLE = 1_000  # rows, where masks differ by label
_FACTOR, _PRODUCTS = 10_000, 2e12  # largest matrix that is factorised, and most work on leverages beside it


@dataclass(frozen=True)
class Plan:
    """How scaling and lambda are chosen, and how the solution on all rows is found.

    Attributes:
        tried: The entries that the choice rests on: all, or a keyed sample.
        shared: Whether all labels share rows and weights.
        solver: What solves all rows where labels share them.
        exact: Whether leave-one-out scores are exact.
    """

    tried: Entries
    shared: bool
    solver: type[ByDecomposition] | type[ByCholesky]
    exact: bool

    @classmethod
    def of(cls, X: FeatureMatrix, entries: Entries, trials: int) -> Plan:
        """Return the plan for ``X`` (n, D) and a number of trials."""
        m, d, shared = len(entries.rows), int(X.shape[1]), len(entries.patterns) == 1
        work = len(entries.patterns) * _work(m, d)
        solver = ByDecomposition if work <= _WORK else ByCholesky
        exact = min(m, d) <= _FACTOR if shared else work <= _WORK
        if exact and work * trials <= _WORK and m * entries.targets.shape[1] <= _JUDGED:
            return cls(entries, shared, solver, exact)
        rows = _SMALL_SAMPLE
        if shared:
            rows = next((r for r in _SAMPLES if _work(min(r, m), d) * trials <= _FEWER * _WORK), _SAMPLES[-1])
        return cls(entries if m <= rows else sample(entries, rows), shared, solver, exact)


def _work(rows: int, features: int) -> float:
    """Return the floating-point operations of one decomposition."""
    order = min(rows, features)
    return rows * order**2 + 10.0 * order**3
