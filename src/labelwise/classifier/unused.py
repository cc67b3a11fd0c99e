"""Settings that were given and could not matter, each named with the reason: nothing is ignored in silence."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from labelwise.annotations import Annotations, parse
from labelwise.data import Capabilities, ImageFiles
from labelwise.methods import Method
from labelwise.models import FeatureScaling

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_STEPS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "backbone_learning_rate",
    "head_start",
    "label_weights",
    "strong_view",
    "patience",
    "select",
    "accumulate",
    "precision",
    "on_epoch",
)
"""What only training steps read."""
_MEANINGS = {
    "unlisted": "every entry of the labels is listed",
    "minus_one": "no entry of the labels is -1",
    "empty": "no entry of the labels is empty",
}
"""What says which state an entry has, and where it says nothing."""


def given_parameters(model: MultiLabelClassifier) -> set[str]:
    """Return the names of the parameters whose values are not the defaults."""
    signature = inspect.signature(type(model).__init__)
    given: set[str] = set()
    for name, value in model.get_params(deep=False).items():
        default = signature.parameters[name].default
        nothing = isinstance(value, Mapping) and not value
        if value is not default and not nothing and not (type(value) is type(default) and value == default):
            given.add(name)
    return given


def unused_settings(
    model: MultiLabelClassifier,
    method: Method,
    X: Any,
    labels: Collection[Any],
    *,
    arguments: Mapping[str, Any],
    chooses: bool,
) -> tuple[str, ...]:
    """Return one sentence for each reason for which something that was given did nothing in a fit.

    Args:
        method: As it was trained.
        X: The training items, before a frozen backbone read them.
        labels: Every ``Y`` that was given, as it was.
        arguments: Arguments of ``fit`` by name, None where they were not given.
        chooses: Whether an epoch could be chosen on rows that the model did not see.
    """
    given = given_parameters(model) | {name for name, value in arguments.items() if value is not None}
    told: list[str] = []

    def say(names: Collection[str], reason: str, unused: bool) -> None:
        found = [name for name in names if name in given]
        if unused and found:
            told.append(f"not used: {', '.join(found)}, since {reason}")
            given.difference_update(found)

    spec, whole = method.spec, model.tune_ == "all"
    stages = method.plan()
    views = {view for stage in stages for group in stage.views.values() for view in group}
    closed = f"method {spec.id!r} is solved in closed form, without training steps"
    # Of a closed form, a whole network is there only where its start was asked for, and that start is all it does.
    steps = [name for name in _STEPS if spec.passes or not whole or name != "head_start"]
    say(steps, closed, not any(stage.epochs for stage in stages))
    stays = model.tune == "all" and not spec.passes and not whole
    say(("tune",), f"{closed}: the backbone stays as it was", stays)
    weightless = next(model.network_.backbone.parameters(), None) is None
    weights = "this backbone has no weights to train"
    say(("backbone_learning_rate",), weights, whole and weightless)
    # A projection before the head is trained with a whole network alone.
    alone = weightless and next(model.network_.neck.parameters(), None) is None
    say(("tune",), f"{weights}: the head alone took the whole network's start and budget", whole and alone)
    say(("backbone_learning_rate",), "the head alone is trained (tune='head')", not whole)
    say(("patience", "select"), "no rows were held out on which an epoch could be chosen", not chooses)
    say(("strong_view",), f"method {spec.id!r} asks for no strong view", "strong" not in views)
    say(("strong_view",), "it is for rows of features alone", model.scaling_ is None)
    kept = model.embedder_ is not None or isinstance(model.network_.neck, FeatureScaling)
    say(("cache",), "no frozen backbone reads these items, so there is nothing to keep", not kept)
    files = isinstance(X, ImageFiles)
    say(("image_size",), "pictures in arrays keep the size that they have", not files)
    say(("picture_cache",), "the items are no files of pictures", not files)
    say(("picture_cache",), "a frozen backbone reads every picture once (tune='head')", not whole)
    say(("on_bad_item",), "these items need no reading that could fail", Capabilities(X).scan is None)
    states = all(isinstance(Y, Annotations) for Y in labels)
    say(("unlisted", "minus_one", "empty"), "the labels are annotations, whose states are known", states)
    for name, reason in _MEANINGS.items():
        say((name,), reason, name in given and not any(_matters(model, Y, name) for Y in labels))
    asked = "prior" in spec.needs or model.rule_.name == "prior_matched"
    say(("prior",), f"neither method {spec.id!r} nor the rule ({model.rule_source_}) reads it", not asked)
    say(("true_labels",), f"method {spec.id!r} is no oracle", not method.reads_truth)
    return tuple(told)


def _matters(model: MultiLabelClassifier, Y: Any, option: str) -> bool:
    """Return whether ``Y`` would mean something else if what ``option`` speaks of were the other thing."""
    said = {name: getattr(model, name) for name in _MEANINGS}
    read = [parse(Y, **{**said, option: word}).matrix for word in ("unknown", "absent")]
    return read[0].shape != read[1].shape or bool((read[0] != read[1]).any())
