"""Options of a classifier: defaults, checks, and settings that follow from them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin, get_type_hints

import numpy as np
from torch import nn

from labelwise import engine
from labelwise._random import seed_of
from labelwise.annotations import Annotations, Hierarchy, parse
from labelwise.classifier.preprocessing import check_sources, kind_of, with_image_size, with_max_length
from labelwise.classifier.record import Record, complete_rule, is_path
from labelwise.classifier.values import integer, is_a, number, one_of, or_none
from labelwise.errors import UserError, listed, near, repeated, shown
from labelwise.methods import Budget, Method, get
from labelwise.models import (
    SOURCES,
    Preprocessing,
    build_backbone,
    preprocessing_of,
    split_names,
)

GOALS = ("auto", "micro-f1", "macro-f1", "shares", "recall")
"""Names of the rules that a fit learns."""
CODES = ("unknown", "absent")
"""States that an entry which says nothing may have."""
_PRETRAINED_RATE = 0.1
_NOT_IN_FINGERPRINT = frozenset(
    {"directory", "memory", "progress", "cache", "picture_cache", "on_bad_item", "compile"}
)
"""Options that change how a run goes, and nothing of what it gives."""
_ADDED_LATER: dict[str, Any] = {
    "unlisted": None,
    "minus_one": "unknown",
    "empty": "unknown",
    "label_texts": None,
    "recall": 0.9,
    "hierarchy": None,
    "coherent_loss": False,
    "group_consistency": 0.0,
    "positive_boost": None,
}
_LOCAL = frozenset(
    [
        "backbone_weights",
        "picture_cache",
        "directory",
        "memory",
        "device",
        "devices",
        "nodes",
        "progress",
        "compile",
    ]
)
_WHERE_GIVEN = frozenset(
    {"label_texts", "recall", "hierarchy", "coherent_loss", "group_consistency", "positive_boost"}
)
_RESOLVED = frozenset({"method", "backbone", "hyperparameters", "tune", "head_start"})
"""Options of one machine, those that a model directory holds where they were given, and those that it holds as
resolved."""
_NO_JSON: Any = object()


def _is_rule(value: Any) -> bool:
    if isinstance(value, str) or (number(-math.inf, math.inf, ends=False)(value)):
        return True
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("apply", "name", "to_dict"))


def _is_validation(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return len(value) == 2
    return one_of("auto")(value) or number(0, 1, ends=False)(value)


def _are_hyperparameters(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


_AboveZero = Annotated[
    int | None, or_none(integer(1)), "give a whole number above 0, or None for the method's default"
]
_Rate = Annotated[
    float | None,
    or_none(number(0, math.inf, ends=False)),
    "give a finite number above 0, or None for the method's default",
]
_FromOne = Annotated[int, integer(1), "give a whole number from 1"]
_Flag = Annotated[bool, is_a(bool, np.bool_), "give True or False"]
_Code = Annotated[str, one_of(*CODES), "give 'unknown' or 'absent'"]
_Folder = Annotated[str | Path | None, or_none(is_path), "give a path, or None"]


@dataclass(frozen=True, eq=False)
class FitOptions:
    """The options of a classifier, as ``MultiLabelClassifier`` describes them.

    Beside the type of an option stand its test and what to give instead, for ``checked``. ``prior`` and
    ``label_weights`` have none: they are checked against the labels. Whatever follows from the options alone, or from
    them and the method, is a property or a method here.
    """

    method: Annotated[str | None, or_none(is_a(str)), "give a method's id, or None"] = None
    backbone: Annotated[
        str | Sequence[str] | nn.Module,
        is_a(str, nn.Module),
        "give a backbone's name, names side by side ('minilm+words', or a list), or a torch module",
    ] = "features"
    backbone_weights: Annotated[
        str | Path | None, or_none(is_path), "give the path of a file of weights, or None"
    ] = None
    image_size: Annotated[
        int | None, or_none(integer(8, 16_384)), "give a whole number of pixels from 8 to 16384"
    ] = None
    max_length: Annotated[
        int | None, or_none(integer(3)), "give a whole number of tokens from 3, the special ones included"
    ] = None
    hyperparameters: Annotated[
        Mapping[str, Any] | None,
        or_none(_are_hyperparameters),
        "give a dict of the method's hyper-parameters by name, or None",
    ] = None
    tune: Annotated[str | None, or_none(one_of("head", "all")), "give 'head', 'all' or None"] = None
    head_start: Annotated[
        str | None, or_none(one_of("ridge", "random")), "give 'ridge', 'random' or None"
    ] = None
    epochs: _AboveZero = None
    batch_size: _AboveZero = None
    learning_rate: _Rate = None
    backbone_learning_rate: _Rate = None
    validation: Annotated[
        Any, or_none(_is_validation), "give 'auto', a fraction between 0 and 1, a pair (X, Y) or None"
    ] = "auto"
    rule: Annotated[
        Any, _is_rule, f"give {listed(map(repr, GOALS))}, a threshold or a rule of labelwise.metrics"
    ] = "auto"
    calibrate: _Flag = True
    prior: Any = None
    unlisted: Annotated[str | None, or_none(one_of(*CODES)), "give 'unknown' or 'absent', or None"] = None
    minus_one: _Code = "unknown"
    empty: _Code = "unknown"
    label_weights: Any = None
    strong_view: Annotated[
        float, number(0, math.nextafter(1, 0)), "give a share of coordinates from 0 to below 1"
    ] = 0.2
    patience: Annotated[int | None, or_none(integer(1)), "give a whole number from 1, or None"] = None
    select: Annotated[str, one_of("last", "best"), "give 'last' or 'best'"] = "last"
    on_bad_item: Annotated[str, one_of("stop", "skip"), "give 'stop' or 'skip'"] = "stop"
    cache: _Flag = True
    picture_cache: _Folder = None
    accumulate: _FromOne = 1
    device: Annotated[str, is_a(str), "give 'auto', 'cpu', 'cuda' or 'mps'"] = "auto"
    devices: _FromOne = 1
    nodes: _FromOne = 1
    precision: Annotated[str, one_of("32", "bf16", "16"), "give '32', 'bf16' or '16'"] = "32"
    random_state: Annotated[
        int | None,
        or_none(integer(0, 2**32 - 1)),
        "give a whole number from 0 to 2**32 - 1, or None for 0; a generator of random numbers is none",
    ] = 0
    directory: _Folder = None
    memory: Annotated[
        float | None,
        or_none(number(0, math.inf, ends=False)),
        "give a finite number of gigabytes above 0, or None for 4",
    ] = None
    progress: _Flag = False
    label_texts: Annotated[
        Mapping[str, Any] | None,
        or_none(is_a(Mapping)),
        "give a dict from label names to texts, or None for the names themselves",
    ] = None
    recall: Annotated[float, number(0, 1, ends=False), "give a share above 0 and below 1, such as 0.9"] = 0.9
    hierarchy: Annotated[
        Mapping[str, Any] | None,
        or_none(is_a(Mapping)),
        "give a dict from each child to its parent, or to a list of parents, or None",
    ] = None
    coherent_loss: _Flag = False
    group_consistency: Annotated[float, number(0, 1e6), "give a number of at least 0; 0 leaves it out"] = 0.0
    positive_boost: Annotated[
        float | None, or_none(number(1, 1e6)), "give a number from 1, such as 5, or None for no boost"
    ] = None
    compile: _Flag = False

    def __post_init__(self) -> None:
        names = self.backbone
        if isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names):
            # One form, so that runs and models do not depend on how it was written.
            object.__setattr__(self, "backbone", "+".join(names))

    def checked(self) -> Self:
        """Return these options, or refuse the first value that is not allowed."""
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if get_origin(kind) is Annotated and not kind.__metadata__[0](value):
                raise UserError(f"{name}={shown(value)}: {kind.__metadata__[1]}")
        check_goal(self.rule)
        if self.sources:
            self._check_sources()
        spec = None if self.method is None else get(self.method).spec
        if self.head_start == "ridge" and spec and not spec.can_start_from_ridge(self.tuning):
            raise UserError(
                f"head_start='ridge': method {self.method!r} has a head of its own, which starts at random:"
                " leave it out"
            )
        blank = self.tuning == "all" and self.preprocessing is None and self.head_start != "ridge"
        if spec and spec.teaches and blank:
            raise UserError(
                f"tune='all' with method {self.method!r} learns from the features of a pretrained backbone first, and"
                f" {self.backbone_name!r} starts at random: name a pretrained one, say head_start='ridge' of a network"
                " that you trained before, or leave tune out"
            )
        return self

    def values(self) -> dict[str, Any]:
        """Return the options by name, as they were given."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    @property
    def given(self) -> set[str]:
        """The names of the options whose values are not the defaults."""
        return {
            option.name for option in fields(self) if not _same(getattr(self, option.name), option.default)
        }

    @property
    def seed(self) -> int:
        """The seed of every choice."""
        return seed_of(self.random_state)

    @property
    def backbone_name(self) -> str:
        """Name of the backbone; of a module, its class."""
        return self.backbone if isinstance(self.backbone, str) else type(self.backbone).__name__

    @cached_property
    def sources(self) -> tuple[str, ...]:
        """The names of several sources of features, or of words alone.

        None for one backbone.
        """
        names = split_names(self.backbone) if isinstance(self.backbone, str) else ()
        return names if len(names) > 1 or set(names) & set(SOURCES) else ()

    def _check_sources(self) -> None:
        """Refuse sources that cannot stand side by side, and options that go with one backbone."""
        named = f"backbone {self.backbone!r}"
        networks = check_sources(str(self.backbone), self.sources, self.preprocessing_of)
        if self.tune == "all":
            raise UserError(
                f"tune='all' trains one backbone, and {named} is several sources of fixed features: leave tune out, or"
                " name one backbone"
            )
        if self.backbone_weights is not None and networks != 1:
            raise UserError(
                f"backbone_weights is one file, and {named} has {networks} backbones with weights: leave it out"
            )
        if not networks:
            with_image_size(None, self.image_size)
            with_max_length("words", None, self.max_length)

    @property
    def kind(self) -> str | None:
        """Kind of items that the backbone reads: "text", "image" or None for numbers."""
        networks = [name for name in self.sources if name not in SOURCES]
        if self.sources:
            return kind_of(self.preprocessing_of(networks[0])) if networks else "text"
        return kind_of(self.preprocessing)

    @cached_property
    def preprocessing(self) -> Preprocessing | None:
        """The backbone's preprocessing, with the size that was asked for.

        None for arrays, and for several sources, each of which has its own.
        """
        return None if self.sources else self.preprocessing_of(self.backbone)

    def preprocessing_of(self, backbone: Any) -> Preprocessing | None:
        """Return the preprocessing of one backbone, as asked for."""
        preprocessing = with_image_size(preprocessing_of(backbone), self.image_size)
        return with_max_length(backbone, preprocessing, self.max_length)

    @property
    def takes_entries(self) -> bool:
        """Whether something asks for a loss that takes entries one by one."""
        return self.accumulate > 1 or self.coherent_loss or self.positive_boost is not None

    @cached_property
    def tuning(self) -> Literal["head", "all"]:
        """Part that is trained: the head alone, or all.

        As given, else the head alone where the features are fixed or pretrained. The head alone too where the method
        is a closed form, which moves no backbone, unless the start of a whole network is what was asked for, or the
        closed form teaches networks.
        """
        if self.sources:
            return "head"
        if self.method is not None and not (spec := get(self.method).spec).passes:
            teaches = spec.teaches and self.backbone != "features"
            if not (self.tune == "all" and (self.head_start == "ridge" or teaches)):
                return "head"
        if self.tune is not None:
            return "all" if self.tune == "all" else "head"
        return "head" if self.backbone == "features" or self.preprocessing else "all"

    @property
    def start(self) -> Literal["ridge", "random"]:
        """Start of the head where the method leaves the choice."""
        # A start on pooled features is none for a head that boosts at the places of a map.
        closed = self.tuning == "head" or (self.preprocessing is not None and self.positive_boost is None)
        return "ridge" if self.head_start == "ridge" or (self.head_start is None and closed) else "random"

    def budget(self, method: type[Method]) -> Budget:
        """Return the method's default budget, changed as given."""
        default = method.spec.head_budget if self.tuning == "head" else method.spec.full_budget
        kinds = {"epochs": int, "batch_size": int, "learning_rate": float}
        chosen = {name: getattr(self, name) for name in kinds}
        # NumPy's numbers would not go into a model directory.
        changes: dict[str, Any] = {name: kinds[name](v) for name, v in chosen.items() if v is not None}
        budget = replace(default, **changes)
        if self.backbone_learning_rate is not None:
            return replace(budget, backbone_rate=float(self.backbone_learning_rate) / budget.learning_rate)
        return replace(budget, backbone_rate=_PRETRAINED_RATE if self.preprocessing else 1.0)

    def new_backbone(self, shape: Sequence[int], **rebuilt: Any) -> nn.Module:
        """Return a new backbone for items of ``shape``.

        ``rebuilt`` are options that a model directory knows.
        """
        if isinstance(self.backbone, nn.Module):
            return build_backbone(copy.deepcopy(self.backbone), shape, weights=self.backbone_weights)
        return build_backbone(str(self.backbone), shape, weights=self.backbone_weights, **rebuilt)

    def annotations(self, Y: Any, label_names: Sequence[str] | None) -> Annotations:
        """Return ``Y`` as annotations of these labels, matched by name.

        A hierarchy fills what follows from the known entries.
        """
        labels = parse(
            Y, label_names=label_names, unlisted=self.unlisted, minus_one=self.minus_one, empty=self.empty
        )
        hierarchy = self.hierarchy_of(labels.label_names)
        return labels if hierarchy is None else hierarchy.closed(labels)

    def hierarchy_of(self, label_names: Sequence[str]) -> Hierarchy | None:
        """Return the hierarchy over these labels, None without one."""
        return Hierarchy.of(self.hierarchy, label_names) if self.hierarchy else None

    def settings(self, part: str, *, chooses: bool) -> engine.Settings:
        """Return the engine's settings for the run named ``part``.

        ``chooses`` says whether held-out rows can choose its epoch.
        """
        return engine.Settings(
            seed=self.seed,
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            precision=self.precision,
            compile=bool(self.compile),
            accumulate=self.accumulate,
            patience=self.patience if chooses else None,
            keep_best=self.select == "best" and chooses,
            directory=None if self.directory is None else Path(self.directory) / part,
            memory=engine.Settings.memory if self.memory is None else int(float(self.memory) * 2**30),
        )

    def bar(self, title: str) -> AbstractContextManager[engine.Progress | None]:
        """Return a progress bar, or None if none was asked for."""
        return engine.shown_progress(title) if self.progress else nullcontext()

    @property
    def identity(self) -> dict[str, Any]:
        """The options that a run is a function of."""
        # An option that came later is left out at its default, so that runs begun before it can be resumed.
        identity: dict[str, Any] = {
            name: value
            for name, value in self.values().items()
            if name not in _NOT_IN_FINGERPRINT and (name not in _ADDED_LATER or value != _ADDED_LATER[name])
        }
        # As of one process, whose batches several share: a run may go on with another number of them.
        identity |= {"devices": 1, "nodes": 1}
        if self.method is None and self.tuning == "head":
            # What no name means there has changed: a run of before must not go on as another method.
            identity["default"] = 2
        return identity

    def record(self) -> dict[str, Any]:
        """Return the options' entries for a model directory.

        Left out is what JSON cannot hold, and what means nothing on another machine.
        """
        left_out = _LOCAL | _RESOLVED | (_WHERE_GIVEN - self.given)
        values = {name: value for name, value in self.values().items() if name not in left_out}
        if hasattr(self.rule, "to_dict"):
            values["rule"] = self.rule.to_dict()
        if isinstance(self.validation, tuple | list):
            # Those are items of somebody's, and many.
            del values["validation"]
        plain = {name: _as_json(value) for name, value in values.items()}
        return {
            "backbone": self.backbone if isinstance(self.backbone, str) else "module",
            "parameters": {name: value for name, value in plain.items() if value is not _NO_JSON},
            "seed": self.seed,
            "strong_view": float(self.strong_view),
        }

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the options of a model directory, not checked.

        Prediction reads few of them; a fit checks all.
        """
        config, known = record.config, {option.name for option in fields(cls)} - _LOCAL - _RESOLVED
        values = {name: value for name, value in (config.get("parameters") or {}).items() if name in known}
        if isinstance(values.get("rule"), Mapping):
            values["rule"] = record.read("rule", complete_rule, values)
        resolved = {name: config[name] for name in _RESOLVED}
        if record.backbone is not None:
            resolved["backbone"] = record.backbone
        seeds = {"strong_view": config["strong_view"], "random_state": config["seed"]}
        return cls(**{**seeds, **resolved, **values})


_KINDS = get_type_hints(FitOptions, include_extras=True)


def check_goal(rule: Any) -> None:
    """Refuse the name of a rule that does not exist."""
    if isinstance(rule, str) and rule not in GOALS:
        raise UserError(
            f"rule={shown(rule)}: give a threshold, a rule of labelwise.metrics or a name; {near(rule, GOALS)}"
        )


def check_functions(**calls: Any) -> None:
    """Refuse an argument that should be called and cannot be."""
    for name, call in calls.items():
        if call is not None and not callable(call):
            raise UserError(f"{name}={shown(call)}: give a function, or None")


def _same(value: Any, default: Any) -> bool:
    """Return whether a value says as much as the default."""
    if value is default or (isinstance(value, Mapping) and not value):
        return True
    # The type first: True equals 1, and an array compares by element.
    return type(value) is type(default) and bool(value == default)


def series_as_dict(given: Any) -> Any:
    """Return a pandas Series with names as a dict, else the value."""
    if type(given).__module__.partition(".")[0] != "pandas" or getattr(given, "ndim", 0) != 1:
        return given
    names = list(getattr(given, "index", [0]))
    if not all(isinstance(name, str) for name in names):
        return given
    if doubles := repeated(names):
        raise UserError(f"a Series names label {shown(doubles[0])} twice: give one number for each label")
    return dict(zip(names, given, strict=True))


def _as_json(value: Any) -> Any:
    """Return ``value`` as JSON holds it, and ``_NO_JSON`` where it cannot."""
    value = series_as_dict(value)
    # Arrays of every library have it: of NumPy, torch, pandas.
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        value = {str(name): _as_json(inner) for name, inner in value.items()}
        return _NO_JSON if _NO_JSON in value.values() else value
    if isinstance(value, list | tuple):
        value = [_as_json(inner) for inner in value]
        return _NO_JSON if any(inner is _NO_JSON for inner in value) else value
    return value if value is None or isinstance(value, bool | int | float | str) else _NO_JSON
