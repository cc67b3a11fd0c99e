"""Platt calibration of each label, and how well probabilities match observed shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, listed, near
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_pair, check_scores, label_name
from labelwise.metrics.measurable import check_negatives, judgeable, positives_alone
from labelwise.metrics.rules import Input, check_input

_CLIP = 1e-12
_LEAST_SLOPE = 1e-3


@dataclass(frozen=True)
class PlattCalibration:
    """Platt calibration of each label: probabilities sigma(a_k x + b_k).

    x is the logit of the score; a_k > 0 keeps each label's order.
    """

    slope: Sequence[float]
    """a (K,), positive."""
    offset: Sequence[float]
    """b (K,)."""
    pooled: Sequence[bool]
    """(K,) labels that took the fit of all labels, for want of a known entry."""
    input: Input = "probability"
    """``probability``: scores in [0, 1], clipped at 1e-12 from either end; ``logit``: any finite score."""

    def __post_init__(self) -> None:
        slope, offset = np.asarray(self.slope, dtype=np.float64), np.asarray(self.offset, dtype=np.float64)
        pooled = tuple(bool(value) for value in self.pooled)
        if not (slope.ndim == offset.ndim == 1 and len(slope) == len(offset) == len(pooled) > 0):
            raise UserError("PlattCalibration needs one slope, offset and pooled flag per label")
        wrong = np.flatnonzero(~(np.isfinite(slope) & (slope > 0) & np.isfinite(offset)))
        if len(wrong):
            k = wrong[0]
            raise UserError(
                f"PlattCalibration got slope {slope[k]} and offset {offset[k]} for label {k}: give a"
                " positive slope"
                " and a finite offset"
            )
        check_input(self.input)
        object.__setattr__(self, "slope", tuple(slope.tolist()))
        object.__setattr__(self, "offset", tuple(offset.tolist()))
        object.__setattr__(self, "pooled", pooled)

    @classmethod
    def fit(
        cls,
        Y: ArrayLike,
        scores: ArrayLike,
        *,
        input: Input = "probability",
        shrinkage: float = 3.0,
        label_names: Sequence[str] | None = None,
        **meanings: Unpack[Meanings],
    ) -> PlattCalibration:
        """Fit each label on known entries.

        They are those of the rows that ``judgeable(Y)`` names.

        Label k minimises sum_i [log(1 + e^f) - t_i f] + shrinkage/2 [(a - a_0)^2 + (b - b_0)^2] with
        f = a x_i + b and Platt's targets t = (P_k + 1)/(P_k + 2) for positives, 1/(N_k + 2) for negatives.
        (a_0, b_0) is the same fit of all entries together, shrunk towards (1, 0) with weight 1. The data
        outweigh the shrinkage as P_k grows. A label known to be absent from N_k rows and present in none keeps
        a_0 and takes the b at which its mean probability there is 1/(N_k + 2), and the reverse; one without a
        known entry takes (a_0, b_0).

        Args:
            Y: (n, K) of 1, 0 and -1; rows that the model was not trained on.
            scores: (n, K), probabilities or logits as ``input`` says.
            input: ``"probability"`` or ``"logit"``.
            shrinkage: weight of the pooled fit, greater than 0.
            label_names: K names, for messages.
            **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in
                ``labelwise.annotations.parse``.

        Raises:
            UserError: no label has both classes known, so the share of positives is not identified.
        """
        if not (np.isfinite(shrinkage) and shrinkage > 0):
            raise UserError(f"shrinkage is {shrinkage}: give a number greater than 0")
        labels, s = check_pair(Y, scores, "Y", label_names, **meanings)
        x = as_logits(s, check_input(input), label_names)
        measurable = judgeable(labels)
        if not measurable.calibration:
            raise UserError(
                "no label has both a known positive and a known negative, so probabilities cannot be"
                " calibrated:"
                " give some fully labelled items, or go without calibration"
            )
        labels, x = labels[measurable.rows], x[measurable.rows]
        known = labels[:, measurable.labels] >= 0
        common = _fit(x[:, measurable.labels][known], labels[:, measurable.labels][known], (1.0, 0.0), 1.0)
        slope, offset = (np.full(labels.shape[1], value) for value in common)
        known = labels >= 0
        for k in np.flatnonzero(known.any(axis=0)):
            rows = known[:, k]
            fit = _fit if measurable.labels[k] else _fit_offset
            slope[k], offset[k] = fit(x[rows, k], labels[rows, k], common, shrinkage)
        return cls(
            cast(Sequence[float], slope),
            cast(Sequence[float], offset),
            cast(Sequence[bool], ~known.any(axis=0)),
            input,
        )

    def apply(self, scores: ArrayLike) -> Floats:
        """Return calibrated probabilities (n, K) float64 of ``scores`` (n, K)."""
        from scipy.special import expit

        s = check_scores(scores)
        self._check_width(s)
        return np.asarray(expit(self.logits(as_logits(s, self.input))))

    def logits(self, logits: ArrayLike) -> Floats:
        """Return calibrated logits (n, K) float64 from those of the scores.

        ``input`` does not matter here: the line is the same, and no two scores that differ are tied.
        """
        x = check_scores(logits, "logits")
        self._check_width(x)
        return np.asarray(x * np.array(self.slope) + np.array(self.offset))

    def _check_width(self, scores: Scores) -> None:
        if scores.shape[1] != len(self.slope):
            raise UserError(
                f"scores has {scores.shape[1]} labels but the calibration was fitted on {len(self.slope)}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the calibration as plain JSON data."""
        return {
            "calibration": "platt",
            "slope": list(self.slope),
            "offset": list(self.offset),
            "pooled": list(self.pooled),
            "input": self.input,
        }


