"""Read the data that a configuration names.

They are the table, priors, label weights, validation rows, true labels and the decision rule.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.data import Table, read_table
from labelwise.errors import UserError, listed, near
from labelwise.runs.config import RunConfig
from labelwise.runs.named_values import read_named_values
from labelwise.runs.tables import ModelColumns, items_of, notes_on, read_for_model

if TYPE_CHECKING:
    from labelwise.metrics import Rule

_BACKBONES = {"features": "features", "image": "efficientnet-lite0", "text": "minilm"}
"""The backbone that takes a table's items where none is named, by the kind of the items."""
_FOR_FEATURES = ("features", "mlp")
_RULE = re.compile(r"(?P<name>[a-z_]+)\((?P<value>[^()]*)\)")


@dataclass(frozen=True)
class Inputs:
    """The data of a run, read and checked.

    Attributes:
        validation: None, "auto", a share, or the items and annotations of another table.
        true_labels: (n, K) int8, every label of the table's items; for oracle methods alone.
        prior: None, labels per item, or (K,) shares of positives.
        label_weights: None, "balanced", or a number by label.
        notes: Sentences on what was guessed of the tables.
    """

    table: Table
    validation: Any
    true_labels: np.ndarray | None
    prior: Any
    label_weights: Any
    rule: Rule | str
    notes: tuple[str, ...] = ()

    def classifier_options(self) -> dict[str, Any]:
        """Return the classifier's keywords that the inputs decide.

        They replace those of the configuration, which only name files and rules.
        """
        names = ("validation", "prior", "label_weights", "rule")
        return {name: getattr(self, name) for name in names}


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
    _check_features(config.backbone, table)
    columns, notes = ModelColumns.of(table), list(table.notes)
    prior = _prior(config.prior, columns.label_names)
    weights: Any = config.label_weights
    if weights is not None and weights != "balanced":
        weights = read_named_values(weights, columns.label_names, setting="label_weights (--label-weights)")
    validation: Any = None if config.validation == "none" else config.validation
    if isinstance(validation, str) and validation != "auto":
        held_out = read_for_model(validation, config, columns)
        notes += notes_on(held_out, "validation")
        validation = (items_of(held_out), held_out.annotations)
    true_labels = None
    if config.true_labels is not None:
        full = read_for_model(config.true_labels, config, columns)
        true_labels = _matched(full, table, config.true_labels)
        notes += notes_on(full, "true labels")
    return Inputs(table, validation, true_labels, prior, weights, parse_rule(config.rule), tuple(notes))


def default_backbone(table: Table) -> str:
    """Return the backbone for a table's items where none is named."""
    return _BACKBONES[table.kind]


def _check_features(backbone: str | None, table: Table) -> None:
    """Refuse a backbone of features for pictures or texts, and the reverse."""
    if table.kind != "features" and backbone in _FOR_FEATURES:
        raise UserError(
            f"{table.path.name} has a column of {table.kind}s, and backbone {backbone!r} takes features: give "
            f"--backbone {default_backbone(table)}, or name feature columns (--feature-columns), such as embeddings"
        )
    if table.kind == "features" and backbone not in (None, *_FOR_FEATURES):
        raise UserError(
            f"{table.path.name} has columns of features, and backbone {backbone!r} takes pictures or texts: "
            "call the column of paths 'image' or that of texts 'text', or leave --backbone out"
        )


def check_kind(backbone: str | None, table: Table) -> None:
    """Refuse a backbone of texts for pictures, and the reverse.

    It would read the paths of the pictures.
    """
    from labelwise.models import preprocessing_of

    if backbone is None or table.kind == "features":
        return
    items = preprocessing_of(backbone)
    if items is not None and items.kind != table.kind:
        raise UserError(
            f"{table.path.name} has a column of {table.kind}s, and backbone {backbone!r} takes {items.kind}s: give "
            f"--backbone {default_backbone(table)}, or a table with a column {items.kind!r}"
        )


def _prior(prior: float | str | None, label_names: tuple[str, ...]) -> Any:
    """Return labels per item, the shares (K,) in a file, or None."""
    if isinstance(prior, str):
        shares = read_named_values(prior, label_names, setting="prior (--prior)", high=1.0)
        return np.array(list(shares.values()))
    n_labels = len(label_names)
    if prior is not None and not 0 < prior <= n_labels:
        raise UserError(
            f"prior (--prior) is {prior:g} labels an item, and there are {n_labels} labels: give a number above 0 and"
            f" at most {n_labels}, or a file with the share of positives of each label"
        )
    return prior


def _matched(full: Table, table: Table, path: str) -> np.ndarray:
    """Return the labels (n, K) of ``table``'s items from ``full``."""
    row_of = {item: row for row, item in enumerate(full.items)}
    if not row_of.keys() >= set(table.items):
        # Some programs write whole numbers with a point. Ids as they are win over ids so read.
        row_of = {_whole(item): row for item, row in row_of.items()} | row_of
    rows = [row_of.get(item, row_of.get(_whole(item))) for item in table.items]
    if missing := [item for item, row in zip(table.items, rows, strict=True) if row is None]:
        raise UserError(
            f"true_labels (--true-labels) {path} has no row for {listed(missing)} of {table.path.name}"
        )
    return full.annotations.matrix[[row for row in rows if row is not None]]


def _whole(item: str) -> str:
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", item)


def parse_rule(text: str) -> Rule | str:
    """Return the decision rule that ``text`` names.

    A number is a threshold; otherwise a rule is written as results name it: ``threshold(0.5)``, ``top_k(3)``. One that
    is learnt in training, such as "auto", stays a name.
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
        # A ValueError too: the rule itself says which numbers it takes.
        raise
    except ValueError:
        pass
    raise UserError(f"rule (--rule) {text!r} is none that can be chosen; {near(text, (*GOALS, 'top_k(3)'))}")
