"""Distillation: a small network in the place of an ensemble that needs its pool of rows, and what that costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.special import expit

from labelwise import metrics
from labelwise._random import torch_seeded
from labelwise.annotations import split
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.items import take
from labelwise.data import Capabilities, is_source
from labelwise.ensemble import EnsembleHead, SmallNetwork, fit_small
from labelwise.errors import UserError
from labelwise.methods import get
from labelwise.models import Network, build_backbone, fit_threads

Classifier: TypeAlias = Any
_FEWEST = 10


@dataclass(frozen=True)
class Distillation:
    """What a small network loses, on rows that it was not fitted to.

    Attributes:
        rows: How many they are.
        difference: Mean absolute difference of probabilities between ensemble and network.
        map: Mean average precision of the network and of the ensemble, None where no labels were given.
        micro_f1: Micro-F1 of both by the rule of the ensemble, None without labels or known negatives.
        folds: Parts that were left out in turn. With labels the ensemble too was fitted anew without them.
    """

    rows: int
    difference: float
    map: tuple[float, float] | None
    micro_f1: tuple[float, float] | None
    folds: int

    @property
    def words(self) -> str:
        """The figures in a sentence."""
        told = [f"scores differ by {self.difference:.4f} on average"]
        if self.map is not None:
            told.append(f"mAP {self.map[0]:.4f} for {self.map[1]:.4f}")
        if self.micro_f1 is not None:
            told.append(f"micro-F1 {self.micro_f1[0]:.4f} for {self.micro_f1[1]:.4f}")
        return (
            f"a small network scores in the ensemble's place; on {self.rows} rows left out {', '.join(told)}"
        )


def distil(self: Classifier, X: Any, Y: Any = None, *, hidden: int = 512, folds: int = 5) -> Classifier:
    """Return a small network that scores in the place of the ensemble of ``auto``, without its pool.

    Rule and calibration stay. Its ``distillation_``, and a note, say what it loses on rows left out of its fit.

    Args:
        self: A fitted classifier with an ensemble for a head.
        X: N items like those of the fit; no label is needed.
        Y: (n, K) annotations, to measure mAP and micro-F1 too, by ensembles that are fitted anew for each part.
        hidden: Units of the hidden layer; 0 for a linear network.
        folds: Parts to leave out in turn, from 2.
    """
    model, labels = self, None
    read = model.read(X)
    rows = Capabilities(read.X).rows if is_source(read.X) else read.X
    _check(model, hidden, folds, rows)
    n = int(rows.shape[0])
    if Y is not None:
        labels = model._options().annotations(Y, model.label_names_).matrix
        if len(labels) != n + len(read.bad):
            raise UserError(
                f"X has {n + len(read.bad)} items and Y has {len(labels)} rows: give one row of labels an item"
            )
        labels = labels[read.kept]
    with fit_threads(rows):
        loss, network = _measured(model, rows, labels, hidden, folds, n), _small(model, rows, hidden)
    small = object.__new__(type(model))
    small.__dict__ = {**vars(model), "fitted_": network, "held_out_": None}
    small.notes_ = (*(note for note in model.notes_ if "of the saved model" not in note), loss.words)
    small.distillation_ = loss
    return small


def _check(model: Classifier, hidden: int, folds: int, rows: Any) -> None:
    if not isinstance(model.network_.head, EnsembleHead):
        raise UserError(
            f"a model of method {model.method_!r} with tune={model.tune_!r} is one network already: there is no"
            " ensemble to distil"
        )
    if not (isinstance(hidden, int | np.integer) and not isinstance(hidden, bool) and 0 <= hidden <= 4096):
        raise UserError(f"hidden={hidden!r}: give a whole number of units from 0 (a linear network) to 4096")
    if not (isinstance(folds, int | np.integer) and not isinstance(folds, bool) and folds >= 2):
        raise UserError(f"folds={folds!r}: give a whole number from 2")
    if rows is None:
        raise UserError("X is a source that shows no rows of features: give them as an array")
    if rows.shape[0] < max(_FEWEST, 2 * folds):
        raise UserError(
            f"X has {rows.shape[0]} items: give at least {max(_FEWEST, 2 * folds)} to distil from"
        )


def _small(model: Classifier, rows: Any, hidden: int) -> FittedModel:
    """Return the model of a small network, trained on the model's scores of rows."""
    fitted: FittedModel = model.fitted_
    seed = model._options().seed
    head = fitted.network.head
    assert isinstance(head, EnsembleHead)
    scaling = head.scaling
    shape = tuple(replace(fitted, scaling=scaling).source(rows[:1]).shape)
    method = get(fitted.method.spec.id)(
        fitted.method.problem, {**fitted.method.hyperparameters, "network": int(hidden)}
    )
    method.explanation = fitted.explanation
    with torch_seeded(seed):
        small = method.head(shape[0])
    assert isinstance(small, SmallNetwork)
    network = Network(build_backbone("features", shape), fit_small(small, rows, fitted.logits, scaling, seed))
    return replace(
        fitted,
        network=network.eval(),
        method=method.eval(),
        input_shape=shape,
        scaling=scaling,
        solution=None,
        best_epoch=None,
    )


def _measured(
    model: Classifier, rows: Any, labels: np.ndarray | None, hidden: int, folds: int, n: int
) -> Distillation:
    """Leave each part of the rows out in turn, and compare on it."""
    seed = model._options().seed
    known = np.full((n, 1), -1, np.int8) if labels is None else labels
    scores = np.empty((2, n, len(model.label_names_)))
    sets = np.empty(scores.shape, np.int8)
    for part in split(known, [1 / folds] * folds, seed=seed):
        rest = np.setdiff1d(np.arange(n), part)
        teacher = model if labels is None else _refitted(model, take(rows, rest), labels[rest])
        small = _small(teacher, take(rows, rest), hidden)
        for place, one in enumerate((small, teacher.fitted_)):
            logits = teacher.decision_.logits(one.logits(take(rows, part)).astype(np.float64))
            scores[place, part], sets[place, part] = logits, teacher.decision_.sets(logits)
    difference = float(np.abs(expit(scores[0]) - expit(scores[1])).mean())
    average = (
        None if labels is None else _pair(lambda s: metrics.ranking_score(labels, s, warn=False), scores)
    )
    f1 = None
    if labels is not None and (labels == 0).any():
        f1 = _pair(lambda s: _micro_f1(labels, s), sets)
    return Distillation(n, difference, average, f1, int(folds))


def _refitted(model: Classifier, rows: Any, labels: np.ndarray) -> Classifier:
    """Return an ensemble fitted to read rows and their labels as the model was."""
    options = {
        "method": model.method_,
        "hyperparameters": model.hyperparameters_,
        "rule": model.rule,
        "prior": model.prior,
        "random_state": model.random_state,
        "device": model.device,
    }
    return type(model)(**options).fit(rows, labels, label_names=model.label_names_)


def _pair(figure: Any, values: np.ndarray) -> tuple[float, float]:
    return float(figure(values[0])), float(figure(values[1]))


def _micro_f1(labels: np.ndarray, sets: np.ndarray) -> float:
    """Return the micro-F1 of label sets (n, K) on the known entries."""
    known = labels >= 0
    hits = int(((sets == 1) & (labels == 1)).sum())
    claimed = int(((sets == 1) & known).sum())
    return 2 * hits / max(claimed + int((labels == 1).sum()), 1)
