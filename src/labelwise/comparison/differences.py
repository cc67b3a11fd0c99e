"""Paired differences over folds, with intervals that know that folds share their training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from labelwise.errors import UserError


@dataclass(frozen=True)
class Difference:
    """Mean difference of two methods, with its interval.

    Attributes:
        value: Mean over folds, of the method minus the other.
        low: Lower end of the interval.
        high: Upper end.
        p: Two-sided p-value of no difference, of this pair alone.
        p_holm: The same by Holm's correction for all pairs with the same reference.
        level: Coverage aimed at, in (0, 1).
    """

    value: float
    low: float
    high: float
    p: float
    level: float
    p_holm: float | None = None

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low > 0 or self.high < 0


def corrected_difference(
    values: ArrayLike, others: ArrayLike, held_out_share: float, level: float = 0.95
) -> Difference:
    """Return the mean paired difference over folds by the corrected resampled t-test.

    With d_j the J differences, m their mean, s^2 their variance (J - 1) and r the rows held out by row trained on,
    ``m +- t_{J-1} sqrt((1/J + r) s^2)``. Differences of folds are no independent draws, since their training rows
    overlap: without r the interval would be too short (Nadeau and Bengio, Machine Learning 52, 2003; of repeated
    cross-validation Bouckaert and Frank, PAKDD 2004).

    Args:
        values: (J,) figures of a method, J from 2.
        others: (J,) those of the other on the same folds.
        held_out_share: r, above 0; of k folds 1/(k - 1).
        level: Coverage aimed at, in (0, 1).

    Raises:
        UserError: Other shapes, fewer than two folds, numbers out of range.
    """
    from scipy.stats import t as student

    a, b = np.asarray(values, dtype=np.float64), np.asarray(others, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2 or not np.isfinite(a - b).all():
        raise UserError(
            f"differences of shapes {a.shape} and {b.shape}: give the finite figures of at least two folds, as many"
            " of each method"
        )
    if not 0 < level < 1:
        raise UserError(f"level={level}: give a share between 0 and 1, such as 0.95")
    if not held_out_share > 0:
        raise UserError(f"held_out_share={held_out_share}: give the rows held out by row trained on, above 0")
    d = a - b
    mean = float(d.mean())
    error = float(np.sqrt((1 / len(d) + held_out_share) * d.var(ddof=1)))
    half = float(student.ppf((1 + level) / 2, len(d) - 1)) * error
    # Without any spread a difference is either none or certain.
    t = abs(mean) / error if error else (np.inf if mean else 0.0)
    p = float(2 * student.sf(t, len(d) - 1))
    return Difference(mean, mean - half, mean + half, p, level)


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values by Holm's step-down correction, in the order given.

    The j-th smallest of m, from 0, becomes the largest of ``min(1, (m - i) p_i)`` over i <= j: under 0.05 the chance
    that any of the null hypotheses is refused wrongly is at most 0.05, however the tests depend on each other.
    """
    order = np.argsort(values, kind="stable")
    adjusted, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[int(index)]))
        adjusted[int(index)] = largest
    return adjusted
