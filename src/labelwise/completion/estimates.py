"""How good a table and its rule are, estimated from answers to a random sample of its unknown entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from labelwise.completion.draw import Strata, blocks_of
from labelwise.completion.entries import SKIPPED, UNANSWERED, Answered, Integers, logits_of
from labelwise.completion.exact import Bounds, hypergeometric_bounds, ratio_of, sum_of
from labelwise.errors import UserError
from labelwise.metrics import PerLabelThreshold, PlattCalibration


@dataclass(frozen=True, eq=False)
class Sample:
    """Simple random samples of strata, as far as their answers go without a gap.

    Attributes:
        rows: Rows of the m entries.
        columns: Their columns.
        stratum: (m,) their strata.
        values: (m,) answers: 1, 0 or -1 (skipped).
    """

    rows: Integers
    columns: Integers
    stratum: Integers
    values: NDArray[np.int8]

    def counts(self, chosen: NDArray[np.bool_], n_strata: int) -> tuple[Integers, Integers, Integers]:
        """Return yes, skipped and all answers of each stratum (S,) among the chosen ones."""
        stratum, values = self.stratum[chosen], self.values[chosen]
        yes, skipped = (np.bincount(stratum[values == value], minlength=n_strata) for value in (1, SKIPPED))
        return yes, skipped, np.bincount(stratum, minlength=n_strata)


@dataclass(frozen=True, eq=False)
class AuditEstimate:
    """Estimates from an audit, each a value with the ends of its interval.

    Attributes:
        confidence: Of each interval by itself.
        n_answers: Answers that are part of the random sample.
        n_unused: Answers outside it: asked elsewhere, or before others of their stratum were answered.
        label_names: K names.
        cardinality: Relevant labels of an item.
        missing: Relevant entries that the table does not have.
        missing_rate: Their share of all relevant entries.
        precision: Of the rule, on the whole table.
        recall: Of the rule, on the whole table.
        prevalence: Each label's share of items (K).
        reliability: For each stratum: mean score, observed share, entries and answers.
        calibration: Probabilities of scores by the answers; None where they are of one kind.
        notes: Sentences on what does not count.
    """

    confidence: float
    n_answers: int
    n_unused: int
    label_names: tuple[str, ...]
    cardinality: Bounds
    missing: Bounds
    missing_rate: Bounds
    precision: Bounds
    recall: Bounds
    prevalence: tuple[Bounds, ...]
    reliability: tuple[dict[str, Any], ...]
    calibration: PlattCalibration | None
    notes: tuple[str, ...] = field(default=())

    @property
    def prior(self) -> NDArray[np.float64]:
        """The shares of positives (K,), as ``MultiLabelClassifier(prior=...)`` takes them."""
        return np.array([bounds.value for bounds in self.prevalence])

    def rule(self) -> PerLabelThreshold:
        """Return thresholds at which the estimated probability is one half.

        They are of the scores that were audited.

        Raises:
            UserError: Where the answers are of one kind, so that they calibrate nothing.
        """
        if self.calibration is None:
            raise UserError("the answers are all of one kind, so they tell no threshold: answer more entries")
        slope, offset = np.array(self.calibration.slope), np.array(self.calibration.offset)
        return PerLabelThreshold(tuple(expit(-offset / slope).tolist()))

    def settings(self) -> dict[str, Any]:
        """Return arguments of ``MultiLabelClassifier`` for the next training: the prior, by name."""
        return {"prior": dict(zip(self.label_names, self.prior.tolist(), strict=True))}

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data."""
        names = ("cardinality", "missing", "missing_rate", "precision", "recall")
        return {
            "confidence": self.confidence,
            "answers": self.n_answers,
            "unused": self.n_unused,
            **{name: _plain(getattr(self, name)) for name in names},
            "prevalence": {
                name: _plain(bounds) for name, bounds in zip(self.label_names, self.prevalence, strict=True)
            },
            "reliability": [dict(row) for row in self.reliability],
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "notes": list(self.notes),
        }


