"""Ridge of labels whose known entries differ, with one decomposition for all of them.

A label's own ridge is fitted to its own known rows. Where a decomposition for each label would take long, all rows
are decomposed once, and unknown entries take the values that the label's own ridge gives them: at the fixed point of
``T <- known entries, else fit(T)`` the unknown entries have no residual, so that the fit to all rows satisfies the
normal equations of the label's own rows. What is left to estimate is a row's leverage among those rows.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.annotations import row_blocks
from labelwise.ensemble.hats import Hat, Spectrum

Floats: TypeAlias = npt.NDArray[Any]
Double: TypeAlias = npt.NDArray[np.float64]

_MOST_STEPS = 500
_CONSISTENT = 30  # steps to the common factor, which converge like a geometric series


def fill_in(
    hat: Hat, R: Floats, mask: npt.NDArray[np.bool_], start: Floats | None = None, tolerance: float = 1e-4
) -> Floats:
    """Return R with its unknown entries at the values of each label's own ridge.

    With A the fit with intercept and u the unknown entries, ``u - A u = A R`` on the unknown entries. A is symmetric
    with eigenvalues in [0, 1], so conjugate gradients solve it, all labels side by side.

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


def own_leverage(spectrum: Spectrum, lambda_: float, counts: Double) -> Floats:
    """Estimate each row's leverage in the ridge on a label's own rows (m, K), its intercept included.

    A label's rows are taken for a fair sample, a share s of all m. Their moments vary from sample to sample, most
    where they are few beside the features, and the mean of the inverse is not the inverse of the mean: to second order
    it is ``(c S + lambda)^-1``, in which a row counts as ``c = s / (1 + (1 - s) a)``, a its leverage odds. With
    ``d = z^T (c S + lambda)^-1 z``, intercept included, a solves ``(1 - s) a^2 + (1 - d) a = d``; the leverage is
    ``a / (1 + a)``. c is common to all rows and comes from the mean of d. For a label whose entries are all known this
    is exact.
    """
    m, values = len(spectrum.basis), spectrum.values[:, None]
    share, label = np.unique(np.maximum(counts, 0.5) / m, return_inverse=True)
    c = sample_factor(spectrum.values, lambda_, share, m)
    shrink = (values / (c * values + lambda_)).astype(spectrum.basis.dtype)
    leverage = np.empty((m, len(label)), spectrum.basis.dtype)
    for rows in row_blocks(m, len(values)):
        odds = _odds(np.square(spectrum.basis[rows]) @ shrink + 1 / (m * c), share)
        leverage[rows] = (odds / (1 + odds))[:, label.ravel()]
    return leverage


def sample_factor(values: Double, lambda_: float, share: Double, m: int) -> Double:
    """Return the factor c (K,) of ``own_leverage`` for samples that are a ``share`` (K,) of m rows.

    ``values`` are the eigenvalues of the moments S of all rows.
    """
    c = share.copy()
    for _ in range(_CONSISTENT):
        shrunk = values[:, None] / (c * values[:, None] + lambda_)
        c = share / (1 + (1 - share) * _odds(shrunk.sum(axis=0) / m + 1 / (m * c), share))
    return np.asarray(c)


def _odds(d: Double, share: Double) -> Double:
    """Solve ``(1 - s) a^2 + (1 - d) a = d`` for a >= 0."""
    d = np.where(share < 1, d, np.minimum(d, 1 - 1e-9))
    return np.asarray(2 * d / (1 - d + np.sqrt((1 - d) ** 2 + 4 * (1 - share) * d)))


def _fit(hat: Hat, R: Floats) -> Floats:
    mean = R.mean(axis=0)
    fitted = np.asarray(hat.fit(R - mean), R.dtype)
    fitted += mean
    return fitted


def _squares(R: Floats) -> Double:
    return np.asarray(np.einsum("ij,ij->j", R, R), np.float64)
