"""Ridge of labels with other known rows each, from one decomposition.

A label's own ridge is fitted to its own known rows. Where a decomposition for each label would take long, all
rows are decomposed once, and unknown entries take the values that the label's own ridge gives them: at the
fixed point of ``T <- known entries, else fit(T)`` the unknown entries have no residual, so that the fit to
all rows satisfies the normal equations of the label's own rows. What is left to estimate is a row's leverage
among those rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular

from labelwise.annotations import row_blocks
from labelwise.ensemble.hats import Hat, products

Floats: TypeAlias = npt.NDArray[Any]
Double: TypeAlias = npt.NDArray[np.float64]

_MOST_STEPS = 500
_MOST_ROUNDS, _CONSISTENT = 6, 0.02
_BLOCK = 1 << 22


def fill_in(
    hat: Hat, R: Floats, mask: npt.NDArray[np.bool_], start: Floats | None = None, tolerance: float = 3e-5
) -> Floats:
    """Fill unknown entries of R with the values of each label's ridge.

    With A the fit with intercept and u the unknown entries, ``u - A u = A R`` on the unknown entries. A is
    symmetric with eigenvalues in [0, 1], so conjugate gradients solve it, all labels side by side.

    Args:
        hat: Ridge on all m rows.
        R: (m, K) targets; about 0 on average, so that the first guess is good.
        mask: (m, K), the known entries.
        start: (m, K) a first guess of the unknown entries.
        tolerance: The norm of a label's residual that is left, relative to that of ``A R``. A label without known
            entries keeps 0.
    """
    hidden = (~mask).astype(R.dtype)
    known = R * mask
    want = _fit(hat, known)
    want *= hidden
    goal = tolerance**2 * np.maximum(_squares(want), 1e-30)
    unknown, residual = np.zeros_like(want), want
    if start is not None:
        unknown = hidden * start
        residual = want - unknown + hidden * _fit(hat, unknown)
    direction, square = residual.copy(), _squares(residual)
    for _ in range(_MOST_STEPS):
        if (square <= goal).all():
            break
        moved = _fit(hat, direction)
        moved *= -hidden
        moved += direction
        curvature = np.asarray(np.einsum("ij,ij->j", direction, moved), np.float64)
        step = np.divide(
            square, curvature, out=np.zeros_like(square), where=(curvature > 0) & (square > goal)
        )
        unknown += np.multiply(direction, step.astype(R.dtype))
        residual -= np.multiply(moved, step.astype(R.dtype), out=moved)
        last, square = square, _squares(residual)
        direction *= np.divide(square, last, out=np.zeros_like(square), where=last > 0).astype(R.dtype)
        direction += residual
    known += unknown
    return np.asarray(known)


class SampledRidge:
    """Ridge on a random sample of the rows, on average over samples.

    Moments vary from sample to sample, most where rows are few beside the features or stand alone in theirs,
    and the mean of the inverse is not the inverse of the mean. To second order it is ``D = (sum_i c_i z_i
    z_i^T + lambda)^-1`` with ``c_i = s / (1 + (1 - s) a_i)``, s the share of the sample and ``a_i`` the odds
    of row i's leverage among the others, ``d / (1 - c_i d)`` of ``d = z_i^T D z_i``. For s = 1 it is the
    ridge on all rows.

    Attributes:
        odds: (m,) leverage odds, intercept included, of a row that is in the sample.
    """

    def __init__(self, Z: Floats, share: float) -> None:
        """Prepare for a ``share`` of the centred rows Z (m, r)."""
        self.rows = np.hstack([np.ones((len(Z), 1), Z.dtype), Z])
        self.share, self.odds = share, np.zeros(len(Z))
        self._factors = np.full(len(Z), share)
        self._root = np.eye(self.rows.shape[1], dtype=Z.dtype)

    def fit(self, lambda_: float) -> SampledRidge:
        """Find the odds at a lambda, from those at the last one."""
        for _ in range(_MOST_ROUNDS):
            weighted = self.rows * self._factors[:, None].astype(self.rows.dtype)
            moments = products(weighted, self.rows)
            moments[np.diag_indices_from(moments)] += lambda_
            moments[0, 0] -= lambda_ * (1 - 1e-9)
            self._root = cholesky(moments, lower=True, overwrite_a=True, check_finite=False).astype(
                weighted.dtype
            )
            d = np.concatenate([np.square(half).sum(axis=0, dtype=np.float64) for half in self._halves()])
            self.odds = d / np.maximum(1 - self._factors * d, 1e-9)
            last, self._factors = self._factors, self.share / (1 + (1 - self.share) * self.odds)
            if np.abs(self._factors / last - 1).max(initial=0) < _CONSISTENT:
                break
        return self

    def linear_map(self) -> Floats:
        """Return what each row's target adds to the weights (r + 1, m).

        The first one is that of the intercept.
        """
        maps = [solve_triangular(self._root, half, lower=True, trans="T") for half in self._halves()]
        return np.asarray(np.hstack(maps) * (self._factors / self.share))

    def _halves(self) -> Iterator[Floats]:
        for block in row_blocks(len(self.rows), self.rows.shape[1], _BLOCK):
            yield solve_triangular(self._root, self.rows[block].T, lower=True, check_finite=False)


class OwnLeverage:
    """Estimates of each row's leverage in the ridge on a label's own rows.

    They hold where these are a fair sample of all rows.
    """

    def __init__(self, Z: Floats, counts: Double) -> None:
        """Prepare for labels with ``counts`` (K,) known entries.

        Z (m, r) are all centred rows. Labels whose shares are within a tenth of each other are estimated at
        once, others by interpolation.
        """
        share = np.maximum(counts, 1.0) / max(len(Z), 1)
        low, high = float(share.min()), float(share.max())
        levels = 1 if high < 1.1 * low else 2 + int(np.log(high / low) / np.log(2))
        self._log_share = np.log(share)
        self._levels = (
            np.log(np.geomspace(low, high, levels)) if levels > 1 else np.log([float(share.mean())])
        )
        self._ridges = [SampledRidge(Z, float(np.exp(level))) for level in self._levels]

    def at(self, lambda_: float) -> Floats:
        """Return the leverages (m, K), intercept included, at a lambda."""
        odds = np.stack([ridge.fit(lambda_).odds for ridge in self._ridges], axis=1)
        leverage = odds / (1 + odds)
        place = np.interp(self._log_share, self._levels, np.arange(len(self._levels)))
        below = np.minimum(place.astype(int), max(len(self._levels) - 2, 0))
        part = place - below
        above = np.minimum(below + 1, len(self._levels) - 1)
        return np.asarray(leverage[:, below] * (1 - part) + leverage[:, above] * part)


def _fit(hat: Hat, R: Floats) -> Floats:
    mean = R.mean(axis=0)
    fitted = np.asarray(hat.fit(R - mean), R.dtype)
    fitted += mean
    return fitted


def _squares(R: Floats) -> Double:
    return np.asarray(np.einsum("ij,ij->j", R, R), np.float64)
