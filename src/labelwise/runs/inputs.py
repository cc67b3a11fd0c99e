"""From a configuration to what the estimator takes: table, priors, validation rows, decision rule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from labelwise.data import Preparation, Table, has_delimiter, read_table
from labelwise.errors import UserError, listed, near
from labelwise.runs.config import RunConfig
from labelwise.runs.directory import RunDirectory
from labelwise.runs.named_values import read_named_values
from labelwise.runs.records import require

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.data import BadItem
    from labelwise.metrics import Rule

BACKBONES = {"features": "features", "image": "efficientnet-lite0", "text": "minilm"}
"""The backbone that takes a table's items where none is named, by the kind of the items."""

_FOR_FEATURES = ("features", "mlp")
_RULE = re.compile(r"(?P<name>[a-z_]+)\((?P<value>[^()]*)\)")


@dataclass(frozen=True)
class Inputs:
    """The data that a configuration names, read and checked."""

    table: Table
    validation: Any
    true_labels: np.ndarray | None
    prior: Any
    label_weights: Any
    rule: Any
    notes: tuple[str, ...] = ()
    """Sentences on what was guessed of the tables."""


@dataclass(frozen=True)
class ModelColumns:
    """What a model was trained on, for which other tables are read."""

    kind: str
    feature_names: tuple[str, ...]
    label_names: tuple[str, ...]
    content_column: str | None = None
    preparation: Preparation | None = None

    @classmethod
    def of(cls, table: Table) -> Self:
        """Return the columns of a training table."""
        return cls(
            table.kind,
            table.feature_names,
            table.annotations.label_names,
            table.content_column,
            table.preparation,
        )

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return the columns that a run's state names; those of earlier versions say less."""
        made = state.get("preparation")
        return cls(
            state["kind"],
            tuple(state["feature_names"]),
            tuple(state["label_names"]),
            state.get("content_column"),
            None if made is None else Preparation.from_dict(made),
        )

    def to_state(self) -> dict[str, Any]:
        """Return what ``from_state`` reads."""
        return {
            "kind": self.kind,
            "feature_names": list(self.feature_names),
            "label_names": list(self.label_names),
            "content_column": self.content_column,
            "preparation": None if self.preparation is None else self.preparation.to_dict(),
        }


def read_inputs(config: RunConfig) -> Inputs:
    """Read everything that ``config`` names.

    Raises:
        UserError: For whatever is wrong with it; nothing has been written then.
    """
    if config.table is None:
        raise UserError("no table: give one, as in 'labelwise train photos.csv --out runs/first'")
    table = read_table(
        config.table, config.table_options(), images=config.images, on_bad_item=config.on_bad_item
    )
    columns = ModelColumns.of(table)
    notes = list(table.notes)
    if table.kind != "features" and config.backbone in _FOR_FEATURES:
        raise UserError(
            f"{table.path.name} has a column of {table.kind}s, and backbone {config.backbone!r} takes features: give "
            f"--backbone {BACKBONES[table.kind]}, or name feature columns (--feature-columns), such as embeddings"
        )
    if table.kind == "features" and config.backbone not in (None, *_FOR_FEATURES):
        raise UserError(
            f"{table.path.name} has columns of features, and backbone {config.backbone!r} takes pictures or texts: "
            "call the column of paths 'image' or that of texts 'text', or leave --backbone out"
        )
    names = table.annotations.label_names
    prior: Any = config.prior
    if isinstance(prior, str):
        shares = read_named_values(prior, names, setting="prior (--prior)", high=1.0)
        prior = np.array(list(shares.values()))
    elif prior is not None and not 0 < prior <= len(names):
        raise UserError(
            f"prior (--prior) is {prior:g} labels an item, and there are {len(names)} labels: give a number above 0 and"
            f" at most {len(names)}, or a file with the share of positives of each label"
        )
    weights: Any = config.label_weights
    if weights is not None and weights != "balanced":
        weights = read_named_values(weights, names, setting="label_weights (--label-weights)")
    validation: Any = None if config.validation == "none" else config.validation
    if isinstance(validation, str) and validation != "auto":
        held = read_for_model(validation, config, columns)
        notes += told_of(held, "validation")
        validation = (items_of(held), held.annotations)
    truth = None
    if config.true_labels is not None:
        truth, told = _true_labels(config.true_labels, config, table, columns)
        notes += told
    return Inputs(table, validation, truth, prior, weights, parse_rule(config.rule), tuple(notes))


def check_kind(backbone: str | None, table: Table) -> None:
    """Refuse a backbone of texts for pictures, whose paths it would read, and one of pictures for texts."""
    from labelwise.models import preprocessing_of

    if backbone is None or table.kind == "features":
        return
    items = preprocessing_of(backbone)
    if items is not None and items.kind != table.kind:
        raise UserError(
            f"{table.path.name} has a column of {table.kind}s, and backbone {backbone!r} takes {items.kind}s: give "
            f"--backbone {BACKBONES[table.kind]}, or a table with a column {items.kind!r}"
        )


