"""What the classifier's parameters mean once the labels are known; those that mean nothing are refused."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import nn

from labelwise.annotations import Summary
from labelwise.errors import UserError, listed, near, repeated, shown
from labelwise.methods import Budget, Method, get
from labelwise.models import preprocessing_of
from labelwise.targets import expected_prior

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

GOALS = ("auto", "micro-f1", "macro-f1", "shares")
"""The rules that are learnt in a fit, by name."""
_PRETRAINED_RATE = 0.1


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


def is_path(value: Any) -> bool:
    """Return whether a value is a path that a file system could have."""
    if not isinstance(value, str | os.PathLike):
        return False
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path:
        return False
    return all(len(part.encode(errors="replace")) < 256 for part in path.split(os.sep))


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
"""What a parameter may be before anything is read; those that depend on the labels are resolved below."""


def check_goal(rule: Any) -> None:
    """Refuse the name of a rule that does not exist."""
    if isinstance(rule, str) and rule not in GOALS:
        raise UserError(
            f"rule={shown(rule)}: give a threshold, a rule of labelwise.metrics or a name; {near(rule, GOALS)}"
        )


def check_parameters(model: MultiLabelClassifier) -> None:
    """Refuse parameters that are of another kind or out of range, before anything is read."""
    for name, (test, words) in _CHECKS.items():
        value = getattr(model, name)
        if not test(value):
            raise UserError(f"{name}={shown(value)}: {words}")
    check_goal(model.rule)
    if model.head_start == "ridge" and model.method is not None and not get(model.method).spec.ridge_start:
        raise UserError(
            f"head_start='ridge': method {model.method!r} has a head of its own, which starts at random: leave it out"
        )


def check_functions(**calls: Any) -> None:
    """Refuse an argument that should be called and cannot be."""
    for name, call in calls.items():
        if call is not None and not callable(call):
            raise UserError(f"{name}={shown(call)}: give a function, or None")


def tuning_of(
    tune: Any, backbone: str | nn.Module, method: str | None = None, head_start: str | None = None
) -> Literal["head", "all"]:
    """Return what is trained: as given, else the head alone where the features are fixed or pretrained.

    The head alone too where ``method`` is a closed form, which moves no backbone, unless the start of a whole network
    is what was asked for.
    """
    started = tune == "all" and head_start == "ridge"
    if method is not None and not get(method).spec.passes and not started:
        return "head"
    if tune is not None:
        return "all" if tune == "all" else "head"
    fixed = backbone == "features" or preprocessing_of(backbone) is not None
    return "head" if fixed else "all"


def budget_of(model: MultiLabelClassifier, method: type[Method]) -> Budget:
    """Return the method's default budget for the way it tunes, with what was given instead."""
    default = method.spec.head_budget if model.tune_ == "head" else method.spec.full_budget
    given = {"epochs": model.epochs, "batch_size": model.batch_size, "learning_rate": model.learning_rate}
    rate = model.backbone_learning_rate
    # NumPy's numbers would not go into a model directory.
    changes: dict[str, Any] = {
        name: float(value) if name == "learning_rate" else int(value)
        for name, value in given.items()
        if value is not None
    }
    budget = replace(default, **changes)
    if rate is not None:
        return replace(budget, backbone_rate=float(rate) / budget.learning_rate)
    return replace(budget, backbone_rate=1.0 if model.preprocessing_ is None else _PRETRAINED_RATE)


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
