"""What items say that a run did not see: where to end, how to scale, and which scores are to be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from labelwise._random import seed_of
from labelwise.classifier.choices import Choice, Unseen, folds, hold_out
from labelwise.classifier.networks import has_fixed_features
from labelwise.classifier.reader import as_items, check_alike, in_order, read_items, take
from labelwise.classifier.training import Held, Lesson, Trained, train
from labelwise.data import check_lengths
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.metrics import judgeable

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_LEFT_OUT = "the labelled rows, each scored as if the model had not seen it"
_SAYS_NOTHING = " (the validation rows show no label in both classes)"


@dataclass(frozen=True, eq=False)
class Plan:
    """The rows that will judge a fit: none, those of a given pair, some held out, or all of few, in folds.

    Attributes:
        labels: (m, K) their labels; None where nothing will be judged.
        source: Which rows they are, in words.
        parts: Pairs (rows to train on, rows left out), one a run.
    """

    labels: np.ndarray | None = None
    source: str = ""
    parts: tuple[tuple[np.ndarray, np.ndarray], ...] = ()


def given_validation(model: MultiLabelClassifier) -> Held | None:
    """Return the pair (X, Y) that was given as validation, read; None where none was."""
    if not isinstance(model.validation, tuple | list):
        return None
    X, Y = model.validation
    try:
        labels = model._labels(Y, model.label_names_).matrix
        X = as_items(model, in_order(model, X))
        check_alike(model, X)
        check_lengths(X, labels)
        read = read_items(model, X)
    except UserError as error:
        raise UserError(f"validation: {error}") from error
    return read.X, labels[read.kept]


def plan_of(model: MultiLabelClassifier, labels: np.ndarray, method: type[Method], pair: Held | None) -> Plan:
    """Return which rows will judge a fit on ``labels`` (n, K), before any training."""
    # Scores of rows left out one by one are had where the closed form is that of features that stay.
    closed, seed = method.spec.passes == 0 and has_fixed_features(model), seed_of(model.random_state)
    if pair is not None:
        if closed and not judgeable(pair[1]).thresholds:
            return Plan(labels, _LEFT_OUT + _SAYS_NOTHING)
        return Plan(pair[1], _unseen_rows(pair[1]))
    rows = hold_out(labels, model.validation, closed_form=closed, seed=seed)
    if rows is not None:
        return Plan(labels[rows[1]], _unseen_rows(rows[1]), (rows,))
    if closed:
        return Plan(labels, _LEFT_OUT)
    # A whole network would be trained six times instead of once.
    affordable = model.tune_ == "head" and isinstance(model.validation, str)
    parts = tuple(folds(labels, seed=seed)) if affordable else ()
    if not parts:
        return Plan()
    left_out = np.concatenate([apart for _, apart in parts])
    source = f"{len(left_out)} labelled rows, each scored by a model that did not see it"
    return Plan(labels[left_out], source, parts)


def select(model: MultiLabelClassifier, lesson: Lesson, method: type[Method], plan: Plan) -> Choice:
    """Train without the rows that ``plan`` leaves out and return what those say; nothing where it leaves none out."""
    if len(plan.parts) == 1:
        ((taught, apart),) = plan.parts
        held = take(lesson.X, apart), lesson.labels.matrix[apart]
        return choice_of(train(model, lesson.rows(taught), method, part="selection", held=held), held)
    if not plan.parts or plan.labels is None:
        return Choice()
    found = []
    for number, (taught, apart) in enumerate(plan.parts, start=1):
        run = train(model, lesson.rows(taught), method, part=f"selection-{number}")
        found.append(run.logits(take(lesson.X, apart)))
    return Choice(unseen=Unseen(np.concatenate(found), plan.labels, plan.source))


def choice_of(run: Trained, held: Held | None) -> Choice:
    """Return what ``held`` says of ``run``; without it, what a closed form says of its rows, each left out in turn.

    So too where ``held`` shows no label in both classes, which says nothing of thresholds.
    """
    left_out = run.left_out_logits
    if held is not None and (left_out is None or judgeable(held[1]).thresholds):
        X, labels = held
        scaling = run.solution.scaling.kind if run.solution else None
        unseen = Unseen(run.logits(X), labels, _unseen_rows(labels))
        return Choice(run.best_epoch, scaling, unseen, chooses=True)
    if left_out is None:
        return Choice()
    source = _LEFT_OUT if held is None else _LEFT_OUT + _SAYS_NOTHING
    return Choice(unseen=Unseen(left_out, run.method.problem.labels, source))


def _unseen_rows(rows: np.ndarray) -> str:
    return f"{len(rows)} rows that the model did not see"
