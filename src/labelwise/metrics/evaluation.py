"""Evaluation of scores on the known entries: all metrics, one result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise._html import columns_table, facts_table
from labelwise.errors import UserError, listed, near
from labelwise.metrics.checks import Floats, Labels, Meanings, Scores, check_names, check_pair
from labelwise.metrics.item_metrics import DEPTHS, ITEM_METRICS, ranking_metrics
from labelwise.metrics.measurable import check_judgeable, judgeable, positives_alone
from labelwise.metrics.propensity import A, B, propensities, top_labels, top_metrics
from labelwise.metrics.ranking import (
    EmptyLabels,
    cut_auc,
    cut_average_precision,
    cuts,
    label_cuts,
    mean_over_labels,
)
from labelwise.metrics.rules import Input, Rule, Threshold, check_input, check_rule, decide


@dataclass(eq=False)
class PerLabel:
    """Counts and metrics of each label, arrays (K,).

    ``None`` where a metric was not asked for.
    """

    positives: NDArray[np.int64]
    """Known positives."""
    negatives: NDArray[np.int64]
    """Known negatives."""
    unknown: NDArray[np.int64]
    """Entries left out."""
    average_precision: Floats | None = None
    """In [0, 1]; NaN unless both classes are known."""
    auc: Floats | None = None
    """In [0, 1]; NaN unless both classes are known."""
    f1: Floats | None = None
    """In [0, 1] under the decision rule; NaN without a known positive, and where positives alone are known."""
    predicted: NDArray[np.int64] | None = None
    """Known entries that the decision rule predicts."""


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, float]):
    """Result of an evaluation: metric values by name, and their basis.

    Values are in [0, 1], NaN where undefined.
    """

    figures: Mapping[str, float]
    """The metrics; ``evaluation["map"]`` reads them."""
    rule: str
    """Name of the decision rule behind micro_f1, macro_f1 and hamming_loss."""
    n_items: int
    """Items judged."""
    n_items_left_out: int
    """Items without a known entry, and those that ``fair_rows`` leaves out."""
    n_unknown: int
    """Unknown entries left out, those of the items left out included."""
    empty_labels: str
    """What became of labels without a known positive: ``omit`` or ``zero``."""
    label_names: tuple[str, ...]
    per_label: PerLabel
    n_items_partly_known: int = 0
    """Items judged of which some entries are unknown."""
    n_items_positive_alone: int = 0
    """Items that hold nothing but positives, beside fully known ones that hold all known negatives."""
    fair_rows: bool = False
    """Whether those were left out."""

    @property
    def labels_without_positive(self) -> tuple[str, ...]:
        """Labels without a known positive.

        They are left out of mAP and macro-F1, or count as 0 under ``zero``.
        """
        return self._named(self.per_label.positives == 0)

    @property
    def labels_without_negative(self) -> tuple[str, ...]:
        """Labels without a known negative.

        They are left out of mAP, since their AP would be 1 whatever the scores.
        """
        return self._named((self.per_label.negatives == 0) & (self.per_label.positives > 0))

    @property
    def labels_left_out(self) -> tuple[str, ...]:
        """Labels that mAP leaves out."""
        empty = self.empty_labels == "omit"
        return self._named(
            ((self.per_label.positives == 0) & empty)
            | ((self.per_label.negatives == 0) & (self.per_label.positives > 0))
        )

    @property
    def n_labels_judged(self) -> int:
        """Labels that mAP is the mean of."""
        return len(self.label_names) - len(self.labels_left_out)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on the basis of the figures.

        They name those that say less than they seem to.
        """
        notes = []
        if self.labels_left_out and "map" in self:
            notes.append(f"mAP is the mean of {self.n_labels_judged} of {len(self.label_names)} labels.")
        ranked = [name for name in ITEM_METRICS if name in self]
        if self.n_items_partly_known and ranked:
            notes.append(
                f"Rankings of labels ({listed(ranked, 2)}) rest on the known entries of {self.n_items:,} items, of"
                f" which {self.n_items_partly_known:,} are partly known: they cannot be compared with those of wholly"
                " known items."
            )
        if trivial := [k for k in DEPTHS if k >= len(self.label_names) and f"recall_at_{k}" in self]:
            notes.append(
                f"Precision and recall at {listed(trivial)} are left out, since there are only"
                f" {len(self.label_names)} labels."
            )
        if any(name.startswith("ps_") for name in self):
            notes.append(
                f"ps_: weighted by 1 / propensity (Jain et al. 2016, A = {A}, B = {B}), by the counts of the training"
                " labels."
            )
        if self.n_items_positive_alone:
            notes.append(
                f"{self.n_items_positive_alone:,} items hold nothing but positives beside fully known ones, which"
                " makes precision look high: "
                + ("they were left out." if self.fair_rows else "fair_rows=True leaves them out.")
            )
        return tuple(notes)

    def _named(self, mask: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(self.label_names[k] for k in np.flatnonzero(mask))

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON data; undefined values are ``None``."""
        arrays = {key: values for key, values in vars(self.per_label).items() if values is not None}
        return {
            "metrics": {name: _plain(value) for name, value in self.figures.items()},
            "rule": self.rule,
            "n_items": self.n_items,
            "n_items_left_out": self.n_items_left_out,
            "n_unknown": self.n_unknown,
            "n_items_partly_known": self.n_items_partly_known,
            "n_items_positive_alone": self.n_items_positive_alone,
            "fair_rows": self.fair_rows,
            "n_labels_judged": self.n_labels_judged,
            "empty_labels": self.empty_labels,
            "labels_left_out": list(self.labels_left_out),
            "labels_without_positive": list(self.labels_without_positive),
            "labels_without_negative": list(self.labels_without_negative),
            "notes": list(self.notes),
            "per_label": {
                "name": list(self.label_names),
                **{key: [_plain(value) for value in values.tolist()] for key, values in arrays.items()},
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Evaluation:
        """Return the evaluation that ``to_dict`` wrote."""
        table = {
            key: _array([np.nan if value is None else value for value in values])
            for key, values in data["per_label"].items()
            if key != "name"
        }
        figures = {name: np.nan if value is None else float(value) for name, value in data["metrics"].items()}
        fields = {
            key: data[key] for key in ("rule", "n_items", "n_items_left_out", "n_unknown", "empty_labels")
        }
        # Records of earlier versions do not count these.
        later = ("n_items_partly_known", "n_items_positive_alone", "fair_rows")
        fields |= {key: data[key] for key in later if key in data}
        return cls(
            figures=figures,
            label_names=tuple(data["per_label"]["name"]),
            per_label=PerLabel(**table),
            **fields,
        )

    def _repr_html_(self) -> str:
        """Return the figures, and each label's, as tables, for notebooks."""
        figures = [
            (TITLES.get(name, name), value)
            for name, value in self.figures.items()
            if not self._is_trivial(name)
        ]
        basis = [
            ("rule", self.rule),
            ("items", f"{self.n_items:,}"),
            ("unknown entries", f"{self.n_unknown:,}"),
        ]
        columns = {key: values for key, values in vars(self.per_label).items() if values is not None}
        rows = [
            (name, *(values[k].item() for values in columns.values()))
            for k, name in enumerate(self.label_names)
        ]
        head = ("label", *(name.replace("_", " ") for name in columns))
        return facts_table("Evaluation", [*figures, *basis], self.notes) + columns_table("Labels", head, rows)

    def __str__(self) -> str:
        width = max(map(len, self.figures), default=0)
        shown = {name: value for name, value in self.figures.items() if not self._is_trivial(name)}
        lines = [f"{name:<{width}}  {value:.4f}" for name, value in shown.items()]
        lines.append(f"rule: {self.rule}; {self.n_items} items, {len(self.label_names)} labels")
        if self.n_unknown:
            lines.append(f"left out: {self.n_unknown} unknown entries, {self.n_items_left_out} items")
        if self.labels_without_positive:
            treatment = "left out of macro averages" if self.empty_labels == "omit" else "counted as 0"
            lines.append(f"no known positive, {treatment}: {listed(self.labels_without_positive)}")
        if self.labels_without_negative:
            lines.append(f"no known negative, left out of mAP: {listed(self.labels_without_negative)}")
        return "\n".join([*lines, *self.notes])

    def _is_trivial(self, name: str) -> bool:
        """Return whether a figure's depth takes in all labels.

        It has no value then.
        """
        depth = name.rpartition("_at_")[2]
        return depth.isdigit() and int(depth) >= len(self.label_names)


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


def _array(values: list[Any]) -> NDArray[Any]:
    """Return numbers as an array of numbers.

    Those past 64 bits would be objects.
    """
    array = np.array(values)
    return array.astype(np.float64) if array.dtype == object else array


RULE_METRICS = ("micro_f1", "macro_f1", "hamming_loss")
"""The names of the metrics that rest on a decision rule."""
_LABEL_METRICS = ("map", "macro_auc")
METRICS = ("map", *RULE_METRICS, *ITEM_METRICS[:4], "micro_auc", "macro_auc", *ITEM_METRICS[4:])
"""The names of all metrics, in the order of a result."""
TOP_TITLES = {
    f"{name}_at_{k}": f"{title}@{k}"
    for name, title in (("precision", "P"), ("ndcg", "nDCG"), ("ps_precision", "PSP"), ("ps_ndcg", "PSnDCG"))
    for k in DEPTHS
}
"""What readers call the metrics of the highest labels, among very many."""
MANY_LABELS = 1_000
"""Labels from which on a model is judged by those too."""
Training: TypeAlias = tuple[ArrayLike, int]
"""Counts (K,) of each label's positives in the training items, and the number of these."""
LOWER_IS_BETTER = frozenset({"hamming_loss", "one_error", "coverage", "ranking_loss"})
"""The names of the metrics of which 0 is the best value; of the others it is 1."""
TITLES = {
    "map": "mAP",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "hamming_loss": "Hamming loss",
    "one_error": "one-error",
    "coverage": "coverage",
    "ranking_loss": "ranking loss",
    "label_ranking_ap": "label-ranking AP",
    "micro_auc": "micro-AUC",
    "macro_auc": "macro-AUC",
}
"""What readers call a metric, where it is not the word of the code."""


def evaluate(
    Y_true: ArrayLike,
    scores: ArrayLike,
    rule: Rule = Threshold(0.5),  # noqa: B008 (frozen)
    *,
    label_names: Sequence[str] | None = None,
    empty_labels: EmptyLabels = "omit",
    metrics: Iterable[str] | None = None,
    input: Input = "probability",
    fair_rows: bool = False,
    training: Training | None = None,
    **meanings: Unpack[Meanings],
) -> Evaluation:
    """Evaluate ``scores`` on the known entries of ``Y_true``.

    Args:
        Y_true: (n, K) of 1, 0 and -1. Unknown entries are left out of every metric, items without a known
            entry altogether; both are counted in the result.
        scores: (n, K) finite; probabilities where ``rule`` is the default threshold of .5.
        input: ``"logit"`` where ``scores`` are logits and ``rule`` one for probabilities: everything ranks by the
            logits, which are not tied where float32 probabilities are.
        rule: the decision rule behind micro-F1, macro-F1 and the Hamming loss; applied to the items judged.
        label_names: K names for the per-label table; numbers by default.
        empty_labels: labels without a known positive are left out of mAP and macro-F1 and listed
            (``"omit"``), or count as 0 (``"zero"``, the published protocol).
        metrics: names out of ``METRICS`` to compute; all by default.
        fair_rows: leave out the items that hold nothing but positives beside fully known ones, which make precision
            look high: judge the rows of ``judgeable(Y_true)`` alone.
        training: counts (K,) of each label's positives in the training items, and their number (at least 3): adds
            nDCG of the highest 1, 3 and 5 labels, and precision and nDCG weighted by propensity (``top_metrics``),
            where the items judged are wholly known.
        **meanings: ``unlisted``, ``minus_one`` and ``empty``, what codes mean, as in ``labelwise.annotations.parse``.

    Returns:
        A mapping from metric name to a fraction in [0, 1] (NaN where undefined), with counts and per-label
        arrays; ``notes`` say what the figures rest on. Labels that cannot be judged leave every mean: mAP and
        macro_auc those without a known negative, the others those of which positives alone are known while other
        entries are unknown.

    Raises:
        UserError: nothing can be judged because no positive or no negative is known; bad values by row and
            label.
    """
    Y, s = check_pair(Y_true, scores, label_names=label_names, **meanings)
    check_input(input)
    check_rule(rule)
    names = check_names(label_names, Y.shape[1]) or tuple(str(k) for k in range(Y.shape[1]))
    chosen = _metric_names(metrics)
    unknown = Y < 0
    rows: NDArray[np.bool_] = np.asarray((Y >= 0).any(axis=1))
    # Before rows are left out: the note tells of all items.
    n_alone = int((rows & ~judgeable(Y).rows).sum())
    if fair_rows:
        rows &= judgeable(Y).rows
    n_unknown, n_items = int(unknown.sum()), int(rows.sum())
    if n_items < len(Y):
        Y, s = Y[rows], s[rows]
    check_judgeable(Y)
    positives, negatives = (Y == 1).sum(axis=0), (Y == 0).sum(axis=0)
    measured = ~positives_alone(Y)
    per_label = PerLabel(positives, negatives, unknown.sum(axis=0))
    figures: dict[str, float] = {}
    if chosen & set(_LABEL_METRICS):
        _add_label_metrics(Y, s, empty_labels, per_label, figures)
    if "micro_auc" in chosen:
        figures["micro_auc"] = cut_auc(cuts(s[(Y == 1) & measured], s[Y == 0]))
    if chosen & set(RULE_METRICS):
        predicted = decide(rule, s, Y) if input == "logit" else rule.apply(s, Y)
        _add_rule_metrics(Y, predicted, measured, empty_labels, per_label, figures)
    if chosen & set(ITEM_METRICS):
        figures |= ranking_metrics(Y, s)
    propensity = propensities_of(training)
    if propensity is not None and not (Y < 0).any():
        top = top_metrics(Y, top_labels(s, max(DEPTHS)), propensity)
        figures |= {name: value for name, value in top.items() if name not in METRICS}
    chosen |= set(TOP_TITLES) - set(METRICS)
    return Evaluation(
        figures={
            name: figures[name]
            for name in dict.fromkeys((*METRICS, *TOP_TITLES))
            if name in chosen & figures.keys()
        },
        rule=rule.name,
        n_items=n_items,
        n_items_left_out=len(rows) - n_items,
        n_unknown=n_unknown,
        empty_labels=empty_labels,
        label_names=names,
        per_label=per_label,
        n_items_partly_known=int((Y < 0).any(axis=1).sum()),
        n_items_positive_alone=n_alone,
        fair_rows=fair_rows,
    )


def propensities_of(training: Training | None) -> Floats | None:
    """Return the labels' propensities (K,) by their counts in training; None without these, or of too few items."""
    return None if training is None or training[1] < 3 else propensities(*training)


def _metric_names(metrics: Iterable[str] | None) -> set[str]:
    chosen = set(METRICS) if metrics is None else {metrics} if isinstance(metrics, str) else set(metrics)
    for name in sorted(chosen - set(METRICS)):
        raise UserError(f"there is no metric {name!r}: {near(name, METRICS)}")
    return chosen


def _add_label_metrics(
    Y: Labels, s: Scores, empty_labels: EmptyLabels, per_label: PerLabel, figures: dict[str, float]
) -> None:
    per_label.average_precision, per_label.auc = np.empty(Y.shape[1]), np.empty(Y.shape[1])
    for k in range(Y.shape[1]):
        c = label_cuts(Y, s, k)
        per_label.average_precision[k], per_label.auc[k] = cut_average_precision(c), cut_auc(c)
    some = per_label.positives > 0
    figures["map"] = mean_over_labels(per_label.average_precision, some, empty_labels)
    figures["macro_auc"] = mean_over_labels(per_label.auc, some, "omit")


def _add_rule_metrics(
    Y: Labels,
    predicted: Labels,
    measured: NDArray[np.bool_],
    empty_labels: EmptyLabels,
    per_label: PerLabel,
    figures: dict[str, float],
) -> None:
    predicted_known = (predicted == 1) & (Y >= 0)
    hits, calls = (predicted_known & (Y == 1)).sum(axis=0), predicted_known.sum(axis=0)
    rule_figures(hits, calls, measured, empty_labels, per_label, figures)


def rule_figures(
    hits: NDArray[np.int64],
    calls: NDArray[np.int64],
    measured: NDArray[np.bool_],
    empty_labels: EmptyLabels,
    per_label: PerLabel,
    figures: dict[str, float],
) -> None:
    """Add the metrics of a decision rule, from each label's right predictions and predictions (K,)."""
    sizes = per_label.positives + calls
    with np.errstate(invalid="ignore"):
        f1 = np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 0.0)
    some = per_label.positives > 0
    per_label.predicted, per_label.f1 = calls, np.where(some & measured, f1, np.nan)
    known = (per_label.positives + per_label.negatives)[measured].sum()
    hits, sizes = hits[measured], sizes[measured]
    figures["micro_f1"] = float(2 * hits.sum() / sizes.sum()) if sizes.any() else float("nan")
    figures["macro_f1"] = mean_over_labels(per_label.f1, some, empty_labels)
    # Wrong entries are predicted plus positive ones, less twice the hits.
    figures["hamming_loss"] = float((sizes - 2 * hits).sum() / known)
