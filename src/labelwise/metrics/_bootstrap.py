"""Bootstrap intervals over items, sorted once: a replicate is a weight per item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.errors import UserError, near
from labelwise.metrics._average_precision import average_precision, mean_over_labels
from labelwise.metrics._inputs import Floats, Labels, Scores, check_pair

Metric = Literal["map", "average_precision"] | Callable[[Labels, Scores], Any]


@dataclass(frozen=True, eq=False)
class Interval:
    """A metric with its percentile bootstrap interval; scalars are 0-d arrays, per-label values are (K,)."""

    value: Floats
    """The metric on all items."""
    low: Floats
    high: Floats
    level: float
    """Coverage aimed at, in (0, 1)."""
    replicates: Floats
    """(n, ...) the metric on each resampled set; NaN where undefined."""

    def to_dict(self) -> dict[str, Any]:
        """Return value, low, high and level as plain JSON data; undefined values are ``None``."""

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
) -> Interval:
    """Return a metric with a percentile interval from ``n`` resamplings of the items.

    Args:
        Y_true: (n_items, K) of 1, 0 and -1.
        scores: (n_items, K) finite.
        metric: ``"map"`` (labels without a known positive in a replicate left out of it),
            ``"average_precision"`` (per label), or a function of (Y, scores) that returns a number or an
            array, called once a replicate.
        n: replicates; replicate r depends on (seed, r) only.
        seed: of the resampling.
        level: share of replicates within [low, high].
    """
    Y, s = check_pair(Y_true, scores)
    if n < 1:
        raise UserError(f"n is {n}: give at least 1 replicate")
    if not 0 < level < 1:
        raise UserError(f"level is {level}: give a share between 0 and 1, such as .95")
    if callable(metric):
        value = np.asarray(metric(Y, s), dtype=np.float64)
        drawn = (_draw(len(Y), seed, r) for r in range(n))
        replicates = np.array([metric(Y[rows], s[rows]) for rows in drawn], dtype=np.float64)
    elif metric in ("map", "average_precision"):
        value, replicates = average_precision(Y, s), _resampled_average_precision(Y, s, n, seed)
        if metric == "map":
            value = np.asarray(mean_over_labels(value, "omit"))
            replicates = np.array([mean_over_labels(row, "omit") for row in replicates])
    else:
        raise UserError(f"there is no bootstrap of {metric!r}: {near(metric, ('map', 'average_precision'))}")
    low, high = _quantiles(replicates, (1 - level) / 2), _quantiles(replicates, (1 + level) / 2)
    return Interval(value, low, high, level, replicates)


def _draw(n_items: int, seed: int, replicate: int) -> NDArray[np.int64]:
    return generator(seed, "bootstrap", replicate).integers(0, n_items, n_items)


def _quantiles(replicates: Floats, q: float) -> Floats:
    undefined = np.isnan(replicates).all(axis=0)
    return np.where(undefined, np.nan, np.nanquantile(np.where(undefined, 0.0, replicates), q, axis=0))


def _resampled_average_precision(Y: Labels, scores: Scores, n: int, seed: int) -> Floats:
    """Return AP (n, K) of each replicate: item counts are summed between the cuts of each label."""
    from scipy.sparse import csr_array

    n_items, n_labels = Y.shape
    # Chunks of replicates keep the counts at (n_items, 50) whatever n is.
    result = np.full((n, n_labels), np.nan)
    for start in range(0, n, 50):
        chunk = range(start, min(start + 50, n))
        counts = np.stack(
            [np.bincount(_draw(n_items, seed, r), minlength=n_items) for r in chunk], axis=1, dtype=np.float64
        )
        for k in range(n_labels):
            y, s = Y[:, k], scores[:, k]
            steps = np.unique(s[y == 1])
            if not len(steps):
                continue
            masses: list[Floats] = []
            for state in (1, 0):
                items = np.flatnonzero((y == state) & (s >= steps[0]))
                step = len(steps) - np.searchsorted(steps, s[items], "right")
                shape = (len(steps), n_items)
                masses.append(
                    np.asarray(csr_array((np.ones(len(items)), (step, items)), shape=shape) @ counts)
                )
            gained = masses[0]
            hits, false = np.cumsum(gained, axis=0), np.cumsum(masses[1], axis=0)
            precision = np.divide(hits, hits + false, out=np.zeros_like(hits), where=hits > 0)
            np.divide(
                (gained * precision).sum(axis=0),
                hits[-1],
                out=result[start : chunk.stop, k],
                where=hits[-1] > 0,
            )
    return result
