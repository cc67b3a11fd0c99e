"""The schema of ``model.json``: every entry of the right kind, and all of one size, before anything is made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from labelwise.errors import UserError, listed, repeated

Size = Annotated[int, Field(ge=1, le=1 << 40)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Side = Annotated[int, Field(ge=1, le=4096)]
Scalar = bool | int | float | str | None
Names = list[str]

_BACKBONES = re.compile(
    r"features|mlp|smallcnn|efficientnet-lite0|minilm|module|hf/.+|timm/[A-Za-z0-9_.\-]+", re.S
)


class _Record(BaseModel):
    """Strict kinds and finite numbers; entries of later versions may stand beside those that are read."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Image(_Record):
    kind: Literal["image"]
    size: Annotated[list[Side], Field(min_length=2, max_length=2)]
    resize: str
    interpolation: str
    short_side: Annotated[int, Field(ge=1, le=8192)] | None


class _Text(_Record):
    kind: Literal["text"]
    tokenizer: str
    max_length: Annotated[int, Field(ge=3, le=1 << 20)]
    pad_id: Annotated[int, Field(ge=-1, le=1 << 31)]


_Preprocessing = Annotated[_Image | _Text, Field(discriminator="kind")]


class _Architecture(_Record):
    config: dict[str, Any]
    preprocessing: _Preprocessing
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[float], Field(min_length=3, max_length=3)]
    pooling: Literal["pooler", "mean", "auto"]


class _Scaling(_Record):
    kind: str
    n_features: Size


class _Summary(_Record):
    n_items: Size
    n_labels: Size
    label_names: Names
    setting: str
    positives: list[Count]
    negatives: list[Count]
    unknown: list[Count]
    rows_fully_known: Count
    rows_partly_known: Count
    rows_unknown: Count
    rows_without_positive: Count
    labels_without_positive: Names
    labels_without_negative: Names
    rare_labels: Names
    cardinality: float | None
    positives_per_row: float
    share_unknown: float
    negatives_known: bool
    prior_identified: bool
    not_identified: Names
    notes: Names = []
    priors: list[float | None] | None


class _PerLabel(_Record):
    __pydantic_extra__: dict[str, list[float | bool | None]] = Field(init=False)

    name: Names
    positives: list[Count]
    negatives: list[Count]
    unknown: list[Count]


class _Evaluation(_Record):
    metrics: dict[str, float | None]
    rule: str
    n_items: Count
    n_items_left_out: Count
    n_unknown: Count
    n_items_partly_known: Count = 0
    n_items_positive_alone: Count = 0
    empty_labels: str
    notes: Names = []
    per_label: _PerLabel


class _Epoch(_Record):
    stage: str = ""
    loss: float | None = None
    validation: float | None = None
    vdfd: float | None = None
    vdfd_balanced: float | None = None


class _Parameters(_Record):
    """Those that prediction reads; ``fit`` checks all of them."""

    strong_view: Annotated[float, Field(ge=0, lt=1)] = 0.2
    on_bad_item: Literal["stop", "skip"] = "stop"
    cache: bool = True
    random_state: Count | None = 0


class _Model(_Record):
    method: str
    backbone: str
    hyperparameters: dict[str, Scalar]
    tune: Literal["head", "all"]
    head_start: Literal["ridge", "random"]
    budget: dict[str, float]
    best_epoch: Count | None
    seed: Count
    strong_view: Annotated[float, Field(ge=0, lt=1)]
    seconds: float
    rule_source: str
    notes: Names
    parameters: _Parameters | None = None
    history: list[_Epoch]
    label_names: Annotated[Names, Field(min_length=1)]
    feature_names: Names | None
    n_features: Size | None
    input_shape: Annotated[list[Size], Field(max_length=8)]
    item_shape: Annotated[list[Size], Field(max_length=8)]
    preprocessing: _Preprocessing | None
    frozen_backbone: bool
    architecture: dict[str, Any] | None
    tokenizer: str | None = None
    scaling: _Scaling | None
    rule: dict[str, Any]
    calibration: dict[str, Any] | None
    prior: list[float | None] | None
    labels: _Summary
    validation: _Evaluation | None


