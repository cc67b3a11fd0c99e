"""Validation: held-out rows choose epochs, scaling and decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from labelwise._random import generator
from labelwise.annotations import split
from labelwise.classifier.callbacks import Callbacks
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.items import take
from labelwise.classifier.options import FitOptions
from labelwise.classifier.training import TrainingSet, train
from labelwise.classifier.unseen import Unseen, ValidationResult, ValidationSet
from labelwise.data import check_lengths, check_same_order
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.metrics import judgeable

ENOUGH_ROWS = 50
"""Judgeable rows from which on a fifth of them is held out."""
_FOLDS, _FEWEST_ROWS = 5, 10
_LISTED_ENTRIES = 1 << 24  # of rows held out of labels that stay lists
_LEFT_OUT = "the labelled rows, each scored as if the model had not seen it"
_SAYS_NOTHING = " (the validation rows show no label in both classes)"


@dataclass(frozen=True, eq=False)
class ValidationPlan:
    """Rows that evaluate a fit.

    None, those of a given pair, some that are held out, or, of few, all in folds.

    Attributes:
        pair: The items and labels that were given as validation, read; None where none were.
        labels: (m, K) the labels of these rows; None where nothing will be judged.
        source: Which rows they are, in words.
        parts: Pairs (rows to train on, rows held out), one a run.
    """

    pair: ValidationSet | None = None
    labels: np.ndarray | None = None
    source: str = ""
    parts: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    @classmethod
    def of(cls, options: FitOptions, training_set: TrainingSet, method: type[Method]) -> Self:
        """Choose the rows that will evaluate a fit, before any training."""
        pair = _given_pair(options, training_set)
        if pair is None and training_set.keeps_lists(method):
            return cls._of_lists(options, training_set)
        labels = training_set.labels.matrix
        # Scores of rows left out one by one are had where the closed form is that of features that stay.
        closed = method.spec.passes == 0 and training_set.reader.fixed_features(options)
        if pair is not None:
            if closed and not _tells(pair.labels, options.rule == "recall"):
                return cls(pair, labels, left_out_words(training_set.groups) + _SAYS_NOTHING)
            return cls(pair, pair.labels, _unseen_rows(pair.labels))
        rows = hold_out(
            labels,
            options.validation,
            closed_form=closed,
            seed=options.seed,
            positives=options.rule == "recall",
            groups=training_set.groups,
        )
        if rows is not None:
            return cls(None, labels[rows[1]], _unseen_rows(rows[1]), (rows,))
        if closed:
            return cls(None, labels, left_out_words(training_set.groups))
        # A whole network would be trained six times instead of once.
        affordable = options.tuning == "head" and isinstance(options.validation, str)
        parts = tuple(folds(labels, seed=options.seed, groups=training_set.groups)) if affordable else ()
        if not parts:
            return cls()
        held_out = np.concatenate([rows for _, rows in parts])
        source = f"{len(held_out)} labelled rows, each scored by a model that did not see it"
        return cls(None, labels[held_out], source, parts)

    @classmethod
    def _of_lists(cls, options: FitOptions, training_set: TrainingSet) -> Self:
        """Hold out a keyed sample of wholly known rows, as many as a matrix of their labels is made of."""
        states, share = training_set.labels.states, options.validation
        rows = np.flatnonzero(states.whole)
        if share is None or len(rows) < ENOUGH_ROWS:
            return cls()
        wanted = (0.2 if isinstance(share, str) else float(share)) * len(rows)
        most = max(ENOUGH_ROWS, _LISTED_ENTRIES // states.shape[1])
        order = generator(options.seed, "validation of lists").permutation(len(rows))
        held_out = np.sort(rows[order[: int(min(wanted, most))]])
        train_rows = np.setdiff1d(np.arange(len(states)), held_out)
        labels = training_set.labels.take(held_out).matrix
        return cls(None, labels, _unseen_rows(held_out), ((train_rows, held_out),))


def validate(
    options: FitOptions,
    training_set: TrainingSet,
    method: type[Method],
    plan: ValidationPlan,
    callbacks: Callbacks | None = None,
) -> ValidationResult:
    """Train without the held-out rows, and evaluate on those.

    The result is empty where ``plan`` holds none out. ``callbacks`` are told of steps and epochs.
    """
    if len(plan.parts) == 1:
        ((train_rows, rows),) = plan.parts
        held_out = ValidationSet(take(training_set.X, rows), training_set.labels.take(rows).matrix)
        part = training_set.rows(train_rows)
        model = train(options, part, method, part="selection", held_out=held_out, callbacks=callbacks)
        return result_of(model, held_out, positives=options.rule == "recall")
    if not plan.parts or plan.labels is None:
        return ValidationResult()
    logits, runs = [], []
    for number, (train_rows, rows) in enumerate(plan.parts, start=1):
        name = f"selection-{number}"
        model = train(options, training_set.rows(train_rows), method, part=name, callbacks=callbacks)
        logits.append(model.logits(take(training_set.X, rows)))
        runs.append((model.method, len(rows)))
    return ValidationResult(unseen=Unseen(np.concatenate(logits), plan.labels, plan.source, tuple(runs)))


def left_out_words(groups: np.ndarray | None) -> str:
    """Say which rows a closed form's own scores are of."""
    return _LEFT_OUT if groups is None else f"{_LEFT_OUT}, nor any row of its group"


