"""Students: ridge on all rows of a pool, labelled by a teacher.

Unlabelled rows have the teacher's scores as targets. The teacher is a weighted sum of members, and a ridge at
given lambdas is linear in its targets. So is the student in the labels, and leaving a row out has a closed
form: with ``y'`` a member's left-out score of row i and B its map from labels to scores of unlabelled rows,
those move by ``B_ui (y'_i - y_i)``; the row's own target becomes the teacher's left-out score. With S the
student's map from targets to scores, its left-out score is ``fit_i + S_ii (f'_i - y_i) + sum over members of
w sum_u S_iu B_ui (y'_i - y_i)``. Neither B nor S is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from labelwise.annotations import row_blocks
from labelwise.ensemble.hats import Factor, Spectrum, centred, mean_square, products
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.left_out import intercept_shift, leave_one_out_r2, macro, over_twins
from labelwise.ensemble.masks import SampledRidge
from labelwise.ensemble.members import RidgeMember

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

GRID = (0.1, 1.0, 10.0)
"""The lambdas that students try, in units of the mean squared norm of the centred features."""

_MOST_PARTS, _LEAST_WEIGHT, _RIDGE = 6, 0.02, 1e-2


@dataclass(frozen=True)
class TeacherPart:
    """A member of a teacher.

    Attributes:
        member: The fitted member.
        features: Gives its features (n, r) float32 of all rows of the pool, anew each time.
    """

    member: RidgeMember
    features: Callable[[], Matrix]


@dataclass(frozen=True)
class Teacher:
    """Weighted sum of members, the same weights for all labels.

    Attributes:
        parts: Its members.
        weights: Of each, above 0.
        known: The entries that they were fitted to.
    """

    parts: tuple[TeacherPart, ...]
    weights: tuple[float, ...]
    known: KnownEntries

    @classmethod
    def fit(cls, parts: Sequence[TeacherPart], known: KnownEntries) -> Teacher:
        """Weigh members by non-negative least squares on left-out scores.

        All labels share the weights. It keeps the six members of the largest weights, none below .02.
        """
        weights = pooled_weights([part.member.loo for part in parts], known)
        best = sorted(np.argsort(-weights)[:_MOST_PARTS])
        kept = [parts[place] for place in best if weights[place] > _LEAST_WEIGHT]
        weights = pooled_weights([part.member.loo for part in kept], known)
        return cls(tuple(kept), tuple(weights.tolist()), known)

    @property
    def rest(self) -> float:
        """Weight of the mean."""
        return 1.0 - sum(self.weights)

    def left_out(self) -> Double:
        """Return leave-one-out scores (m, K) of the fitted rows, float64."""
        shift = intercept_shift(self.known)
        total = self.rest * (self.known.means - shift)
        for weight, part in zip(self.weights, self.parts, strict=True):
            total = total + weight * (part.member.loo - shift)
        return np.asarray(total)

    def scores(self, n: int) -> Matrix:
        """Return scores (n, K) of the pool's rows, float32."""
        total = np.tile((self.rest * self.known.means).astype(np.float32), (n, 1))
        for weight, part in zip(self.weights, self.parts, strict=True):
            total += np.float32(weight) * part.member.scores(part.features())
        return total


def pooled_weights(scores: Sequence[Matrix], known: KnownEntries) -> Double:
    """Return weights (V,) >= 0 of V left-out scores, by least squares.

    They are the same for all labels of ``known.both``. Each label is standardised by its targets; a ridge of
    a hundredth of the mean diagonal keeps weights apart.
    """
    if not len(scores):
        return np.zeros(0)
    means, both = known.means[known.both], known.both
    scale = 1 / np.sqrt(np.maximum(means * (1 - means), 1e-9))
    counts = np.ones((1, 1)) if known.mask is None else known.mask[:, both]

    def column(values: Matrix) -> Matrix:
        return np.asarray(((values[:, both] - means) * scale * counts).ravel(), np.float32)

    columns = np.stack([column(one) for one in scores])
    gram = (columns @ columns.T).astype(np.float64)
    moment = (columns @ column(known.targets)).astype(np.float64)
    gram += (_RIDGE * np.trace(gram) / len(gram) + 1e-12) * np.eye(len(gram))
    root = np.linalg.cholesky(gram)
    return np.asarray(nnls(root.T, np.linalg.solve(root, moment))[0])


