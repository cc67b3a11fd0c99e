"""What items say that a run did not see: where to end, how to scale, and which scores are to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelwise._fitting import Choice, hold_out
from labelwise._items import as_items, check_alike, in_order, read_items, take
from labelwise._training import Held, Lesson, Trained, train
from labelwise.data import check_lengths
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.models import probabilities

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

__all__ = ["choice_of", "given_validation", "select"]


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


def select(model: MultiLabelClassifier, lesson: Lesson, method: type[Method]) -> Choice:
    """Train without some rows and return what those say; nothing where no rows are held out."""
    if isinstance(model.validation, tuple | list):
        return Choice()
    labels, closed = lesson.labels.matrix, method.spec.passes == 0
    rows = hold_out(labels, model.validation, closed_form=closed, seed=model.random_state)
    if rows is None:
        return Choice()
    taught, apart = rows
    held = take(lesson.X, apart), labels[apart]
    return choice_of(train(model, lesson.rows(taught), method, part="selection", held=held), held)


def choice_of(run: Trained, held: Held | None) -> Choice:
    """Return what ``held`` says of ``run``; without it, what a closed form says of its rows, each left out in turn."""
    if held is not None:
        X, labels = held
        return Choice(
            run.best_epoch, run.scores(X), labels, run.solution.scaling.kind if run.solution else None
        )
    if run.solution is not None and not run.history:
        scores = probabilities(run.solution.loo_scores).astype(np.float32)
        return Choice(scores=scores, labels=run.method.problem.labels)
    return Choice()
