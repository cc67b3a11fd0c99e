"""What a run is asked to do: one checked object, read from and written to TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labelwise.data import TableOptions
from labelwise.errors import UserError, near, shown
from labelwise.runs import toml


class RunConfig(BaseModel):
    """Everything that ``train`` takes; a setting left at None is chosen from the data or by the method.

    ``table``, ``images``; its columns and cells: see ``labelwise.data.TableOptions``. ``backbone``: by default
    that for the table's items (``features``, ``efficientnet-lite0`` or ``minilm``). ``prior``: the mean number of
    labels per item, or a JSON or CSV file with the share of positives of each label; ``label_weights``:
    ``"balanced"`` or such a file. ``true_labels``: for oracle methods alone, a table like ``table`` with every label
    of its items.
    ``validation``: ``"auto"``, ``"none"``, a share of the labelled rows, or another table. ``rule``:
    ``"auto"``, ``"micro-f1"``, ``"macro-f1"``, ``"shares"``, a threshold, or a rule as results name it
    (``threshold(0.5)``, ``top_k(3)``). Paths are relative to
    the working directory. The rest: see ``labelwise.MultiLabelClassifier``, whose ``random_state`` is ``seed``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    table: str | None = None
    images: str | None = None
    on_bad_item: Literal["stop", "skip"] = "stop"
    labels_column: str | None = None
    label_columns: list[str] | None = None
    feature_columns: list[str] | None = None
    item_column: str | None = None
    text_column: str | None = None
    image_suffix: str | None = None
    label_value: str | None = None
    separator: str | None = None
    name_key: str | None = None
    unlisted: Literal["unknown", "absent"] | None = None
    minus_one: Literal["unknown", "absent"] = "unknown"
    empty: Literal["unknown", "absent"] = "unknown"
    delimiter: str | None = None
    max_rows: int | None = Field(None, ge=1)
    impute: Literal["mean", "median", "most_frequent"] | None = None
    encode: Literal["onehot"] | None = None
    method: str | None = None
    backbone: str | None = None
    backbone_weights: str | None = None
    image_size: int | None = Field(None, ge=8)
    max_length: int | None = Field(None, ge=3)
    tune: Literal["head", "all"] | None = None
    head_start: Literal["ridge", "random"] | None = None
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    backbone_learning_rate: float | None = Field(None, gt=0)
    accumulate: int = Field(1, ge=1)
    patience: int | None = Field(None, ge=1)
    select: Literal["last", "best"] = "last"
    strong_view: float = Field(0.2, ge=0, lt=1)
    prior: float | str | None = None
    label_weights: str | None = None
    true_labels: str | None = None
    validation: float | str = "auto"
    rule: str = "auto"
    calibrate: bool = True
    seed: int = Field(0, ge=0, lt=2**32)
    device: str = "auto"
    devices: int = Field(1, ge=1)
    nodes: int = Field(1, ge=1)
    precision: Literal["32", "bf16", "16"] = "32"
    cache: bool = True
    picture_cache: str | None = None
    hyperparameters: dict[str, bool | int | float | str] = Field(default_factory=dict)

    @field_validator("label_columns", "feature_columns", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("prior", "validation", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        try:
            return float(value) if isinstance(value, str) else value
        except ValueError:
            return value

    @field_validator("precision", "rule", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value

    @classmethod
    def build(
        cls,
        given: Mapping[str, Any],
        *,
        file: str | Path | None = None,
        sets: Sequence[str] = (),
        base: Mapping[str, Any] | None = None,
    ) -> Self:
        """Return the settings of ``base``, overridden by a TOML ``file``, by ``given`` (None: not given), by ``sets``.

        ``sets`` are ``KEY=VALUE`` texts for single hyper-parameters, the values as in TOML.

        Raises:
            UserError: For a setting that does not exist or cannot have its value.
        """
        values = {**(base or {}), **(toml.read(file) if file is not None else {})}
        values |= {name: value for name, value in given.items() if value is not None}
        if sets:
            base = values.get("hyperparameters", {})
            values["hyperparameters"] = {**(base if isinstance(base, dict) else {}), **dict(map(_pair, sets))}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(_explain(error, cls, "" if file is None else f"{file}: ")) from None

    def to_toml(self) -> str:
        """Return TOML that ``build`` reads back into the same configuration."""
        return toml.dumps(self.model_dump())

    def table_options(self) -> TableOptions:
        """Return what is said of the table's columns and cells."""
        return TableOptions(**{name: getattr(self, name) for name in TableOptions.names()})

    def located(self) -> Self:
        """Return the configuration with absolute paths, which mean the same from every working directory."""
        folders = {name: getattr(self, name) for name in _FOLDERS if getattr(self, name) is not None}
        named = {**self.files(), **folders}
        paths = {name: str(Path(path).expanduser().absolute()) for name, path in named.items()}
        family, _, local = (self.backbone or "").partition("/")
        if family == "hf" and local and Path(local).is_dir():
            paths["backbone"] = f"hf/{Path(local).absolute()}"
        return self.model_copy(update=paths)

    def files(self) -> dict[str, str]:
        """Return the files that the run reads, by the setting that names them."""
        values = {name: getattr(self, name) for name in _FILES}
        words = ("auto", "none", "balanced")
        return {
            name: value for name, value in values.items() if isinstance(value, str) and value not in words
        }

    def differences(self, other: RunConfig) -> list[str]:
        """Return "name: mine, not theirs" for each setting that differs."""
        mine, theirs = (
            # What is not said is "unknown", and runs of earlier versions wrote that word.
            {**config.model_dump(), "unlisted": config.unlisted or "unknown"}
            for config in (self, other)
        )
        return [
            f"{name} is {mine[name]!r}, not {theirs[name]!r}" for name in mine if mine[name] != theirs[name]
        ]


_FILES = ("table", "prior", "label_weights", "true_labels", "validation", "backbone_weights")
_FOLDERS = ("images", "picture_cache")


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(
            f"--set {text!r}: write --set KEY=VALUE; 'labelwise methods NAME' lists the keys of a method"
        )
    return key.strip(), toml.parse_value(value.strip())


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])[:100]
    if first["type"] == "extra_forbidden":
        return f"{where}there is no setting {name!r}; {near(name, model.model_fields)}"
    value = first["input"]
    return f"{where}{name}={shown(value)}: {first['msg'].replace('Input should be', 'it should be')}"