def calibration_from_dict(data: Mapping[str, Any]) -> PlattCalibration:
    """Return the calibration that ``to_dict`` wrote.

    Anything else is refused in one line.
    """
    kind = data.get("calibration")
    if kind != "platt":
        raise UserError(f"there is no calibration {kind!r}: {near(str(kind), ['platt'])}")
    fields = {key: value for key, value in data.items() if key != "calibration"}
    try:
        return PlattCalibration(**fields)
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(f"the calibration cannot be read from {listed(fields)}: {error}") from None


def as_logits(scores: Scores, kind: Input, label_names: Sequence[str] | None = None) -> Floats:
    """Return scores (n, K) as logits, float64.

    Probabilities outside [0, 1] are refused.
    """
    x = scores.astype(np.float64)
    if kind == "logit":
        return x
    outside = (x < 0) | (x > 1)
    if outside.any():
        row, k = np.argwhere(outside)[0]
        raise UserError(
            f"scores holds {x[row, k]:g} at row {row}, {label_name(label_names, k)}, which is no probability:"
            ' give values in [0, 1], or fit with input="logit"'
        )
    # Clipped, since 0 and 1 have no finite logit; log1p keeps the digits of a small probability.
    np.clip(x, _CLIP, 1 - _CLIP, out=x)
    return cast(Floats, np.log(x) - np.log1p(-x))


def _fit(x: Floats, y: Labels, centre: tuple[float, float], shrinkage: float) -> tuple[float, float]:
    """Return (a, b) of the penalised logistic fit, a >= 1e-3."""
    positive = y == 1
    n_positive = int(positive.sum())
    targets = np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (len(y) - n_positive + 2))
    a, b = _newton(x, targets, centre, shrinkage, slope=None)
    if a >= _LEAST_SLOPE:
        return a, b
    # The function is convex, so where the bound on the slope is active the optimum lies on it.
    return _newton(x, targets, centre, shrinkage, slope=_LEAST_SLOPE)


def _fit_offset(x: Floats, y: Labels, centre: tuple[float, float], shrinkage: float) -> tuple[float, float]:
    """Return (a_0, b) for entries of one class.

    They say nothing of a slope; b is hardly shrunk.
    """
    # Platt's targets, which keep b finite where all entries agree.
    target = (len(y) + 1) / (len(y) + 2) if y[0] == 1 else 1 / (len(y) + 2)
    return _newton(x, np.full(len(y), target), centre, min(shrinkage, 1e-6), slope=centre[0])


