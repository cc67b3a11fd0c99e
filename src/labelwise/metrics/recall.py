"""Per-label thresholds of a wanted recall, from positives alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Unpack, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, shown
from labelwise.metrics.checks import Floats, Labels, Meanings, check_pair
from labelwise.metrics.rules import Input, PerLabelThreshold, check_input

ALWAYS = float(np.finfo(np.float64).min)
"""Threshold that every score reaches; minus infinity has no place in JSON."""


def recall_thresholds(
    Y: ArrayLike,
    scores: ArrayLike,
    recall: float = 0.9,
    *,
    input: Input = "probability",
    label_names: Sequence[str] | None = None,
    **meanings: Unpack[Meanings],
) -> PerLabelThreshold:
    """Return per-label thresholds that keep a share of positives.

    With s_(1) <= ... <= s_(m) the scores of a label's known positives and alpha = 1 - recall, the threshold is s_(j),
    j = floor(alpha (m + 1)), and none (every item is predicted) where j is 0. A further positive that is drawn like
    those m, scored by the same model, is then predicted with a probability of at least ``recall``: its rank among the
    m + 1 is uniform, and it is missed only if that is j or less. No negative is read.

    The guarantee is for positives that are drawn like the *known* ones, and averages over draws of these. Where
    striking positives are noted more often than others, more than 1 - recall of all positives are missed. It says
    nothing of precision.

    Args:
        Y: (n, K) of 1, 0 and -1, of rows that the model was not trained on.
        scores: (n, K) finite, probabilities or logits as ``input`` says.
        recall: the share to keep, above 0 and below 1.
        input: ``"probability"`` or ``"logit"``.
        label_names: K names, for messages.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        A rule named ``recall(0.9)``; a label without a known positive is never predicted.

    Raises:
        UserError: no entry is known to be positive, or a recall that is no share.
    """
    alpha = 1 - check_recall(recall)
    kind = check_input(input)
    labels, s = check_pair(Y, scores, "Y", label_names, **meanings)
    if not (labels == 1).any():
        raise UserError("Y has no known positive (1), so no threshold of a recall can be learnt: give some")
    at = np.array([_threshold(s[labels[:, k] == 1, k], alpha) for k in range(labels.shape[1])])
    name = f"recall({float(recall):g})"
    if kind == "logit":
        return PerLabelThreshold.at_logits(at, name)
    return PerLabelThreshold(cast(Sequence[float], at), name=name)


def positives_for(recall: float) -> int:
    """Return the least number of a label's positives with which a threshold of this recall exists."""
    return math.ceil(1 / (1 - recall) - 1 - 1e-9)


def too_few_positives(Y: Labels, recall: float) -> NDArray[np.bool_]:
    """Return the labels (K,) with known positives, but too few of them for a threshold."""
    count = (Y == 1).sum(axis=0)
    return np.asarray((count > 0) & (count < positives_for(recall)))


def check_recall(value: object) -> float:
    """Return a recall as a float above 0 and below 1, or refuse it."""
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 < float(value) < 1:
        raise UserError(f"recall={shown(value)}: give a share above 0 and below 1, such as 0.9")
    return float(value)


def _threshold(positives: Floats, alpha: float) -> float:
    if not len(positives):
        return math.inf
    # 1 - .9 is a little below .1, which would take one rank too few of 9 positives.
    rank = math.floor(alpha * (len(positives) + 1) + 1e-9)
    return float(np.sort(positives)[rank - 1]) if rank else ALWAYS
