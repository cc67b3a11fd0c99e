"""What items say that a run did not see: where to end, how to scale, and which scores are to be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labelwise._fitting import Choice, Unseen, folds, hold_out
from labelwise._items import as_items, check_alike, in_order, read_items, take
from labelwise._training import Held, Lesson, Trained, train
from labelwise.data import check_lengths
from labelwise.errors import UserError
from labelwise.methods import Method
from labelwise.metrics import judgeable

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
    rows = hold_out(labels, model.validation, closed_form=closed, seed=int(model.random_state or 0))
    if rows is None:
        # A whole network would be trained six times instead of once.
        affordable = not closed and model.tune_ == "head" and isinstance(model.validation, str)
        return _of_folds(model, lesson, method) if affordable else Choice()
    taught, apart = rows
    held = take(lesson.X, apart), labels[apart]
    return choice_of(train(model, lesson.rows(taught), method, part="selection", held=held), held)


def _of_folds(model: MultiLabelClassifier, lesson: Lesson, method: type[Method]) -> Choice:
    """Return what few labelled rows say, each left out of one of five runs."""
    labels, found, seen = lesson.labels.matrix, [], []
    for number, (taught, apart) in enumerate(folds(labels, seed=model.random_state), start=1):
        run = train(model, lesson.rows(taught), method, part=f"selection-{number}")
        found.append(run.logits(take(lesson.X, apart)))
        seen.append(labels[apart])
    if not found:
        return Choice()
    rows = np.concatenate(seen)
    source = f"{len(rows)} labelled rows, each scored by a model that did not see it"
    return Choice(unseen=Unseen(np.concatenate(found), rows, source))


def choice_of(run: Trained, held: Held | None) -> Choice:
    """Return what ``held`` says of ``run``; without it, what a closed form says of its rows, each left out in turn.

    So too where ``held`` shows no label in both classes, which says nothing of thresholds.
    """
    left_out = run.left_out_logits
    if held is not None and (left_out is None or judgeable(held[1]).thresholds):
        X, labels = held
        scaling = run.solution.scaling.kind if run.solution else None
        unseen = Unseen(run.logits(X), labels, f"{len(labels)} rows that the model did not see")
        return Choice(run.best_epoch, scaling, unseen, chooses=True)
    if left_out is None:
        return Choice()
    source = "the labelled rows, each scored as if the model had not seen it"
    if held is not None:
        source += " (the validation rows show no label in both classes)"
    return Choice(unseen=Unseen(left_out, run.method.problem.labels, source))
