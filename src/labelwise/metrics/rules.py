"""Decision rules, from scores to label sets.

Each has a name, and the name is part of every result.

A rule is a frozen dataclass with ``name``, ``apply(scores, Y_true=None)`` and ``to_dict()``;
``rule_from_dict`` reads it back. ``apply`` takes (n, K) finite scores and returns (n, K) int8 of 0 and 1.
Equal scores are told apart by the lower label index (within an item) or the lower row (within a label).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.annotations import row_blocks
from labelwise.errors import UserError, listed, near, shown
from labelwise.metrics.checks import Labels, Scores, check_pair, check_scores

Input = Literal["probability", "logit"]
"""What scores are: ``probability`` in [0, 1], or ``logit``, any finite number."""


class Rule(Protocol):
    """Interface of a decision rule."""

    @property
    def name(self) -> str:
        """The name under which results report the rule."""

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return the predicted label sets, (n, K) int8 of 0 and 1."""

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""


@dataclass(frozen=True)
class Threshold:
    """Predict a label at a score of at least ``value``.

    The threshold is the same for all labels.
    """

    value: float = 0.5

    def __post_init__(self) -> None:
        if not np.isfinite(self.value):
            raise UserError(f"Threshold got value={self.value}: give a finite number")
        object.__setattr__(self, "value", float(self.value))

    @property
    def name(self) -> str:
        """``threshold(0.5)``."""
        return f"threshold({self.value:g})"

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return 1 where score >= value, (n, K) int8."""
        # An array of float64, not a Python float, so that float32 scores are compared exactly.
        return (check_scores(scores) >= np.array([self.value])).astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""
        return {"rule": "threshold", "value": self.value}


@dataclass(frozen=True)
class PerLabelThreshold:
    """Predict label k at a score of at least ``values[k]``.

    Infinity means never (``null`` in JSON).

    ``logits`` are the same thresholds for logits, where they are known: a float32 probability cannot tell logits above
    16.6 apart.
    """

    values: Sequence[float]
    name: str = "per_label_threshold"
    logits: Sequence[float] | None = None

    def __post_init__(self) -> None:
        values = np.atleast_1d(np.asarray(self.values, dtype=np.float64))
        if values.ndim != 1 or not len(values):
            raise UserError(
                f"PerLabelThreshold got values of shape {values.shape}: give one threshold per label"
            )
        wrong = np.flatnonzero(np.isnan(values) | (values == -np.inf))
        if len(wrong):
            raise UserError(
                f"PerLabelThreshold got {values[wrong[0]]} for label {wrong[0]}: give a number,"
                " or infinity for never"
            )
        object.__setattr__(self, "values", tuple(values.tolist()))
        if self.logits is not None:
            logits = np.atleast_1d(np.asarray(self.logits, dtype=np.float64))
            if logits.shape != values.shape or np.isnan(logits).any() or (logits == -np.inf).any():
                raise UserError(
                    f"PerLabelThreshold got logits {listed(logits.ravel())}: give one number per label, or"
                    " infinity for never"
                )
            object.__setattr__(self, "logits", tuple(logits.tolist()))

    @classmethod
    def at_logits(cls, logits: ArrayLike, name: str) -> PerLabelThreshold:
        """Return the rule with these thresholds (K,) for logits.

        Those for float32 probabilities of the same scores are made from them.
        """
        at = np.asarray(logits, dtype=np.float64)
        # Rounded as the probabilities are, so that a score at its threshold stays there.
        values = np.where(np.isinf(at), np.inf, probability_of(at))
        return cls(cast(Sequence[float], values), name=name, logits=cast(Sequence[float], at))

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return 1 where score >= the label's threshold, (n, K) int8."""
        s = _check_width(check_scores(scores), len(self.values), self.name)
        return (s >= np.array(self.values)).astype(np.int8)

    def apply_to_logits(self, logits: ArrayLike) -> Labels:
        """Return 1 where logit >= the label's threshold, (n, K) int8."""
        if self.logits is None:
            return self.apply(probability_of(check_scores(logits)))
        s = _check_width(check_scores(logits), len(self.values), self.name)
        return (s >= np.array(self.logits)).astype(np.int8)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""
        plain: dict[str, Any] = {"values": self.values, "logits": self.logits}
        for key, values in plain.items():
            if values is not None:
                plain[key] = [None if np.isinf(value) else value for value in values]
        logits = {} if self.logits is None else {"logits": plain["logits"]}
        return {"rule": "per_label_threshold", "values": plain["values"], "name": self.name, **logits}


