"""What the classifier's parameters mean once the labels are known; those that mean nothing are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from labelwise.annotations import Summary
from labelwise.errors import UserError, near
from labelwise.methods import Budget, Method, get
from labelwise.models import preprocessing_of
from labelwise.targets import expected_prior

if TYPE_CHECKING:
    from torch import nn

    from labelwise.classifier import MultiLabelClassifier

__all__ = ["budget_of", "check_parameters", "label_weights", "resolve_prior", "tuning_of"]

_PRETRAINED_RATE = 0.1


def check_parameters(model: MultiLabelClassifier) -> None:
    """Refuse parameters that no part below looks at."""
    if model.tune not in (None, "head", "all"):
        raise UserError(f"tune={model.tune!r}: give 'head', 'all' or None")
    if model.head_start not in (None, "ridge", "random"):
        raise UserError(f"head_start={model.head_start!r}: give 'ridge', 'random' or None")
    if model.head_start == "ridge" and model.method is not None and not get(model.method).spec.ridge_start:
        raise UserError(
            f"head_start='ridge': method {model.method!r} has a head of its own, which starts at random: leave it out"
        )
    if model.select not in ("last", "best"):
        raise UserError(f"select={model.select!r}: give 'last' or 'best'")
    if model.on_bad_item not in ("stop", "skip"):
        raise UserError(f"on_bad_item={model.on_bad_item!r}: give 'stop' or 'skip'")
    seed = model.random_state
    if not (seed is None or (isinstance(seed, Integral) and seed >= 0)):
        raise UserError(f"random_state={seed!r}: give a whole number from 0")


def tuning_of(tune: Any, backbone: str | nn.Module) -> Literal["head", "all"]:
    """Return what is trained: as given, else the head alone where the features are fixed or pretrained."""
    if tune is not None:
        return "all" if tune == "all" else "head"
    fixed = backbone == "features" or preprocessing_of(backbone) is not None
    return "head" if fixed else "all"


def budget_of(model: MultiLabelClassifier, method: type[Method]) -> Budget:
    """Return the method's default budget for the way it tunes, with what was given instead."""
    default = method.spec.head_budget if model.tune_ == "head" else method.spec.full_budget
    given = {"epochs": model.epochs, "batch_size": model.batch_size, "learning_rate": model.learning_rate}
    rate = model.backbone_learning_rate
    for name, value in (*given.items(), ("backbone_learning_rate", rate)):
        kind = Real if name.endswith("learning_rate") else Integral
        if value is not None and not (isinstance(value, kind) and 0 < value < float("inf")):
            whole = "" if kind is Real else "whole "
            usual = getattr(default, name, "a tenth of learning_rate")
            raise UserError(f"{name}={value!r}: it is a {whole}number above 0 (default {usual})")
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

    One number is a cardinality, spread over the labels as their known positives are.
    """
    identified = summary.priors()
    if prior is None:
        return None if identified is None else np.nan_to_num(identified, nan=0.0)
    try:
        values: np.ndarray = np.asarray(prior, dtype=np.float64)
    except (TypeError, ValueError):
        raise UserError(f"prior={prior!r}: give {summary.n_labels} shares, or one cardinality") from None
    if values.ndim == 0:
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
                f"label_weights={given!r}: {near(given, ['balanced'])} Or give one weight a label"
            )
        others = summary.negatives if summary.negatives_known else summary.n_items - summary.positives
        weights = np.clip(others / np.maximum(summary.positives, 1), 1.0, 100.0)
    elif isinstance(given, Mapping):
        for name in given:
            if name not in summary.label_names:
                raise UserError(f"label_weights names no label {name!r}: {near(name, summary.label_names)}")
        weights = np.array([float(given.get(name, 1.0)) for name in summary.label_names])
    else:
        weights = np.asarray(given, dtype=np.float64)
    if weights.shape != (summary.n_labels,) or not (np.isfinite(weights) & (weights >= 0)).all():
        raise UserError(f"label_weights must be {summary.n_labels} finite numbers of at least 0")
    return np.asarray(weights)
