"""Densities of scores, cosines and gradients by group, and reliability of scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise import metrics
from labelwise._random import generator
from labelwise.analysis.columns import Columns, densities, entry_groups, stack
from labelwise.analysis.outputs import outputs_of
from labelwise.annotations import as_matrix, both_signs_known
from labelwise.classifier import MultiLabelClassifier
from labelwise.errors import UserError

_FOLDS = 5
_MOST_ENTRIES, _DRAWN_ENTRIES, _LEAST_LABELS = 1 << 22, 1 << 20, 100
Diagrams = list[tuple[str, metrics.Reliability]]
"""Reliability diagrams with their titles."""


def cosine_gradients(
    model: MultiLabelClassifier, X: Any, Y: ArrayLike, Y_true: ArrayLike | None = None, *, bins: int = 40
) -> Columns:
    """Return the densities of cosines and gradients by group of entries.

    Ke et al., ECCV 2022, figure 2.

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
    # Read first: that refuses a classifier which is not fitted.
    items = model.read(X)
    _, cosines, scores = outputs_of(model.fitted_, items)
    if cosines is None:
        raise UserError(
            f"method {model.method_!r} has no cosines between items and labels: take another method"
        )
    masks = entry_groups(scores.shape, Y, Y_true)
    groups = {name: mask for name, mask in masks.items() if mask.any()}
    gradient = np.abs(scores - masks["positives"])
    low, high = float(cosines.min()), float(cosines.max())
    edges = np.linspace(low, max(high, low + 1e-6), bins + 1)
    # digitize puts the largest cosine past the last edge: it belongs to the last bin.
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
    """Return the imbalance between the gradients of positives and of other entries.

    An item's mean, |sum over positives (1 - p) - sum over the others p| / n.

    (Ke et al., ECCV 2022, equation 6 and figure 3, over all items instead of a batch, for each item.) It equals
    |positives - sum of p| / n: how far the expected number of labels of an item is from the given one.

    Args:
        scores: (n, K) probabilities p in [0, 1], such as ``model.decision_scores(X)``.
        Y: (n, K) annotations; what is not 1 counts as negative.
    """
    p = np.asarray(scores, dtype=np.float64)
    positive: NDArray[np.bool_] = entry_groups(p.shape, Y, None)["positives"]
    return float(abs(np.where(positive, 1 - p, -p).sum()) / max(len(p), 1))


def wasserstein_distances(scores: ArrayLike, Y_true: ArrayLike) -> NDArray[np.float64]:
    """Return each label's Wasserstein distance between positives' and negatives' scores.

    W_k = integral over s of |F+_k(s) - F-_k(s)|, the distribution functions of the two groups of known entries
    (Zhou et al., ECCV 2022, "distinguishability of the predictions").

    Args:
        scores: (n, K) in [0, 1].
        Y_true: (n, K) of 1, 0 and -1.

    Returns:
        (K,) in [0, 1]; NaN for a label without a known entry of either sign.

    Raises:
        UserError: shapes that differ.
    """
    from scipy.stats import wasserstein_distance

    values, labels = _pair(scores, Y_true)
    distances = np.full(labels.shape[1], np.nan)
    for k in range(labels.shape[1]):
        positives, negatives = (values[labels[:, k] == state, k] for state in (1, 0))
        if len(positives) and len(negatives):
            distances[k] = wasserstein_distance(positives, negatives)
    return distances


def prediction_densities(scores: ArrayLike, Y_true: ArrayLike, label: int, *, bins: int = 40) -> Columns:
    """Return the densities of one label's scores by sign.

    On its known positives and its known negatives (Zhou et al., ECCV 2022).

    Returns:
        Columns ``group`` ("positives", "negatives"), ``low``, ``high`` and ``density`` over ``bins`` bins of [0, 1].

    Raises:
        UserError: shapes that differ, or a label that does not exist.
    """
    values, labels = _pair(scores, Y_true)
    if not 0 <= label < labels.shape[1]:
        raise UserError(f"label={label}: give a column of Y_true, 0 to {labels.shape[1] - 1}")
    groups = {"positives": 1, "negatives": 0}
    return densities(
        {name: values[labels[:, label] == state, label] for name, state in groups.items()},
        np.linspace(0, 1, bins + 1),
    )


def drawn_items(Y_true: ArrayLike, count: int = 6, seed: int = 0) -> NDArray[np.int64]:
    """Draw items with two or more relevant labels, in their order.

    They are drawn by a key, the same for every model; none is chosen for what a model says of it.

    Args:
        Y_true: (n, K) of 1, 0 and -1.
        count: Items to draw, fewer where there are fewer.
        seed: Key of the draw.

    Raises:
        UserError: no item has two relevant labels.
    """
    several = np.flatnonzero((as_matrix(Y_true) == 1).sum(axis=1) >= 2)
    if not len(several):
        raise UserError("Y_true: no item has two relevant labels, so none can show what a model adds to one")
    return np.sort(generator(seed, "drawn items").permutation(several)[:count])