@dataclass(frozen=True)
class PriorMatched:
    """Predict each label for as many items as its prior says.

    Label k is predicted for exactly round(prior_k n) of the n items judged: those with its highest scores.

    ``prior`` (K,) is the share of positives of each label, in [0, 1]; halves round up. The truth is never
    read. To predict single items, store thresholds with ``fit``.
    """

    prior: Sequence[float]

    def __post_init__(self) -> None:
        prior = np.atleast_1d(np.asarray(self.prior, dtype=np.float64))
        if prior.ndim != 1 or not len(prior):
            raise UserError(f"PriorMatched got a prior of shape {prior.shape}: give one share per label")
        wrong = np.flatnonzero(~((prior >= 0) & (prior <= 1)))
        if len(wrong):
            raise UserError(
                f"PriorMatched got prior {prior[wrong[0]]} for label {wrong[0]}: give a share in [0, 1]"
            )
        object.__setattr__(self, "prior", tuple(prior.tolist()))

    @property
    def name(self) -> str:
        """``prior_matched``."""
        return "prior_matched"

    def counts(self, n_items: int) -> NDArray[np.int64]:
        """Return the number of predicted items of each label, (K,).

        There are ``n_items`` in all.
        """
        return np.floor(np.array(self.prior) * n_items + 0.5).astype(np.int64)

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return 1 for each label's highest scores, (n, K) int8.

        They are ``counts(n)[k]`` of label k; ties by the lower row.
        """
        s = _check_width(check_scores(scores), len(self.prior), self.name)
        return np.ascontiguousarray(highest(s.T, self.counts(len(s))).T)

    @classmethod
    def fit(
        cls, scores: ArrayLike, prior: Sequence[float], *, input: Input = "probability"
    ) -> PerLabelThreshold:
        """Return the thresholds that match ``prior`` on ``scores`` (n, K).

        They come under this rule's name.

        The threshold of label k is its round(prior_k n)-th highest score, infinity (never) when that count
        is 0. ``input`` says whether scores are probabilities or logits.
        """
        check_input(input)
        rule = cls(prior)
        s = _check_width(check_scores(scores), len(rule.prior), rule.name)
        values = np.full(s.shape[1], np.inf)
        for k, count in enumerate(rule.counts(len(s))):
            if count:
                values[k] = np.partition(s[:, k], len(s) - count)[len(s) - count]
        if input == "logit":
            return PerLabelThreshold.at_logits(values, rule.name)
        return PerLabelThreshold(cast(Sequence[float], values), name=rule.name)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""
        return {"rule": "prior_matched", "prior": list(self.prior)}


@dataclass(frozen=True)
class TopK:
    """Predict the ``k`` labels of each item with the highest scores.

    An item with fewer labels gets all of them.
    """

    k: int

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or int(self.k) != self.k or self.k < 1:
            raise UserError(f"TopK got k={self.k}: give a whole number of at least 1")
        object.__setattr__(self, "k", int(self.k))

    @property
    def name(self) -> str:
        """``top_k(3)``."""
        return f"top_k({self.k})"

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return 1 for each item's k highest scores, (n, K) int8."""
        s = check_scores(scores)
        return highest(s, np.full(len(s), min(self.k, s.shape[1])))

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""
        return {"rule": "top_k", "k": self.k}