def result_of(
    model: FittedModel, held_out: ValidationSet | None, *, positives: bool = False
) -> ValidationResult:
    """Return the validation result of a model.

    Without them, it is what a closed form says of its own rows, each left out in turn. So too where ``held_out``
    shows no label in both classes, which says nothing of thresholds; with ``positives`` a known positive is enough.
    """
    left_out = model.left_out_logits
    if held_out is not None and (left_out is None or _tells(held_out.labels, positives)):
        scaling = model.solution.scaling.kind if model.solution else None
        logits, words = model.logits(held_out.X), _unseen_rows(held_out.labels)
        unseen = Unseen(logits, held_out.labels, words, ((model.method, len(logits)),))
        return ValidationResult(model.best_epoch, scaling, unseen, chooses=True)
    if left_out is None:
        return ValidationResult()
    words = left_out_words(model.method.problem.item_groups)
    source = words if held_out is None else words + _SAYS_NOTHING
    return ValidationResult(unseen=Unseen(left_out, model.method.problem.labels, source))


def _tells(labels: np.ndarray, positives: bool) -> bool:
    """Return whether a rule can be learnt from these rows."""
    return judgeable(labels).thresholds or (positives and bool((labels == 1).any()))


def _given_pair(options: FitOptions, training_set: TrainingSet) -> ValidationSet | None:
    """Return the validation pair (X, Y) as read items, if given."""
    if not isinstance(options.validation, tuple | list):
        return None
    (X, Y), reader = options.validation, training_set.reader
    try:
        check_same_order(X, Y)
        labels = options.annotations(Y, training_set.labels.label_names).matrix
        X = reader.matching(X, options)
        check_lengths(X, labels)
        read = reader.read_all(X, options)
    except UserError as error:
        raise UserError(f"validation: {error}") from error
    return ValidationSet(read.X, labels[read.kept])


def hold_out(
    labels: np.ndarray,
    validation: Any,
    *,
    closed_form: bool,
    seed: int,
    positives: bool = False,
    groups: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (train_rows, held_out_rows), or None for no validation.

    Held-out rows are taken from those that can be judged: complete rows where the others show positives only, rows
    with a known entry otherwise. ``"auto"`` holds out .2 of them where negatives are known on at least 50 rows; a
    closed form needs none, since its leave-one-out scores serve. With ``positives`` rows with a known positive are
    enough where no other can be judged. Rows of one of ``groups`` (n,) stay together.
    """
    if validation is None or (isinstance(validation, str) and validation == "auto" and closed_form):
        return None
    measurable = judgeable(labels)
    rows = np.flatnonzero(measurable.rows)
    judged = measurable.thresholds
    if positives and not judged:
        rows = np.flatnonzero((labels == 1).any(axis=1))
        judged = True
    if isinstance(validation, str):
        if validation != "auto":
            raise UserError(f"validation={validation!r}: give 'auto', a fraction, a pair (X, Y) or None")
        if not judged or len(rows) < ENOUGH_ROWS:
            return None
        validation = 0.2
    fraction = float(validation)
    if not 0 < fraction < 1:
        raise UserError(f"validation={validation}: give a fraction between 0 and 1, a pair (X, Y) or None")
    _, held_out = split(
        labels[rows], [1 - fraction, fraction], seed=seed, groups=None if groups is None else groups[rows]
    )
    held_out = rows[held_out]
    train_rows = _other_rows(len(labels), held_out, groups)
    if not (labels[train_rows] == 1).any():
        raise UserError(f"validation={validation} holds out every known positive: give a smaller fraction")
    return train_rows, held_out


def _other_rows(n_items: int, held_out: np.ndarray, groups: np.ndarray | None) -> np.ndarray:
    """Return the rows to train on: those that cannot be judged too, but for those of a held-out group."""
    rows = np.setdiff1d(np.arange(n_items), held_out)
    return rows if groups is None else rows[~np.isin(groups[rows], groups[held_out])]


def folds(
    labels: np.ndarray, *, seed: int, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return five pairs (train_rows, held_out_rows) where judgeable rows are few.

    Together they leave every judgeable row out once. Nothing where they are enough to hold some out, fewer than ten,
    or of one class: a rule learnt on a fifth of 40 rows is a guess, and training five times on few labels is cheap.
    """
    measurable = judgeable(labels)
    rows = np.flatnonzero(measurable.rows)
    if not measurable.thresholds or not _FEWEST_ROWS <= len(rows) < ENOUGH_ROWS:
        return []
    of_rows = None if groups is None else groups[rows]
    if of_rows is not None and len(np.unique(of_rows)) < _FOLDS:
        return []
    parts = [rows[part] for part in split(labels[rows], [1 / _FOLDS] * _FOLDS, seed=seed, groups=of_rows)]
    pairs = [(_other_rows(len(labels), part, groups), part) for part in parts]
    return [(train, part) for train, part in pairs if judgeable(labels[train]).thresholds]


def _unseen_rows(rows: np.ndarray) -> str:
    return f"{len(rows)} rows that the model did not see"