def estimate(
    scores: ArrayLike,
    Y: Any,
    answers: Any,
    *,
    seed: int = 0,
    predicted: ArrayLike | None = None,
    by: str = "score",
    confidence: float = 0.95,
    items: Sequence[Any] | None = None,
    label_names: Sequence[str] | None = None,
) -> AuditEstimate:
    """Estimate how good a table and its rule are, from the answers to a draw.

    Scores, labels, seed, rule and ``by`` are those of the draw. In each stratum the answers that are the first of its
    random order, without a gap, are a simple random sample without replacement; any other answers are left aside. The
    relevant entries of a stratum get the exact hypergeometric interval, a sum over strata its MOVER interval
    (``exact.sum_of``), and a label in a stratum is a domain of it, a simple random sample given its number of answers.
    Skipped entries count as no at the lower end and as yes at the upper end.

    Args:
        scores: (n, K) in [0, 1].
        Y: (n, K) labels as given, before any answer.
        answers: ``Answers``, a frame or a file.
        seed: Of the draw.
        predicted: (n, K) what the rule says; None: scores of one half or more.
        by: Of the draw.
        confidence: Of each interval by itself.
        items: n ids; None: the row numbers from 0.
        label_names: K names.
    """
    if not 0 < confidence < 1:
        raise UserError(f"confidence is {confidence}: give a share between 0 and 1")
    strata = Strata.of(scores, Y, predicted=predicted, by=by, items=items, label_names=label_names)
    answered = Answered.of(answers, strata.Y, strata.items, strata.label_names)
    return estimate_of(strata, answered, seed=seed, confidence=confidence)


def estimate_of(strata: Strata, answered: Answered, *, seed: int, confidence: float) -> AuditEstimate:
    """Return the estimates from answers to strata's entries."""
    sample = sample_of(strata, answered, seed)
    n_strata, n = len(strata.sizes), len(strata.items)
    everything = np.ones(len(sample.values), bool)
    predicted = strata.is_predicted(np.arange(n_strata))

    def total(chosen: NDArray[np.bool_], sizes: Integers, kept: NDArray[np.bool_]) -> Bounds:
        return _total(sample.counts(chosen, n_strata), sizes, kept, strata.shares, confidence)

    all_strata = np.ones(n_strata, bool)
    missing = total(everything, strata.sizes, all_strata)
    known, hits = strata.Y == 1, int(((strata.Y == 1) & strata.predicted).sum())
    n_known = int(known.sum())
    relevant = Bounds(*(n_known + value for value in missing))
    true_positives = Bounds(*(hits + value for value in total(everything, strata.sizes, predicted)))
    misses = Bounds(*(n_known - hits + value for value in total(everything, strata.sizes, ~predicted)))
    on = int((strata.predicted & (strata.Y >= 0)).sum()) + int(strata.sizes[predicted].sum())
    odds = ratio_of(misses, true_positives)
    notes = list(answered.notes)
    if empty := int(((strata.sizes > 0) & (sample.counts(everything, n_strata)[2] == 0)).sum()):
        notes.append(
            f"{empty} of {int((strata.sizes > 0).sum())} strata have no answer yet: bounds there are all or nothing"
        )
    if skips := int((sample.values == SKIPPED).sum()):
        notes.append(f"{skips} skipped entries count as no at lower ends and as yes at upper ends")
    return AuditEstimate(
        confidence=confidence,
        n_answers=len(sample.values),
        n_unused=len(answered.places) - len(sample.values),
        label_names=strata.label_names,
        cardinality=Bounds(*(value / n for value in relevant)),
        missing=missing,
        missing_rate=Bounds(*(value / max(n_known + value, 1) for value in missing)),
        precision=Bounds(*(value / on for value in true_positives)) if on else Bounds(np.nan, 0.0, 1.0),
        recall=Bounds(1 / (1 + odds.value), 1 / (1 + odds.upper), 1 / (1 + odds.lower)),
        prevalence=tuple(_prevalences(strata, sample, confidence)),
        reliability=tuple(_reliability(strata, sample, confidence)),
        calibration=_calibration(strata, sample),
        notes=tuple(notes),
    )


def sample_of(strata: Strata, answered: Answered, seed: int) -> Sample:
    """Return the answers that are the first of their strata in random order, up to the first gap."""
    width, numbers = strata.scores.shape[1], np.zeros(len(strata.sizes), np.int64)
    for rows in blocks_of(strata.scores):
        stratum, place = strata.at(rows)
        has = np.isin(rows.start * width + place, answered.places)
        numbers += np.bincount(stratum[has], minlength=len(numbers))
    parts: list[tuple[Integers, Integers, int]] = []
    for h, (rows_h, columns_h) in enumerate(strata.first(numbers, seed)):
        gaps = np.flatnonzero(answered.at(rows_h, columns_h) == UNANSWERED)
        end = int(gaps[0]) if len(gaps) else len(rows_h)
        parts.append((rows_h[:end], columns_h[:end], h))
    first, second = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    stratum = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return Sample(first, second, stratum, answered.at(first, second))


