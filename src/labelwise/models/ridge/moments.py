"""Mergeable sums of rows and labels, from which ridge is solved.

For weights s, rows z and 0/1 targets t of a group of labels that share their known rows, a fragment of rows holds
``n = sum s``, the means of z and t, ``M = sum s (z - mean)(z - mean)^T`` and ``C = sum s (z - mean)(t - mean)^T``, all
float64. Two of them join by Chan, Golub and LeVeque's update:
``M = M1 + M2 + n1 n2 / n (mean2 - mean1)(mean2 - mean1)^T``, and C alike. Then ``w = (M + lambda)^-1 C`` and
``b = mean t - w . mean z``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from labelwise.annotations import ListedStates, States, known_rows, positives_of, row_blocks
from labelwise.errors import UserError
from labelwise.models.ridge.fragments import FragmentTree
from labelwise.models.scaling import FeatureMatrix, InputScaling, Scaling

Array: TypeAlias = npt.NDArray[Any]

_BLOCK = 1 << 22  # entries of a block of rows: 32 MB of float64


@dataclass(frozen=True)
class Moments:
    """Sums of the known rows of a group of labels.

    Attributes:
        weight: Number of rows.
        mean: (D,) of the rows.
        square: (D, D) sum of products of the rows about their mean.
        target: (k,) mean of each label's targets.
        cross: (D, k) sum of products of rows and targets about their means.
    """

    weight: float
    mean: Array
    square: Array
    target: Array
    cross: Array

    def join(self, other: Moments) -> Moments:
        """Return the sums of both."""
        if not self.weight or not other.weight:
            return self if self.weight else other
        weight = self.weight + other.weight
        share = other.weight / weight
        gap, move = other.mean - self.mean, other.target - self.target
        lever = self.weight * share
        return Moments(
            weight,
            self.mean + share * gap,
            self.square + other.square + np.multiply.outer(lever * gap, gap),
            self.target + share * move,
            self.cross + other.cross + np.multiply.outer(lever * gap, move),
        )

    def decompose(self) -> MomentRidge:
        """Decompose the rows' covariance, for solutions of every lambda."""
        values, basis = eigh(self.square, check_finite=False, driver="evd")
        # As of rows in memory: what lies below their float32 rounding carries no information.
        squares = np.diag(self.square) + self.weight * self.mean**2
        noise = np.square(basis).T @ squares * float(np.finfo(np.float32).eps) ** 2
        floor = max(values[-1], 0.0) * 1e-13 * len(values) if len(values) else 0.0
        informative = values > np.maximum(floor, noise)
        basis = np.ascontiguousarray(basis[:, informative])
        return MomentRidge(self, values[informative], basis, basis.T @ self.cross)


@dataclass(frozen=True)
class MomentRidge:
    """Ridge solutions of a group of labels by the eigenvectors of its moments."""

    moments: Moments
    eigenvalues: Array  # (r,)
    basis: Array  # (D, r)
    products: Array  # (r, k)

    def solve(self, lambdas: Array) -> tuple[Array, Array]:
        """Return weights (k, D) and biases (k,), averaged over ``lambdas``."""
        shrink = np.mean([1 / (self.eigenvalues + lambda_) for lambda_ in lambdas], axis=0)
        weight = self.basis @ (self.products * shrink[:, None])
        return weight.T, self.moments.target - self.moments.mean @ weight

    def leave_one_out(
        self,
        rows: Array,
        targets: Array,
        weights: Array,
        lambdas: Array,
        labels: slice | Array = slice(None),
    ) -> npt.NDArray[np.float32]:
        """Return the scores (b, k) of rows, each by the model without it, averaged over ``lambdas``.

        ``(f - h t) / (1 - h)`` with the leverage ``h = s (1 / n + sum_j p_j^2 / (e_j + lambda))`` of a row that is
        there s times, p its principal coordinates, t the mean of its targets.

        Args:
            rows: (b, D) scaled rows, all of them among those of the moments.
            targets: (b, k), of ``labels``.
            weights: (b,) how often each row is among them.
            lambdas: (L,).
            labels: Which of the group's labels.
        """
        out = np.zeros(targets.shape)
        products, mean = self.products[:, labels], self.moments.target[labels]
        for part in row_blocks(len(rows), max(rows.shape[1], targets.shape[1]), _BLOCK):
            P = (rows[part].astype(np.float64) - self.moments.mean) @ self.basis
            squares, s = P**2, weights[part]
            for lambda_ in lambdas:
                shrink = 1 / (self.eigenvalues + lambda_)
                h = np.minimum(s / self.moments.weight + s * (squares @ shrink), 1.0 - 1e-12)[:, None]
                out[part] += (mean + P @ (products * shrink[:, None]) - h * targets[part]) / (1.0 - h)
        return (out / len(lambdas)).astype(np.float32)


