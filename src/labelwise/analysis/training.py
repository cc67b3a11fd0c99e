"""VDFD and time by epoch, and the loss around the trained weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.func import functional_call

from labelwise._random import generator
from labelwise.analysis.columns import Columns, entry_groups
from labelwise.analysis.outputs import check_rows, outputs_of
from labelwise.annotations import as_matrix
from labelwise.classifier import MultiLabelClassifier
from labelwise.classifier.fitted import FittedModel
from labelwise.errors import UserError
from labelwise.metrics import vdfd
from labelwise.models import Outputs

_CHUNK = 8192


def vdfd_by_epoch(
    model: MultiLabelClassifier, X: Any, Y: ArrayLike, X_judged: Any, Y_judged: ArrayLike, **fit: Any
) -> Columns:
    """Train a copy of ``model``, measuring each label's VDFD after every epoch.

    Li et al., NeurIPS 2024.

    VDFD_k is the variance of the angles arccos cos(z, W_k) of the label's known positives among the judged items less
    that of its negatives, ``metrics.vdfd``. The paper compares a model trained on few labels and pseudo-labels with
    one trained on all: two calls, whose columns ``stack`` puts together.

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
    judged = as_matrix(Y_judged)
    measured: list[np.ndarray[Any, Any]] = []

    def measure(now: MultiLabelClassifier, epoch: int) -> None:
        cosines = outputs_of(now.fitted_, now.read(X_judged)).cosines
        if cosines is None:
            raise UserError(f"method {now.method_!r} has no angles: take one with a cosine head")
        measured.append(vdfd(np.arccos(cosines), judged))

    # Every epoch is measured on all items: none held out, no early end, no checkpoints.
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
    """Return the median, shortest and longest seconds of an epoch.

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


def loss_landscape(
    model: MultiLabelClassifier,
    X: Any,
    Y: ArrayLike,
    *,
    radius: float = 1.0,
    steps: int = 21,
    most_rows: int = 2000,
    seed: int = 0,
) -> Columns:
    """Return the cross-entropy on known entries around the head's weights.

    Zhou et al., ECCV 2022, last figure.

    Two directions d are drawn from the standard normal distribution and normalised by filter (Li et al., NeurIPS
    2018): each row of a weight matrix, the weights of one label, gets d_k |W_k| / |d_k|; intercepts and other
    vectors stay. The loss at W + a d1 + b d2 is the mean of -log p over known positives and -log(1 - p) over known
    negatives, p the method's score, so that methods with different losses can be compared. Backbone and features
    are fixed. A cosine head does not see the length of its weights: only what turns them counts.

    Args:
        model: a fitted classifier whose head reads features.
        X: n items.
        Y: (n, K) of 1, 0 and -1.
        radius: a and b run over [-radius, radius]; at 1 a direction is as long as the weights.
        steps: number of values of a and of b; odd, so that the trained weights are among them.
        most_rows: items taken; more are sampled by the seed.
        seed: of the sample and the directions, which depend on it and on the shape of the head only.

    Returns:
        Columns ``a``, ``b`` and ``loss``, one row a point, steps^2 in all.

    Raises:
        UserError: annotations of another shape, an even number of steps, or a head that reads maps or has no
            weights.
    """
    if steps < 1 or steps % 2 == 0 or not radius > 0:
        raise UserError(
            f"radius={radius}, steps={steps}: radius is above 0, steps odd, so that 0 is among them"
        )
    if model.fitted_.network.reads_maps:
        raise UserError(f"method {model.method_!r} reads maps, not features: its head has no landscape here")
    if next(model.fitted_.network.head.parameters(), None) is None:
        raise UserError(f"method {model.method_!r} has no weights that steps could move: it has no landscape")
    labels = as_matrix(Y)
    items, fitted = model.read(X), model.fitted_
    check_rows(items, labels)
    rows = np.sort(generator(seed, "landscape", "rows").permutation(len(labels))[:most_rows])
    # The items read above serve again: a frozen backbone goes over pictures and texts once.
    sample = items if len(rows) == len(labels) else model.read(_rows(X, rows))
    features = outputs_of(fitted, sample).features
    entry_groups((len(labels), len(model.label_names_)), labels, None)
    targets = torch.from_numpy(labels[rows])
    trained = {name: value.detach() for name, value in fitted.network.head.named_parameters()}
    device = next(iter(trained.values())).device
    features, targets = features.to(device), targets.to(device)
    directions = [_direction(trained, seed, which) for which in (1, 2)]
    values = np.linspace(-radius, radius, steps)
    points = []
    for a in values:
        for b in values:
            moved = {
                name: value + float(a) * directions[0][name] + float(b) * directions[1][name]
                for name, value in trained.items()
            }
            points.append((a, b, _loss(fitted, moved, features, targets)))
    return dict(zip(("a", "b", "loss"), np.array(points).T, strict=True))


def _direction(trained: dict[str, Tensor], seed: int, which: int) -> dict[str, Tensor]:
    """Return a random direction with filters as long as the trained ones.

    Vectors, such as intercepts, get zeros.
    """
    draw = generator(seed, "landscape", which)
    direction = {}
    for name, value in trained.items():
        drawn = torch.from_numpy(draw.standard_normal(tuple(value.shape))).to(value)
        if value.ndim < 2:
            direction[name] = torch.zeros_like(value)
            continue
        length = drawn.flatten(1).norm(dim=1).clamp(min=1e-12)
        scale = value.flatten(1).norm(dim=1) / length
        direction[name] = drawn * scale.reshape(-1, *[1] * (value.ndim - 1))
    return direction


@torch.inference_mode()
def _loss(fitted: FittedModel, parameters: dict[str, Tensor], features: Tensor, targets: Tensor) -> float:
    total, known = 0.0, 0
    for start in range(0, len(features), _CHUNK):
        z, y = features[start : start + _CHUNK], targets[start : start + _CHUNK]
        out = functional_call(fitted.network.head, parameters, (z,))
        outputs = Outputs(z, *out) if isinstance(out, tuple) else Outputs(z, out)
        # Far from the trained weights scores reach 0 and 1 in float32, whose logarithms are infinite.
        p = fitted.method.score(outputs).double().clamp(1e-7, 1 - 1e-7)
        total -= float(torch.where(y == 1, p.log(), torch.where(y == 0, (-p).log1p(), 0.0)).sum())
        known += int((y >= 0).sum())
    return total / known if known else float("nan")


def _rows(X: Any, rows: np.ndarray[Any, Any]) -> Any:
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]
