"""Risks of two Gaussian classes learnt from noisy pseudo-labels.

A difference in variance moves the risk from one class to the other.

One label of a multi-label problem, as the BBAM paper (Li et al., NeurIPS 2024) sees it. Positives are a share alpha
of the items. Features are x ~ N(theta, s^2 I) for positives and x ~ N(-theta, M^2 s^2 I) for negatives; only delta =
|theta| / s, M and the labels matter. A linear classifier is chosen that errs least on the labels at hand, of which a
share lambda are pseudo-labels: among positives' pseudo-labels a share e+ says negative, among negatives' a share e-
says positive. With

    w+ = alpha (1 - 2 lambda e+),   w- = (1 - alpha) (1 - 2 lambda e-),   L = log M + log(w+ / w-),
    A = 2 delta / (M^2 - 1),        q = 2 L / (M^2 - 1),

its errors within the classes are, Phi the normal distribution function,

    R(+1) = Phi(A - M sqrt(A^2 + q)),  R(-1) = Phi(-M A + sqrt(A^2 + q))    for M > 1,
    R(+1) = Phi(A + M sqrt(A^2 + q)),  R(-1) = Phi(-M A - sqrt(A^2 + q))    for M < 1,

and VCA, the variance of the two accuracies, is (R(+1) - R(-1))^2 / 4. Both lines, and their limit at M = 1, are

    R(+1) = Phi(-(4 delta^2 + 2 L M^2) / (2 delta + M D)),  R(-1) = Phi((2 L - 4 delta^2) / (2 delta M + D)),
    D = sqrt(4 delta^2 + 2 L (M^2 - 1)),

which is what is computed here: nothing cancels near M = 1. Where D is not real, or a classifier that names one class
for every item errs less, that classifier is the answer. ``docs/theory.md`` derives this and says where the
printed statement differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.errors import UserError

__all__ = ["Risks", "Simulation", "class_weights", "curves", "risks", "simulate"]

Floats = NDArray[np.float64]
_LEAST = 1e-75


class Risks(NamedTuple):
    """Risks of the best linear classifier, of the arguments' shape."""

    positive: Floats
    """R(+1): the share of positives that are called negative, in [0, 1]."""
    negative: Floats
    """R(-1): the share of negatives that are called positive, in [0, 1]."""
    vca: Floats
    """The variance of class-wise accuracy, (R(+1) - R(-1))^2 / 4, in [0, 1/4]."""
    threshold: Floats
    """The cut of the line through both means, in standard deviations of the positives, 0 halfway; items above
    are called positive. Infinite where one class is named for every item."""


class Simulation(NamedTuple):
    """Means over repeated draws, and their standard errors."""

    positive: float
    positive_error: float
    negative: float
    negative_error: float
    gap: float
    """R(+1) - R(-1), whose square over 4 is VCA."""
    gap_error: float


def class_weights(
    label_share: ArrayLike = 0.5,
    noise_positive: ArrayLike = 0.0,
    noise_negative: ArrayLike = 0.0,
    *,
    pseudo_share: ArrayLike = 0.5,
    unused_positive: ArrayLike = 0.0,
    unused_negative: ArrayLike = 0.0,
) -> tuple[Floats, Floats]:
    """Return w+ and w-, the class risks' weights on noisy labels.

    They weigh the true class risks in the risk on noisy labels, up to its constant.

    w+ = alpha (1 - lambda + lambda (1 - 2 e+ - u+)) and w- = (1 - alpha) (1 - lambda + lambda (1 - 2 e- - u-)): a
    wrong label takes back what a right one gives, and an unused one gives nothing.

    Args:
        label_share: alpha, the share of positives, in (0, 1).
        noise_positive: e+, the share of positives' pseudo-labels that say negative.
        noise_negative: e-, the share of negatives' pseudo-labels that say positive.
        pseudo_share: lambda, the share of pseudo-labels among all labels, in [0, 1].
        unused_positive: u+, the share of positives' pseudo-labels that are left out.
        unused_negative: u-, the same of negatives.

    Raises:
        UserError: a share out of its range, or noise so high that a class's labels are wrong at least as often as
            right, where the best classifier errs on purpose.
    """
    alpha, wrong_p, wrong_n, pseudo, out_p, out_n = (
        np.asarray(value, dtype=np.float64)
        for value in (
            label_share, noise_positive, noise_negative, pseudo_share, unused_positive, unused_negative
        )
    )  # fmt: skip
    if not ((alpha > 0) & (alpha < 1)).all():
        raise UserError(f"label_share={label_share!r}: give the share of positives, between 0 and 1")
    shares = {
        "noise_positive": wrong_p,
        "noise_negative": wrong_n,
        "pseudo_share": pseudo,
        "unused_positive": out_p,
        "unused_negative": out_n,
    }
    for name, value in shares.items():
        if not ((value >= 0) & (value <= 1)).all():
            raise UserError(f"{name}={value!r}: give a share in [0, 1]")
    if (wrong_p + out_p > 1).any() or (wrong_n + out_n > 1).any():
        raise UserError("noise and unused shares of a class add up to more than 1: lower one of them")
    positive = alpha * (1 - pseudo * (2 * wrong_p + out_p))
    negative = (1 - alpha) * (1 - pseudo * (2 * wrong_n + out_n))
    if (positive <= 0).any() or (negative <= 0).any():
        raise UserError(
            "noise_positive or noise_negative: at least half of a class's labels are wrong; give less noise or a "
            "lower pseudo_share"
        )
    return positive, negative