@dataclass(frozen=True)
class LabelGroups:
    """Labels by the rows on which they are known.

    Attributes:
        of_label: (K,) the group of each label.
        absent: Whether an unknown entry of a row with a known one counts as absent; there is one group then.
    """

    of_label: npt.NDArray[np.int64]
    absent: bool = True

    @classmethod
    def one(cls, n_labels: int) -> LabelGroups:
        """Return one group of all labels, whose unknown entries count as absent."""
        return cls(np.zeros(n_labels, np.int64))

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.of_label.max(initial=0)) + 1

    def labels(self, group: int) -> npt.NDArray[np.int64]:
        """Return the labels of a group."""
        return np.flatnonzero(self.of_label == group)

    def rows(self, Y: States) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]:
        """Yield each group's labels and the rows (b,) on which they are known.

        Raises:
            UserError: Where labels of one group are known on different rows.
        """
        if self.absent:
            yield np.arange(len(self.of_label)), known_rows(Y)
            return
        matrix = Y.dense() if isinstance(Y, ListedStates) else Y
        for group in range(self.count):
            labels = self.labels(group)
            known = matrix[:, labels] != -1
            if (known != known[:, :1]).any():
                raise UserError("labels of one group are known on different rows: give each its own group")
            yield labels, known[:, 0]


class RidgeMoments:
    """Gatherer of the sums that ridge is solved from, fragment by fragment.

    Its size depends on features and labels, not on rows: ``groups x (D x D + D) + D x K`` numbers, times the logarithm
    of the number of fragments. Fragments have numbers. What comes out depends on the fragments and on their numbers,
    not on who gathered which or in what order they came: it is the same to the bit (given one build of the linear
    algebra and one number of its threads, since a fragment's own sums are theirs).

    Args:
        n_features: D, of the scaled rows.
        n_labels: K.
        scaling: Scales rows as they come; None takes them as they are.
        groups: Labels that share their known rows; None: all of them, unknown entries of rows with a known one absent.
    """

    def __init__(
        self,
        n_features: int,
        n_labels: int,
        *,
        scaling: Scaling | None = None,
        groups: LabelGroups | None = None,
    ) -> None:
        self.n_features, self.n_labels = n_features, n_labels
        self.scaling, self.groups = scaling, groups or LabelGroups.one(n_labels)
        if self.groups.of_label.shape != (n_labels,):
            raise UserError(f"groups has shape {self.groups.of_label.shape}: give one group for each label")
        self._tree: FragmentTree[list[Moments]] = FragmentTree(_join_all)

    def update(self, X: FeatureMatrix, Y: States, fragment: int) -> None:
        """Take in the rows ``X`` (b, D), dense or sparse, and states ``Y`` (b, K) of a fragment.

        Raises:
            UserError: For other shapes, features that are not finite, and a fragment that was taken in before.
        """
        if X.ndim != 2 or X.shape != (Y.shape[0], self.n_features) or Y.shape[1] != self.n_labels:
            raise UserError(
                f"X has shape {tuple(X.shape)} and Y {tuple(Y.shape)}: give (b, {self.n_features}) and"
                f" (b, {self.n_labels}) of the same rows"
            )
        self._tree.add(fragment, [self._of(X, Y, *part) for part in self.groups.rows(Y)])

    def merge(self, other: RidgeMoments) -> None:
        """Take in what was gathered of other fragments."""
        if (self.n_features, self.n_labels) != (other.n_features, other.n_labels):
            raise UserError("RidgeMoments of different features or labels cannot be merged.")
        self._tree.merge(other._tree)

    def finalize(self) -> list[Moments]:
        """Return the moments of each group of labels.

        Raises:
            UserError: Where nothing was taken in.
        """
        total = self._tree.fold()
        if total is None:
            raise UserError("RidgeMoments holds no rows: give it some by update(X, Y, fragment)")
        return total

    def _of(self, X: FeatureMatrix, Y: States, labels: Array, known: Array) -> Moments:
        """Return the moments of one fragment for a group of labels."""
        T = positives_of(Y)[:, labels].astype(np.float64) if len(labels) < Y.shape[1] else positives_of(Y)
        T = T.astype(np.float64)
        d, k = self.n_features, len(labels)
        shift: Array | None = None
        total, moved, targets = 0.0, np.zeros(d), np.zeros(k)
        square, cross = np.zeros((d, d)), np.zeros((d, k))
        for rows in row_blocks(X.shape[0], d, _BLOCK):
            index = np.arange(rows.start, rows.stop)[known[rows]]
            if not len(index):
                continue
            z = scaled_rows(X[index], self.scaling)
            if shift is None:
                shift = z.mean(axis=0)
            # About a provisional centre, so that nothing large cancels when the mean is known.
            z -= shift
            t = T[index]
            total += len(index)
            moved += z.sum(axis=0)
            targets += np.asarray(t.sum(axis=0)).ravel()
            square += z.T @ z
            cross += np.asarray(t.T @ z).T
        if shift is None:
            return Moments(0.0, moved, square, targets, cross)
        gap = moved / total
        square -= np.multiply.outer(total * gap, gap)
        cross -= np.multiply.outer(gap, targets)
        return Moments(total, shift + gap, square, targets / total, cross)