def _newton(
    x: Floats, targets: Floats, centre: tuple[float, float], shrinkage: float, slope: float | None
) -> tuple[float, float]:
    from scipy.special import expit

    middle = np.array(centre)
    free = np.array([slope is None, True])
    theta = np.array([centre[0] if slope is None else slope, centre[1]])

    def value(at: Floats) -> float:
        f = at[0] * x + at[1]
        return float(np.sum(np.logaddexp(0, f) - targets * f) + shrinkage / 2 * np.sum((at - middle) ** 2))

    now = value(theta)
    for _ in range(100):
        p = expit(theta[0] * x + theta[1])
        error, weight = p - targets, p * (1 - p)
        gradient = np.array([error @ x, error.sum()]) + shrinkage * (theta - middle)
        cross = weight @ x
        hessian = np.array([[weight @ (x * x), cross], [cross, weight.sum()]]) + shrinkage * np.eye(2)
        step = np.zeros(2)
        step[free] = np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        decrease, size = float(gradient @ step), 1.0
        # Armijo's rule; the whole step is taken near the optimum, where rounding hides the decrease.
        while (after := value(theta - size * step)) > now - 1e-4 * size * decrease and decrease > 1e-9 * len(
            x
        ):
            size /= 2
        theta, now = theta - size * step, after
        if np.abs(step).max() < 1e-10 * (1 + np.abs(theta).max()):
            break
    return float(theta[0]), float(theta[1])


@dataclass(frozen=True, eq=False)
class Reliability:
    """Reliability diagram: known entries binned by predicted probability.

    It is of all labels together, over B bins of equal width.
    """

    edges: Floats
    """(B + 1,) from 0 to 1; a bin holds its lower edge, the last one both."""
    counts: NDArray[np.int64]
    """(B,) entries."""
    predicted: Floats
    """(B,) mean predicted probability; NaN in an empty bin."""
    observed: Floats
    """(B,) share of positives; NaN in an empty bin."""

    @property
    def expected_calibration_error(self) -> float:
        """Return sum_b count_b / n |observed_b - predicted_b|, in [0, 1]."""
        gaps = np.nan_to_num(np.abs(self.observed - self.predicted))
        return float(self.counts @ gaps / self.counts.sum())


def reliability(Y: ArrayLike, p: ArrayLike, bins: int = 10, **meanings: Unpack[Meanings]) -> Reliability:
    """Return the reliability diagram of ``p`` (n, K) in [0, 1].

    It is over the known entries of ``Y``.

    Labels of which positives alone are known are left out, since the share of positives there is 1 whatever it is in
    truth. ``meanings``: ``unlisted``, ``minus_one``, ``empty``, as in ``labelwise.annotations.parse``. Raises
    ``UserError`` where positives are known and no negative is.
    """
    if bins < 1:
        raise UserError(f"bins is {bins}: give at least 1")
    labels, s = check_pair(Y, p, "Y", **meanings)
    known = labels >= 0
    y, p_known = labels[known], s[known].astype(np.float64)
    if not len(y):
        raise UserError("Y has no known entry, so nothing can be judged: give labelled items")
    if p_known.min() < 0 or p_known.max() > 1:
        row, k = np.argwhere(known & ((s < 0) | (s > 1)))[0]
        raise UserError(f"p holds {s[row, k]:g} at row {row}, label {k}: give probabilities in [0, 1]")
    if (without_negatives := positives_alone(labels)).any():
        check_negatives(labels, "Y")
        known &= ~without_negatives
        y, p_known = labels[known], s[known].astype(np.float64)
    edges = np.linspace(0, 1, bins + 1)
    bin_of = np.clip(np.searchsorted(edges, p_known, "right") - 1, 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    sums = np.bincount(bin_of, weights=p_known, minlength=bins)
    hits = np.bincount(bin_of, weights=y == 1, minlength=bins)
    filled = counts > 0
    empty = np.full(bins, np.nan)
    return Reliability(
        edges,
        counts,
        np.divide(sums, counts, out=empty.copy(), where=filled),
        np.divide(hits, counts, out=empty.copy(), where=filled),
    )


def expected_calibration_error(
    Y: ArrayLike, p: ArrayLike, bins: int = 10, **meanings: Unpack[Meanings]
) -> float:
    """Return the expected calibration error of ``p``, in [0, 1].

    ``p`` is (n, K); it is over the known entries of all labels.

    ECE = sum_b n_b / n |share of positives_b - mean probability_b|, over ``bins`` bins of equal width; what is left
    out and refused is what ``reliability`` leaves out and refuses.
    """
    return reliability(Y, p, bins, **meanings).expected_calibration_error