def risks(
    ratio: ArrayLike,
    label_share: ArrayLike = 0.5,
    noise_positive: ArrayLike = 0.0,
    noise_negative: ArrayLike = 0.0,
    *,
    separation: ArrayLike = 1.0,
    **labels: ArrayLike,
) -> Risks:
    """Return class risks and VCA of the best linear classifier.

    The best is the one that errs least on the noisy labels.

    All arguments broadcast.

    Args:
        ratio: M > 0, the standard deviation of negatives over that of positives.
        label_share: alpha, see ``class_weights`` for this and the next two.
        noise_positive: e+.
        noise_negative: e-.
        separation: delta > 0, half the distance of the means in standard deviations of the positives.
        **labels: ``pseudo_share`` (half by default), ``unused_positive`` and ``unused_negative``.

    Raises:
        UserError: a ratio or separation that is not between 1e-75 and 1e75, or what ``class_weights`` refuses.
    """
    M, delta = _positive("ratio", ratio), _positive("separation", separation)
    positive, negative = class_weights(label_share, noise_positive, noise_negative, **labels)
    L = np.log(M) + np.log(positive) - np.log(negative)
    square = 4 * delta**2 + 2 * L * (M**2 - 1)
    root = np.sqrt(np.maximum(square, 0))
    cut = -(4 * delta**2 + 2 * L * M**2) / (2 * delta + M * root)
    R_positive = _normal(cut)
    R_negative = _normal((2 * L - 4 * delta**2) / (2 * delta * M + root))
    # Where the root is not real, no threshold has a stationary risk: one class is named for every item.
    least = np.where(square >= 0, positive * R_positive + negative * R_negative, np.inf)
    all_negative = positive < np.minimum(least, negative)
    all_positive = ~all_negative & (negative < least)
    R_positive = np.where(all_negative, 1.0, np.where(all_positive, 0.0, R_positive))
    R_negative = np.where(all_negative, 0.0, np.where(all_positive, 1.0, R_negative))
    threshold = np.where(all_negative, np.inf, np.where(all_positive, -np.inf, delta + cut))
    values = R_positive, R_negative, (R_positive - R_negative) ** 2 / 4, threshold
    return Risks(*(value[()] for value in values))


