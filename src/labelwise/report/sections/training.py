"""Training: method, settings, hyper-parameters, notes and learning curves."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from markupsafe import Markup

from labelwise import plots
from labelwise._random import seed_of
from labelwise.classifier.fitted import FittedModel
from labelwise.models import BlockScaling, Scaling
from labelwise.report import formats
from labelwise.report.section import Section, Subject

_BUDGET = ("epochs", "batch_size", "learning_rate")
_PACKAGES = ("labelwise", "torch", "numpy", "scikit-learn")
_CURVES = {"loss": "training loss", "validation": "validation score", "vdfd": "VDFD, degrees²"}


@dataclass(frozen=True)
class Training:
    """A model's method, settings, notes and cost of training."""

    method: str
    """The method's id."""
    title: str = ""
    paper: str = ""
    assumption: str = ""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)
    """The meaning of each hyper-parameter, by its name."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Everything else that was set: budget, scaling, backbone, seed."""
    notes: Sequence[str] = ()
    """Sentences on what was assumed or departed from."""
    seconds: float | None = None
    memory: int | None = None
    """The most memory that the process has held at a time, in bytes."""
    versions: Mapping[str, str] = field(default_factory=dict)
    configuration: Mapping[str, Any] = field(default_factory=dict)
    """The run's configuration, as it was given."""


def gather(subject: Subject) -> dict[str, Any]:
    """Return the training of a classifier, and the records of its epochs."""
    model = subject.model
    spec = model.fitted_.method.spec
    unclear = subject.summary["not_identified"]
    settings: dict[str, Any] = {
        "backbone": model.backbone if isinstance(model.backbone, str) else type(model.backbone).__name__,
        "trained": _trained_weights(model.fitted_, model.tune_),
        **{name.replace("_", " "): model.budget_[name] for name in _BUDGET if spec.passes or model.history_},
        "input scaling": _scaling(model.fitted_.scaling),
        "calibration": "none" if model.calibration_ is None else "Platt, per label",
        "seed": seed_of(model.random_state),
    }
    training = Training(
        method=spec.id,
        title=spec.title,
        paper=spec.paper,
        assumption=spec.assumption,
        hyperparameters={name: model.hyperparameters_[name] for name in spec.hyperparameters},
        help={name: parameter.help for name, parameter in spec.hyperparameters.items()},
        settings={name: value for name, value in settings.items() if value is not None},
        # What the labels cannot tell stands in the section on labels.
        notes=tuple(note for note in model.notes_ if note not in unclear),
        seconds=float(model.seconds_),
        memory=subject.memory,
        versions=_versions(),
        configuration=subject.configuration or {},
    )
    return {"training": training, "history": model.history_}


def _scaling(scaling: Scaling | None) -> str | None:
    """Return the kind of the scaling, for each block with its weight."""
    if not isinstance(scaling, BlockScaling):
        return None if scaling is None else scaling.kind
    blocks = zip(scaling.names, scaling.parts, scaling.weights, strict=True)
    return ", ".join(f"{name}: {part.kind}, weight {weight:.2f}" for name, part, weight in blocks)


def _trained_weights(fitted: FittedModel, tune: str) -> str:
    """Return in words which weights the training moved."""
    if not (fitted.method.spec.passes or fitted.history):
        return "the head alone, solved in closed form on features that stay as they were"
    if tune == "all" and next(fitted.network.backbone.parameters(), None) is not None:
        return "the whole network"
    projects = next(fitted.network.neck.parameters(), None) is not None
    return "the projection of the features and the head" if projects else "the head alone"


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def show(training: Training | None, history: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the facts on training, and the learning curves."""
    curves = _learning_curves(history)
    if training is None:
        empty: dict[str, Any] = {"about": [], "hyperparameters": [], "configuration": [], "notes": []}
        return {**empty, "drawn": curves} if curves else None
    facts = [
        ("Method", f"{training.title} ({training.method})" if training.title else training.method),
        ("Source", training.paper),
        ("Assumes that", training.assumption),
        ("Time", "" if training.seconds is None else formats.duration(training.seconds)),
        ("Memory", "" if training.memory is None else f"{_size(training.memory)} at most"),
        *((name.capitalize(), _chosen(value)) for name, value in training.settings.items()),
        ("Versions", ", ".join(f"{name} {number}" for name, number in training.versions.items())),
    ]
    return {
        "about": [(title, text) for title, text in facts if text],
        "drawn": curves,
        "hyperparameters": [
            (name, _chosen(value), training.help.get(name, ""))
            for name, value in training.hyperparameters.items()
        ],
        "configuration": [(name, _in_words(value)) for name, value in training.configuration.items()],
        "notes": [formats.sentence(note) for note in training.notes],
    }


def _size(n_bytes: int) -> str:
    mebi = n_bytes / 2**20
    return f"{mebi:.0f} MiB" if mebi < 1000 else f"{mebi / 1024:.1f} GiB"


def _chosen(value: Any) -> str:
    """Return a setting's value in words."""
    if value is None:
        return "chosen from the data"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("_", " ")


def _in_words(value: Any) -> str:
    """Return a setting as it was given.

    Names stay whole, lists are joined.
    """
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_in_words(inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return formats.join_names([_in_words(inner) for inner in value]) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "not given" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _learning_curves(history: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return curves of loss, validation score and VDFD over the epochs.

    A quantity that no epoch recorded has none.
    """
    curves = []
    for key, label in _CURVES.items():
        stages = _stages(history, key)
        values = [value for part in stages.values() for value in part]
        if not values or all(math.isnan(value) for value in values):
            continue
        # The first of equally good epochs, as training takes it.
        mark = int(np.nanargmax(values)) + 1 if key == "validation" else None
        balanced = _stages(history, "vdfd_balanced") if key == "vdfd" else {}
        beside = balanced if any(not math.isnan(v) for part in balanced.values() for v in part) else None
        figure = plots.learning_curve(
            stages, label=label, mark=mark, beside=beside, titles=("as they are", "after balancing")
        )
        first, last = (f"{v:.4g}" for v in (values[0], values[-1]))
        description = f"Curve: {label} over {len(values)} epochs, from {first} to {last}."
        if beside is not None:
            description += f" After balancing it ends at {list(beside.values())[-1][-1]:.4g}."
        curves.append(Markup(plots.as_svg(figure, description, name=f"curve-{key}")))
    return curves


def _stages(history: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[float]]:
    """Return a value's course in each stage, NaN where there is none.

    Squared radians become squared degrees.
    """
    factor = math.degrees(1) ** 2 if key.startswith("vdfd") else 1.0
    stages: dict[str, list[float]] = {}
    for record in history:
        value = record.get(key)
        stages.setdefault(str(record.get("stage", "")), []).append(
            math.nan if value is None else factor * float(value)
        )
    return stages


TRAINING = Section("training", "Training", ("training", "history"), show, gather)
