"""The choices around a training run: what is held out, which prior holds, how scores become label sets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import numpy as np
from torch import nn

from labelwise import metrics
from labelwise.annotations import Summary, split
from labelwise.errors import UserError, near
from labelwise.targets import expected_prior

__all__ = [
    "Choice",
    "Decision",
    "fingerprint",
    "hold_out",
    "label_weights",
    "learn_decision",
    "resolve_prior",
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
    calibration: metrics.PlattCalibration | None
    evaluation: metrics.Evaluation | None


def resolve_prior(prior: Any, summary: Summary) -> np.ndarray | None:
    """Return the (K,) share of positives of each label: the given one, the identified one, or None.

    One number is a cardinality, spread over the labels as their known positives are.
    """
    identified = summary.priors()
    if prior is None:
        return None if identified is None else np.nan_to_num(identified, nan=0.0)
    try:
        values: np.ndarray = np.asarray(prior, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"prior={prior!r}: give {summary.n_labels} shares, or one cardinality") from None
    if values.ndim == 0:
        if identified is None:
            return expected_prior(summary.positives, float(values), summary.n_items)
        shares = np.nan_to_num(identified, nan=0.0)
        return np.asarray(np.clip(shares * float(values) / max(shares.sum(), 1e-12), 0.0, 1.0))
    if values.shape != (summary.n_labels,):
        raise UserError(f"prior has shape {values.shape}: give {summary.n_labels} shares, or one cardinality")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        name = summary.label_names[bad[0]]
        raise UserError(f"prior of label {name!r} is {values[bad[0]]}: give a share in [0, 1]")
    return values


def label_weights(given: Any, summary: Summary) -> np.ndarray | None:
    """Return (K,) weights of the labels' known positives, 1 for one that is not named.

    "balanced" is the number of a label's other entries (known negatives, or where none is known, all others) over
    that of its known positives, between 1 and 100.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise UserError(
                f"label_weights={given!r}: {near(given, ['balanced'])} Or give one weight a label"
            )
        others = summary.negatives if summary.negatives_known else summary.n_items - summary.positives
        weights = np.clip(others / np.maximum(summary.positives, 1), 1.0, 100.0)
    elif isinstance(given, Mapping):
        for name in given:
            if name not in summary.label_names:
                raise UserError(f"label_weights names no label {name!r}: {near(name, summary.label_names)}")
        weights = np.array([float(given.get(name, 1.0)) for name in summary.label_names])
    else:
        weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (summary.n_labels,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise UserError(f"label_weights must be {summary.n_labels} finite numbers of at least 0")
    return np.asarray(weights)


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