def check_record(record: Mapping[str, Any], path: str | Path) -> None:
    """Raise ``UserError``, naming the entry, unless ``record`` is a whole ``model.json`` that needs no look-up.

    Lists that go with labels or features have one element each; a backbone of a hub comes with its architecture and
    its tokenizer, since loading a model asks nobody.
    """
    try:
        model = _Model.model_validate(record)
        if model.backbone.startswith("hf/"):
            _Architecture.model_validate(model.architecture)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "architecture"
        if first["type"] == "missing":
            raise UserError(
                f"the model.json in {path} has no entry {where!r:.200}: copy the model again"
            ) from None
        raise wrong_entry(path, where, f"{first['msg'].replace('Input should be', 'it should be')}") from None
    _check_backbone(model, path)
    _check_sizes(model, path)


def check_evaluation(record: Any, path: str | Path) -> None:
    """Raise ``UserError``, naming the entry, unless ``record`` is one that ``Evaluation.to_dict`` wrote."""
    try:
        table = _Evaluation.model_validate(record).per_label.model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} holds no figures: entry {where!r:.200}: {first['msg']:.300}") from None
    if len({len(column) for column in table.values()}) != 1:
        raise UserError(f"{path} holds no figures: its columns per label have different lengths")


def wrong_entry(path: str | Path, entry: str, words: str) -> UserError:
    """Return the error that says why an entry of a model directory's record cannot be used."""
    return UserError(
        f"the model.json in {path} cannot be used: entry {entry!r:.200}: {words:.300}; copy the model again"
    )


def _check_backbone(model: _Model, path: str | Path) -> None:
    if not _BACKBONES.fullmatch(model.backbone):
        raise wrong_entry(path, "backbone", f"{model.backbone!r:.80} is none that a model directory can name")
    kept = model.preprocessing
    if isinstance(kept, _Text) and model.tokenizer is None and kept.tokenizer != "minilm":
        raise wrong_entry(
            path, "tokenizer", f"missing, and {kept.tokenizer!r:.80} would have to be looked up"
        )


def _check_sizes(model: _Model, path: str | Path) -> None:
    """Compare the lengths of what goes with labels and features."""
    names = model.label_names
    if twice := repeated(names):
        raise wrong_entry(path, "label_names", f"{listed(map(repr, twice), 2)} stands there twice")
    of_labels: dict[str, Sequence[Any] | None] = {
        "prior": model.prior,
        "rule.values": _list(model.rule, "values"),
        "rule.prior": _list(model.rule, "prior"),
        "labels.positives": model.labels.positives,
        "labels.negatives": model.labels.negatives,
        "labels.unknown": model.labels.unknown,
        "labels.label_names": model.labels.label_names,
        "labels.priors": model.labels.priors,
    }
    of_labels |= {
        f"calibration.{key}": _list(model.calibration, key) for key in ("slope", "offset", "pooled")
    }
    if model.validation is not None:
        table = model.validation.per_label.model_dump()
        of_labels |= {f"validation.per_label.{key}": column for key, column in table.items()}
    for entry, values in of_labels.items():
        if values is not None and len(values) != len(names):
            raise wrong_entry(path, entry, f"{len(values)} values for {len(names)} labels")
    if model.labels.label_names != names:
        raise wrong_entry(path, "labels.label_names", "they differ from label_names")
    facts = model.labels
    counts = zip(facts.positives, facts.negatives, facts.unknown, strict=True)
    rows = facts.rows_fully_known + facts.rows_partly_known + facts.rows_unknown
    if {facts.n_items, rows, *map(sum, counts)} != {facts.n_items} or facts.n_labels != len(names):
        raise wrong_entry(
            path, "labels", f"its counts are not those of {facts.n_items} items, {len(names)} labels"
        )
    if model.feature_names is not None and len(model.feature_names) != model.n_features:
        raise wrong_entry(
            path, "feature_names", f"{len(model.feature_names)} names, n_features {model.n_features}"
        )
    if model.n_features is not None and prod(model.item_shape) != model.n_features:
        raise wrong_entry(path, "n_features", f"{model.n_features}, and items of shape {model.item_shape}")
    if not model.frozen_backbone and model.input_shape != model.item_shape:
        raise wrong_entry(path, "input_shape", f"{model.input_shape}, and items of shape {model.item_shape}")
    if model.scaling is not None and prod(model.input_shape) != model.scaling.n_features:
        raise wrong_entry(
            path, "scaling.n_features", f"{model.scaling.n_features}, and inputs of {model.input_shape}"
        )


def _list(record: Mapping[str, Any] | None, key: str) -> list[Any] | None:
    value = None if record is None else record.get(key)
    return value if isinstance(value, list) else None
