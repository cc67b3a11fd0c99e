"""The form of a solution, by the size of its problem."""

from __future__ import annotations

from dataclasses import dataclass

from labelwise.models.ridge.direct import ByCholesky, ByDecomposition
from labelwise.models.ridge.iterative import ByIteration
from labelwise.models.ridge.sampling import sample
from labelwise.models.ridge.tuning import Entries
from labelwise.models.scaling import FeatureMatrix

_WORK = 4e11  # most floating-point operations spent on decompositions: tens of seconds on two cores
_JUDGED = 2_000_000  # most entries whose leave-one-out scores are ranked for every scaling and lambda
_SAMPLES = (10_000, 5_000, 2_500, 1_500)  # rows on which scaling and lambda are chosen beyond these
_FEWER = 0.5  # share of the work that a sample may take
_SMALL_SAMPLE = 1_000  # rows, where masks differ by label
COMPARED = 5_000  # two matrices of this order are kept at once: 400 MB
_FACTOR, _PRODUCTS = 10_000, 2e12  # largest matrix that is factorised, and most work on leverages beside it


@dataclass(frozen=True)
class Plan:
    """How scaling and lambda are chosen, and how the solution on all rows is found.

    Attributes:
        tried: The entries that the choice rests on: all, or a keyed sample.
        shared: Whether all labels share rows and weights.
        solver: What solves all rows where labels share them.
        exact: Whether leave-one-out scores are exact.
        compares: Whether all rows decide between two scalings, beyond the sample.
    """

    tried: Entries
    shared: bool
    solver: type[ByDecomposition] | type[ByCholesky] | type[ByIteration]
    exact: bool
    compares: bool

    @classmethod
    def of(cls, X: FeatureMatrix, entries: Entries, trials: int) -> Plan:
        """Return the plan for ``X`` (n, D) and a number of trials."""
        m, d, shared = len(entries.rows), int(X.shape[1]), len(entries.patterns) == 1
        order, work = min(m, d), len(entries.patterns) * _work(m, d)
        solver: type[ByDecomposition] | type[ByCholesky] | type[ByIteration] = ByIteration
        if work <= _WORK:
            solver = ByDecomposition
        elif order <= _FACTOR and (m <= d or 2.0 * m * d**2 <= _PRODUCTS):
            solver = ByCholesky
        exact = solver is not ByIteration if shared else work <= _WORK
        compares = exact and shared and order <= COMPARED
        rows = tried_rows(m, d, entries.targets.shape[1], len(entries.patterns), trials)
        if exact and rows is None:
            return cls(entries, shared, solver, exact, compares)
        rows = rows or _sample_rows(m, d, len(entries.patterns), trials)
        if shared and m <= rows:
            return cls(entries, shared, solver, exact=True, compares=False)
        return cls(sample(entries, rows), shared, solver, exact, compares)


def tried_rows(m: int, d: int, n_labels: int, patterns: int, trials: int) -> int | None:
    """Return the number of rows on which scaling and lambda are chosen, None for all of them.

    Args:
        m: Number of rows with a known entry.
        d: Number of features.
        n_labels: Number of labels.
        patterns: Number of different masks of known entries.
        trials: Number of scalings to try.
    """
    if patterns * _work(m, d) * trials <= _WORK and m * n_labels <= _JUDGED:
        return None
    rows = _sample_rows(m, d, patterns, trials)
    return None if patterns == 1 and m <= rows else rows


def _sample_rows(m: int, d: int, patterns: int, trials: int) -> int:
    if patterns > 1:
        return _SMALL_SAMPLE
    return next((r for r in _SAMPLES if _work(min(r, m), d) * trials <= _FEWER * _WORK), _SAMPLES[-1])


def _work(rows: int, features: int) -> float:
    """Return the floating-point operations of one decomposition."""
    order = min(rows, features)
    return rows * order**2 + 10.0 * order**3
