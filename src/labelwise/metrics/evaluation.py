"""Judge scores against labels, unknown entries left out: one call, one result that says what it left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, near
from labelwise.metrics.checks import Labels, Meanings, Scores, check_names, check_pair
from labelwise.metrics.cuts import cut_auc, cut_average_precision, cuts, label_cuts
from labelwise.metrics.item_metrics import ITEM_METRICS, ranking_metrics
from labelwise.metrics.measurable import check_judgeable, judgeable, positives_alone
from labelwise.metrics.ranking import EmptyLabels, mean_over_labels
from labelwise.metrics.results import Evaluation, PerLabel
from labelwise.metrics.rules import Input, Rule, Threshold, check_input, check_rule, decide

_RULE_METRICS = ("micro_f1", "macro_f1", "hamming_loss")
_LABEL_METRICS = ("map", "macro_auc")
METRICS = ("map", *_RULE_METRICS, *ITEM_METRICS[:4], "micro_auc", "macro_auc", *ITEM_METRICS[4:])
"""The names of all metrics, in the order of a result."""


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
    **meanings: Unpack[Meanings],
) -> Evaluation:
    """Judge ``scores`` on the known entries of ``Y_true``.

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
    wanted = _wanted(metrics)
    unknown = Y < 0
    rows: NDArray[np.bool_] = np.asarray((Y >= 0).any(axis=1))
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
    found: dict[str, float] = {}
    if wanted & set(_LABEL_METRICS):
        _add_label_metrics(Y, s, empty_labels, per_label, found)
    if "micro_auc" in wanted:
        found["micro_auc"] = cut_auc(cuts(s[(Y == 1) & measured], s[Y == 0]))
    if wanted & set(_RULE_METRICS):
        predicted = decide(rule, s, Y) if input == "logit" else rule.apply(s, Y)
        _add_rule_metrics(Y, predicted, measured, empty_labels, per_label, found)
    if wanted & set(ITEM_METRICS):
        found |= ranking_metrics(Y, s)
    return Evaluation(
        figures={name: found[name] for name in METRICS if name in wanted},
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


def _wanted(metrics: Iterable[str] | None) -> set[str]:
    wanted = set(METRICS) if metrics is None else {metrics} if isinstance(metrics, str) else set(metrics)
    for name in sorted(wanted - set(METRICS)):
        raise UserError(f"there is no metric {name!r}: {near(name, METRICS)}")
    return wanted


def _add_label_metrics(
    Y: Labels, s: Scores, empty_labels: EmptyLabels, per_label: PerLabel, found: dict[str, float]
) -> None:
    per_label.average_precision, per_label.auc = np.empty(Y.shape[1]), np.empty(Y.shape[1])
    for k in range(Y.shape[1]):
        c = label_cuts(Y, s, k)
        per_label.average_precision[k], per_label.auc[k] = cut_average_precision(c), cut_auc(c)
    some = per_label.positives > 0
    found["map"] = mean_over_labels(per_label.average_precision, some, empty_labels)
    found["macro_auc"] = mean_over_labels(per_label.auc, some, "omit")


def _add_rule_metrics(
    Y: Labels,
    predicted: Labels,
    measured: NDArray[np.bool_],
    empty_labels: EmptyLabels,
    per_label: PerLabel,
    found: dict[str, float],
) -> None:
    said = (predicted == 1) & (Y >= 0)
    hits, calls = (said & (Y == 1)).sum(axis=0), said.sum(axis=0)
    sizes = per_label.positives + calls
    with np.errstate(invalid="ignore"):
        f1 = np.where(sizes > 0, 2 * hits / np.maximum(sizes, 1), 0.0)
    some = per_label.positives > 0
    per_label.predicted, per_label.f1 = calls, np.where(some & measured, f1, np.nan)
    known = (per_label.positives + per_label.negatives)[measured].sum()
    hits, sizes = hits[measured], sizes[measured]
    found["micro_f1"] = float(2 * hits.sum() / sizes.sum()) if sizes.any() else float("nan")
    found["macro_f1"] = mean_over_labels(per_label.f1, some, empty_labels)
    found["hamming_loss"] = float((sizes - 2 * hits).sum() / known)
