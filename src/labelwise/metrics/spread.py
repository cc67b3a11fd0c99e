"""Spread: bootstrap intervals over items, and variances between classes (VDFD, VCA)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.errors import UserError, near
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair
from labelwise.metrics.measurable import check_negatives
from labelwise.metrics.ranking import each_average_precision, mean_over_labels

Metric = Literal["map", "average_precision"] | Callable[[Labels, Scores], Any]


@dataclass(frozen=True, eq=False)
class Interval:
    """Metric with its percentile bootstrap interval.

    Scalars are 0-d arrays, per-label values (K,).
    """

    value: Floats
    """The metric on all items."""
    low: Floats
    high: Floats
    level: float
    """Coverage aimed at, in (0, 1)."""
    replicates: Floats
    """(n, ...) the metric on each resampled set; NaN where undefined."""

    def mean(self) -> Interval:
        """Return the mean over labels with its interval, of the same resampled items.

        Labels without a value are left out, of each replicate too.
        """
        some = np.isfinite(self.value)
        value = np.asarray(mean_over_labels(self.value, some, "omit"))
        replicates = np.array([mean_over_labels(row, some, "omit") for row in self.replicates])
        return _interval(value, replicates, self.level)

    def to_dict(self) -> dict[str, Any]:
        """Return value, interval and level as plain JSON data.

        Undefined values are ``None``.
        """

        def plain(values: Floats) -> Any:
            objects = values.astype(object)
            objects[np.isnan(values)] = None
            return objects.tolist()

        return {
            "value": plain(self.value),
            "low": plain(self.low),
            "high": plain(self.high),
            "level": self.level,
            "n": len(self.replicates),
        }


def bootstrap(
    Y_true: ArrayLike,
    scores: ArrayLike,
    metric: Metric = "map",
    n: int = 200,
    seed: int = 0,
    *,
    level: float = 0.95,
    **meanings: Unpack[Meanings],
) -> Interval:
    """Return a metric with its percentile interval over resampled items.

    The items are resampled ``n`` times.

    Args:
        Y_true: (n_items, K) of 1, 0 and -1.
        scores: (n_items, K) finite.
        metric: ``"map"`` (labels of which a replicate holds one class alone are left out of it),
            ``"average_precision"`` (per label), or a function of (Y, scores) that returns a number or an
            array, called once a replicate.
        n: replicates; replicate r depends on (seed, r) only.
        seed: of the resampling.
        level: share of replicates within [low, high].
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Raises:
        UserError: AP is asked where positives are known and no negative is; bad values by row and label.
    """
    Y, s = check_pair(Y_true, scores, **meanings)
    if n < 1:
        raise UserError(f"n is {n}: give at least 1 replicate")
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give a share between 0 and 1, such as .95")
    if callable(metric):
        value = np.asarray(metric(Y, s), dtype=np.float64)
        drawn = (_draw(len(Y), seed, r) for r in range(n))
        replicates = np.array([metric(Y[rows], s[rows]) for rows in drawn], dtype=np.float64)
    elif metric in ("map", "average_precision"):
        check_negatives(Y)
        by_label = _interval(each_average_precision(Y, s), _resampled_average_precision(Y, s, n, seed), level)
        return by_label.mean() if metric == "map" else by_label
    else:
        raise UserError(f"there is no bootstrap of {metric!r}: {near(metric, ('map', 'average_precision'))}")
    return _interval(value, replicates, level)


def _interval(value: Floats, replicates: Floats, level: float) -> Interval:
    low, high = _quantiles(replicates, (1 - level) / 2), _quantiles(replicates, (1 + level) / 2)
    return Interval(value, low, high, level, replicates)


def _draw(n_items: int, seed: int, replicate: int) -> NDArray[np.int64]:
    return generator(seed, "bootstrap", replicate).integers(0, n_items, n_items)


def _quantiles(replicates: Floats, q: float) -> Floats:
    # Zeros stand where no replicate has a value: nanquantile would warn there.
    undefined = np.isnan(replicates).all(axis=0)
    return np.where(undefined, np.nan, np.nanquantile(np.where(undefined, 0.0, replicates), q, axis=0))


def _resampled_average_precision(Y: Labels, scores: Scores, n: int, seed: int) -> Floats:
    """Return AP (n, K) of each replicate.

    It is NaN where a replicate does not hold both classes of a label.
    """
    n_items, n_labels = Y.shape
    # Chunks of replicates bound the counts whatever n is; float32 holds them, and their sums, exactly.
    size = max(1, (1 << 21) // n_items)
    result = np.empty((n, n_labels))
    for start in range(0, n, size):
        chunk = range(start, min(start + size, n))
        draws = [np.bincount(_draw(n_items, seed, r), minlength=n_items) for r in chunk]
        counts = np.stack(draws, axis=1, dtype=np.float32)
        for k in range(n_labels):
            result[start : chunk.stop, k] = _weighted_average_precision(Y[:, k], scores[:, k], counts)
    return result


def _weighted_average_precision(y: Labels, s: Scores, counts: NDArray[np.float32]) -> Floats:
    """Return AP (R,) of one label for weighted items.

    Item i counts ``counts[i, r]`` times; counts are summed between the cuts.
    """
    from scipy.sparse import csr_array

    steps = np.unique(s[y == 1])
    if not len(steps):
        return np.full(counts.shape[1], np.nan)

    def mass(state: int) -> Floats:
        items = np.flatnonzero((y == state) & (s >= steps[0]))
        step = len(steps) - np.searchsorted(steps, s[items], "right")
        ones = np.ones(len(items), dtype=np.float32)
        sums = csr_array((ones, (step, items)), shape=(len(steps), len(y))) @ counts
        return np.asarray(sums, dtype=np.float64)

    gained, false = mass(1), np.cumsum(mass(0), axis=0)
    hits = np.cumsum(gained, axis=0)
    total, negatives = hits[-1], counts[y == 0].sum(axis=0)
    precision = hits / np.maximum(hits + false, 1)
    return np.where(
        (total > 0) & (negatives > 0), (gained * precision).sum(axis=0) / np.maximum(total, 1), np.nan
    )


def vdfd(values: ArrayLike, Y: ArrayLike, **meanings: Unpack[Meanings]) -> Floats:
    """Return the variance difference of each label's classes (VDFD).

    It is that between positives and negatives, over known entries.

    VDFD_k = var{v_ik : y_ik = 1} - var{v_ik : y_ik = 0}, variances unbiased (n - 1).

    Args:
        values: (n, K) finite: angles (radians) or scores.
        Y: (n, K) of 1, 0 and -1.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        (K,) float64, signed; NaN for a label with fewer than two known entries of either class.
    """
    labels, v = check_pair(Y, values, "Y", **meanings)

    def variance(state: int) -> Floats:
        mask = labels == state
        count = mask.sum(axis=0).astype(np.float64)
        # In two passes: a difference of mean squares would lose the digits of values that differ little.
        mean = np.where(mask, v, 0).sum(axis=0, dtype=np.float64) / np.maximum(count, 1)
        squares = (np.where(mask, v - mean, 0.0) ** 2).sum(axis=0)
        return np.where(count > 1, squares / np.maximum(count - 1, 1), np.nan)

    return variance(1) - variance(0)


def vca(accuracies: ArrayLike) -> float:
    """Return the variance of class-wise accuracy (VCA).

    It is mean (a_c - mean a)^2 of ``accuracies`` (C,) in [0, 1].

    Classes without an accuracy (NaN) are left out.
    """
    a = np.asarray(accuracies, dtype=np.float64)
    a = a[~np.isnan(a)]
    if a.ndim != 1 or not len(a):
        raise UserError("accuracies has no value: give the accuracy of at least one class")
    if (a < 0).any() or (a > 1).any():
        raise UserError(f"accuracies holds {a[(a < 0) | (a > 1)][0]}: give shares in [0, 1]")
    return float(a.var())
