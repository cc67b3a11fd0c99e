"""HML's figure 6: the pairs of labels whose weights point the same way."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labelwise.analysis.columns import Columns
from labelwise.analysis.correlation import strongest, weight_correlation
from labelwise.errors import UserError

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


def correlation_pairs(
    model: MultiLabelClassifier,
    *,
    scale: float = 20.0,
    margin: float = 0.3,
    least: float = 0.5,
    most: int = 60,
) -> Columns:
    """Return the pairs of labels that go together by their weights (Ke et al., ECCV 2022, equation 8).

    Corr(i, j) = sigmoid(s cos(angle(W_i, W_j) + m)), where a constant coordinate of the weights is left out.

    Args:
        model: a fitted classifier whose head has one weight a label.
        scale: s.
        margin: m, in radians.
        least: pairs of a lower correlation are left out; the paper shows those above .95.
        most: pairs kept at most, the strongest.

    Returns:
        Columns ``first`` and ``second`` (names), ``cosine`` and ``correlation``, the strongest pair first.

    Raises:
        UserError: a head without one weight a label, or no pair at ``least``.
    """
    cosines = weight_correlation(model.network_.head)
    if cosines is None:
        raise UserError(
            f"method {model.method_!r} has no weight for each label: take one with a linear or cosine head"
        )
    pairs = [
        (i, j, c, 1 / (1 + math.exp(-scale * math.cos(math.acos(c) + margin))))
        for i, j, c in strongest(cosines, most, least=-1.0)
    ]
    kept = [pair for pair in pairs if pair[3] >= least]
    if not kept:
        raise UserError(
            f"no pair of labels has a correlation of {least:g}: the strongest has {pairs[0][3]:.2g}; lower least"
            if pairs
            else "there is one label: nothing to correlate it with"
        )
    names = np.array(model.label_names_, dtype=str)
    first, second, cosine, correlation = (np.array(values) for values in zip(*kept, strict=True))
    return {"first": names[first], "second": names[second], "cosine": cosine, "correlation": correlation}
