"""One pass of a fitted classifier over its training items: what the report's figures are drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from labelwise._random import generator
from labelwise.annotations import as_matrix
from labelwise.errors import UserError
from labelwise.summaries import TopScores

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


@dataclass(frozen=True, eq=False)
class MissingLabels:
    """The unknown entries that a model holds for relevant most firmly, the firmest first.

    A label without a known positive takes no part: its scores mean nothing.
    """

    rows: NDArray[np.int64]
    """(m,) items, each once."""
    labels: NDArray[np.int64]
    """(m,) the label that each of them seems to miss."""
    scores: NDArray[np.float64]
    """(m,) its score in [0, 1]; a probability where the classifier is calibrated."""
    predicted: NDArray[np.int64]
    """(K,) unknown entries that the decision rule predicts."""
    unknown: NDArray[np.int64]
    """(K,) unknown entries."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What a pass over the n training items leaves: a sample of the head's outputs, and the missing labels."""

    rows: NDArray[np.int64]
    """(m,) sampled items, ascending: those with a known entry first served."""
    outputs: NDArray[np.float32]
    """(m, K) the head's outputs of these items: logits, or cosines."""
    missing: MissingLabels | None
    """None where every entry is known."""


def survey(
    model: MultiLabelClassifier,
    X: Any,
    Y: ArrayLike,
    *,
    most_rows: int = 5000,
    missing: int = 12,
    seed: int = 0,
) -> Survey:
    """Score the training items once and keep what figures need.

    Args:
        model: a fitted classifier.
        X: n items as it takes them.
        Y: (n, K) annotations of 1, 0 and -1.
        most_rows: size of the sample, which the seed draws.
        missing: how many of the most probable missing labels to keep; each item once, and no label more than its
            share (but at least twice).
        seed: of the sample.

    Raises:
        UserError: annotations that do not fit the model or the items.
    """
    labels = as_matrix(Y)
    n_labels = len(model.label_names_)
    if labels.shape[1] != n_labels:
        raise UserError(
            f"Y has {labels.shape[1]} labels, the model {n_labels}: give the labels it was trained on"
        )
    rows = _sample(labels, most_rows, seed)
    outputs = np.empty((len(rows), n_labels), np.float32)
    each = max(2, -(-missing // n_labels))
    taught = (labels == 1).any(axis=0)
    # A label's candidates: more than are shown, since an item is shown once.
    top = TopScores(np.where(taught, missing * each, 0))
    predicted = np.zeros(n_labels, np.int64)
    for part, raw, scores in _passes(model, X, len(labels)):
        unknown = labels[part] == -1
        first, last = np.searchsorted(rows, [part.start, part.stop])
        outputs[first:last] = raw[rows[first:last] - part.start]
        top.update(scores, part.start, unknown & taught)
        predicted += ((model.rule_.apply(scores) == 1) & unknown).sum(axis=0)
    found = None
    if (labels == -1).any():
        found = _missing(top, labels, missing, each, np.where(taught, predicted, 0))
    return Survey(rows, outputs, found)


def _sample(labels: NDArray[np.int8], most: int, seed: int) -> NDArray[np.int64]:
    order = generator(seed, "survey").permutation(len(labels))
    known = (labels[order] >= 0).any(axis=1)
    return np.sort(np.concatenate([order[known], order[~known]])[:most])


def _passes(
    model: MultiLabelClassifier, X: Any, n_items: int
) -> Iterator[tuple[slice, NDArray[np.float32], NDArray[np.float32]]]:
    """Yield (rows, the head's outputs, the classifier's scores) in chunks over all items."""
    items = model.read(X)
    if len(items.kept) != n_items:
        raise UserError(
            f"X has {len(items.kept)} items, Y {n_items} rows: give one row of annotations an item"
        )
    for rows, outputs in model.fitted_.outputs(items.X):
        with torch.inference_mode():
            scores = model.fitted_.method.score(outputs).float().cpu().numpy()
        if model.calibration_ is not None:
            scores = model.calibration_.apply(scores).astype(np.float32)
        yield rows, outputs.scores.float().cpu().numpy(), scores


def _missing(
    top: TopScores, labels: NDArray[np.int8], most: int, each: int, predicted: NDArray[np.int64]
) -> MissingLabels:
    selection = top.finalize()
    found = [
        (-float(score), int(row), k)
        for k, (ids, scores) in enumerate(zip(selection.ids, selection.scores, strict=True))
        for row, score in zip(ids, scores, strict=True)
    ]
    rows: list[int] = []
    names: list[int] = []
    values: list[float] = []
    for score, row, k in sorted(found):
        if len(rows) < most and row not in rows and names.count(k) < each:
            rows.append(row)
            names.append(k)
            values.append(-score)
    return MissingLabels(
        np.array(rows, np.int64),
        np.array(names, np.int64),
        np.array(values),
        predicted,
        (labels == -1).sum(axis=0),
    )
