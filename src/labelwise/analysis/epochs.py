"""BBAM's figures over the epochs of training: VDFD of each label, and how long an epoch takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from labelwise.analysis.columns import Columns
from labelwise.analysis.outputs import said
from labelwise.annotations import as_matrix
from labelwise.errors import UserError
from labelwise.metrics import vdfd

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier


def vdfd_by_epoch(
    model: MultiLabelClassifier, X: Any, Y: ArrayLike, X_judged: Any, Y_judged: ArrayLike, **fit: Any
) -> Columns:
    """Train a copy of ``model`` and return the VDFD of every label after every epoch (Li et al., NeurIPS 2024).

    VDFD_k is the variance of the angles arccos cos(z, W_k) of the label's known positives among the judged items less
    that of its negatives, ``metrics.vdfd``. The paper compares a model taught by few labels and pseudo-labels with
    one taught by all: two calls, whose columns ``stack`` puts together.

    Args:
        model: a classifier, fitted or not, with a method of cosines; it is left as it is.
        X: the items to train on.
        Y: (n, K) their annotations.
        X_judged: items to measure on.
        Y_judged: (m, K) what is known of them.
        **fit: further arguments of ``fit``.

    Returns:
        Columns ``epoch`` (counted from 1 over all stages), ``label`` (its name) and ``vdfd`` in radians squared.

    Raises:
        UserError: a method without cosines, or annotations that do not fit.
    """
    from labelwise.classifier import MultiLabelClassifier

    judged = as_matrix(Y_judged)
    measured: list[np.ndarray[Any, Any]] = []

    def measure(now: MultiLabelClassifier, epoch: int) -> None:
        cosines = said(now, X_judged).cosines
        if cosines is None:
            raise UserError(f"method {now.method_!r} has no angles: take one with a cosine head")
        measured.append(vdfd(np.arccos(cosines), judged))

    arguments = model.get_params() | {"validation": None, "patience": None, "directory": None}
    watched = MultiLabelClassifier(**arguments).fit(X, Y, on_epoch=measure, **fit)
    names = np.array(watched.label_names_, dtype=str)
    if not measured:
        raise UserError(
            f"method {watched.method_!r} trains in closed form: it has no epochs to measure after"
        )
    return {
        "epoch": np.repeat(np.arange(1, len(measured) + 1), len(names)),
        "label": np.tile(names, len(measured)),
        "vdfd": np.concatenate(measured),
    }


def epoch_seconds(models: Mapping[str, MultiLabelClassifier]) -> Columns:
    """Return how long an epoch of each fitted classifier took: its median, and the shortest and longest.

    Returns:
        Columns ``method`` (the key of ``models``), ``epochs``, ``seconds``, ``low`` and ``high``; a closed form,
        which has no epochs, is left out.
    """
    rows = []
    for name, model in models.items():
        seconds = [record["seconds"] for record in model.history_ if "seconds" in record]
        if seconds:
            rows.append((name, len(seconds), float(np.median(seconds)), min(seconds), max(seconds)))
    if not rows:
        raise UserError("none of the models was trained in epochs: there is nothing to time")
    names = ("method", "epochs", "seconds", "low", "high")
    return {name: np.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}
