"""One number for how well scores rank, whatever the labels at hand can tell."""

from __future__ import annotations

import sys
import warnings
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike

from labelwise.errors import UserError
from labelwise.metrics.checks import Labels, Meanings, check_pair
from labelwise.metrics.measurable import check_judgeable, judgeable
from labelwise.metrics.ranking import (
    each_average_precision,
    mean_over_labels,
    observed_average_precision,
)

_INNER = ("labelwise", "sklearn", "joblib")
_warned: set[tuple[str, int]] = set()


class ObservedAveragePrecisionWarning(UserWarning):
    """Average precision cannot be measured on the labels at hand, and observed average precision takes its place."""


def ranking_score(
    Y: ArrayLike, scores: ArrayLike, *, warn: bool = True, **meanings: Unpack[Meanings]
) -> float:
    """Return mean average precision where the labels identify it, else the mean of observed average precision.

    Both are means over the labels that have one, in [0, 1], on the rows that ``judgeable(Y)`` names. Observed average
    precision compares models and is biased in level; ``ObservedAveragePrecisionWarning`` says that it was taken, once
    for each line that asks, however many splits a search has.

    Args:
        Y: (n, K) of 1, 0 and -1.
        scores: (n, K) finite; only their order within a label matters.
        warn: whether to say that observed average precision was taken.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Raises:
        UserError: no positive is known, or neither figure is defined for any label.
    """
    labels, s = check_pair(Y, scores, "Y", **meanings)
    if not (labels >= 0).any():
        raise UserError(
            "Y has no known entry, so nothing can be judged: if it is part of a split, labelwise.annotations.split"
            " gives each part its share of the labelled items"
        )
    can = judgeable(labels)
    if can.average_precision:
        return mean_over_labels(each_average_precision(labels[can.rows], s[can.rows]), can.labels, "omit")
    if not can.observed_average_precision:
        check_judgeable(labels, "Y")
    values = observed_average_precision(labels, s)
    if np.isnan(values).all():
        raise UserError(
            "every label of Y is relevant wherever a row has a known entry, so every score would look perfect: give"
            " fully labelled items"
        )
    if warn:
        _warn_once("the score is the mean of observed average precision (unknown counted as absent)", labels)
    return float(np.nanmean(values))


def _warn_once(what: str, labels: Labels) -> None:
    """Warn once for the line outside this library and scikit-learn that asks: a search asks many times."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _INNER:
        frame = frame.f_back
    place = (frame.f_code.co_filename, frame.f_lineno)
    if place in _warned:
        return
    _warned.add(place)
    why = "no negative is known" if not (labels == 0).any() else "no label has both classes known"
    warnings.warn_explicit(
        f"{why}, so {what}: it compares models if positives are observed at random, and its level is biased",
        ObservedAveragePrecisionWarning,
        *place,
    )
