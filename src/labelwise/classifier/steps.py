"""The steps of a fit, from what was given to the fitted attributes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit

from labelwise import metrics
from labelwise.annotations import Annotations, describe
from labelwise.classifier.choices import Choice, notes_on, notes_on_features
from labelwise.classifier.decision import Decision, check_rule, decision_of
from labelwise.classifier.given import known_items
from labelwise.classifier.networks import embedder_for
from labelwise.classifier.options import check_functions, check_parameters, resolve_prior, tuning_of
from labelwise.classifier.reader import (
    ReadItems,
    as_ids,
    as_items,
    column_names,
    item_shape,
    prepared,
    read_items,
)
from labelwise.classifier.training import Lesson, Trained, train, truth_of
from labelwise.classifier.unused import unused_settings
from labelwise.classifier.validation import choice_of, given_validation, plan_of, select
from labelwise.data import check_lengths, is_source
from labelwise.errors import UserError
from labelwise.methods import Method, fitting, get
from labelwise.methods.recommendation import check_positive, recommend

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier, OnEpoch


def fit_model(
    model: MultiLabelClassifier,
    X: Any,
    Y: Any,
    label_names: Sequence[str] | None,
    items: Sequence[str] | None,
    true_labels: Any,
    on_epoch: OnEpoch | None,
    on_read: Callable[[ReadItems], object] | None,
) -> None:
    """Give ``model``, which has not been fitted, what a fit finds; see ``MultiLabelClassifier.fit``."""
    began = time.perf_counter()
    check_parameters(model)
    check_functions(on_epoch=on_epoch, on_read=on_read)
    if Y is None:
        raise UserError("fit requires y to be passed, but the target y is None: give (n, K) annotations")
    labels = model._labels(Y, label_names)
    truth = None if true_labels is None else truth_of(model, true_labels, labels)
    items = None if items is None else as_ids(items, len(labels.matrix))
    X = _begin(model, X, items, labels)
    method = _choose_method(model, labels)
    model.embedder_ = embedder_for(model, model.item_shape_, method, len(labels.label_names))
    lesson = _read_lesson(model, Lesson(X, labels, items, truth), on_read)
    _describe(model, lesson.labels)
    pair = given_validation(model)
    plan = plan_of(model, lesson.labels.matrix, method, pair)
    check_rule(model, plan)
    choice = select(model, lesson, method, plan)
    final = train(
        model,
        lesson,
        method,
        part="final",
        held=pair,
        choice=choice,
        on_epoch=_shown(model, on_epoch, began),
    )
    if choice.unseen is None:
        choice = choice_of(final, pair)
    _become(model, final)
    decision = decision_of(model, choice.unseen, final, lesson.X)
    _settle(model, choice, decision)
    unused = unused_settings(
        model,
        final.method,
        X,
        [Y, *([] if pair is None else [model.validation[1]])],
        arguments={"true_labels": true_labels, "on_epoch": on_epoch},
        chooses=choice.chooses,
    )
    told = (*labels.notes, *notes_on_features(lesson.X))
    model.notes_ = (*told, *unused, *notes_on(model), *decision.notes)
    model.seconds_ = time.perf_counter() - began


def _begin(model: MultiLabelClassifier, X: Any, items: Sequence[str] | None, labels: Annotations) -> Any:
    """Settle what is trained and what items look like, and return ``X`` as items that fit ``labels``."""
    X = known_items(X)
    columns = column_names(X)
    model._tokenizer = None
    model.preprocessing_ = prepared(model)
    model.tune_ = tuning_of(model.tune, model.backbone, model.method, model.head_start)
    closed = model.tune_ == "head" or model.preprocessing_ is not None
    model.head_start_ = model.head_start or ("ridge" if closed else "random")
    X = as_items(model, X, items)
    check_lengths(X, labels.matrix)
    if columns is not None:
        model.feature_names_in_ = columns
    if not is_source(X) and X.ndim == 2:
        model.n_features_in_ = int(X.shape[1])
    model.item_shape_ = item_shape(X)
    return X


def _choose_method(model: MultiLabelClassifier, labels: Annotations) -> type[Method]:
    summary = describe(labels.matrix, labels.label_names)
    check_positive(summary)
    method = get(model.method or recommend(summary, model.tune_).method)
    method.spec.accept(summary.setting, fitting(summary.setting))
    model.method_ = method.spec.id
    return method


def _read_lesson(
    model: MultiLabelClassifier, lesson: Lesson, on_read: Callable[[ReadItems], object] | None
) -> Lesson:
    """Return the lesson as the network takes it, without the items that cannot be read."""
    read = read_items(model, lesson.X, scan=True)
    model.skipped_ = read.bad
    if on_read is not None:
        on_read(read)
    return lesson.rows(read.kept, read.X) if read.bad else replace(lesson, X=read.X)


def _describe(model: MultiLabelClassifier, labels: Annotations) -> None:
    model.summary_ = describe(labels)
    model.label_names_ = labels.label_names
    model.classes_ = np.arange(len(labels.label_names))
    model.prior_ = resolve_prior(model.prior, model.summary_)


def _shown(
    model: MultiLabelClassifier, on_epoch: OnEpoch | None, began: float
) -> Callable[[Trained, int], None] | None:
    """Return a run's view of ``on_epoch``, which sees this classifier as the run has trained it so far."""
    if on_epoch is None:
        return None

    def show(run: Trained, epoch: int) -> None:
        _become(model, run)
        _settle(model, Choice(), Decision(metrics.Threshold(0.5), "one half, until the training ends"))
        model.notes_, model.seconds_ = notes_on(model), time.perf_counter() - began
        on_epoch(model, epoch)

    return show


def _become(model: MultiLabelClassifier, run: Trained) -> None:
    model.network_, model.trained_method_, model.input_shape_ = run.network, run.method, run.shape
    model.scaling_ = run.scaling
    model.head_start_ = "ridge" if run.method.starts_from_ridge else "random"
    model.solution_ = run.solution
    model.hyperparameters_, model.budget_ = run.method.hyperparameters, asdict(run.method.budget)
    model.history_ = run.history


def _settle(model: MultiLabelClassifier, choice: Choice, decision: Decision) -> None:
    model.best_epoch_ = choice.epochs
    model.held_out_ = None
    if choice.unseen is not None:
        model.held_out_ = choice.unseen.labels, expit(choice.unseen.logits).astype(np.float32)
    model.rule_, model.rule_source_ = decision.rule, decision.source
    model.calibration_, model.validation_ = decision.calibration, decision.evaluation