def _true_labels(
    path: str, config: RunConfig, table: Table, columns: ModelColumns
) -> tuple[np.ndarray, list[str]]:
    """Return the labels (n, K) of the table's items, in its order, from another table that knows them, and notes."""
    known = read_for_model(path, config, columns)
    rows = {item: row for row, item in enumerate(known.items)}
    if not rows.keys() >= set(table.items):
        # Some programs write whole numbers with a point.
        rows = {_whole(item): row for item, row in rows.items()} | rows
    found = [rows.get(item, rows.get(_whole(item))) for item in table.items]
    missing = [item for item, row in zip(table.items, found, strict=True) if row is None]
    if missing:
        raise UserError(
            f"true_labels (--true-labels) {path} has no row for {listed(missing)} of {table.path.name}"
        )
    chosen = [row for row in found if row is not None]
    return known.annotations.matrix[chosen], told_of(known, "true labels")


def _whole(item: str) -> str:
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", item)


def told_of(table: Table, what: str) -> list[str]:
    """Return what is to be said of a table that was read for a model: ``what`` it is of the run."""
    notes = [f"{what}, {table.path.name}: {note}" for note in table.notes]
    if table.extra_labels:
        notes.append(f"{what}, {table.path.name}: {left_out(table.extra_labels)}")
    return notes


def left_out(labels: Sequence[str]) -> str:
    """Return a sentence on labels that a model does not know."""
    return f"Left out, since the model does not know them: {listed(labels)}."


def read_for_model(
    path: str | Path,
    config: RunConfig,
    columns: ModelColumns,
    *,
    given: Mapping[str, Any] | None = None,
    labels: bool = True,
    images: str | None = None,
    on_bad_item: str | None = None,
    keep: Sequence[str] = (),
) -> Table:
    """Read another table for a model: the columns that it was trained on, in its order, and items of its kind.

    Args:
        given: Options of ``labelwise.data.TableOptions`` that differ from the configuration's.
        labels: Whether labels are read.
        keep: Columns to hand on.
    """
    options, given = config.table_options(), dict(given or {})
    if options.delimiter is not None and not has_delimiter(path, options.delimiter):
        options = replace(options, delimiter=None)
    if not labels:
        options = replace(options, labels_column=None, label_columns=None, label_value=None)
    if options.text_column is None and columns.kind == "text":
        options = replace(options, text_column=columns.content_column)
    if options.item_column is None and columns.kind == "image":
        options = replace(options, item_column=columns.content_column)
    return read_table(
        path,
        options,
        require_labels=labels,
        expect=(columns.feature_names, columns.label_names if labels else ()),
        preparation=columns.preparation,
        images=images or (config.images if columns.kind == "image" else None),
        kind=columns.kind,
        on_bad_item=on_bad_item or config.on_bad_item,
        keep=keep,
        **given,
    )


def read_model(
    directory: RunDirectory, state: Mapping[str, Any]
) -> tuple[MultiLabelClassifier, ModelColumns]:
    """Return a finished run's model and its columns; labels and features are known by name, never by place.

    Raises:
        UserError: Where the model is of another run, with other labels or features.
    """
    from labelwise.classifier import load

    require(state, directory.path)
    model, columns = load(directory.model), ModelColumns.from_state(state)
    own = getattr(model, "feature_names_in_", None)
    features = columns.feature_names if own is None else tuple(map(str, own))
    for what, mine, known in (
        ("labels", columns.label_names, model.label_names_),
        ("features", columns.feature_names, features),
    ):
        if set(mine) != set(known):
            other = sorted(set(mine) ^ set(known))
            raise UserError(
                f"{directory.model} is the model of another run: its {what} differ from those of {directory.path} in"
                f" {listed(map(repr, other))}; put the run's own model back"
            )
    return model, replace(columns, label_names=tuple(model.label_names_), feature_names=features)


def items_of(table: Table) -> Any:
    """Return a table's items as an estimator takes them: features (n, D), paths of pictures, or texts."""
    return table.contents if table.features is None else table.features


def check_some(bad: Sequence[BadItem], n_items: int, table: Table) -> None:
    """Raise ``UserError`` where no item could be read."""
    if n_items and len(bad) == n_items:
        raise UserError(
            f"{table.path.name}: no item could be read; the first, {bad[0].item!r}, {bad[0].reason}: give items that"
            " can be"
        )


def parse_rule(text: str) -> Rule | str:
    """Return the decision rule that ``text`` names, or the name of one that is learnt in training, such as "auto".

    A number is a threshold; otherwise a rule is written as results name it: ``threshold(0.5)``, ``top_k(3)``.
    """
    from labelwise.classifier.options import GOALS
    from labelwise.metrics import Threshold, TopK

    if text in GOALS:
        return text
    written = _RULE.fullmatch(text.replace(" ", ""))
    name, value = (written["name"], written["value"]) if written else ("threshold", text)
    try:
        if name == "threshold":
            return Threshold(float(value))
        if name == "top_k":
            return TopK(int(value))
    except UserError:
        raise
    except ValueError:
        pass
    options = (*GOALS, "top_k(3)")
    raise UserError(f"rule (--rule) {text!r} is none that can be chosen; {near(text, options)}")
