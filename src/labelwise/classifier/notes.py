"""Notes of a fit: its assumptions, and options that had no effect."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from labelwise.annotations import Annotations, ListedStates, dense_states
from labelwise.classifier.decision import Decision
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.options import FitOptions
from labelwise.classifier.sources import Contents
from labelwise.classifier.training import TrainingSet
from labelwise.classifier.unseen import ValidationResult
from labelwise.data import Capabilities, ImageFiles
from labelwise.errors import listed
from labelwise.models import FeatureScaling

_STEPS = (
    *("epochs", "batch_size", "learning_rate", "backbone_learning_rate", "head_start", "label_weights"),
    *("strong_view", "patience", "select", "accumulate", "precision", "on_epoch", "coherent_loss"),
    "group_consistency",
    "warm_start",
)
"""Options and arguments that training steps alone read."""
_MEANINGS = {
    "unlisted": "every entry of the labels is listed",
    "minus_one": "no entry of the labels is -1",
    "empty": "no entry of the labels is empty",
}
"""What says which state an entry has, and where it says nothing."""


def notes_on(options: FitOptions, training_set: TrainingSet, model: FittedModel) -> tuple[str, ...]:
    """Return sentences on what a fit assumed."""
    notes = list(model.labels.not_identified)
    if model.labels.labels_without_positive:
        names = listed(model.labels.labels_without_positive)
        notes.append(f"no positive is known of {names}: {model.method.unshown_labels}")
    notes += model.method.notes
    if training_set.hints is not None and not model.method.spec.reads_hints:
        notes.append(training_set.hints.words)
    if skipped := len(training_set.skipped):
        notes.append(f"{skipped} items could not be read and were left out")
    if model.method.reads_truth:
        notes.append("the training read true labels of unknown entries: what it reaches is no honest result")
    if options.tuning == "head" and model.scaling is not None and "strong" in _views(model):
        notes.append(
            f"features cannot be augmented as pictures: the strong view drops {options.strong_view:.0%} of the "
            "coordinates and adds noise"
        )
    return tuple(notes)


def notes_on_features(X: Any) -> tuple[str, ...]:
    """Return sentences on features (n, D) that float32 cannot tell apart."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or len(X) < 2:
        return ()
    # By blocks, and of columns that are still alike: of most features one block is read.
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


