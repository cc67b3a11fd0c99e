"""A fitted classifier in and out of a model directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from labelwise import artifact, metrics
from labelwise._networks import backbone_for, network_for
from labelwise.annotations import Summary
from labelwise.errors import UserError
from labelwise.methods import Problem, get
from labelwise.models import InputScaling, TextPreprocessing, build_tokenizer, preprocessing_from_dict

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

__all__ = ["restore_model", "save_model"]

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
"""Parameters of one machine, and those that a model directory holds as they were resolved."""
_NO_JSON: Any = object()


def save_model(model: MultiLabelClassifier, path: str | Path) -> None:
    """Write a fitted classifier as a model directory."""
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
        "architecture": getattr(model.embedder_ or model.network_.backbone, "architecture", None) or None,
        "n_features": getattr(model, "n_features_in_", None),
        "feature_names": _optional(
            getattr(model, "feature_names_in_", None), lambda names: [str(n) for n in names]
        ),
        "parameters": _parameters(model),
        "seed": int(model.random_state or 0),
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
    config, arrays = artifact.read(path)
    try:
        return _restore(make, path, backbone, config, arrays)
    except KeyError as error:
        raise UserError(f"the model.json in {path} has no entry {error}: copy the model again") from None


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
    model.preprocessing_ = _optional(config["preprocessing"], preprocessing_from_dict)
    model.skipped_, model.embedder_ = (), None
    model._tokenizer = config.get("tokenizer")
    if config["n_features"] is not None:
        model.n_features_in_ = config["n_features"]
    if config["feature_names"] is not None:
        model.feature_names_in_ = np.asarray(config["feature_names"], dtype=object)
    model.scaling_ = _optional(
        config["scaling"], lambda record: InputScaling.from_state(record, _under(arrays, "scaling."))
    )
    model.rule_ = metrics.rule_from_dict(config["rule"])
    model.calibration_ = _optional(config["calibration"], metrics.calibration_from_dict)
    model.prior_ = _optional(config["prior"], np.asarray)
    model.summary_ = Summary.from_dict(config["labels"])
    model.validation_ = _optional(config["validation"], metrics.Evaluation.from_dict)
    model.notes_, model.solution_, model.held_out_ = tuple(config["notes"]), None, None
    nothing = np.zeros((0, len(model.label_names_)), np.int8)
    empty = Problem(nothing, tune=config["tune"], head_start=config["head_start"])
    method = get(config["method"])(empty, config["hyperparameters"])
    known = {} if config["architecture"] is None else {"architecture": config["architecture"]}
    rebuilt = {"pretrained": False, **known}
    if config["frozen_backbone"]:
        model.embedder_ = backbone_for(model, model.item_shape_, **rebuilt).requires_grad_(False).eval()
        _load_state(model.embedder_, _under(arrays, "embedder."), path)
    network = network_for(model, model.input_shape_, method, seed=0, **rebuilt)
    for module, prefix in ((network, "network."), (method, "method.")):
        _load_state(module, _under(arrays, prefix), path)
    model.network_, model.trained_method_ = network.eval(), method.eval()
    model.set_params(**_restored(model, config.get("parameters", {}), path))
    return model


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
    value = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    if isinstance(value, Mapping):
        value = {str(name): _as_json(inner) for name, inner in value.items()}
        return _NO_JSON if _NO_JSON in value.values() else value
    if isinstance(value, list | tuple):
        value = [_as_json(inner) for inner in value]
        return _NO_JSON if any(inner is _NO_JSON for inner in value) else value
    return value if value is None or isinstance(value, bool | int | float | str) else _NO_JSON


def _restored(model: MultiLabelClassifier, record: Any, path: str | Path) -> dict[str, Any]:
    """Return the parameters of a record, those of them that ``model`` has."""
    if not isinstance(record, Mapping):
        raise UserError(f"the parameters in {path} are no record: copy the model again")
    known = set(model.get_params(deep=False)) - _LOCAL - _RESOLVED
    values = {name: value for name, value in record.items() if name in known}
    if isinstance(values.get("rule"), Mapping):
        values["rule"] = metrics.rule_from_dict(values["rule"])
    return values


def _optional(value: Any, change: Callable[[Any], Any]) -> Any:
    return None if value is None else change(value)


def _under(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}


def _load_state(module: nn.Module, arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    try:
        module.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"the weights in {path} do not fit its model.json ({reason}): copy the model again"
        ) from None
