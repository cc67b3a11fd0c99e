"""A classifier's options, each checked once, and what they come to for a method, a backbone and the engine."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from torch import nn

from labelwise import engine
from labelwise._random import seed_of
from labelwise.annotations import Annotations, Summary, parse
from labelwise.classifier.record import Record, complete_rule, is_path
from labelwise.errors import UserError, listed, near, repeated, shown
from labelwise.methods import Budget, Method, get
from labelwise.models import build_backbone, preprocessing_of
from labelwise.targets import expected_prior

GOALS = ("auto", "micro-f1", "macro-f1", "shares")
"""The rules that are learnt in a fit, by name."""
_PRETRAINED_RATE = 0.1
_NO_FUNCTION = frozenset({"directory", "progress", "cache", "picture_cache", "on_bad_item"})
"""Options that change how a run goes, and not what comes out."""
_CODES = {"unlisted": None, "minus_one": "unknown", "empty": "unknown"}
_LOCAL = frozenset(
    {"backbone_weights", "picture_cache", "directory", "device", "devices", "nodes", "progress"}
)
_RESOLVED = frozenset({"method", "backbone", "hyperparameters", "tune", "head_start"})
"""Options of one machine (above), and those that a model directory holds as they were resolved."""
_NO_JSON: Any = object()

Test = Callable[[Any], bool]


def _one_of(*words: str) -> Test:
    return lambda value: isinstance(value, str) and value in words


def _whole(low: int, high: int = 2**31 - 1) -> Test:
    return lambda value: (
        isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high
    )


def _number(low: float, high: float, *, ends: bool = True) -> Test:
    def test(value: Any) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        try:
            number = float(value)
        except OverflowError:
            return False
        return low <= number <= high if ends else low < number < high

    return test


def _or_none(test: Test) -> Test:
    return lambda value: value is None or test(value)


def _is_rule(value: Any) -> bool:
    if isinstance(value, str) or (_number(-math.inf, math.inf, ends=False)(value)):
        return True
    return not isinstance(value, type) and all(hasattr(value, name) for name in ("apply", "name", "to_dict"))


def _is_validation(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return len(value) == 2
    return _one_of("auto")(value) or _number(0, 1, ends=False)(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool | np.bool_)


def _are_options(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


_ABOVE_0 = _or_none(_whole(1)), "give a whole number above 0, or None for the method's default"
_RATE = (
    _or_none(_number(0, math.inf, ends=False)),
    "give a finite number above 0, or None for the method's default",
)
_FROM_1 = _whole(1), "give a whole number from 1"
_FLAG = _is_flag, "give True or False"
_CODE = _one_of("unknown", "absent"), "give 'unknown' or 'absent'"
_PATH = _or_none(is_path), "give a path, or None"
_CHECKS: dict[str, tuple[Test, str]] = {
    "method": (_or_none(lambda v: isinstance(v, str)), "give a method's id, or None"),
    "backbone": (lambda v: isinstance(v, str | nn.Module), "give a backbone's name, or a torch module"),
    "backbone_weights": (_or_none(is_path), "give the path of a file of weights, or None"),
    "image_size": (_or_none(_whole(8, 16_384)), "give a whole number of pixels from 8 to 16384"),
    "max_length": (
        _or_none(_whole(3)),
        "give a whole number of tokens from 3, the special ones included",
    ),
    "hyperparameters": (
        _or_none(_are_options),
        "give a dict of the method's hyper-parameters by name, or None",
    ),
    "tune": (_or_none(_one_of("head", "all")), "give 'head', 'all' or None"),
    "head_start": (_or_none(_one_of("ridge", "random")), "give 'ridge', 'random' or None"),
    "epochs": _ABOVE_0,
    "batch_size": _ABOVE_0,
    "learning_rate": _RATE,
    "backbone_learning_rate": _RATE,
    "validation": (
        _or_none(_is_validation),
        "give 'auto', a fraction between 0 and 1, a pair (X, Y) or None",
    ),
    "rule": (_is_rule, f"give {listed(map(repr, GOALS))}, a threshold or a rule of labelwise.metrics"),
    "calibrate": _FLAG,
    "unlisted": (_or_none(_CODE[0]), f"{_CODE[1]}, or None"),
    "minus_one": _CODE,
    "empty": _CODE,
    "strong_view": (
        lambda v: _number(0, 1)(v) and v < 1,
        "give a share of coordinates from 0 to below 1",
    ),
    "patience": (_or_none(_FROM_1[0]), "give a whole number from 1, or None"),
    "select": (_one_of("last", "best"), "give 'last' or 'best'"),
    "on_bad_item": (_one_of("stop", "skip"), "give 'stop' or 'skip'"),
    "cache": _FLAG,
    "picture_cache": _PATH,
    "accumulate": _FROM_1,
    "device": (lambda v: isinstance(v, str), "give 'auto', 'cpu', 'cuda' or 'mps'"),
    "devices": _FROM_1,
    "nodes": _FROM_1,
    "precision": (_one_of("32", "bf16", "16"), "give '32', 'bf16' or '16'"),
    "random_state": (
        _or_none(_whole(0, 2**32 - 1)),
        "give a whole number from 0 to 2**32 - 1, or None for 0; a generator of random numbers is none",
    ),
    "directory": _PATH,
    "progress": _FLAG,
}
"""Of each option, a test and what to give; those that depend on the labels are resolved below."""


@dataclass(frozen=True, eq=False)
class FitOptions:
    """All that the constructor of a classifier says, as ``MultiLabelClassifier`` describes it.

    ``checked`` refuses values of another kind or out of range. What an option comes to is told by the properties and
    methods, which need nothing but the options and, some of them, the method or the labels.
    """

    method: str | None = None
    backbone: str | nn.Module = "features"
    backbone_weights: str | Path | None = None
    image_size: int | None = None
    max_length: int | None = None
    hyperparameters: Mapping[str, Any] | None = None
    tune: str | None = None
    head_start: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    backbone_learning_rate: float | None = None
    validation: Any = "auto"
    rule: Any = "auto"
    calibrate: bool = True
    prior: Any = None
    unlisted: str | None = None
    minus_one: str = "unknown"
    empty: str = "unknown"
    label_weights: Any = None
    strong_view: float = 0.2
    patience: int | None = None
    select: str = "last"
    on_bad_item: str = "stop"
    cache: bool = True
    picture_cache: str | Path | None = None
    accumulate: int = 1
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32"
    random_state: int | None = 0
    directory: str | Path | None = None
    progress: bool = False

    def checked(self) -> Self:
        """Return these options, or raise ``UserError`` for one that is of another kind or out of range."""
        for name, (test, words) in _CHECKS.items():
            value = getattr(self, name)
            if not test(value):
                raise UserError(f"{name}={shown(value)}: {words}")
        check_goal(self.rule)
        if self.head_start == "ridge" and self.method is not None and not get(self.method).spec.ridge_start:
            raise UserError(
                f"head_start='ridge': method {self.method!r} has a head of its own, which starts at random:"
                " leave it out"
            )
        return self

    def values(self) -> dict[str, Any]:
        """Return the options by name, as they were given."""
        return {option.name: getattr(self, option.name) for option in fields(self)}

    @property
    def given(self) -> set[str]:
        """The names of the options whose values are not the defaults."""
        found: set[str] = set()
        for option in fields(self):
            value, default = getattr(self, option.name), option.default
            nothing = isinstance(value, Mapping) and not value
            if (
                value is not default
                and not nothing
                and not (type(value) is type(default) and value == default)
            ):
                found.add(option.name)
        return found

    @property
    def seed(self) -> int:
        """The seed of every choice."""
        return seed_of(self.random_state)

    @property
    def backbone_name(self) -> str:
        """What the backbone is called: its name, or the class of a module."""
        return self.backbone if isinstance(self.backbone, str) else type(self.backbone).__name__

    @cached_property
    def pretrained(self) -> bool:
        """Whether the backbone has a way of its own to prepare pictures or texts."""
        return preprocessing_of(self.backbone) is not None

    @cached_property
    def tuning(self) -> Literal["head", "all"]:
        """What is trained: as given, else the head alone where the features are fixed or pretrained.

        The head alone too where the method is a closed form, which moves no backbone, unless the start of a whole
        network is what was asked for.
        """
        started = self.tune == "all" and self.head_start == "ridge"
        if self.method is not None and not get(self.method).spec.passes and not started:
            return "head"
        if self.tune is not None:
            return "all" if self.tune == "all" else "head"
        return "head" if self.backbone == "features" or self.pretrained else "all"

    @property
    def start(self) -> Literal["ridge", "random"]:
        """What the head starts from where the method leaves the choice."""
        closed = self.tuning == "head" or self.pretrained
        return "ridge" if self.head_start == "ridge" or (self.head_start is None and closed) else "random"

    def budget(self, method: type[Method]) -> Budget:
        """Return the method's default budget for the way it tunes, with what was given instead."""
        default = method.spec.head_budget if self.tuning == "head" else method.spec.full_budget
        given = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate}
        # NumPy's numbers would not go into a model directory.
        changes: dict[str, Any] = {
            name: float(value) if name == "learning_rate" else int(value)
            for name, value in given.items()
            if value is not None
        }
        budget = replace(default, **changes)
        if self.backbone_learning_rate is not None:
            return replace(budget, backbone_rate=float(self.backbone_learning_rate) / budget.learning_rate)
        return replace(budget, backbone_rate=_PRETRAINED_RATE if self.pretrained else 1.0)

    def new_backbone(self, shape: Sequence[int], **rebuilt: Any) -> nn.Module:
        """Return a new backbone for items of ``shape``; ``rebuilt`` says what a model directory knows of it."""
        if isinstance(self.backbone, nn.Module):
            return build_backbone(copy.deepcopy(self.backbone), shape, weights=self.backbone_weights)
        return build_backbone(self.backbone, shape, weights=self.backbone_weights, **rebuilt)

    def labels(self, Y: Any, label_names: Sequence[str] | None) -> Annotations:
        """Return ``Y`` as annotations of these labels, by name where it has names."""
        return parse(
            Y, label_names=label_names, unlisted=self.unlisted, minus_one=self.minus_one, empty=self.empty
        )

    def settings(self, part: str, *, chooses: bool) -> engine.Settings:
        """Return how the engine carries out the run ``part``; ``chooses`` whether an epoch can be chosen in it."""
        return engine.Settings(
            seed=self.seed,
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            precision=self.precision,
            accumulate=self.accumulate,
            patience=self.patience if chooses else None,
            keep_best=self.select == "best" and chooses,
            directory=None if self.directory is None else Path(self.directory) / part,
        )

    def bar(self, title: str) -> AbstractContextManager[engine.RichProgress | None]:
        """Return a progress bar of that title, or none where none was asked for."""
        return engine.RichProgress(title) if self.progress else nullcontext()

    @property
    def identity(self) -> dict[str, Any]:
        """The options that a run is a function of."""
        # Options of later versions at their defaults leave the fingerprints of earlier ones as they were.
        return {
            name: value
            for name, value in self.values().items()
            if name not in _NO_FUNCTION and (name not in _CODES or value != _CODES[name])
        }

    def record(self) -> dict[str, Any]:
        """Return what a model directory keeps of the options: what JSON can hold and means the same elsewhere."""
        values = {name: value for name, value in self.values().items() if name not in _LOCAL | _RESOLVED}
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
        """Return the options of a model directory, of which prediction reads few: they are not checked here."""
        config, known = record.config, {option.name for option in fields(cls)} - _LOCAL - _RESOLVED
        values = {name: value for name, value in (config.get("parameters") or {}).items() if name in known}
        if isinstance(values.get("rule"), Mapping):
            values["rule"] = record.read("rule", complete_rule, values)
        resolved = {name: config[name] for name in _RESOLVED}
        if record.backbone is not None:
            resolved["backbone"] = record.backbone
        seeds = {"strong_view": config["strong_view"], "random_state": config["seed"]}
        return cls(**{**seeds, **resolved, **values})


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


