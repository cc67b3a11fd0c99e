"""Passes over a fitted classifier: outputs, or a survey of items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn.functional import normalize

from labelwise._random import generator
from labelwise.annotations import as_matrix
from labelwise.classifier import MultiLabelClassifier
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.reader import ReadItems
from labelwise.errors import UserError
from labelwise.models import Outputs, label_weights
from labelwise.summaries import TopScores


class ModelOutputs(NamedTuple):
    """A classifier's outputs for n items, on the CPU."""

    features: Tensor
    """(n, D) float32, what the head reads."""
    cosines: NDArray[np.float64] | None
    """(n, K) cosines between features and label weights; None for a head without one weight a label."""
    scores: NDArray[np.float64]
    """(n, K) the method's scores in [0, 1], before calibration."""


def outputs_of(fitted: FittedModel, items: ReadItems) -> ModelOutputs:
    """Return the outputs of a fitted model for items, in one pass.

    The cosines of a head that gives logits are those between features and label weights, its intercept left out.

    Raises:
        UserError: no items.
    """
    parts = [
        (outputs.features.float().cpu(), outputs.scores.double().cpu(), scores.double().cpu())
        for _, outputs, scores in _passes(fitted, items)
    ]
    if not parts:
        raise UserError("X has no items: give at least one")
    features, raw, scores = (torch.cat(columns) for columns in zip(*parts, strict=True))
    cosines: Tensor | None = None
    weight = label_weights(fitted.network.head)
    if fitted.method.spec.head == "cosine":
        cosines = raw
    elif weight is not None and weight.shape[1] == features.shape[1]:
        cosines = (normalize(features) @ normalize(weight.float().cpu()).T).double()
    # Rounding may leave a cosine a little outside [-1, 1], where arccos is undefined.
    return ModelOutputs(features, None if cosines is None else cosines.clamp(-1, 1).numpy(), scores.numpy())


def check_rows(items: ReadItems, labels: NDArray[np.int8]) -> None:
    """Refuse annotations that are not one row an item."""
    n_items, n_rows = len(items.kept), len(labels)
    if n_items != n_rows:
        raise UserError(f"X has {n_items} items, Y {n_rows} rows: give one row of annotations an item")


def _passes(fitted: FittedModel, items: ReadItems) -> Iterator[tuple[slice, Outputs, Tensor]]:
    """Yield (rows, outputs, the method's scores) in chunks over all items."""
    for rows, outputs in fitted.outputs(items.X):
        with torch.inference_mode():
            scores = fitted.method.score(outputs)
        yield rows, outputs, scores


@dataclass(frozen=True, eq=False)
class MissingLabels:
    """The unknown entries of highest score, the highest first.

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
    """Results of a pass over the training items.

    A sample of the head's outputs, and the most probable missing labels.
    """

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
    items = model.read(X)
    check_rows(items, labels)
    rows = _sample(labels, most_rows, seed)
    outputs = np.empty((len(rows), n_labels), np.float32)
    each = max(2, -(-missing // n_labels))
    trained = (labels == 1).any(axis=0)
    # A label's candidates: more than are shown, since an item is shown once.
    top = TopScores(np.where(trained, missing * each, 0))
    predicted = np.zeros(n_labels, np.int64)
    for part, raw, values in _passes(model.fitted_, items):
        scores = values.float().cpu().numpy()
        if model.calibration_ is not None:
            scores = model.calibration_.apply(scores).astype(np.float32)
        unknown = labels[part] == -1
        first, last = np.searchsorted(rows, [part.start, part.stop])
        outputs[first:last] = raw.scores.float().cpu().numpy()[rows[first:last] - part.start]
        # Scores of a label without a known positive mean nothing: it takes no part.
        top.update(scores, part.start, unknown & trained)
        predicted += ((model.rule_.apply(scores) == 1) & unknown).sum(axis=0)
    if not (labels == -1).any():
        return Survey(rows, outputs, None)
    # What the rule says of a label without a known positive means as little as its scores.
    claimed = np.where(trained, predicted, 0)
    return Survey(rows, outputs, _missing(top, labels, missing, each, claimed))


def _sample(labels: NDArray[np.int8], most: int, seed: int) -> NDArray[np.int64]:
    order = generator(seed, "survey").permutation(len(labels))
    # Angles and correlations need known entries: items with some come first.
    known = (labels[order] >= 0).any(axis=1)
    return np.sort(np.concatenate([order[known], order[~known]])[:most])


def _missing(
    top: TopScores, labels: NDArray[np.int8], most: int, each: int, predicted: NDArray[np.int64]
) -> MissingLabels:
    selection = top.finalize()
    candidates = [
        (-float(score), int(row), k)
        for k, (ids, scores) in enumerate(zip(selection.ids, selection.scores, strict=True))
        for row, score in zip(ids, scores, strict=True)
    ]
    rows: list[int] = []
    names: list[int] = []
    values: list[float] = []
    for score, row, k in sorted(candidates):
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
