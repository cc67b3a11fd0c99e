"""Ridge members: many labels at once, with exact leave-one-out scores.

A member is linear in its features and, at a given lambda, in the targets: so scores of rows by the fit
without them come from the fit with them (``left_out``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise._random import generator
from labelwise.ensemble.hats import Factor, Hat, Spectrum, centred, mean_square
from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.left_out import leave_one_out_r2, left_out_scores, macro
from labelwise.ensemble.masks import OwnLeverage, fill_in

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

GRID: tuple[float, ...] = tuple(float(10.0**power) for power in np.linspace(-2, 2, 9))
"""The lambdas that members try, in units of the mean squared norm of the centred features."""

_Patterns: TypeAlias = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]]

_OWN_WORK = 4e10  # floating-point operations, about a second, up to which every label's rows are decomposed
_SAMPLE = 10_000  # rows on which a lambda is chosen where masks differ


@dataclass(frozen=True)
class RidgeMember:
    """A fitted ridge with intercept on features, for many labels.

    Attributes:
        weight: (r, K) float32.
        bias: (K,) float32.
        loo: (m, K) float32, leave-one-out scores of the rows it was fitted to, free of the intercept's own shift; the
            label's own scores where an entry does not count. Of rows that belong to groups they leave out the fold of
            the row's group, in all entries.
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
        *,
        overwrite: bool = False,
    ) -> RidgeMember:
        """Fit to the rows with known entries.

        Where masks differ by label, each label is fitted to its own entries. Leave-one-out is exact then too
        while the labels' rows can be decomposed one by one in about a second; else a row's leverage is
        estimated.

        Args:
            features: (m, r) float32, of the rows ``known.rows``; m at least 1.
            known: Their targets.
            grid: Lambdas in units of the mean squared norm of the centred features.
            lambda_index: Place in the grid of the lambda to take, at a tenth of the cost. By default it is that of the
                best macro leave-one-out R2 over the labels of ``known.both``, on a keyed sample of 10,000 rows where
                masks differ.
            overwrite: Whether the features may be overwritten, which spares a copy of large ones.
        """
        if lambda_index is None and known.mask is not None and len(known) > _SAMPLE:
            sample = np.sort(generator(0, "member sample").permutation(len(known))[:_SAMPLE])
            lambda_index = cls.fit(features[sample], known.take(sample), grid).lambda_index
        Z, centre = centred(features, overwrite=overwrite)
        lambdas = np.asarray(grid, dtype=np.float64) * mean_square(Z)
        places = range(len(lambdas)) if lambda_index is None else [lambda_index]
        problem = _problem(Z, known, single=lambda_index is not None)
        place, fit = max(
            ((place, problem.at(float(lambdas[place]))) for place in places), key=lambda trial: trial[1].r2
        )
        weight, middle = fit.solve()
        bias = (middle - centre @ weight).astype(np.float32)
        return cls(weight.astype(np.float32), bias, fit.loo, float(lambdas[place]), place, fit.label_r2)

    @property
    def r2(self) -> float:
        """Mean leave-one-out R2 of labels with known positives and negatives.

        0 without any.
        """
        return macro(self.label_r2)

    def scores(self, features: Matrix) -> Matrix:
        """Return scores (n, K) float32 of features (n, r).

        They go from about 0 (absent) to 1 (relevant).
        """
        return np.asarray(features @ self.weight + self.bias)


class _Fit:
    """Leave-one-out scores at one lambda, and its weights when asked for.

    ``solve`` gives weights (r, K) and the scores (K,) of the mean features.
    """

    def __init__(self, loo: Matrix, known: KnownEntries, solve: Callable[[], tuple[Double, Double]]) -> None:
        self.loo, self.solve = loo, solve
        self.label_r2 = leave_one_out_r2(loo, known)
        self.r2 = macro(self.label_r2)


class _Problem(Protocol):
    def at(self, lambda_: float) -> _Fit: ...


def _problem(Z: npt.NDArray[Any], known: KnownEntries, *, single: bool) -> _Problem:
    if known.fold is not None and len(np.unique(known.fold)) > 1:
        return _Folds(Z, known, single=single)
    if known.mask is None:
        return _AllRows(Z, known, single=single)
    patterns = _patterns(known.mask)
    sizes = [(int(rows.sum()), min(int(rows.sum()), Z.shape[1])) for _, rows in patterns]
    if (
        sum(4.0 * m * Z.shape[1] * least + (1 if single else 10) * least**3 for m, least in sizes)
        <= _OWN_WORK
    ):
        return _OwnRows(Z, known, patterns, single=single)
    return _FilledRows(Z, known)