def _join_all(first: list[Moments], other: list[Moments]) -> list[Moments]:
    return [one.join(its) for one, its in zip(first, other, strict=True)]


def scaled_rows(X: FeatureMatrix, scaling: Scaling | None) -> npt.NDArray[np.float64]:
    """Return scaled rows (b, D) float64, rounded to float32 as rows in memory are."""
    if scaling is not None:
        return scaling.transform(X).astype(np.float64)
    z = np.asarray(X.toarray() if hasattr(X, "toarray") else X, dtype=np.float64)
    if not np.isfinite(z).all():
        raise UserError("a feature is NaN or infinite: fill or drop these rows")
    return z.copy() if z is X else z


@dataclass(frozen=True)
class ColumnSums:
    """Sums of the columns of all rows, from which scalings are fitted.

    Attributes:
        rows: Number n of rows.
        mean: (D,).
        square: (D,) sum of squares about the mean.
        low: (D,) the least value.
        high: (D,) the greatest value.
    """

    rows: int
    mean: Array
    square: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, X: FeatureMatrix) -> ColumnSums:
        """Return the sums of rows (b, D), dense or sparse."""
        total: ColumnSums | None = None
        for rows in row_blocks(X.shape[0], X.shape[1], _BLOCK):
            x = scaled_rows(X[rows], None)
            mean = x.mean(axis=0)
            part = cls(len(x), mean, np.square(x - mean).sum(axis=0), x.min(axis=0), x.max(axis=0))
            total = part if total is None else total.join(part)
        if total is None:
            raise UserError("there are no rows")
        return total

    def join(self, other: ColumnSums) -> ColumnSums:
        """Return the sums of both."""
        rows = self.rows + other.rows
        share, gap = other.rows / rows, other.mean - self.mean
        return ColumnSums(
            rows,
            self.mean + share * gap,
            self.square + other.square + self.rows * share * gap**2,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
        )

    def scaling(self, kind: str) -> InputScaling:
        """Return the fitted scaling of a kind; ``none`` brings the rows' mean squared norm to 1."""
        d = len(self.mean)
        constant = self.low == self.high
        mean = np.where(constant, self.low, self.mean)
        scaling = InputScaling(kind, d, np.zeros(d), np.ones(d))
        if kind == "none":
            squares = float((self.square + self.rows * self.mean**2).sum())
            factor = np.sqrt(self.rows / squares) if squares > 0 else 1.0
            return replace(scaling, inverse_scale=np.full(d, factor))
        if scaling.centred:
            scaling = replace(scaling, mean=mean)
        if kind in ("standardise", "standardise_l2"):
            deviation = np.where(constant, 0.0, np.sqrt(self.square / self.rows))
            inverse = np.divide(1.0, deviation, out=np.zeros(d), where=deviation > 0)
            scaling = replace(scaling, inverse_scale=inverse)
        return scaling
