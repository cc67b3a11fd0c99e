"""The choices around a training run: what is held out, how scores become label sets, what there is to say."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from labelwise import metrics
from labelwise.annotations import split
from labelwise.errors import UserError, listed

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

__all__ = [
    "Choice",
    "Decision",
    "fingerprint",
    "hold_out",
    "learn_decision",
    "notes_on",
]

_ENOUGH_ROWS = 50


@dataclass(frozen=True)
class Choice:
    """What held-out rows say: epochs to train, input scaling, and the scores of rows the model did not see."""

    epochs: int | None = None
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    scaling: str | None = None


@dataclass(frozen=True)
class Decision:
    """A decision rule, in words where it comes from, the calibration before it, and the held-out figures."""

    rule: metrics.Rule
    source: str
    calibration: metrics.PlattCalibration | None = None
    evaluation: metrics.Evaluation | None = None


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
        if not can.thresholds or len(rows) < _ENOUGH_ROWS:
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


def learn_decision(
    choice: Choice,
    rule: Any,
    *,
    calibrate: bool,
    prior: np.ndarray | None,
    label_names: Sequence[str],
    scores_of_all: Callable[[], np.ndarray],
) -> Decision:
    """Choose calibration and decision rule from rows that the model did not see, and judge them there.

    ``prior`` is the one the user gave, if any; it is matched on the scores of all training items.
    """
    held, labels = choice.scores, choice.labels
    can = None if labels is None else metrics.judgeable(labels)
    calibration = None
    if calibrate and held is not None and labels is not None and can is not None and can.calibration:
        calibration = metrics.PlattCalibration.fit(labels, held, label_names=label_names)
        held = calibration.apply(held)
    chosen, source = _rule(rule, held, labels, can, prior, scores_of_all, calibration, label_names)
    evaluation = None
    if held is not None and labels is not None and can is not None and can.average_precision:
        evaluation = metrics.evaluate(labels[can.rows], held[can.rows], chosen, label_names=label_names)
    return Decision(chosen, source, calibration, evaluation)


def _rule(
    rule: Any,
    held: np.ndarray | None,
    labels: np.ndarray | None,
    can: metrics.Judgeable | None,
    prior: np.ndarray | None,
    scores_of_all: Callable[[], np.ndarray],
    calibration: metrics.PlattCalibration | None,
    label_names: Sequence[str],
) -> tuple[metrics.Rule, str]:
    if not isinstance(rule, str):
        if isinstance(rule, int | float):
            return metrics.Threshold(float(rule)), "the given threshold"
        return rule, "the given rule"
    if rule != "auto":
        raise UserError(f"rule={rule!r}: give 'auto', a threshold or a rule of labelwise.metrics")
    if held is not None and labels is not None and can is not None and can.thresholds:
        learnt = metrics.learn_thresholds(labels, held, label_names=label_names)
        return learnt, (
            "thresholds of the best F1 on rows that the model did not see; F1 and Hamming loss on these same rows "
            "flatter a little"
        )
    if prior is not None:
        scores = scores_of_all()
        scores = scores if calibration is None else calibration.apply(scores)
        return metrics.PriorMatched.fit(
            scores, list(prior)
        ), "matched to the given prior on the training items"
    return metrics.Threshold(0.5), "one half, since no negative is known and no prior was given"


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
    elif hasattr(value, "digests"):
        value = [type(value).__name__, list(value.digests())]
    elif hasattr(value, "batch"):
        value = [type(value).__name__, tuple(value.shape), len(value)]
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