def resolve_prior(prior: Any, summary: Summary) -> np.ndarray | None:
    """Return the (K,) share of positives of each label: the given one, the identified one, or None.

    Shares with names, in a mapping or a Series, are matched by them. One number is a cardinality, spread over the
    labels as their known positives are.
    """
    identified = summary.priors()
    prior = _by_name("prior", prior, summary.label_names)
    if isinstance(prior, str | bytes | bool | set | frozenset):
        raise UserError(f"prior={shown(prior)}: give {summary.n_labels} shares, or one cardinality")
    if prior is None:
        return None if identified is None else np.nan_to_num(identified, nan=0.0)
    try:
        values: np.ndarray = np.asarray(prior, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        raise UserError(f"prior={shown(prior)}: give {summary.n_labels} shares, or one cardinality") from None
    if values.ndim == 0:
        if not 0 < values <= summary.n_labels:
            raise UserError(
                f"prior={shown(prior)} labels an item: give a number above 0 and at most {summary.n_labels}, the labels"
                " there are"
            )
        if identified is None:
            return expected_prior(summary.positives, float(values), summary.n_items)
        shares = np.nan_to_num(identified, nan=0.0)
        return np.asarray(np.clip(shares * float(values) / max(shares.sum(), 1e-12), 0.0, 1.0))
    if values.shape != (summary.n_labels,):
        raise UserError(f"prior has shape {values.shape}: give {summary.n_labels} shares, or one cardinality")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        name = summary.label_names[bad[0]]
        raise UserError(f"prior of label {name!r} is {values[bad[0]]}: give a share in [0, 1]")
    return values


def named(given: Any) -> Any:
    """Return a pandas Series that names its values as a dict of them; anything else as it is."""
    if type(given).__module__.partition(".")[0] != "pandas" or getattr(given, "ndim", 0) != 1:
        return given
    names = list(getattr(given, "index", [0]))
    if not all(isinstance(name, str) for name in names):
        return given
    if twice := repeated(names):
        raise UserError(f"a Series names label {shown(twice[0])} twice: give one number for each label")
    return dict(zip(names, given, strict=True))


def _by_name(parameter: str, given: Any, label_names: Sequence[str], unnamed: float | None = None) -> Any:
    """Return values with names as a list in the order of the labels; anything else as it is.

    Args:
        unnamed: The value of a label that is not named; None refuses it.
    """
    given = named(given)
    if not isinstance(given, Mapping):
        return given
    for name in given:
        if name not in label_names:
            raise UserError(f"{parameter} names no label {shown(name)}: {near(str(name), label_names)}")
    missing = [name for name in label_names if name not in given]
    if missing and unnamed is None:
        raise UserError(
            f"{parameter} has no number for {listed(map(repr, missing))}: give one for every label"
        )
    return [given.get(name, unnamed) for name in label_names]


def label_weights(given: Any, summary: Summary) -> np.ndarray | None:
    """Return (K,) weights of the labels' known positives, 1 for one that is not named.

    "balanced" is the number of a label's other entries (known negatives, or where none is known, all others) over
    that of its known positives, between 1 and 100.
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given != "balanced":
            raise UserError(
                f"label_weights={shown(given)}: {near(given, ['balanced'])} Or give one weight a label"
            )
        others = summary.negatives if summary.negatives_known else summary.n_items - summary.positives
        weights = np.clip(others / np.maximum(summary.positives, 1), 1.0, 100.0)
    if not isinstance(given, str):
        given = _by_name("label_weights", given, summary.label_names, unnamed=1.0)
        try:
            weights = np.array(given, dtype=np.float64)
        except Exception:  # an object's own __array__ may raise anything
            raise UserError(
                f"label_weights={shown(given)}: give 'balanced', {summary.n_labels} numbers, or numbers by label"
            ) from None
    if weights.shape != (summary.n_labels,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise UserError(f"label_weights must be {summary.n_labels} finite numbers of at least 0")
    return np.asarray(weights)


def _as_json(value: Any) -> Any:
    """Return ``value`` as JSON holds it, and ``_NO_JSON`` where it cannot."""
    value = named(value)
    # Arrays of every library have it: of NumPy, torch, pandas.
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, Mapping):
        value = {str(name): _as_json(inner) for name, inner in value.items()}
        return _NO_JSON if _NO_JSON in value.values() else value
    if isinstance(value, list | tuple):
        value = [_as_json(inner) for inner in value]
        return _NO_JSON if any(inner is _NO_JSON for inner in value) else value
    return value if value is None or isinstance(value, bool | int | float | str) else _NO_JSON
