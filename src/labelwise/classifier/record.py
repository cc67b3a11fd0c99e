"""The record of a model directory: its schema, checks, and entries."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from labelwise import metrics
from labelwise._files import entries_under
from labelwise.classifier import artifact
from labelwise.errors import UserError, listed, repeated, shown
from labelwise.models import LAYERS_SUFFIX, Allowance

Size = Annotated[int, Field(ge=1, le=1 << 40)]
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Side = Annotated[int, Field(ge=1, le=4096)]
Scalar = bool | int | float | str | None
Names = list[str]

_NETWORKS = rf"(efficientnet-lite0|minilm|timm/[A-Za-z0-9_.\-]+)({LAYERS_SUFFIX})?|hf/.+"
_BACKBONES = re.compile(rf"features|mlp|smallcnn|module|{_NETWORKS}", re.S)
_SOURCES = re.compile(_NETWORKS, re.S)


class _Record(BaseModel):
    """Strict types and finite numbers, beside which further entries may stand.

    Later versions may write some.
    """

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
    pooling: Literal["pooler", "mean", "auto", "layers"]


class _Scaling(_Record):
    kind: str
    n_features: Size


class _Network(_Record):
    """A frozen backbone among several sources."""

    name: str
    preprocessing: _Preprocessing
    architecture: dict[str, Any] | None
    tokenizer: str | None


class _Words(_Record):
    name: Literal["words"]
    words: dict[str, Any]


class _Columns(_Record):
    name: Literal["columns"]
    content: str
    columns: Annotated[Names, Field(min_length=1)]
    scaling: _Scaling


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
    sources: Annotated[list[_Words | _Columns | _Network], Field(min_length=1)] | None = None
    scaling: _Scaling | None
    rule: dict[str, Any]
    calibration: dict[str, Any] | None
    prior: list[float | None] | None
    labels: _Summary
    validation: _Evaluation | None
    explanation: dict[str, Any] | None = None
    hierarchy: dict[str, Names] | None = None

    @property
    def hub_networks(self) -> list[_Model | _Network]:
        """The entries of networks from a hub, which come with their architecture."""
        if self.sources is None:
            return [self] if self.backbone.startswith("hf/") else []
        networks = [source for source in self.sources if isinstance(source, _Network)]
        return [network for network in networks if network.name.startswith("hf/")]


def check_record(record: Mapping[str, Any], path: str | Path) -> None:
    """Refuse a ``model.json`` that is not whole, naming the entry.

    Lists that go with labels or features have one element each; a backbone of a hub comes with its architecture and
    its tokenizer, since loading a model asks nobody.
    """
    try:
        model = _Model.model_validate(record)
        for network in model.hub_networks:
            _Architecture.model_validate(network.architecture)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        entry = ".".join(str(part) for part in first["loc"]) or "architecture"
        if first["type"] == "missing":
            raise UserError(
                f"the model.json in {path} has no entry {entry!r:.200}: copy the model again"
            ) from None
        raise wrong_entry(path, entry, f"{first['msg'].replace('Input should be', 'it should be')}") from None
    _check_backbone(model, path)
    _check_sizes(model, path)


def check_evaluation(record: Any, path: str | Path) -> None:
    """Raise ``UserError``, naming the entry, unless ``record`` is one that ``Evaluation.to_dict`` wrote."""
    try:
        table = _Evaluation.model_validate(record).per_label.model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        entry = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path} holds no figures: entry {entry!r:.200}: {first['msg']:.300}") from None
    if len({len(column) for column in table.values()}) != 1:
        raise UserError(f"{path} holds no figures: its columns per label have different lengths")


def wrong_entry(path: str | Path, entry: str, words: str) -> UserError:
    """Return the error for an entry that cannot be used."""
    return UserError(
        f"the model.json in {path} cannot be used: entry {entry!r:.200}: {words:.300}; copy the model again"
    )


def _check_backbone(model: _Model, path: str | Path) -> None:
    if model.sources is not None:
        _check_sources(model, model.sources, path)
    elif not _BACKBONES.fullmatch(model.backbone):
        raise wrong_entry(path, "backbone", f"{model.backbone!r:.80} is none that a model directory can name")
    _check_tokenizer(model.preprocessing, model.tokenizer, path, "tokenizer")


def _check_tokenizer(preprocessing: Any, tokenizer: str | None, path: str | Path, entry: str) -> None:
    if isinstance(preprocessing, _Text) and tokenizer is None and preprocessing.tokenizer != "minilm":
        raise wrong_entry(
            path, entry, f"missing, and {preprocessing.tokenizer!r:.80} would have to be looked up"
        )


def _check_sources(model: _Model, sources: Sequence[_Words | _Columns | _Network], path: str | Path) -> None:
    """Refuse sources that the backbone does not name, or that are not whole."""
    names = [source.name for source in sources]
    if "+".join(names) != model.backbone or len(set(names)) != len(names):
        raise wrong_entry(path, "sources", f"{listed(names)}, and the backbone is {model.backbone!r:.80}")
    if not model.frozen_backbone or model.tune != "head":
        raise wrong_entry(path, "tune", "several sources train the head alone")
    for number, source in enumerate(sources):
        if isinstance(source, _Columns) and len(source.columns) != source.scaling.n_features:
            raise wrong_entry(
                path, f"sources.{number}.columns", f"{len(source.columns)} for {source.scaling.n_features}"
            )
        if not isinstance(source, _Network):
            continue
        if not _SOURCES.fullmatch(source.name):
            raise wrong_entry(
                path, f"sources.{number}.name", f"{source.name!r:.80} is none that a model directory can name"
            )
        _check_tokenizer(source.preprocessing, source.tokenizer, path, f"sources.{number}.tokenizer")


def _check_sizes(model: _Model, path: str | Path) -> None:
    """Compare the lengths of what goes with labels and features."""
    names = model.label_names
    if doubles := repeated(names):
        raise wrong_entry(path, "label_names", f"{listed(map(repr, doubles), 2)} stands there twice")
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
    # The kinds of rows sum to the items, and so do each label's three counts.
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


@dataclass(frozen=True, eq=False)
class Record:
    """Checked content of a model directory, for the parts to read.

    Attributes:
        path: Where it lies, for messages.
        config: Its ``model.json``, checked.
        arrays: Its weights by name.
        backbone: A module of the user's own, like the one that was trained.
    """

    path: str | Path
    config: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]
    backbone: nn.Module | None = None

    def read(self, entry: str, change: Callable[[Any], Any], within: Mapping[str, Any] | None = None) -> Any:
        """Return an entry converted by ``change``, None for None.

        Raise ``UserError`` naming the entry where it cannot be converted.
        """
        value = (self.config if within is None else within)[entry]
        if value is None:
            return None
        try:
            return change(value)
        except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
            raise wrong_entry(self.path, entry, str(error)) from None

    def load_state(self, module: nn.Module, prefix: str) -> None:
        """Load a module's weights, which must have its names, shapes and dtypes."""
        expected = module.state_dict()
        try:
            state = {
                name: torch.from_numpy(value) for name, value in entries_under(self.arrays, prefix).items()
            }
            for name in expected.keys() & state.keys():
                if state[name].dtype != expected[name].dtype:
                    raise TypeError(f"{name} is {state[name].dtype}, not {expected[name].dtype}")
            module.load_state_dict(state)
        except (RuntimeError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(
                f"the weights in {self.path} do not fit its model.json ({reason}): copy the model again"
            ) from None

    @property
    def rebuilt(self) -> dict[str, Any]:
        """Options that build the backbone anew without any look-up."""
        hub = self.config["backbone"].startswith("hf/") and self.backbone is None
        return {"pretrained": False, **({"architecture": self.config["architecture"]} if hub else {})}

    @cached_property
    def _allowance(self) -> Allowance:
        sources = self.config.get("sources") or [self.config]
        pictures = [source.get("preprocessing") or {} for source in sources]
        sizes = [3 * prod(picture.get("size", ())) for picture in pictures]
        values = max(sizes) if "/" in self.config["backbone"] else 0
        return Allowance([values, *(array.size for array in self.arrays.values())])

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Limit modules that are built inside to what the weights hold.

        A module of the user's own has no limit.
        """
        try:
            with nullcontext() if self.backbone is not None else self._allowance:
                yield
        except Exception as error:  # of other libraries too, which make networks of what is written there
            if isinstance(error, OSError) and error.errno is not None:
                # A full disk, say, where a library makes a temporary file: no fault of the model.
                raise UserError(
                    f"{self.path} cannot be loaded ({error.strerror or error}): mend that, and load it again"
                ) from error
            words = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(
                f"the network that the model.json in {self.path} describes cannot be built: {words:.300}; copy the"
                " model again"
            ) from error


def weights_of(module: nn.Module, prefix: str) -> dict[str, np.ndarray]:
    """Return the weights and buffers of a module, for a model directory."""
    return {f"{prefix}{name}": value.detach().cpu().numpy() for name, value in module.state_dict().items()}


def complete_rule(record: Mapping[str, Any]) -> metrics.Rule:
    """Return the decision rule of a record, which must be complete."""
    rule = metrics.rule_from_dict(record)
    if missing := [key for key in rule.to_dict() if key not in record]:
        raise UserError(f"it lacks {missing[0]!r}")
    return rule


def read_record(path: str | Path, backbone: nn.Module | None) -> Record:
    """Read and check a model directory.

    ``backbone`` is a module of the user's own, like the one that was trained.
    """
    if not is_path(path):
        raise UserError(f"load({shown(path)}): give the path of a model directory")
    if not (backbone is None or isinstance(backbone, nn.Module)):
        raise UserError(
            f"backbone={shown(backbone)}: give a torch module like the one that was trained, or None"
        )
    config, arrays = artifact.read(path)
    check_record(config, path)
    _check_numbers(arrays, path)
    if config["backbone"] == "module" and backbone is None:
        raise UserError(
            f"{path} was trained with a backbone of your own: give load(path, backbone=...) one like it"
        )
    return Record(path, config, arrays, backbone)


def _check_numbers(arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Refuse weights that are NaN; masks may be infinite."""
    for name, array in arrays.items():
        if array.dtype.kind == "f":
            fine = np.isfinite(array) if name.startswith("scaling.") else ~np.isnan(array)
            if not fine.all():
                raise UserError(
                    f"the weights in {path} hold numbers that are none ({name}): copy the model again"
                )


def is_path(value: Any) -> bool:
    """Return whether a value can be a path."""
    if not isinstance(value, str | os.PathLike):
        return False
    path = os.fspath(value)
    if not isinstance(path, str) or "\0" in path:
        return False
    return all(len(part.encode(errors="replace")) < 256 for part in path.split(os.sep))
