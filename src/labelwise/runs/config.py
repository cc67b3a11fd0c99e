"""The configuration of a run, read from and written to TOML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from labelwise.data import TableOptions
from labelwise.errors import UserError, near, shown
from labelwise.runs import toml

GROUPS = ("Items", "Labels", "Method", "Training", "Judging", "Machine")
"""The groups of settings, as the help of a command shows them."""


def _setting(group: str, default: Any, help: str, metavar: str | None = None, **limits: Any) -> Any:
    """Return a field that commands have as an option.

    It carries the option's group, its help and the name of its value.
    """
    return Field(default, description=help, json_schema_extra={"group": group, "metavar": metavar}, **limits)


_items, _labels, _method, _training, _judging, _machine = (partial(_setting, group) for group in GROUPS)


class RunConfig(BaseModel):
    """All settings of ``train``, checked.

    A setting left at None is chosen from the data or by the method. Paths are relative to the working directory. The
    table's columns and cells: see ``labelwise.data.TableOptions``. The rest: see ``labelwise.MultiLabelClassifier``,
    whose ``random_state`` is ``seed``.

    Attributes:
        backbone: By default that for the table's items: ``features``, ``efficientnet-lite0`` or
            ``minilm:layers+words``.
        answers: Joins the labels; the run keeps what it read, so that answers that come later change nothing in it.
        prior: The mean number of labels per item, or a JSON or CSV file with the share of positives of each label.
        label_weights: ``"balanced"``, or such a file with the weight of each label.
        label_texts: A JSON or TOML file with a text, or a list of texts, by label.
        hierarchy: A JSON file with a parent, or a list of parents, by child, or a CSV file of pairs child, parent.
        true_labels: For oracle methods alone: a table like ``table`` with every label of its items.
        warm_start: A finished run: its weights go on, those of the labels in common.
        validation: ``"auto"``, ``"none"``, a share of the labelled rows, or another table.
        rule: ``"auto"``, ``"micro-f1"``, ``"macro-f1"``, ``"shares"``, ``"recall"``, a threshold, or a rule as results
            name it: ``threshold(0.5)``, ``top_k(3)``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    table: str | None = None
    images: str | None = _items(None, "The folder of the pictures [default: the table's].", "DIR")
    on_bad_item: Literal["stop", "skip"] = _items("stop", "What to do with a picture that cannot be read.")
    item_column: str | None = _items(None, "The column of item ids, or of pictures' files.", "NAME")
    text_column: str | None = _items(
        None, "The column of texts [default: 'text', or the one that is clearly it].", "NAME"
    )
    image_suffix: str | None = _items(
        None, "The ending of pictures' files, '.jpg', where the table has none.", "ENDING"
    )
    feature_columns: list[str] | None = _items(
        None, "A feature column, or a pattern ('f*'); repeat it.", "NAME"
    )
    impute: Literal["mean", "median", "most_frequent"] | None = _items(
        None, "Fill empty cells of features by this of their column."
    )
    encode: Literal["onehot"] | None = _items(None, "Make columns of words into features.")
    group_column: str | None = _items(
        None, "The column of what items belong to, such as a video: it is never split.", "NAME"
    )
    weight_column: str | None = _items(
        None, "The column of what each row's loss is multiplied by, 0 or more.", "NAME"
    )
    delimiter: str | None = _items(
        None, "What separates the fields of a text table [default: found].", "CHARACTER"
    )
    max_rows: int | None = _items(None, "The most rows that a table may hold.", ge=1)
    labels_column: str | None = _labels(None, "The column that lists label names.", "NAME")
    label_columns: list[str] | None = _labels(
        None, "A column for one label, or a pattern ('label_*'); repeat it.", "NAME"
    )
    label_value: str | None = _labels(
        None, "The column of states (1, 0) where a row holds one item and one label.", "NAME"
    )
    separator: str | None = _labels(None, "What separates names in --labels-column.", "TEXT")
    name_key: str | None = _labels(None, "The key of the name where --labels-column lists objects.", "KEY")
    unlisted: Literal["unknown", "absent"] | None = _labels(
        None, "What a name means that --labels-column does not list [default: unknown]."
    )
    minus_one: Literal["unknown", "absent"] = _labels("unknown", "What -1 means in a label's column.")
    empty: Literal["unknown", "absent"] = _labels("unknown", "What an empty cell means in a label's column.")
    prior: float | str | None = _labels(
        None, "Labels per item, or a JSON or CSV file with each label's share.", "NUMBER|FILE"
    )
    label_weights: str | None = _labels(None, "Weights of the labels in the loss.", "balanced|FILE")
    label_texts: str | None = _labels(
        None, "A JSON or TOML file of what labels mean, by name: methods that read names take it.", "FILE"
    )
    hierarchy: str | None = _labels(
        None, "A JSON or CSV file of which labels stand above which: child, parent.", "FILE"
    )
    true_labels: str | None = _labels(
        None, "A table with every label of the items: oracle methods alone read it.", "FILE"
    )
    answers: str | None = _labels(
        None,
        "Answers of reviewers that join the labels: a CSV or SQLite file, or a reviewed run.",
        "FILE|RUN",
    )
    conflicts: Literal["given", "answer"] = _labels(
        "given", "Which wins where an answer contradicts a given entry."
    )
    method: str | None = _method(None, "See 'labelwise methods' [default: chosen from the labels].")
    backbone: str | None = _method(
        None,
        "features, mlp, efficientnet-lite0, minilm, words, hf/NAME, timm/NAME, or several, as"
        " minilm:layers+words+columns; :layers adds earlier layers [default: by the items].",
        "NAME",
    )
    backbone_weights: str | None = _method(
        None, "Weights for the backbone: .safetensors, .pt or .pth.", "FILE"
    )
    image_size: int | None = _method(None, "Side of the pictures in pixels [default: the backbone's].", ge=8)
    max_length: int | None = _method(
        None, "Tokens that are read of a text at most [default: the backbone's].", ge=3
    )
    tune: Literal["head", "all"] | None = _method(
        None,
        "Train the head alone or the whole network [default: head on features and pretrained backbones, else all].",
    )
    head_start: Literal["ridge", "random"] | None = _method(
        None, "What the head starts from [default: ridge on features and pretrained backbones, else random]."
    )
    positive_boost: float | None = _method(
        None, "With --tune all on pictures: multiply positive scores at each place of a map, as 5.", ge=1
    )
    warm_start: str | None = _training(
        None, "A finished run to go on from where rows, labels or new labels were added.", "RUN"
    )
    epochs: int | None = _training(None, "Passes over the data [default: the method's].", ge=1)
    batch_size: int | None = _training(None, "Items a step [default: the method's].", ge=1)
    learning_rate: float | None = _training(None, "The (peak) learning rate [default: the method's].", gt=0)
    backbone_learning_rate: float | None = _training(
        None, "With --tune all [default: a tenth of --learning-rate for a pretrained backbone].", gt=0
    )
    accumulate: int = _training(1, "Batches whose gradients make one update.", ge=1)
    patience: int | None = _training(
        None, "Stop after so many epochs without a better validation score.", ge=1
    )
    select: Literal["last", "best"] = _training("last", "Which epoch to use where there is validation.")
    hints: str | None = _training(
        None, "A table of another model's scores by item and label: what 'predict' writes, for one.", "FILE"
    )
    hints_yes_above: float = _training(
        0.5, "Unknown entries of a higher hint are soft positives.", ge=0, le=1
    )
    hints_no_below: float | None = _training(
        None, "Unknown entries of a lower hint are negatives [default: none].", ge=0, le=1
    )
    hints_at_most: int | None = _training(None, "The most soft positives an item [default: all].", ge=1)
    coherent_loss: bool = _training(False, "With --hierarchy: train by the loss of C-HMCNN.")
    group_consistency: float = _training(
        0.0, "With --group-column: weight of a term that keeps a group's scores alike.", ge=0, le=1e6
    )
    strong_view: float = _training(0.2, "Share of coordinates dropped in the strong view.", ge=0, lt=1)
    seed: int = _training(0, "The seed of every random choice.", ge=0, lt=2**32)
    validation: float | str = _judging(
        "auto", "A share of the labelled rows, or a table.", "auto|none|SHARE|FILE"
    )
    rule: str = _judging("auto", "auto, micro-f1, macro-f1, shares, recall, 0.5 or 'top_k(3)'.")
    recall: float = _judging(0.9, "With --rule recall: the share of positives to keep.", gt=0, lt=1)
    calibrate: bool = _judging(True, "Calibrate probabilities where that is identified.")
    device: str = _machine("auto", "auto, cpu, cuda or mps.")
    devices: int = _machine(1, "Devices a machine.", ge=1)
    nodes: int = _machine(1, "Machines.", ge=1)
    precision: Literal["32", "bf16", "16"] = _machine("32", "32 or mixed.")
    compile: bool = _machine(False, "Compile the training steps' forward pass (torch.compile).")
    cache: bool = _machine(True, "Keep the features of pictures and texts for the next run.")
    picture_cache: str | None = _machine(None, "A folder for decoded pictures, with --tune all.", "DIR")
    memory: float | None = _machine(
        None, "Gigabytes past which stored features and item state are mapped to disk [default: 4].", gt=0
    )
    stream: bool = _machine(
        False,
        "Read a Parquet file, or a folder of them, in passes instead of holding its rows: method ridge.",
    )
    engine: Literal["here", "ray"] = _machine(
        "here",
        "Who reads rows in passes: this process, or the workers of a Ray cluster (RAY_ADDRESS, else local).",
    )
    workers: int | None = _machine(
        None, "With --engine ray: tasks at a time [default: one a processor].", ge=1
    )
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
        """Build a configuration from a file and from settings given.

        Settings of ``base`` give way to those of ``file``, these to ``given``, and hyper-parameters to ``sets``.

        Args:
            given: Settings by name; None stands for one that is not given.
            file: A TOML file of settings.
            sets: ``KEY=VALUE`` texts for single hyper-parameters, the values as in TOML.
            base: Settings by name, such as those of a run that is resumed.

        Raises:
            UserError: For a setting that does not exist or cannot have its value.
        """
        values = {**(base or {}), **(toml.read(file) if file is not None else {})}
        values |= {name: value for name, value in given.items() if value is not None}
        if sets:
            others = values.get("hyperparameters", {})
            values["hyperparameters"] = {
                **(others if isinstance(others, dict) else {}),
                **dict(map(_pair, sets)),
            }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(_explain(error, cls, "" if file is None else f"{file}: ")) from None

    def to_toml(self) -> str:
        """Return TOML that ``build`` reads back into the same configuration."""
        return toml.dumps(self.model_dump())

    def classifier_options(self) -> dict[str, Any]:
        """Return the keywords of ``labelwise.MultiLabelClassifier``.

        Files that they name are not read yet.
        """
        from labelwise.classifier import FitOptions

        names = {field.name for field in fields(FitOptions)} & type(self).model_fields.keys()
        given = {name: getattr(self, name) for name in names - set(TableOptions.names())}
        return {**given, "random_state": self.seed}

    def table_options(self) -> TableOptions:
        """Return the options of the table's columns and cells."""
        return TableOptions(**{name: getattr(self, name) for name in TableOptions.names()})

    def located(self) -> Self:
        """Return the configuration with absolute paths.

        They mean the same from every working directory.
        """
        folders = {name: getattr(self, name) for name in _FOLDERS if getattr(self, name) is not None}
        named = {**self.files(), **folders}
        paths = {name: str(Path(path).expanduser().absolute()) for name, path in named.items()}
        if self.backbone is not None and "hf/" in self.backbone:
            paths["backbone"] = "+".join(map(_located, self.sources()))
        return self.model_copy(update=paths)

    def sources(self) -> tuple[str, ...]:
        """Return the names of the backbone's sources of features."""
        from labelwise.models import split_names

        return () if self.backbone is None else split_names(self.backbone)

    def reads(self, source: str) -> bool:
        """Return whether the backbone names a source of features."""
        return self.backbone is not None and "+" in self.backbone and source in self.sources()

    def files(self) -> dict[str, str]:
        """Return the run's input files by the setting that names them."""
        values = {name: getattr(self, name) for name in _FILES}
        # The setting may hold a number or a word in the place of a file.
        words = ("auto", "none", "balanced")
        return {
            name: value for name, value in values.items() if isinstance(value, str) and value not in words
        }

    def differences(self, other: RunConfig) -> list[str]:
        """Return a clause for each setting that differs from ``other``."""
        ours, others = (
            # None means "unknown", which runs of earlier versions wrote in its place.
            {**config.model_dump(), "unlisted": config.unlisted or "unknown"}
            for config in (self, other)
        )
        return [
            f"{name} is {ours[name]!r}, not {others[name]!r}" for name in ours if ours[name] != others[name]
        ]


_FILES = (
    "table",
    "prior",
    "label_weights",
    "label_texts",
    "hierarchy",
    "hints",
    "true_labels",
    "validation",
    "backbone_weights",
)
WHO_COMPUTES = ("devices", "nodes", "engine", "workers", "compile")
"""Settings that may differ where a run is resumed."""

_FOLDERS = ("images", "picture_cache", "answers", "warm_start")
"""Settings that are made absolute. Answers may be a file that grows: the run keeps what it read of them."""


def _located(backbone: str) -> str:
    """Return a backbone's name with the absolute path of its folder."""
    from labelwise.models import LAYERS_SUFFIX

    family, _, local = backbone.partition("/")
    folder = local.removesuffix(LAYERS_SUFFIX)
    if family != "hf" or not folder or not Path(folder).is_dir():
        return backbone
    return f"hf/{Path(folder).absolute()}{local[len(folder) :]}"


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
