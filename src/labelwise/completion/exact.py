"""Bounds that hold at any sample size: for samples without replacement, and while looking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, logsumexp

Floats = NDArray[np.float64]
_GRID = 64


class Bounds(NamedTuple):
    """An estimate with the ends of its interval."""

    value: float
    lower: float
    upper: float


@lru_cache(maxsize=4096)
def hypergeometric_bounds(
    positives: int, sample: int, population: int, confidence: float = 0.95
) -> tuple[int, int]:
    """Return exact bounds of the positives in a population, from a sample without replacement.

    They are the least and the greatest T at which neither tail of Hypergeometric(N, T, n) at x falls below
    (1 - confidence)/2: Clopper and Pearson's interval for a finite population.

    Args:
        positives: x in the sample.
        sample: n, from 0 to N.
        population: N.
        confidence: Of the two-sided interval.
    """
    x, n, N, tail = positives, sample, population, (1 - confidence) / 2
    if n == 0:
        return 0, N
    # A tail of just this size does not fall below it, whichever way its last bit was rounded.
    tail *= 1 - 1e-12
    least, most = x, N - (n - x)

    def above(T: int) -> bool:
        """Whether x or more has a probability above the tail at T."""
        return _probability(np.arange(x, n + 1), N, T, n) > tail

    def below(T: int) -> bool:
        return _probability(np.arange(x + 1), N, T, n) > tail

    low, high = least, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if above(middle) else (middle + 1, high)
    lower = low
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if below(middle) else (low, middle - 1)
    return lower, low


def _probability(k: NDArray[np.int64], N: int, T: int, n: int) -> float:
    """Return the hypergeometric probability of some numbers of positives in a sample."""
    inside = k[(k <= T) & (n - k <= N - T)].astype(np.float64)

    def choose(a: float, b: Any) -> Any:
        return gammaln(a + 1) - gammaln(b + 1) - gammaln(a - b + 1)

    logs = choose(T, inside) + choose(N - T, n - inside) - choose(N, n)
    return float(np.exp(logs).sum())


def sum_of(parts: Sequence[Bounds]) -> Bounds:
    """Return the sum of independent estimates with its interval.

    MOVER (Donner and Zou, 2012): ``sum(v) - sqrt(sum((v - l)^2))`` and ``sum(v) + sqrt(sum((u - v)^2))``, which keeps
    the asymmetry of exact intervals. Of one part it is that part.
    """
    value = sum(part.value for part in parts)
    down = np.sqrt(sum((part.value - part.lower) ** 2 for part in parts))
    up = np.sqrt(sum((part.upper - part.value) ** 2 for part in parts))
    least, most = sum(part.lower for part in parts), sum(part.upper for part in parts)
    return Bounds(value, max(value - float(down), least), min(value + float(up), most))


def ratio_of(above: Bounds, below: Bounds) -> Bounds:
    """Return the ratio of two independent estimates, not negative, with its interval.

    MOVER-R (Newcombe, 2016): with a and b the estimates, the lower end is
    ``[ab - sqrt((ab)^2 - l_a (2a - l_a) u_b (2b - u_b))] / [u_b (2b - u_b)]``, the upper end its counterpart.
    """
    a, b = above.value, below.value
    if b <= 0:
        return Bounds(np.nan, 0.0, np.inf)

    def end(first: float, second: float, sign: int) -> float:
        square, product = second * (2 * b - second), first * (2 * a - first)
        root = np.sqrt(max((a * b) ** 2 - product * square, 0.0))
        if square <= 0:
            # Beyond twice the estimate the quadratic has no root on this side.
            return 0.0 if sign < 0 else (np.inf if second <= 0 else first / second)
        return float((a * b + sign * root) / square)

    lower = end(above.lower, below.upper, -1) if below.upper < 2 * b else above.lower / below.upper
    upper = end(above.upper, below.lower, 1) if below.lower > 0 else np.inf
    return Bounds(a / b, max(lower, 0.0), upper)


def log_evidence(answers: ArrayLike, population: int, most: int) -> Floats:
    """Return the log of evidence, after each answer, against at most ``most`` positives.

    The answers are those of a sample without replacement, in its order. With S yes and F no after n of them, and T
    spread evenly over ``most`` + 1 to N, the evidence is

        E_n = mean over T of (T)_S (N - T)_F / [(most)_S (N - most)_F],   (a)_k = a (a - 1) ... (a - k + 1),

    a mean of likelihood ratios: a martingale that starts at 1 where T is ``most``, a supermartingale where it is less.
    So by Ville's inequality it ever exceeds 1/alpha with probability alpha at most, however often one looks and
    whenever one stops (Waudby-Smith and Ramdas, 2020).

    Args:
        answers: (n,) of 1 and 0.
        population: N.
        most: From 0 to N - 1.
    """
    y = np.asarray(answers, dtype=np.float64)
    S, F = np.cumsum(y), np.cumsum(1 - y)
    N = float(population)
    T = np.unique(np.round(np.linspace(most + 1, population, _GRID)))[:, None]
    above = logsumexp(_falling(T, S) + _falling(N - T, F), axis=0) - np.log(len(T))
    below = _falling(np.float64(most), S) + _falling(np.float64(N - most), F)
    # More yes than the null has positives refute it; a likelihood of 0 under every T in the mean says nothing more.
    with np.errstate(invalid="ignore"):
        return np.where(np.isneginf(above), -np.inf, np.where(np.isneginf(below), np.inf, above - below))


def _falling(a: ArrayLike, k: Floats) -> Floats:
    """Return log (a)_k, -inf where k exceeds a."""
    a = np.asarray(a, np.float64)
    left = np.maximum(a - k, 0)
    return np.where(k <= a, gammaln(a + 1) - gammaln(left + 1), -np.inf)