def all_notes(
    options: FitOptions,
    training_set: TrainingSet,
    model: FittedModel,
    decision: Decision,
    result: ValidationResult,
    X: Any,
    Y: Any,
    arguments: Mapping[str, Any],
) -> tuple[str, ...]:
    """Return all notes of a fit: labels, features, unused options, assumptions.

    Args:
        X: The training items, before a frozen backbone read them.
        Y: Their labels, as they were given.
        arguments: Further arguments of ``fit`` by name, None where they were not given.
    """
    labels = [Y, *(options.validation[1:] if isinstance(options.validation, tuple | list) else ())]
    given = options.given | {name for name, value in arguments.items() if value is not None}
    unused: list[str] = []

    def add(names: Collection[str], reason: str, applies: bool) -> None:
        affected = [name for name in names if name in given]
        if applies and affected:
            unused.append(f"not used: {', '.join(affected)}, since {reason}")
            # One reason is enough: the first that applies.
            given.difference_update(affected)

    method, network, reader = model.method, model.network, training_set.reader
    spec, full, views = method.spec, reader.tune == "all", _views(model)
    closed = f"method {spec.id!r} is solved in closed form, without training steps"
    # Of a closed form, a whole network is there only where its start was asked for, and that start is all it does.
    steps = [name for name in _STEPS if spec.passes or not full or name != "head_start"]
    add(steps, closed, not any(stage.epochs for stage in method.plan()))
    frozen = options.tune == "all" and not spec.passes and not full
    add(("tune",), f"{closed}: the backbone stays as it was", frozen)
    weightless = next(network.backbone.parameters(), None) is None
    weights = "this backbone has no weights to train"
    add(("backbone_learning_rate",), weights, full and weightless)
    # A projection before the head is trained with a whole network alone.
    head_only = weightless and next(network.neck.parameters(), None) is None
    add(("tune",), f"{weights}: the head alone took the whole network's start and budget", full and head_only)
    add(("backbone_learning_rate",), "the head alone is trained (tune='head')", not full)
    add(("patience", "select"), "no rows were held out on which an epoch could be chosen", not result.chooses)
    add(("strong_view",), f"method {spec.id!r} asks for no strong view", "strong" not in views)
    add(("strong_view",), "it is for rows of features alone", model.scaling is None)
    names = f"method {spec.id!r} reads no names of labels"
    add(("label_texts",), names, not spec.reads_names)
    add(("label_texts",), "no backbone that reads these items reads names", training_set.names is None)
    caches = reader.embeds or isinstance(network.neck, FeatureScaling)
    add(("cache",), "no frozen backbone reads these items, so there is nothing to keep", not caches)
    contents = isinstance(X, Contents)
    files = isinstance(X, ImageFiles) or (contents and reader.kind == "image" and isinstance(X.values, list))
    add(("image_size",), "pictures in arrays keep the size that they have", not files)
    add(("picture_cache",), "the items are no files of pictures", not files)
    add(("picture_cache",), "a frozen backbone reads every picture once (tune='head')", not full)
    add(("memory",), "there is no directory for files to map", options.directory is None)
    solves = (model.head_start == "ridge" or not spec.passes) and model.solution is None
    nothing = f"method {spec.id!r} has no item state, and its start stores no features"
    add(("memory",), nothing, not (solves or method.slots()))
    scanned = Capabilities(X).scan is not None or (contents and files)
    add(("on_bad_item",), "these items need no reading that could fail", not scanned)
    states = all(isinstance(Y, Annotations) for Y in labels)
    add(("unlisted", "minus_one", "empty"), "the labels are annotations, whose states are known", states)
    for name, reason in _MEANINGS.items():
        add((name,), reason, name in given and not any(_matters(options, Y, name) for Y in labels))
    reads_prior = "prior" in spec.needs or decision.rule.name == "prior_matched"
    add(("prior",), f"neither method {spec.id!r} nor the rule ({decision.source}) reads it", not reads_prior)
    if training_set.hints is not None:
        given |= set(training_set.hints.changed)
        reason = f"method {spec.id!r} reads the scores themselves, and weighs them by rows left out"
        add(training_set.hints.changed, reason, spec.reads_hints)
    grouped = training_set.groups is not None
    add(("groups",), "no two items share one", not grouped)
    held_out = isinstance(options.validation, str | float) or method.starts_from_ridge or not spec.passes
    add(("groups",), "no rows are held out or left out", not held_out and not options.group_consistency)
    add(("group_consistency",), "there are no groups", not grouped)
    add(("coherent_loss",), "there is no hierarchy", training_set.hierarchy is None)
    add(("recall",), f"the rule ({decision.source}) reads it not", options.rule != "recall")
    add(("true_labels",), f"method {spec.id!r} is no oracle", not method.reads_truth)
    known = (*training_set.labels.notes, *notes_on_features(training_set.X))
    return (*known, *unused, *notes_on(options, training_set, model), *decision.notes)


def _matters(options: FitOptions, Y: Any, option: str) -> bool:
    """Return whether the other value of ``option`` would change what ``Y`` means."""
    one, other = (
        FitOptions(**{**options.values(), "hierarchy": None, option: word}).annotations(Y, None).states
        for word in ("unknown", "absent")
    )
    if one.shape != other.shape:
        return True
    if isinstance(one, ListedStates) and isinstance(other, ListedStates):
        return bool((one.silent != other.silent).any() or (one.positives != other.positives).nnz)
    return bool((dense_states(one) != dense_states(other)).any())


def _views(model: FittedModel) -> set[str]:
    """Return the views that the method's stages ask for."""
    return {view for stage in model.method.plan() for group in stage.views.values() for view in group}
