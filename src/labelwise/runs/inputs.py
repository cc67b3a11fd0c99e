"""From a configuration to what the estimator takes: table, priors, validation rows, decision rule."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from labelwise.data import Table, read_table
from labelwise.errors import UserError, listed, near
from labelwise.runs.config import RunConfig
from labelwise.runs.named_values import read_named_values

if TYPE_CHECKING:
    from labelwise.data import BadItem
    from labelwise.metrics import Rule

__all__ = [
    "BACKBONES",
    "Inputs",
    "check_kind",
    "check_some",
    "items_of",
    "parse_rule",
    "read_for_model",
    "read_inputs",
]

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


def read_inputs(config: RunConfig) -> Inputs:
    """Read everything that ``config`` names.

    :raises UserError: for whatever is wrong with it; nothing has been written then.
    """
    if config.table is None:
        raise UserError("no table: give one, as in 'labelwise train photos.csv --out runs/first'")
    table = read_table(config.table, config.table_options(), images=config.images)
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
        held = read_for_model(validation, config, table.feature_names, names, kind=table.kind)
        validation = (items_of(held), held.annotations)
    truth = None if config.true_labels is None else _true_labels(config.true_labels, config, table)
    return Inputs(table, validation, truth, prior, weights, parse_rule(config.rule))


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


def _true_labels(path: str, config: RunConfig, table: Table) -> np.ndarray:
    """Return the labels (n, K) of the table's items, in its order, from another table that knows them."""
    known = read_for_model(path, config, table.feature_names, table.annotations.label_names)
    rows = {item: row for row, item in enumerate(known.items)}
    missing = [item for item in table.items if item not in rows]
    if missing:
        raise UserError(
            f"true_labels (--true-labels) {path} has no row for {listed(missing)} of {table.path.name}"
        )
    return known.annotations.matrix[[rows[item] for item in table.items]]


def read_for_model(
    path: str,
    config: RunConfig,
    feature_names: Sequence[str],
    label_names: Sequence[str],
    *,
    given: Mapping[str, Any] | None = None,
    images: str | None = None,
    kind: str | None = None,
) -> Table:
    """Read another table for a model: the columns that it was trained on, in its order, and items of its ``kind``.

    :param given: options of :class:`labelwise.data.TableOptions` that differ from the configuration's.
    :param label_names: without any, no labels are read.
    """
    options = config.table_options().changed(given or {})
    if not label_names:
        options = replace(options, labels_column=None, label_columns=None, label_value=None)
    return read_table(
        path,
        options,
        require_labels=bool(label_names),
        expect=(feature_names, label_names),
        images=images or config.images,
        kind=kind,
    )


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


def parse_rule(text: str) -> Rule | Literal["auto"]:
    """Return the decision rule that ``text`` names, or "auto".

    A number is a threshold; otherwise a rule is written as results name it: ``threshold(0.5)``, ``top_k(3)``.
    """
    from labelwise.metrics import Threshold, TopK

    if text == "auto":
        return "auto"
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
    options = ("auto", "0.5", "threshold(0.5)", "top_k(3)")
    raise UserError(f"rule (--rule) {text!r} is none that can be chosen; {near(text, options)}")
