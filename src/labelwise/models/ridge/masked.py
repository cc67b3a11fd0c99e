"""Ridge by conjugate gradients, for labels whose known rows differ."""

from __future__ import annotations

import warnings
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from labelwise.errors import Notice
from labelwise.models.ridge.rows import Rows

Array: TypeAlias = npt.NDArray[Any]

_DIRECT = 4096  # up to so many features the shared covariance is factorised as the preconditioner


def solve_masked(
    rows: Rows, targets: Array, weights: Array, lambda_: float, *, tolerance: float = 1e-8, most: int = 2000
) -> tuple[Array, Array]:
    """Return weights (K, D) and biases (K,) of ridge under entry weights.

    They minimise ``sum_i S_ik (T_ik - w_k.z_i - b_k)^2 + lambda |w_k|^2``. Each label has its own entry weights ``S``
    (m, K) >= 0. All labels advance together by conjugate gradients until every residual is below ``tolerance`` times
    its right-hand side; the preconditioner is the covariance that all labels share (none above 4,096 features). A
    label without known entries gets zeros.
    """
    centre = rows.sum(np.ones(rows.n)) / rows.n
    total = weights.sum(axis=0)
    live = total > 0
    safe = np.where(live, total, 1.0)

    def dot(V: Array) -> Array:
        return np.asarray(rows.dot(V) - centre @ V)

    def transpose(R: Array) -> Array:
        return np.asarray(rows.sum(R) - np.multiply.outer(centre, R.sum(axis=0)))

    def apply(V: Array) -> Array:
        # the intercept is eliminated: each label sees residuals about its own weighted mean
        F = dot(V)
        return transpose(weights * (F - (weights * F).sum(axis=0) / safe)) + lambda_ * V

    share = float(weights[:, live].mean()) if live.any() else 1.0
    if rows.d <= _DIRECT:
        shared = share * rows.covariance(centre, np.ones(rows.n))
        shared[np.diag_indices(rows.d)] += lambda_
        factor = cho_factor(shared, overwrite_a=True, check_finite=False)

        def precondition(R: Array) -> Array:
            return np.asarray(cho_solve(factor, R, check_finite=False))
    else:

        def precondition(R: Array) -> Array:
            return R

    mean = (weights * targets).sum(axis=0) / safe
    residual = transpose(weights * (targets - mean))
    size = np.linalg.norm(residual, axis=0)
    # a label whose targets are all alike has a residual of rounding only
    goal = tolerance * np.maximum(size, 1e-6 * size.max(initial=0.0))
    weight = np.zeros_like(residual)
    direction = np.zeros_like(residual)
    previous = np.ones(residual.shape[1])
    # Side by side, since one pass over the rows then serves all labels; those that are done take steps of 0.
    for _ in range(most):
        open_ = np.linalg.norm(residual, axis=0) > goal
        if not open_.any():
            break
        ready = precondition(residual)
        product = np.where(open_, (residual * ready).sum(axis=0), 0.0)
        direction = ready + direction * (product / previous)
        image = apply(direction)
        curvature = (direction * image).sum(axis=0)
        step = np.divide(product, curvature, out=np.zeros_like(product), where=open_ & (curvature > 0))
        weight += step * direction
        residual -= step * image
        previous = np.where(product > 0, product, 1.0)
    size = np.linalg.norm(residual, axis=0)
    tell_residual(
        float(np.divide(size, goal, out=np.zeros_like(size), where=goal > 0).max(initial=0.0)) * tolerance,
        tolerance,
        most,
    )
    F = dot(weight)
    bias = mean - (weights * F).sum(axis=0) / safe - centre @ weight
    return weight.T, np.where(live, bias, 0.0)


def tell_residual(residual: float, tolerance: float, steps: int) -> None:
    """Say so where conjugate gradients ended above their tolerance."""
    if residual > tolerance:
        note = (
            f"ridge ended after {steps} steps with a relative residual of {residual:.1g} (meant: {tolerance:.0g}); its"
            " lambda is small for these features"
        )
        warnings.warn(Notice(note), stacklevel=2)