def top_predictions(
    scores: ArrayLike,
    Y_true: ArrayLike,
    label_names: Sequence[str],
    items: Sequence[str],
    *,
    Y: ArrayLike | None = None,
    k: int = 5,
) -> Columns:
    """Return the labels that score highest for each item (Zhou et al., ECCV 2022, qualitative results).

    Args:
        scores: (n, K) in [0, 1].
        Y_true: (n, K) of 1, 0 and -1.
        label_names: K names.
        items: n names, such as paths of pictures.
        Y: (n, K) the annotations that a model saw; None for items that it did not see.
        k: Labels an item.

    Returns:
        Columns ``item``, ``truth`` and ``given`` (its relevant labels, and those that were seen, comma-separated),
        ``rank`` (from 1), ``label``, ``score`` and ``relevant`` (1, 0, or -1 where that is not known); ties in the
        order of the labels.

    Raises:
        UserError: shapes that differ.
    """
    values, labels = _pair(scores, Y_true)
    seen = np.full_like(labels, -1) if Y is None else _pair(values, Y)[1]
    k = min(k, labels.shape[1])
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    names = np.array(label_names, dtype=str)

    def words(matrix: NDArray[np.int8]) -> NDArray[Any]:
        return np.repeat([", ".join(names[row == 1]) for row in matrix], k)

    return {
        "item": np.repeat([str(item) for item in items], k),
        "truth": words(labels),
        "given": words(seen),
        "rank": np.tile(np.arange(1, k + 1), len(values)),
        "label": names[best].ravel(),
        "score": np.take_along_axis(values, best, axis=1).ravel(),
        "relevant": np.take_along_axis(labels, best, axis=1).ravel(),
    }


def _pair(scores: ArrayLike, Y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    values, labels = np.asarray(scores, dtype=np.float64), as_matrix(Y)
    if values.shape != labels.shape:
        raise UserError(f"scores has shape {values.shape}, Y_true {labels.shape}: give one score an entry")
    return values, labels


def score_reliability(labels: ArrayLike, scores: ArrayLike, title: str) -> Diagrams:
    """Return the reliability diagram of scores with its title.

    Empty where the labels do not identify it.

    Args:
        labels: (n, K) of 1, 0 and -1.
        scores: (n, K) in [0, 1].
        title: The diagram's title.
    """
    matrix = as_matrix(labels)
    identified = metrics.judgeable(matrix)
    if not identified.calibration:
        return []
    return [(title, metrics.reliability(matrix[identified.rows], np.asarray(scores)[identified.rows]))]


def held_out_reliability(labels: ArrayLike, scores: ArrayLike, *, calibrated: bool, seed: int) -> Diagrams:
    """Return the diagrams of held-out scores before and after calibration.

    Calibration is judged on rows that it was not fitted to, five parts taking turns.
    """
    diagrams = score_reliability(labels, scores, "Before calibration" if calibrated else "Scores")
    if not diagrams or not calibrated:
        return diagrams
    rows = metrics.judgeable(as_matrix(labels)).rows
    Y = as_matrix(labels)[rows]
    after = _cross_calibrated(Y, np.asarray(scores, dtype=np.float64)[rows], seed)
    return diagrams if after is None else [*diagrams, ("After calibration", metrics.reliability(Y, after))]


def drawn_labels(Y: NDArray[np.int8], seed: int) -> NDArray[np.int64]:
    """Return the labels (k,) that reliability diagrams of ``Y`` (n, K) are made of.

    All, or of more than 4,194,304 entries a keyed sample of labels with a quarter of that, at least 100; those in both
    classes come first, since no other can be calibrated by itself.
    """
    n_items, n_labels = Y.shape
    if Y.size <= _MOST_ENTRIES:
        return np.arange(n_labels)
    order = generator(seed, "reliability labels").permutation(n_labels)
    order = order[np.argsort(~both_signs_known(Y)[order], kind="stable")]
    return np.sort(order[: max(_LEAST_LABELS, _DRAWN_ENTRIES // n_items)])


def _cross_calibrated(
    Y: NDArray[np.int8], scores: NDArray[np.float64], seed: int
) -> NDArray[np.float64] | None:
    result = np.empty_like(scores)
    # Rows are dealt out in a drawn order: a table's own is often by label.
    order = generator(seed, "reliability").permutation(len(Y))
    for fold in range(_FOLDS):
        test = np.zeros(len(Y), bool)
        test[order[fold::_FOLDS]] = True
        if not metrics.judgeable(Y[~test]).calibration:
            return None
        result[test] = metrics.PlattCalibration.fit(Y[~test], scores[~test]).apply(scores[test])
    return result
