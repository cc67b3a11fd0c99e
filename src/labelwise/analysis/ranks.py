"""Comparison of learners over data sets: ranks, paired differences, gaps closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of learners over blocks, the best first, and their tests.

    ``names`` and ``mean_ranks`` (M,) ascending, 1 the best; ``n_blocks`` N; ``chi_square`` and ``f_statistic`` with
    their p-values; two learners whose mean ranks differ by ``critical_difference`` or more differ at ``level``;
    ``cliques``: (first, last) positions of the largest groups that do not.
    """

    names: tuple[str, ...]
    mean_ranks: Floats
    n_blocks: int
    chi_square: float
    chi_square_p: float
    f_statistic: float
    f_p: float
    critical_difference: float
    level: float
    cliques: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Difference:
    """A mean paired difference with its percentile interval.

    ``value`` lies in [``low``, ``high``] at ``level``.
    """

    value: float
    low: float
    high: float
    level: float


def compare_ranks(names: Sequence[str], scores: ArrayLike, *, level: float = 0.05) -> Ranks:
    """Rank M learners in N blocks, after Demsar (JMLR 7, 2006).

    With mean ranks R_j (ties share their mean rank), Friedman's statistic is
    12 N / (M (M + 1)) (sum_j R_j^2 - M (M + 1)^2 / 4), chi-square with M - 1 degrees of freedom; Iman and Davenport's
    is (N - 1) chi / (N (M - 1) - chi), F with M - 1 and (M - 1)(N - 1); Nemenyi's critical difference is
    q sqrt(M (M + 1) / (6 N)), q the studentised range's quantile of M groups and infinite degrees over sqrt 2.

    Args:
        scores: (N, M), finite: one row a block (a data set in a setting), one column a learner.
        level: The chance of calling equal learners different, in (0, 1).

    Raises:
        UserError: Fewer than two learners or blocks, a score that is missing, a level out of range.
    """
    from scipy.stats import chi2, f, rankdata, studentized_range

    table = np.asarray(scores, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] != len(names) or min(table.shape) < 2:
        raise UserError(
            f"scores has shape {table.shape} for {len(names)} names: give (blocks, learners), at least 2 of each"
        )
    if not np.isfinite(table).all():
        block, learner = np.argwhere(~np.isfinite(table))[0]
        raise UserError(
            f"{names[learner]!r} has no score in block {block}: leave out the learner or the block"
        )
    if not 0 < level < 1:
        raise UserError(f"level={level}: give a number between 0 and 1, such as .05")
    n, m = table.shape
    means = rankdata(-table, axis=1).mean(axis=0)
    chi = 12 * n / (m * (m + 1)) * (float(means @ means) - m * (m + 1) ** 2 / 4)
    rest = n * (m - 1) - chi
    # All blocks in the same order leave no variance within: F is infinite.
    ratio = (n - 1) * chi / rest if rest > 1e-9 else np.inf
    q = float(studentized_range.ppf(1 - level, m, np.inf)) / np.sqrt(2)
    difference = q * np.sqrt(m * (m + 1) / (6 * n))
    order = np.argsort(means, kind="stable")
    return Ranks(
        names=tuple(names[j] for j in order),
        mean_ranks=means[order],
        n_blocks=n,
        chi_square=chi,
        chi_square_p=float(chi2.sf(chi, m - 1)),
        f_statistic=float(ratio),
        f_p=float(f.sf(ratio, m - 1, (m - 1) * (n - 1))),
        critical_difference=float(difference),
        level=level,
        cliques=_cliques(means[order], float(difference)),
    )


def _cliques(ranks: Floats, difference: float) -> tuple[tuple[int, int], ...]:
    """Return the largest groups of ascending ranks within ``difference``.

    Groups of two and more, as (first, last) positions.
    """
    cliques: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + difference, side="left")) - 1
        # A group inside the one before says nothing more.
        if last > first and (not cliques or last > cliques[-1][1]):
            cliques.append((first, last))
    return tuple(cliques)


def mean_difference(
    scores: ArrayLike,
    reference: ArrayLike,
    *,
    n: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """Return the mean of ``scores - reference`` with its bootstrap interval.

    Args:
        scores: (N,), or (N, S) with S repetitions (seeds) of a block, which are averaged first and drawn together.
        reference: Of the same shape: the other learner in the same blocks and repetitions.
        n: Resamplings; the draw depends on ``seed`` alone, so differences to one reference are comparable.

    Raises:
        UserError: Shapes that differ, or a missing score.
    """
    a, b = np.asarray(scores, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    if a.shape != b.shape or a.ndim not in (1, 2) or not a.size:
        raise UserError(f"scores have shape {a.shape} and {b.shape}: give two of the same, (N,) or (N, S)")
    gains = (a - b).reshape(len(a), -1).mean(axis=1)
    if not np.isfinite(gains).all():
        raise UserError(
            f"block {int(np.argmin(np.isfinite(gains)))} has no score: leave it out of both learners"
        )
    # Blocks are drawn, not scores: repetitions of one block are no independent evidence.
    drawn = generator(seed, "blocks").integers(0, len(gains), (n, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Difference(float(gains.mean()), float(low), float(high), level)


def gap_share(value: ArrayLike, floor: ArrayLike, ceiling: ArrayLike, *, least: float = 0.005) -> Floats:
    """Return the closed share of the gap from floor to ceiling.

    (value - floor) / (ceiling - floor): 0 at the floor, 1 at the ceiling, NaN for a gap below ``least``.

    A share above 1 or below 0 means a better learner than the ceiling's or a worse one than the floor's.
    """
    v, low, high = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (value, floor, ceiling)))
    gap = high - low
    # A share of a small gap is noise over noise.
    wide = gap >= least
    return np.where(wide, (v - low) / np.where(wide, gap, 1.0), np.nan)