@dataclass(frozen=True)
class OracleCardinality:
    """Predict as many labels of an item as it truly has.

    These are the |y_i| highest labels of item i, |y_i| read from the truth: for published tables only.

    With unknown entries, |y_i| counts the known positives and only known entries are ranked; unknown ones
    get 0.
    """

    @property
    def name(self) -> str:
        """``oracle_cardinality``."""
        return "oracle_cardinality"

    def apply(self, scores: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
        """Return 1 for each item's |y_i| highest entries, (n, K) int8.

        Known entries alone are ranked. Without ``Y_true`` the rule refuses.
        """
        if Y_true is None:
            raise UserError(
                "oracle_cardinality reads the number of labels of each item from the truth:"
                " give Y_true, or use Threshold, PerLabelThreshold, PriorMatched or TopK"
            )
        Y, s = check_pair(Y_true, scores)
        return highest(s, (Y == 1).sum(axis=1), among=Y >= 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the rule as plain JSON data."""
        return {"rule": "oracle_cardinality"}


_RULES: dict[str, type] = {
    "threshold": Threshold,
    "per_label_threshold": PerLabelThreshold,
    "prior_matched": PriorMatched,
    "top_k": TopK,
    "oracle_cardinality": OracleCardinality,
}


def rule_from_dict(data: Mapping[str, Any]) -> Rule:
    """Return the rule that ``to_dict`` wrote.

    Raises:
        UserError: an unknown rule, a field that is missing or that the rule does not have.
    """
    kind = data.get("rule")
    if kind not in _RULES:
        raise UserError(f"there is no decision rule {kind!r}: {near(str(kind), _RULES)}")
    fields = {key: value for key, value in data.items() if key != "rule"}
    for key in ("values", "logits") if kind == "per_label_threshold" else ():
        if isinstance(fields.get(key), list):
            fields[key] = [np.inf if value is None else value for value in fields[key]]
    try:
        return cast(Rule, _RULES[kind](**fields))
    except UserError:
        raise
    except (TypeError, ValueError) as error:
        raise UserError(f"the decision rule {kind!r} cannot be read from {listed(fields)}: {error}") from None


def decide(rule: Rule, logits: ArrayLike, Y_true: ArrayLike | None = None) -> Labels:
    """Apply a rule for probabilities to their logits (n, K).

    Logits are not tied where float32 probabilities are.
    """
    check_rule(rule)
    if isinstance(rule, PerLabelThreshold):
        return rule.apply_to_logits(logits)
    if isinstance(rule, TopK | PriorMatched | OracleCardinality):
        return rule.apply(logits, Y_true)
    return rule.apply(probability_of(check_scores(logits)), Y_true)


def check_rule(value: object) -> None:
    """Refuse an object that is no decision rule.

    A rule decides, and has a name to be reported by.
    """
    if isinstance(value, type) or not (hasattr(value, "apply") and hasattr(value, "name")):
        raise UserError(f"rule={shown(value)}: give a rule of labelwise.metrics, as in Threshold(0.5)")


def check_input(value: str) -> Input:
    """Return the kind of scores, or refuse it."""
    if value not in ("probability", "logit"):
        raise UserError(f"input is {value!r}: {near(str(value), ('probability', 'logit'))}")
    return cast(Input, value)


def probability_of(logits: Scores) -> NDArray[np.float32]:
    """Return 1 / (1 + exp(-logits)), float32, as ``predict_proba`` gives it."""
    from scipy.special import expit

    return np.asarray(expit(logits.astype(np.float64)), dtype=np.float32)


def highest(scores: Scores, counts: NDArray[np.int64], among: NDArray[np.bool_] | None = None) -> Labels:
    """Return 1 for the highest ``counts[i]`` scores of row i.

    Where ``among`` is given, its entries alone take part; ties go to the left.
    """
    n, width = scores.shape
    chosen = np.zeros((n, width), dtype=np.int8)
    for rows in row_blocks(n, width):
        s = scores[rows] if among is None else np.where(among[rows], scores[rows], -np.inf)
        count = counts[rows, None]
        # All above the count-th score, then its ties from the left until the count is full.
        lowest = np.take_along_axis(np.sort(s, axis=1), np.clip(width - count, 0, width - 1), axis=1)
        above, tied = s > lowest, s == lowest
        missing = count - above.sum(axis=1, keepdims=True)
        chosen[rows] = (above | (tied & (np.cumsum(tied, axis=1) <= missing))) & (count > 0)
    return chosen


def _check_width(scores: Scores, n_labels: int, name: str) -> Scores:
    if scores.shape[1] != n_labels:
        raise UserError(
            f"scores has {scores.shape[1]} labels but the rule {name} has {n_labels}: give"
            " the labels it was made for"
        )
    return scores
