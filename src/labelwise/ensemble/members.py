"""Ridge members: many labels at once, with exact leave-one-out scores.

With H the hat matrix of the centred features, e a row's residual and ``h = 1/m + H_ii``, the score of row i by the
model that was fitted without it is ``y - e / (1 - h)``. To that ``(y - mean y) / (m - 1)`` is added: leaving a positive
out lowers the intercept and leaving a negative out raises it, which says nothing about the row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.hats import Factor, Hat, Spectrum, centred, mean_square
from labelwise.ensemble.known import KnownEntries

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

GRID: tuple[float, ...] = tuple(float(10.0**power) for power in np.linspace(-2, 2, 9))
"""The lambdas that members try, in units of the mean squared norm of the centred features."""


@dataclass(frozen=True)
class RidgeMember:
    """A fitted ridge with intercept on features, for many labels.

    Attributes:
        weight: (r, K) float32.
        bias: (K,) float32.
        loo: (m, K) float32, leave-one-out scores of the rows it was fitted to, free of the intercept's own shift.
        lambda_: The lambda, absolute.
        lambda_index: Its place in the grid.
        label_r2: (K,) leave-one-out R2 of each label, 0 for one without a known positive or negative.
    """

    weight: Matrix
    bias: Matrix
    loo: Matrix
    lambda_: float
    lambda_index: int
    label_r2: Double

    @classmethod
    def fit(
        cls,
        features: Matrix,
        known: KnownEntries,
        grid: Sequence[float] = GRID,
        lambda_index: int | None = None,
    ) -> RidgeMember:
        """Fit to the rows with known entries.

        Args:
            features: (m, r) float32, of the rows ``known.rows``; m at least 1.
            known: Their targets.
            grid: Lambdas in units of the mean squared norm of the centred features.
            lambda_index: Place in the grid of the lambda to take, without an eigendecomposition. By default it is
                that of the best macro leave-one-out R2 over the labels of ``known.both``.
        """
        Z, centre = centred(features)
        lambdas = np.asarray(grid, dtype=np.float64) * mean_square(Z)
        if lambda_index is None or known.mask is not None:
            spectrum = Spectrum.of(Z)
            places = range(len(lambdas)) if lambda_index is None else [lambda_index]
            trials = (_Trial.of(spectrum.at(lambdas[place]), known, place) for place in places)
            trial = max(trials, key=lambda one: one.r2)
        else:
            trial = _Trial.of(Factor.of(Z, lambdas[lambda_index]), known, lambda_index)
        weight = trial.hat.weight(trial.targets - trial.means)
        bias = trial.means - centre @ weight
        return cls(
            weight.astype(np.float32),
            bias.astype(np.float32),
            trial.loo,
            float(lambdas[trial.place]),
            trial.place,
            trial.label_r2,
        )

    @property
    def r2(self) -> float:
        """Macro leave-one-out R2, the mean over labels with a known positive and negative; 0 without any."""
        scored = self.label_r2 != 0
        return float(self.label_r2[scored].mean()) if scored.any() else 0.0

    def scores(self, features: Matrix) -> Matrix:
        """Return scores (n, K) float32 of features (n, r), from about 0 (absent) to 1 (relevant)."""
        return np.asarray(features @ self.weight + self.bias)


@dataclass(frozen=True)
class _Trial:
    """Leave-one-out at one lambda."""

    hat: Hat
    place: int
    targets: Matrix  # (m, K), with fitted values where an entry does not count
    means: Double
    loo: Matrix
    label_r2: Double
    r2: float

    @classmethod
    def of(cls, hat: Hat, known: KnownEntries, place: int) -> _Trial:
        m = len(known)
        means = known.means
        R = known.targets - means.astype(np.float32)
        residual = R - hat.fit(R)
        rest = np.maximum(1 - 1 / max(m, 1) - hat.leverage(), 1e-6)[:, None]
        loo = (known.targets - residual / rest + R / max(m - 1, 1)).astype(np.float32)
        label_r2 = leave_one_out_r2(loo, known)
        r2 = float(label_r2[known.both].mean()) if known.both.any() else 0.0
        return cls(hat, place, known.targets, means, loo, label_r2, r2)


def leave_one_out_r2(loo: Matrix, known: KnownEntries) -> Double:
    """Return each label's ``1 - SSE / SST`` of leave-one-out scores (m, K) over its entries.

    It is 0 for a label without a known positive or a known negative.
    """
    squares = np.square(known.targets - loo)
    if known.mask is not None:
        squares *= known.mask
    error = squares.sum(axis=0, dtype=np.float64)
    total = known.positives * (1 - known.means)
    return np.where(known.both, 1 - error / np.where(known.both, total, 1.0), 0.0)
