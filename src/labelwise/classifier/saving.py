"""A fitted classifier in and out of a model directory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from labelwise import metrics
from labelwise._files import entries_under
from labelwise._random import seed_of
from labelwise.annotations import Summary
from labelwise.classifier import artifact
from labelwise.classifier.networks import backbone_for, network_for
from labelwise.classifier.options import is_path, named
from labelwise.classifier.record import check_record, wrong_entry
from labelwise.errors import UserError, shown
from labelwise.methods import Problem, get
from labelwise.models import (
    Allowance,
    BackboneCapabilities,
    InputScaling,
    TextPreprocessing,
    build_tokenizer,
    preprocessing_from_dict,
)

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_PLAIN = (
    "best_epoch_",
    "budget_",
    "head_start_",
    "history_",
    "hyperparameters_",
    "rule_source_",
    "seconds_",
    "tune_",
)
_LOCAL = frozenset(
    {"backbone_weights", "picture_cache", "directory", "device", "devices", "nodes", "progress"}
)
_RESOLVED = frozenset({"method", "backbone", "hyperparameters", "tune", "head_start"})
"""Parameters of one machine (above), and those that a model directory holds as they were resolved."""
_NO_JSON: Any = object()


def save_model(model: MultiLabelClassifier, path: str | Path) -> None:
    """Write a fitted classifier as a model directory."""
    if not is_path(path):
        raise UserError(f"save({shown(path)}): give the path of a folder")
    from labelwise import __version__

    tensors = {f"network.{k}": v for k, v in model.network_.state_dict().items()}
    tensors |= {f"method.{k}": v for k, v in model.trained_method_.state_dict().items()}
    if model.embedder_ is not None:
        tensors |= {f"embedder.{k}": v for k, v in model.embedder_.state_dict().items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    if model.scaling_ is not None:
        arrays |= {f"scaling.{k}": v for k, v in model.scaling_.state().items()}
    config = {
        "labelwise": __version__,
        "method": model.method_,
        "backbone": model.backbone if isinstance(model.backbone, str) else "module",
        "label_names": list(model.label_names_),
        "input_shape": list(model.input_shape_),
        "item_shape": list(model.item_shape_),
        "preprocessing": None if model.preprocessing_ is None else model.preprocessing_.to_dict(),
        "frozen_backbone": model.embedder_ is not None,
        "architecture": BackboneCapabilities.of(model.embedder_ or model.network_.backbone).architecture,
        "n_features": getattr(model, "n_features_in_", None),
        "feature_names": _optional(
            getattr(model, "feature_names_in_", None), lambda names: [str(n) for n in names]
        ),
        "parameters": _parameters(model),
        "seed": seed_of(model.random_state),
        "strong_view": float(model.strong_view),
        "scaling": _optional(model.scaling_, InputScaling.config),
        "rule": model.rule_.to_dict(),
        "calibration": _optional(model.calibration_, metrics.PlattCalibration.to_dict),
        "prior": _optional(model.prior_, np.ndarray.tolist),
        "labels": model.summary_.to_dict(),
        "validation": _optional(model.validation_, metrics.Evaluation.to_dict),
        "notes": list(model.notes_),
        **{name.removesuffix("_"): getattr(model, name) for name in _PLAIN},
    }
    kept = model.preprocessing_
    if isinstance(kept, TextPreprocessing) and kept.tokenizer.startswith("hf/"):
        config["tokenizer"] = model._tokenizer or build_tokenizer(kept).definition()
    artifact.write(path, config, arrays)


def restore_model(
    make: type[MultiLabelClassifier], path: str | Path, backbone: nn.Module | None
) -> MultiLabelClassifier:
    """Return the fitted classifier of a model directory; see ``labelwise.load``."""
    if not is_path(path):
        raise UserError(f"load({shown(path)}): give the path of a model directory")
    if not (backbone is None or isinstance(backbone, nn.Module)):
        raise UserError(
            f"backbone={shown(backbone)}: give a torch module like the one that was trained, or None"
        )
    config, arrays = artifact.read(path)
    check_record(config, path)
    _check_numbers(arrays, path)
    return _restore(make, path, backbone, config, arrays)


def _restore(
    make: type[MultiLabelClassifier],
    path: str | Path,
    backbone: nn.Module | None,
    config: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> MultiLabelClassifier:
    if config["backbone"] == "module" and backbone is None:
        raise UserError(
            f"{path} was trained with a backbone of your own: give load(path, backbone=...) one like it"
        )
    model = make(
        config["method"],
        backbone if backbone is not None else config["backbone"],
        hyperparameters=config["hyperparameters"],
        tune=config["tune"],
        head_start=config["head_start"],
        strong_view=config["strong_view"],
        random_state=config["seed"],
    )
    for name in _PLAIN:
        setattr(model, name, config[name.removesuffix("_")])
    model.method_ = config["method"]
    model.label_names_ = tuple(config["label_names"])
    model.classes_ = np.arange(len(model.label_names_))
    model.input_shape_, model.item_shape_ = tuple(config["input_shape"]), tuple(config["item_shape"])
    read = partial(_read, path, config)
    model.preprocessing_ = read("preprocessing", preprocessing_from_dict)
    model.skipped_, model.embedder_ = (), None
    model._tokenizer = config.get("tokenizer")
    if config["n_features"] is not None:
        model.n_features_in_ = config["n_features"]
    if config["feature_names"] is not None:
        model.feature_names_in_ = np.asarray(config["feature_names"], dtype=object)
    model.rule_ = read("rule", _rule)
    model.calibration_ = read("calibration", metrics.calibration_from_dict)
    model.prior_ = read("prior", lambda values: np.asarray(values, np.float64))
    model.summary_ = read("labels", Summary.from_dict)
    model.validation_ = read("validation", metrics.Evaluation.from_dict)
    model.notes_, model.solution_, model.held_out_ = tuple(config["notes"]), None, None
    nothing = np.zeros((0, len(model.label_names_)), np.int8)
    empty = Problem(nothing, tune=config["tune"], head_start=config["head_start"])
    method = read("hyperparameters", partial(read("method", get), empty))
    hub = config["backbone"].startswith("hf/") and backbone is None
    rebuilt = {"pretrained": False, **({"architecture": config["architecture"]} if hub else {})}
    with _allowance(path, config, arrays, backbone):
        if config["frozen_backbone"]:
            model.embedder_ = backbone_for(model, model.item_shape_, **rebuilt).requires_grad_(False).eval()
        network = network_for(model, model.input_shape_, method, seed=0, **rebuilt)
    if model.embedder_ is not None:
        _load_state(model.embedder_, entries_under(arrays, "embedder."), path)
    for module, prefix in ((network, "network."), (method, "method.")):
        _load_state(module, entries_under(arrays, prefix), path)
    model.network_, model.trained_method_ = network.eval(), method.eval()
    # The inputs' size is that of the weights by now.
    model.scaling_ = read(
        "scaling", lambda record: InputScaling.from_state(record, entries_under(arrays, "scaling."))
    )
    model.set_params(**_restored(model, config.get("parameters") or {}, path))
    return model


def _check_numbers(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Refuse weights that are not numbers, with which every score would be none; masks may be infinite."""
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            fine = np.isfinite(array) if name.startswith("scaling.") else ~np.isnan(array)
            if not fine.all():
                raise UserError(
                    f"the weights in {path} hold numbers that are none ({name}): copy the model again"
                )


