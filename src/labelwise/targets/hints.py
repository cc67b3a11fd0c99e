"""Hints: soft targets of unknown entries, from scores of another model."""

from __future__ import annotations

from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from labelwise.errors import UserError, shown

Matrix = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Hints:
    """Scores of another model for the same items, and how far they are believed.

    An unknown entry whose score is above ``yes_above`` becomes a soft positive: its loss is

        weight ((1 - smoothing) l(x) + smoothing l(-x)),   l(z) = -log sigmoid(z),

    as in VLPL (AEVLP's weight, .5 to .7, depends on the model's own score); one below ``no_below`` a negative, ``weight
    l(-x)``. At most ``at_most`` positives an item,
    those of the highest scores. All other unknown entries keep the method's own loss, and no given label is ever
    changed.

    Attributes:
        scores: (n, K) in [0, 1], NaN where there is no opinion: by another model, an encoder of texts and pictures,
            rules, or last year's model.
        yes_above: In [0, 1].
        no_below: In [0, 1], at most ``yes_above``; None: no hint says no.
        at_most: From 1; None: as many as there are.
        weight: Above 0, at most 1.
        smoothing: In [0, .5).
    """

    scores: Any
    yes_above: float = 0.5
    no_below: float | None = None
    at_most: int | None = None
    weight: float = 0.7
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        _check("yes_above", self.yes_above, 0, 1)
        if self.no_below is not None:
            _check("no_below", self.no_below, 0, float(self.yes_above))
        _check("weight", self.weight, 1e-6, 1)
        _check("smoothing", self.smoothing, 0, 0.4999)
        most = self.at_most
        if most is not None and (not isinstance(most, Integral) or isinstance(most, bool) or most < 1):
            raise UserError(f"hints: at_most={shown(most)}: give a whole number from 1, or None")

    @classmethod
    def of(cls, given: Any) -> Self:
        """Return hints of what ``fit`` takes: an array of scores, or hints."""
        return given if isinstance(given, cls) else cls(given)

    def targets(self, labels: NDArray[np.int8]) -> HintTargets:
        """Return the targets of the unknown entries of ``labels`` (n, K).

        Raises:
            UserError: Scores of another shape, or that are neither in [0, 1] nor NaN, with row and label.
        """
        scores = self._scores(labels.shape)
        with np.errstate(invalid="ignore"):
            yes = (labels == -1) & (scores > self.yes_above)
            no = (
                (labels == -1) & (scores < self.no_below) if self.no_below is not None else np.zeros_like(yes)
            )
        if self.at_most is not None and self.at_most < labels.shape[1]:
            order = np.argsort(np.where(yes, -scores, np.inf), axis=1, kind="stable")[:, : self.at_most]
            kept = np.zeros_like(yes)
            np.put_along_axis(kept, order, True, axis=1)
            yes &= kept
        targets = np.full(labels.shape, np.nan, dtype=np.float32)
        targets[yes], targets[no] = 1 - self.smoothing, 0.0
        return HintTargets(targets, float(self.weight), scores, self._changed())

    def _changed(self) -> tuple[str, ...]:
        """Return the names of settings that are not the defaults."""
        own = [one for one in fields(self) if one.name != "scores"]
        return tuple(f"hints_{one.name}" for one in own if getattr(self, one.name) != one.default)

    def _scores(self, shape: tuple[int, ...]) -> Matrix:
        try:
            scores = np.asarray(self.scores, dtype=np.float32)
        except Exception:  # an object's own __array__ may raise anything
            raise UserError(f"hints={shown(self.scores)}: give scores {shape} in [0, 1], or NaN") from None
        if scores.shape != shape:
            raise UserError(
                f"hints have shape {scores.shape}: give one score for each of {shape} entries, or NaN"
            )
        wrong = ~np.isnan(scores) & ~((scores >= 0) & (scores <= 1))
        if wrong.any():
            row, label = np.argwhere(wrong)[0]
            raise UserError(
                f"hints hold {scores[row, label]:g} at row {row}, label {label} (counted from 0): give scores in"
                " [0, 1], or NaN where there is no opinion"
            )
        return scores


@dataclass(frozen=True, eq=False)
class HintTargets:
    """Soft targets of unknown entries.

    Attributes:
        values: (n, K) float32 in [0, 1], NaN where there is none.
        weight: Of these entries in the loss.
        scores: (n, K) float32, the hints as they were given, of known entries too; None where nobody kept them.
        changed: Names of the settings that were given, for those who read the scores alone.
    """

    values: Matrix
    weight: float
    scores: Matrix | None = None
    changed: tuple[str, ...] = ()

    def take(self, index: NDArray[np.int64]) -> HintTargets:
        """Return those of some rows."""
        scores = None if self.scores is None else self.scores[index]
        return HintTargets(self.values[index], self.weight, scores, self.changed)

    @property
    def identity(self) -> list[Any]:
        """What a training by soft targets is a function of."""
        return [type(self).__name__, {"values": self.values, "weight": self.weight}]

    def filled(self, labels: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return labels (n, K) with the nearest state of each target: what a closed-form start believes."""
        return np.where(np.isnan(self.values), labels, (self.values >= 0.5)).astype(np.int8)

    @property
    def words(self) -> str:
        """How many there are, in a sentence."""
        yes, no = int((self.values >= 0.5).sum()), int((self.values < 0.5).sum())
        return f"hints made {yes:,} unknown entries soft positives and {no:,} negatives, each of weight {self.weight:g}"


def _check(name: str, value: Any, low: float, high: float) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not low <= float(value) <= high:
        raise UserError(f"hints: {name}={shown(value)}: give a number from {low:g} to {high:g}")
