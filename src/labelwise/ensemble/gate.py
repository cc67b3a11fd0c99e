"""The gate: how much of a richer score each label gets, by rows that both scores have not seen.

A label's gain is estimated from its own rows, as far as its positives can tell, and from labels of similar frequency.
The richer score has to earn its share: of the mixtures with the simpler one, the one whose gain has the best lower
confidence bound above a margin is taken, and none where no bound is above it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from labelwise.ensemble.known import KnownEntries
from labelwise.ensemble.stack import moments, similarity
from labelwise.metrics import average_precision

Matrix: TypeAlias = npt.NDArray[np.float32]
Double: TypeAlias = npt.NDArray[np.float64]

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the richer score that are tried."""


@dataclass(frozen=True)
class Demand:
    """What a richer score has to show before it gets a share.

    Attributes:
        caution: Standard errors by which its gain has to be above the margin.
        margin: Average precision that it has to gain beyond that, times its share.
        between: Deviation of the true gains of labels of one frequency; 0 takes such labels together.
    """

    caution: float
    margin: float = 0.0
    between: float = 0.0


ENTRIES_KNOWN = Demand(caution=1.25, margin=0.01, between=0.03)
"""The demand where negatives are known."""

POSITIVES_KNOWN = Demand(caution=2.0)
"""The demand where only positives are known: a label's figure is then of shown labels, on their scale."""

_WIDTH = 1.0  # in log(1 + positives): over which labels share their gains
_HALF = 4.0  # positives at which a label's gain counts half
_NOISE = 0.25  # deviation of a label's gain at one positive, of which n have it over the root of n


@dataclass(frozen=True)
class Opening:
    """Share of the richer score for each label, and what it rests on.

    Attributes:
        share: (K,) in [0, 1]; 0 keeps the simpler score.
        gain: (K,) the gain in average precision of that share, over labels of similar frequency; of the richer score
            itself where the share is 0.
        error: (K,) its standard error.
        mean_gain: Mean gain of the richer score itself, over labels weighted by what their positives tell.
        mean_error: Its standard error; NaN where one label tells none.
    """

    share: Double
    gain: Double
    error: Double
    mean_gain: float
    mean_error: float

    @property
    def t(self) -> float:
        """The mean gain over its standard error, 0 where one label tells none."""
        return self.mean_gain / self.mean_error if self.mean_error > 0 else 0.0


def open_gate(
    simple: Sequence[Matrix], rich: Sequence[Matrix], known: KnownEntries, demand: Demand
) -> Opening:
    """Choose each label's share of the richer score.

    Args:
        simple: Scores (m, K) of rows that were left out, one matrix for each way of leaving them out; NaN in rows that
            none scored.
        rich: The same of the richer score.
        known: Their targets.
        demand: What a gain has to show.
    """
    K = known.targets.shape[1]
    share, best = np.zeros(K), np.zeros(K)
    gains = {tried: np.mean([_gain(a, b, known, tried) for a, b in zip(simple, rich, strict=True)], axis=0)
             for tried in SHARES}  # fmt: skip
    told = np.isfinite(gains[1.0])
    gain, error = own_gain(gains[1.0], known.positives, demand.between, told)
    overall = _weighted(gains[1.0][told], _information(known.positives)[told])
    for tried in SHARES:
        mean, deviation = own_gain(gains[tried], known.positives, demand.between, told, tried)
        bound = mean - demand.caution * deviation - demand.margin * tried
        better = bound > best
        share[better], best[better] = tried, bound[better]
        gain[better], error[better] = mean[better], deviation[better]
    return Opening(share, gain, error, *overall)


def own_gain(
    gains: Double,
    positives: Double,
    between: float,
    told: npt.NDArray[np.bool_] | None = None,
    share: float = 1.0,
) -> tuple[Double, Double]:
    """Return each label's expected gain and its standard error (K,), from its own rows and from similar labels.

    With g and e the mean and error of ``local_gain``, d a label's own gain, n its positives,
    ``s^2 = (.25 share)^2 / n`` its noise, ``t = between x share`` the deviation between labels and
    ``l = t^2 / (t^2 + s^2)``: the gain is
    ``g + l (d - g)``, its variance ``(1 - l)^2 e^2 + l^2 s^2``.
    """
    mean, error = local_gain(gains, positives, told)
    noise = np.square(_NOISE * share) / np.maximum(positives, 1)
    own = np.square(between * share) / (np.square(between * share) + noise)
    own = np.where(np.isfinite(gains), own, 0.0)
    expected = mean + own * (np.where(np.isfinite(gains), gains, 0.0) - mean)
    return expected, np.sqrt(np.square((1 - own) * error) + np.square(own) * noise)


def local_gain(
    gains: Double, positives: Double, told: npt.NDArray[np.bool_] | None = None
) -> tuple[Double, Double]:
    """Return each label's mean gain and its standard error (K,), over labels of similar frequency.

    Label l weighs ``n_l / (n_l + 4) exp(-(log(1 + n_k) - log(1 + n_l))^2 / 2)``, n its positives. The error is that of
    a weighted mean, times ``sqrt(N / (N - 1))`` with N the effective number of labels; it is infinite where one label
    would speak for itself alone.
    """
    told = np.ones(len(gains), bool) if told is None else told
    if told.sum() < 2:
        return np.zeros(len(gains)), np.full(len(gains), np.inf)
    weight = similarity(positives, _WIDTH)[:, told] * _information(positives)[told]
    total = weight.sum(axis=1)
    mean = weight @ gains[told] / total
    square = (np.square(weight) * np.square(gains[told] - mean[:, None])).sum(axis=1) / total**2
    number = total**2 / np.square(weight).sum(axis=1)
    return mean, np.sqrt(square * number / np.maximum(number - 1, 0.5)) + 1e-6


def _information(positives: Double) -> Double:
    """Return how much a label's gain tells (K,), from 0 to 1: nothing without a positive."""
    return np.asarray(positives / (positives + _HALF))


def _weighted(gains: Double, weight: Double) -> tuple[float, float]:
    if not len(gains):
        return 0.0, float("nan")
    mean = float(weight @ gains / weight.sum())
    if len(gains) < 2:
        return mean, float("nan")
    square = float((np.square(weight) * np.square(gains - mean)).sum() / weight.sum() ** 2)
    return mean, float(np.sqrt(square * len(gains) / (len(gains) - 1)))


def _gain(simple: Matrix, rich: Matrix, known: KnownEntries, share: float) -> Double:
    """Return each label's gain in average precision by a mixture (K,), NaN where it has none."""
    scored = np.isfinite(simple).all(axis=1) & np.isfinite(rich).all(axis=1)
    part = known.take(np.flatnonzero(scored))
    labels = part.labels
    a, b = (_standardised(one[scored], part) for one in (simple, rich))
    mixed = (1 - share) * a + share * b
    gain = np.full(labels.shape[1], np.nan)
    both = np.flatnonzero(part.both)
    if len(both):
        each = [average_precision(labels[:, both], one[:, both]) for one in (mixed, a)]
        gain[both] = each[0] - each[1]
    return gain


def _standardised(scores: Matrix, known: KnownEntries) -> Double:
    mean, deviation = moments(scores, known)
    return np.asarray((scores - mean) / deviation)
