"""The choices around a training run: what is held out, what that says, what there is to say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from labelwise import metrics
from labelwise.annotations import split
from labelwise.data import Capabilities, is_source
from labelwise.errors import UserError, listed

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

ENOUGH_ROWS = 50
"""Judgeable rows from which on a fifth of them is held out."""
_FOLDS, _FEWEST_ROWS = 5, 10


@dataclass(frozen=True, eq=False)
class Unseen:
    """Logits (m, K) and labels (m, K) of rows that the model which scored them did not see.

    ``source`` says in words which rows they are.
    """

    logits: np.ndarray
    labels: np.ndarray
    source: str


@dataclass(frozen=True, eq=False)
class Choice:
    """What held-out rows say: epochs to train, input scaling, and how they score.

    ``chooses``: whether a run was judged on them after every epoch.
    """

    epochs: int | None = None
    scaling: str | None = None
    unseen: Unseen | None = None
    chooses: bool = False


def hold_out(
    labels: np.ndarray, validation: Any, *, closed_form: bool, seed: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (rows to train on, rows held out), or None for no validation.

    Held-out rows are taken from those that can be judged: complete rows where the others show positives only, rows
    with a known entry otherwise. ``"auto"`` holds out .2 of them where negatives are known on at least 50 rows; a
    closed form needs none, since its leave-one-out scores serve.
    """
    if validation is None or (isinstance(validation, str) and validation == "auto" and closed_form):
        return None
    can = metrics.judgeable(labels)
    rows = np.flatnonzero(can.rows)
    if isinstance(validation, str):
        if validation != "auto":
            raise UserError(f"validation={validation!r}: give 'auto', a fraction, a pair (X, Y) or None")
        if not can.thresholds or len(rows) < ENOUGH_ROWS:
            return None
        validation = 0.2
    fraction = float(validation)
    if not 0 < fraction < 1:
        raise UserError(f"validation={validation}: give a fraction between 0 and 1, a pair (X, Y) or None")
    _, held = split(labels[rows], [1 - fraction, fraction], seed=seed)
    held = rows[held]
    taught = np.setdiff1d(np.arange(len(labels)), held)
    if not (labels[taught] == 1).any():
        raise UserError(f"validation={validation} holds out every known positive: give a smaller fraction")
    return taught, held


def folds(labels: np.ndarray, *, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return five pairs (rows to train on, rows left out) that leave every judgeable row out once, where these are few.

    Nothing where they are enough to hold some out, fewer than ten, or of one class: a rule learnt on a fifth of 40 rows
    is a guess, and training five times on few labels is cheap.
    """
    can = metrics.judgeable(labels)
    rows = np.flatnonzero(can.rows)
    if not can.thresholds or not _FEWEST_ROWS <= len(rows) < ENOUGH_ROWS:
        return []
    parts = [rows[part] for part in split(labels[rows], [1 / _FOLDS] * _FOLDS, seed=seed)]
    pairs = [(np.setdiff1d(np.arange(len(labels)), part), part) for part in parts]
    return [(train, part) for train, part in pairs if metrics.judgeable(labels[train]).thresholds]


def notes_on(model: MultiLabelClassifier) -> tuple[str, ...]:
    """Return sentences on what the fit of ``model`` assumed."""
    notes = list(model.summary_.not_identified)
    if model.summary_.labels_without_positive:
        names = listed(model.summary_.labels_without_positive)
        notes.append(f"no positive is known of {names}: their scores mean nothing")
    if model.skipped_:
        notes.append(f"{len(model.skipped_)} items could not be read and were left out")
    if model.trained_method_.reads_truth:
        notes.append("the training read true labels of unknown entries: what it reaches is no honest result")
    stages = model.trained_method_.plan()
    views = {view for stage in stages for group in stage.views.values() for view in group}
    if model.tune_ == "head" and model.scaling_ is not None and "strong" in views:
        notes.append(
            f"features cannot be augmented as pictures: the strong view drops {model.strong_view:.0%} of the "
            "coordinates and adds noise"
        )
    return tuple(notes)


def notes_on_features(X: Any) -> tuple[str, ...]:
    """Return sentences on what rows of features (n, D), in an array, cannot tell apart as float32."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or len(X) < 2:
        return ()
    same = np.arange(X.shape[1])
    for start in range(0, len(X), 4096):
        block = X[start : start + 4096, same]
        same = same[(block.astype(np.float32) == X[0, same].astype(np.float32)).all(axis=0)]
        if not same.size:
            return ()
    lost = same[(X[:, same] != X[0, same]).any(axis=0)]
    notes = []
    if lost.size:
        notes.append(
            f"columns {listed(lost)} of X (counted from 0) vary by less than float32 can tell of numbers of their size:"
            " subtract their mean, or leave them out"
        )
    if same.size == X.shape[1]:
        notes.append("all rows of X are alike, so no item can be told from another")
    return tuple(notes)


def fingerprint(*parts: Any) -> str:
    """Return a digest of everything that a run is a function of, so that no run resumes another's."""
    digest = hashlib.sha256()
    for part in parts:
        _feed(digest, part)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    """Add a value to a digest: arrays by their bytes, modules by make and weights, anything else by its words."""
    if isinstance(value, nn.Module):
        value = [repr(value), dict(value.state_dict())]
    elif is_source(value):
        digests = Capabilities(value).digests
        content = (tuple(value.shape), len(value)) if digests is None else (list(digests()),)
        value = [type(value).__name__, *content]
    elif hasattr(value, "indptr"):
        value = [value.shape, value.data, value.indices, value.indptr]
    elif is_dataclass(value) and not isinstance(value, type):
        value = [type(value).__name__, vars(value)]
    if isinstance(value, Mapping):
        value = sorted(((str(k), v) for k, v in value.items()), key=lambda pair: pair[0])
    if isinstance(value, list | tuple):
        digest.update(f"[{len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif hasattr(value, "__array__") and np.asarray(value).dtype != object:
        array = np.asarray(value)
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    elif hasattr(value, "__array__"):
        _feed(digest, np.asarray(value).tolist())
    else:
        digest.update(f"{type(value).__name__}:{value!r};".encode())