class _Folds:
    """Rows of groups: their scores come from fits without the fold of their group."""

    def __init__(self, Z: npt.NDArray[Any], known: KnownEntries, *, single: bool) -> None:
        assert known.fold is not None
        self.Z, self.known = Z, known
        alone = replace(known, fold=None)
        self.whole = _problem(Z, alone, single=single)
        self.parts = []
        for number in np.unique(known.fold):
            out = known.fold == number
            centre, rest = Z[~out].mean(axis=0), alone.take(np.flatnonzero(~out))
            self.parts.append((out, centre, rest.means, _problem(Z[~out] - centre, rest, single=single)))

    def at(self, lambda_: float) -> _Fit:
        loo, means = np.zeros(self.known.targets.shape, np.float32), self.known.means
        for out, centre, rest_means, problem in self.parts:
            weight, middle = problem.at(lambda_).solve()
            # Freed of the intercept's shift: a fold with many positives lowers the mean of the others.
            loo[out] = (self.Z[out] - centre) @ weight + (middle + means - rest_means)
        return _Fit(loo, self.known, lambda: self.whole.at(lambda_).solve())


class _AllRows:
    """Labels that are known on all rows."""

    def __init__(self, Z: npt.NDArray[Any], known: KnownEntries, *, single: bool) -> None:
        self.known = known
        self.hat: Callable[[float], Hat] = partial(Factor.of, Z) if single else Spectrum.of(Z).at

    def at(self, lambda_: float) -> _Fit:
        hat, m, means = self.hat(lambda_), len(self.known), self.known.means
        R = self.known.targets - means.astype(np.float32)
        loo = left_out_scores(self.known, hat.fit(R) + means, (hat.leverage() + 1 / m)[:, None])
        return _Fit(loo, self.known, lambda: (hat.weight(R), means))


class _OwnRows:
    """Labels that are each fitted to their own rows."""

    def __init__(
        self, Z: npt.NDArray[Any], known: KnownEntries, patterns: _Patterns, *, single: bool
    ) -> None:
        self.Z, self.known = Z, known
        self.parts = [self._part(labels, rows, single) for labels, rows in patterns if rows.any()]

    def _part(
        self, labels: npt.NDArray[Any], rows: npt.NDArray[Any], single: bool
    ) -> tuple[Any, Any, Any, _AllRows]:
        own, centre = self.Z[rows], self.Z[rows].mean(axis=0)
        known = self.known.take(rows)
        entries = replace(known, targets=known.targets[:, labels], mask=None, both=known.both[labels])
        return labels, rows, centre, _AllRows(own - centre, entries, single=single)

    def at(self, lambda_: float) -> _Fit:
        n_labels = self.known.targets.shape[1]
        loo = np.zeros((len(self.known), n_labels), np.float32)
        weight, middle = np.zeros((self.Z.shape[1], n_labels)), np.zeros(n_labels)
        for labels, rows, centre, problem in self.parts:
            fit = problem.at(lambda_)
            weight[:, labels], means = fit.solve()
            middle[labels] = means - centre @ weight[:, labels]
            loo[:, labels] = self.Z @ weight[:, labels] + middle[labels]
            loo[np.ix_(rows, labels)] = fit.loo
        return _Fit(loo, self.known, lambda: (weight, middle))


class _FilledRows:
    """Labels whose unknown entries take the values of their own fit."""

    def __init__(self, Z: npt.NDArray[Any], known: KnownEntries) -> None:
        self.known, self.spectrum = known, Spectrum.of(Z)
        self.leverage = OwnLeverage(self.spectrum.rows(), known.counts)
        self.last: npt.NDArray[Any] | None = None

    def at(self, lambda_: float) -> _Fit:
        mask, counts, own_means = self.known.mask, self.known.counts, self.known.means
        assert mask is not None
        hat = self.spectrum.at(lambda_)
        centred_targets = (self.known.targets - own_means.astype(np.float32)) * mask
        filled = self.last = fill_in(hat, centred_targets, mask, self.last)
        shift = filled.mean(axis=0, dtype=np.float64)
        R = filled - shift.astype(filled.dtype)
        rest = np.maximum(1 - self.leverage.at(lambda_), 1e-6)
        loo = (
            filled - (R - hat.fit(R)) * mask / rest + centred_targets / np.maximum(counts - 1, 1) + own_means
        )
        return _Fit(loo.astype(np.float32), self.known, lambda: (hat.weight(R), own_means + shift))


def _patterns(mask: npt.NDArray[np.bool_]) -> _Patterns:
    """Return each distinct column (m,) of a mask with its labels."""
    packed, group = np.unique(np.packbits(mask, axis=0), axis=1, return_inverse=True)
    rows = np.unpackbits(packed, axis=0, count=len(mask)).T.astype(bool)
    return [(np.flatnonzero(group.ravel() == place), row) for place, row in enumerate(rows)]