def _total(
    counts: tuple[Integers, Integers, Integers],
    sizes: Integers,
    kept: NDArray[np.bool_],
    shares: NDArray[np.float64],
    confidence: float,
) -> Bounds:
    """Return the relevant entries of some strata, or of a domain of these of ``sizes`` (S,)."""
    parts, unasked = [], Bounds(0.0, 0.0, 0.0)
    for h in np.flatnonzero(kept & (sizes > 0)).tolist():
        yes, skipped, asked = (int(count[h]) for count in counts)
        N = int(sizes[h])
        if not asked:
            # No sampling error that could cancel: what was not asked adds all of its range.
            unasked = Bounds(unasked.value + float(shares[h]) * N, 0.0, unasked.upper + N)
            continue
        lower, _ = hypergeometric_bounds(yes, asked, N, confidence)
        _, upper = hypergeometric_bounds(yes + skipped, asked, N, confidence)
        share = yes / (asked - skipped) if asked > skipped else float(shares[h])
        parts.append(Bounds(min(max(share * N, lower), upper), lower, upper))
    total = sum_of(parts)
    return Bounds(*(float(one + other) for one, other in zip(total, unasked, strict=True)))


def _prevalences(strata: Strata, sample: Sample, confidence: float) -> list[Bounds]:
    n, n_strata = len(strata.items), len(strata.sizes)
    width = strata.scores.shape[1]
    sizes = np.zeros(n_strata * width, np.int64)
    for rows in blocks_of(strata.scores):
        stratum, place = strata.at(rows)
        sizes += np.bincount(stratum * width + place % width, minlength=len(sizes))
    domains = sizes.reshape(n_strata, width)
    known = (strata.Y == 1).sum(axis=0)
    yes, _, asked = sample.counts(np.ones(len(sample.values), bool), n_strata)
    shares = np.where(asked > 0, (yes + 0.5) / (asked + 1), strata.shares)
    kept = np.ones(n_strata, bool)
    totals = [
        _total(sample.counts(sample.columns == k, n_strata), domains[:, k], kept, shares, confidence)
        for k in range(width)
    ]
    return [Bounds(*((known[k] + value) / n for value in bounds)) for k, bounds in enumerate(totals)]


def _reliability(strata: Strata, sample: Sample, confidence: float) -> list[dict[str, Any]]:
    rows = []
    yes, skipped, asked = sample.counts(np.ones(len(sample.values), bool), len(strata.sizes))
    for h in np.flatnonzero(strata.sizes).tolist():
        N = int(strata.sizes[h])
        low, _ = hypergeometric_bounds(int(yes[h]), int(asked[h]), N, confidence)
        _, high = hypergeometric_bounds(int(yes[h] + skipped[h]), int(asked[h]), N, confidence)
        judged = int(asked[h] - skipped[h])
        rows.append(
            {
                "stratum": h,
                "predicted": bool(strata.is_predicted(h)),
                "mean_score": float(strata.shares[h]),
                "observed": float(yes[h] / judged) if judged else None,
                "lower": low / N,
                "upper": high / N,
                "entries": N,
                "answers": int(asked[h]),
            }
        )
    return rows


def _calibration(strata: Strata, sample: Sample) -> PlattCalibration | None:
    """Return one weighted Platt line for all labels: each answer counts for N_h / n_h entries of its stratum."""
    from sklearn.linear_model import LogisticRegression

    said = sample.values >= 0
    y, stratum = sample.values[said], sample.stratum[said]
    if len(np.unique(y)) < 2:
        return None
    asked = np.bincount(stratum, minlength=len(strata.sizes))
    weight = (strata.sizes / np.maximum(asked, 1))[stratum]
    x = logits_of(strata.scores[sample.rows[said], sample.columns[said]])
    fit = LogisticRegression(C=10.0).fit(x[:, None], y, weight * len(y) / weight.sum())
    slope, width = max(float(fit.coef_[0, 0]), 1e-3), strata.scores.shape[1]
    return PlattCalibration([slope] * width, [float(fit.intercept_[0])] * width, [True] * width)


def _plain(bounds: Bounds) -> dict[str, float | None]:
    return {name: float(value) if np.isfinite(value) else None for name, value in bounds._asdict().items()}