def _rule(record: Mapping[str, Any]) -> metrics.Rule:
    """Return the decision rule of a record that says all that the rule is made of."""
    rule = metrics.rule_from_dict(record)
    if missing := [key for key in rule.to_dict() if key not in record]:
        raise UserError(f"it lacks {missing[0]!r}")
    return rule


def _read(path: str | Path, config: Mapping[str, Any], entry: str, change: Callable[[Any], Any]) -> Any:
    """Return what ``change`` makes of an entry, None for none; ``UserError`` naming the entry where it cannot."""
    if config[entry] is None:
        return None
    try:
        return change(config[entry])
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
        raise wrong_entry(path, entry, str(error)) from None


@contextmanager
def _allowance(
    path: str | Path, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], backbone: nn.Module | None
) -> Iterator[None]:
    """Build modules of no more than the weights hold; a module of the user's own may do as it likes."""
    named = backbone is None and config["backbone"]
    looks = config["preprocessing"] or {}
    picture = 3 * math.prod(looks.get("size", ())) if named and "/" in named else 0
    bound = (
        nullcontext() if backbone is not None else Allowance([picture, *(a.size for a in arrays.values())])
    )
    try:
        with bound:
            yield
    except Exception as error:  # of other libraries too, which make networks of what is written there
        if isinstance(error, OSError) and error.errno is not None:
            # A full disk, say, where a library makes a temporary file: no fault of the model.
            raise UserError(
                f"{path} cannot be loaded ({error.strerror or error}): mend that, and load it again"
            ) from error
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"the network that the model.json in {path} describes cannot be built: {words:.300}; copy the model again"
        ) from error


def _parameters(model: MultiLabelClassifier) -> dict[str, Any]:
    """Return the parameters that JSON can hold and that mean the same on another machine."""
    values = {n: v for n, v in model.get_params(deep=False).items() if n not in _LOCAL | _RESOLVED}
    if hasattr(values["rule"], "to_dict"):
        values["rule"] = values["rule"].to_dict()
    if isinstance(values["validation"], tuple | list):
        # Those are items of somebody's, and many.
        del values["validation"]
    plain = {name: _as_json(value) for name, value in values.items()}
    return {name: value for name, value in plain.items() if value is not _NO_JSON}


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


def _restored(model: MultiLabelClassifier, record: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """Return the parameters of a record, those of them that ``model`` has."""
    known = set(model.get_params(deep=False)) - _LOCAL - _RESOLVED
    values = {name: value for name, value in record.items() if name in known}
    if isinstance(values.get("rule"), Mapping):
        values["rule"] = _read(path, values, "rule", _rule)
    return values


def _optional(value: Any, change: Callable[[Any], Any]) -> Any:
    return None if value is None else change(value)


def _load_state(module: nn.Module, arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    own = module.state_dict()
    try:
        state = {name: torch.from_numpy(value) for name, value in arrays.items()}
        for name in own.keys() & state.keys():
            if state[name].dtype != own[name].dtype:
                raise TypeError(f"{name} is {state[name].dtype}, not {own[name].dtype}")
        module.load_state_dict(state)
    except (RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"the weights in {path} do not fit its model.json ({reason}): copy the model again"
        ) from None
