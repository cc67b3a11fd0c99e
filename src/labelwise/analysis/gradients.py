"""HML's figures 2 and 3: where entries lie by cosine, which gradients they send, and how these balance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.analysis.columns import Columns, densities, stack
from labelwise.analysis.outputs import entry_groups, said
from labelwise.errors import UserError

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


def cosine_gradients(
    model: MultiLabelClassifier, X: Any, Y: ArrayLike, Y_true: ArrayLike | None = None, *, bins: int = 40
) -> Columns:
    """Return the densities of cosines and of gradients by kind of entry (Ke et al., ECCV 2022, figure 2).

    The gradient is |d l / d logit| = |p - y| of the cross-entropy, p the method's score and y = 1 for what ``Y``
    gives as relevant, 0 for everything else: what a method that assumes negatives sends.

    Args:
        model: a fitted classifier.
        X: the n items it was trained on.
        Y: (n, K) the annotations it was trained on, 1, 0 and -1.
        Y_true: (n, K) the labels without gaps, which tell false from true negatives; None where nobody knows them.
        bins: number of bins of either density.

    Returns:
        Columns ``quantity``, ``group``, ``low``, ``high`` and ``density``, one row a bin. ``quantity`` is "cosine",
        "gradient" or "probability"; of the last, ``low`` = ``high`` is a cosine and ``density`` the mean score of
        the entries about it: the function that training shaped.

    Raises:
        UserError: labels of another shape, or a head without one weight a label.
    """
    _, cosines, scores = said(model, X)
    if cosines is None:
        raise UserError(
            f"method {model.method_!r} has no cosines between items and labels: take another method"
        )
    masks = entry_groups(scores.shape, Y, Y_true)
    groups = {name: mask for name, mask in masks.items() if mask.any()}
    gradient = np.abs(scores - masks["positives"])
    low, high = float(cosines.min()), float(cosines.max())
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    where = np.clip(np.digitize(cosines.ravel(), edges) - 1, 0, bins - 1)
    counts = np.bincount(where, minlength=bins)
    filled = counts > 0
    middles = (edges[:-1] + edges[1:])[filled] / 2
    return stack(
        {
            "cosine": densities({name: cosines[mask] for name, mask in groups.items()}, edges),
            "gradient": densities(
                {name: gradient[mask] for name, mask in groups.items()}, np.linspace(0, 1, bins + 1)
            ),
            "probability": {
                "group": np.full(len(middles), "all"),
                "low": middles,
                "high": middles,
                "density": np.bincount(where, scores.ravel(), bins)[filled] / counts[filled],
            },
        },
        "quantity",
    )


def gradient_difference(scores: ArrayLike, Y: ArrayLike) -> float:
    """Return |sum over positives (1 - p) - sum over the others p| / n, the gradients that remain out of balance.

    (Ke et al., ECCV 2022, equation 6 and figure 3, over all items instead of a batch, for each item.) It equals
    |positives - sum of p| / n: how far the expected number of labels of an item is from the given one.

    Args:
        scores: (n, K) probabilities p in [0, 1], such as ``model.decision_scores(X)``.
        Y: (n, K) annotations; what is not 1 counts as negative.
    """
    p = np.asarray(scores, dtype=np.float64)
    positive: NDArray[np.bool_] = entry_groups(p.shape, Y, None)["positives"]
    return float(abs(np.where(positive, 1 - p, -p).sum()) / max(len(p), 1))