def fit_student(
    features: Matrix,
    teacher: Teacher,
    grid: Sequence[float] = GRID,
    lambda_index: int | None = None,
) -> RidgeMember:
    """Fit a student to all rows of a pool.

    Args:
        features: (n, r) float32, of all rows.
        teacher: Gives the targets of rows without labels.
        grid: Lambdas in units of the mean squared norm of the centred features.
        lambda_index: Place in the grid of the lambda to take; by default that of the best macro leave-one-out R2.

    Returns:
        The student, with left-out scores of the labelled rows that are exact for fixed weights of the teacher.
    """
    known, rows = teacher.known, teacher.known.rows
    Z, centre = centred(features)
    spectrum = Spectrum.of(Z)
    lambdas = np.asarray(grid, np.float64) * mean_square(Z)
    targets = teacher.scores(len(features))
    targets[rows] = (
        known.targets if known.mask is None else np.where(known.mask, known.targets, targets[rows])
    )
    means = targets.mean(axis=0, dtype=np.float64)
    R = targets - means.astype(np.float32)
    places = list(range(len(lambdas))) if lambda_index is None else [lambda_index]
    moved, shift = _moved(spectrum, teacher, lambdas[places]), intercept_shift(known)
    trials = []
    for place, change in zip(places, moved, strict=True):
        fitted = spectrum.at(float(lambdas[place])).fit(R)[rows] + means
        trials.append((place, (fitted + change + shift).astype(np.float32)))
    place, loo = max(trials, key=lambda trial: macro(leave_one_out_r2(trial[1], known)))
    weight = spectrum.at(float(lambdas[place])).weight(R)
    bias = (means - centre @ weight).astype(np.float32)
    label_r2 = leave_one_out_r2(loo, known)
    return RidgeMember(weight.astype(np.float32), bias, loo, float(lambdas[place]), place, label_r2)


def _moved(spectrum: Spectrum, teacher: Teacher, lambdas: Double) -> list[npt.NDArray[Any]]:
    """Return how far leaving a row out moves its score (m, K).

    One matrix for each lambda.
    """
    known, U = teacher.known, spectrum.basis
    shrink = (spectrum.values[:, None] / (spectrum.values[:, None] + lambdas)).astype(U.dtype)
    own = np.square(U[known.rows]) @ shrink + 1 / len(U)  # S_ii at each lambda
    target = _gap(known, teacher.left_out())
    moved = [own[:, [place]] * target for place in range(len(lambdas))]
    shift = intercept_shift(known)
    levels = _levels(known)
    for weight, part in [(teacher.rest, None), *zip(teacher.weights, teacher.parts, strict=True)]:
        change = weight * _gap(known, known.means - shift if part is None else part.member.loo - shift)
        maps = [_influence(U, shrink, own, part, known, share) for _, share in levels]
        for (labels, _), influence in zip(levels, maps, strict=True):
            for place, total in enumerate(moved):
                total[:, labels] += influence[:, [place]] * change[:, labels]
    return moved


def _influence(
    U: npt.NDArray[Any],
    shrink: npt.NDArray[Any],
    own: npt.NDArray[Any],
    part: TeacherPart | None,
    known: KnownEntries,
    share: float,
) -> npt.NDArray[Any]:
    """Return ``sum over unlabelled u of S_iu B_ui`` (m, lambdas).

    That is for one member of the teacher, or for the mean (None). B is a member's map from labels to scores,
    ``B_ui = 1/m + e_u^T (Z^T Z + lambda)^-1 z_i``. A label that is known for a share s of the rows has the
    map of a fair sample of them (``masks``), and its unknown entries among the rows are unlabelled too.
    """
    n, m, hidden = len(U), len(known), 1 - share
    unlabelled = np.ones(n, bool)
    unlabelled[known.rows] = False
    UL = U[known.rows]
    # B = E A, with a column of ones in E for the intercept
    E, A = _linear_map(part, known, share, n)
    E = np.hstack([np.ones((n, 1), U.dtype), E])
    EL = E[known.rows]
    summed = E[unlabelled].sum(axis=0, dtype=np.float64) + hidden * EL.sum(axis=0, dtype=np.float64)
    cross = products(U[unlabelled], E[unlabelled]) + hidden * products(UL, EL)
    out = np.empty((m, shrink.shape[1]))
    for rows in row_blocks(m, len(shrink)):
        out[rows] = (UL[rows] * (cross @ A[:, rows]).T) @ shrink + (summed @ A[:, rows] / n)[:, None]
        # a row is not among the unknown ones of a label that it has
        out[rows] -= hidden * own[rows] * np.einsum("ij,ji->i", EL[rows], A[:, rows])[:, None]
    return out


def _linear_map(
    part: TeacherPart | None, known: KnownEntries, share: float, n: int
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return centred features (n, r) and the map from labels to weights.

    The map is (r + 1, m), the intercept first.
    """
    m = len(known)
    if part is None:
        return np.zeros((n, 0), np.float32), np.full((1, m), 1 / (share * m))
    features = part.features()
    Z, centre = centred(features[known.rows])
    E = features - centre.astype(np.float32)
    if share < 1:
        return E, SampledRidge(Z, share).fit(part.member.lambda_).linear_map()
    A = Factor.of(Z, part.member.lambda_).linear_map()
    return E, np.vstack([np.full((1, m), 1 / m), A])


def _gap(known: KnownEntries, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return scores (m, K) less targets where they count, summed over twins."""
    gap = scores - known.targets
    return over_twins(known, gap if known.mask is None else gap * known.mask)


def _levels(known: KnownEntries) -> list[tuple[npt.NDArray[np.int64], float]]:
    """Return groups of labels by their share of known entries, with that."""
    if known.mask is None:
        return [(np.arange(known.targets.shape[1]), 1.0)]
    share = np.maximum(known.counts, 1.0) / len(known)
    level = np.round(np.log2(share) * 3)
    groups = [np.flatnonzero(level == one) for one in np.unique(level)]
    return [(labels, float(share[labels].mean())) for labels in groups]