def simulate(
    ratio: float,
    label_share: float = 0.5,
    noise_positive: float = 0.0,
    noise_negative: float = 0.0,
    *,
    separation: float = 1.0,
    pseudo_share: float = 0.5,
    unused_positive: float = 0.0,
    unused_negative: float = 0.0,
    n: int = 20_000,
    repeats: int = 24,
    seed: int = 0,
) -> Simulation:
    """Estimate the class risks by drawing items and noisy labels.

    The threshold that errs least on them is judged on fresh items.

    No formula of this module is used: n items are drawn on the line through both means with their labels, all n + 1
    cuts are tried, and 2 n fresh items with true labels, n of each class, are judged by the best cut. The means over
    ``repeats`` such draws are returned. Their standard errors fall as n^(-1/3), since that is how fast a
    threshold that minimises counted errors settles; the bias of a finite n falls as n^(-2/3), so that a large n
    does more than many repeats. Arguments as for ``risks``.
    """
    class_weights(
        label_share,
        noise_positive,
        noise_negative,
        pseudo_share=pseudo_share,
        unused_positive=unused_positive,
        unused_negative=unused_negative,
    )
    M, delta = float(_positive("ratio", ratio)), float(_positive("separation", separation))
    for name, number in (("n", n), ("repeats", repeats)):
        if number < 2:
            raise UserError(f"{name}={number}: give a whole number of at least 2")
    draw = generator(seed, "two_gaussians")
    rates = np.empty((repeats, 2))
    for row in rates:
        truth = draw.random(n) < label_share
        x = np.where(truth, delta + draw.standard_normal(n), -delta + M * draw.standard_normal(n))
        chance = draw.random(n)
        wrong = np.where(truth, noise_positive, noise_negative)
        unused = np.where(truth, unused_positive, unused_negative)
        pseudo = draw.random(n) < pseudo_share
        says_positive = truth ^ (pseudo & (chance < wrong))
        used = ~(pseudo & (chance >= wrong) & (chance < wrong + unused))
        order = np.argsort(x)
        sign = np.where(says_positive, 1, -1)[order] * used[order]
        # Errors of all n + 1 cuts, up to the constant of the lowest one.
        errors = np.concatenate([[0], np.cumsum(sign)])
        best = int(errors.argmin())
        edges = np.concatenate([[-np.inf], x[order], [np.inf]])
        threshold = (edges[best] + edges[best + 1]) / 2
        row[0] = np.mean(delta + draw.standard_normal(n) <= threshold)
        row[1] = np.mean(-delta + M * draw.standard_normal(n) > threshold)
    columns = np.column_stack([rates, rates[:, 0] - rates[:, 1]])
    mean, error = columns.mean(0), columns.std(0, ddof=1) / np.sqrt(repeats)
    return Simulation(*(float(v) for pair in zip(mean, error, strict=True) for v in pair))


def curves(
    ratios: Sequence[float] | Floats | None = None,
    noise: Sequence[tuple[float, float]] = ((0.0, 0.0), (0.4, 0.0), (0.0, 0.4)),
    *,
    label_shares: Sequence[float] = (0.5, 0.3),
    separation: float = 1.0,
    points: Sequence[float] = (),
    **simulation: Any,
) -> dict[str, NDArray[Any]]:
    """Return the data of the theory's figure, as columns.

    Args:
        ratios: values of M; by default 1/4 ... 4.
        noise: pairs (e+, e-). At alpha = 1/2 equal rates of both change nothing.
        label_shares: values of alpha.
        separation: delta.
        points: values of M to simulate as well.
        **simulation: ``n``, ``repeats`` and ``seed`` of ``simulate``.

    Returns:
        ``ratio``, ``label_share``, ``noise_positive``, ``noise_negative``, ``source`` ("theory" or "simulation"),
        ``risk_positive``, ``risk_negative``, ``vca`` and the standard errors ``risk_positive_error`` and
        ``risk_negative_error`` (0 for theory), one row a point.
    """
    values = np.geomspace(0.25, 4, 121) if ratios is None else np.asarray(ratios, dtype=np.float64)
    rows: list[tuple[Any, ...]] = []
    for alpha in label_shares:
        for wrong_p, wrong_n in noise:
            about = (alpha, wrong_p, wrong_n)
            exact = risks(values, *about, separation=separation)
            rows += [
                (M, *about, "theory", p, n, v, 0.0, 0.0)
                for M, p, n, v in zip(values, exact.positive, exact.negative, exact.vca, strict=True)
            ]
            for M in points:
                s = simulate(M, *about, separation=separation, **simulation)
                vca = s.gap**2 / 4
                errors = s.positive_error, s.negative_error
                rows.append((M, *about, "simulation", s.positive, s.negative, vca, *errors))
    names = (
        "ratio", "label_share", "noise_positive", "noise_negative", "source",
        "risk_positive", "risk_negative", "vca", "risk_positive_error", "risk_negative_error",
    )  # fmt: skip
    return {name: np.array(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _positive(name: str, value: ArrayLike) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    # Squares and their products with a logarithm must stay within float64.
    if not ((array >= _LEAST) & (array <= 1 / _LEAST)).all():
        raise UserError(f"{name}={value!r}: give numbers between {_LEAST:g} and {1 / _LEAST:g}")
    return array


def _normal(x: Floats) -> Floats:
    from scipy.special import ndtr

    value: Floats = ndtr(x)
    return value
