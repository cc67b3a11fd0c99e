"""Stacking: one score from many members, with weights that labels of similar frequency share.

Two stacks are averaged, each standardised over the rows: non-negative least squares of the targets on left-out scores,
and a softmax of the members' left-out R2. Both take a label's statistics together with those of labels of similar
frequency, since a few positives do not tell ten weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from labelwise.ensemble.known import KnownEntries

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

BANDWIDTH = 0.5
"""Width, in log(1 + positives), over which labels share their statistics."""

_SHRINK = 1e-2  # ridge of the least squares, in units of the mean diagonal
_SHARPNESS = 100.0  # of the softmax: a member .01 of R2 behind has a third of the weight
_FLAT = 1e-6  # standard deviation below which a score says nothing


@dataclass(frozen=True)
class Combination:
    """Sum of scores, each times a weight of its label, and an offset.

    Attributes:
        weight: (V, K) float64, one for each of V scores and each label.
        offset: (K,) float64.
    """

    weight: Double
    offset: Double

    def of(self, scores: Sequence[Matrix]) -> Matrix:
        """Return the combined score (n, K) float32 of V scores (n, K)."""
        total = np.tile(self.offset.astype(np.float32), (len(scores[0]), 1))
        for weight, score in zip(self.weight.astype(np.float32), scores, strict=True):
            total += weight * score
        return total

    def standardised(self, scores: Sequence[Matrix], known: KnownEntries) -> Combination:
        """Return it with mean 0 and deviation 1 over the entries of ``scores`` that count."""
        mean, deviation = moments(self.of(scores), known)
        return Combination(self.weight / deviation, (self.offset - mean) / deviation)


def stack(left_out: Sequence[Matrix], known: KnownEntries) -> Combination:
    """Fit weights of members to their left-out scores, V matrices (m, K).

    With t the standardised targets, a_v the members' left-out scores in the same units, and for each label the sums
    over all labels l weighted by ``exp(-(log(1 + n_k) - log(1 + n_l))^2 / (2 BANDWIDTH^2))``, n the positives:
    ``w = argmin_{w >= 0} |t - sum_v w_v a_v|^2 + shrinkage``, and ``s = softmax(100 R2)`` of the standardised a_v.
    The result is the mean of both, each standardised.
    """
    means = known.means
    deviation = np.sqrt(np.maximum(means * (1 - means), 1e-9))
    targets = _within((known.targets - means) / deviation, known)
    a = np.empty((len(left_out), *targets.T.shape), np.float32)  # a label's scores lie side by side
    for own, score in zip(a, left_out, strict=True):
        own[:] = _within((score - means) / deviation, known).T
    a = a.transpose(1, 0, 2)
    products = np.stack([one @ one.T for one in a]).astype(np.float64)
    moment = np.stack([one @ t for one, t in zip(a, np.ascontiguousarray(targets.T), strict=True)]).astype(
        float
    )
    total = np.maximum(np.square(targets).sum(axis=0, dtype=np.float64), 1e-9)[:, None]
    r2 = 1 - (total - 2 * moment + np.einsum("kvv->kv", products)) / total
    alike = similarity(known.positives, BANDWIDTH) * known.both
    least_squares, shares = np.zeros(r2.shape), np.zeros(r2.shape)
    for label, weight in enumerate(alike):
        if known.both[label]:
            least_squares[label] = _non_negative(np.tensordot(weight, products, 1), weight @ moment)
            shares[label] = _softmax(_SHARPNESS * (weight @ r2) / weight.sum())
    spread = np.stack([moments(score, known)[1] for score in left_out])
    flat = np.zeros(len(means))
    first = Combination(least_squares.T / deviation, flat).standardised(left_out, known)
    second = Combination(shares.T / spread, flat).standardised(left_out, known)
    return Combination((first.weight + second.weight) / 2, (first.offset + second.offset) / 2)


def mean_of_standardised(scores: Sequence[Matrix], known: KnownEntries) -> Combination:
    """Return the mean of scores (m, K), each standardised, and standardised again."""
    weight = np.stack([1 / moments(score, known)[1] for score in scores])
    return Combination(weight, np.zeros(weight.shape[1])).standardised(scores, known)


def similarity(positives: Double, width: float) -> Double:
    """Return ``exp(-(log(1 + n_k) - log(1 + n_l))^2 / (2 width^2))`` (K, K) of labels' positives (K,)."""
    size = np.log1p(positives)
    return np.asarray(np.exp(-np.square(size[:, None] - size) / (2 * width**2)))


def moments(scores: Matrix, known: KnownEntries) -> tuple[Double, Double]:
    """Return each label's mean and deviation (K,) of scores (m, K) over its entries; the deviation is never 0."""
    count = np.maximum(known.counts, 1.0)
    mean = _within(scores, known).sum(axis=0, dtype=np.float64) / count
    square = np.square(_within(scores - mean, known)).sum(axis=0, dtype=np.float64) / count
    return mean, np.sqrt(square) + _FLAT


def _within(values: npt.NDArray[np.floating], known: KnownEntries) -> Matrix:
    """Return values (m, K), 0 where an entry does not count."""
    values = values.astype(np.float32, copy=False)
    return values if known.mask is None else values * known.mask


def _non_negative(products: Double, moment: Double) -> Double:
    """Return ``argmin_{w >= 0} w^T P w - 2 w^T b`` with a shrunk P (V, V), b (V,)."""
    size = max(float(np.trace(products)) / len(products), 1e-12)
    root = cholesky(products + _SHRINK * size * np.eye(len(products)), lower=True)
    return np.asarray(nnls(root.T, solve_triangular(root, moment, lower=True))[0])


def _softmax(values: Double) -> Double:
    weight = np.exp(values - values.max())
    return np.asarray(weight / weight.sum())
