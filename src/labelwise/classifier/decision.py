"""The decision of a classifier: its rule, in words where that comes from, and the calibration before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from labelwise import metrics
from labelwise.annotations import Summary
from labelwise.classifier.choices import ENOUGH_ROWS, Unseen
from labelwise.classifier.options import check_goal
from labelwise.errors import UserError, listed

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier
    from labelwise.classifier.training import Trained
    from labelwise.classifier.validation import Plan


@dataclass(frozen=True)
class Decision:
    """A decision rule, where it comes from, the calibration before it, the held-out figures, and what to know of it."""

    rule: metrics.Rule
    source: str
    calibration: metrics.PlattCalibration | None = None
    evaluation: metrics.Evaluation | None = None
    notes: tuple[str, ...] = ()


def check_rule(model: MultiLabelClassifier, plan: Plan) -> None:
    """Refuse, before any training, a rule for other labels, and a goal that the rows of ``plan`` cannot measure."""
    rule = model.rule
    if isinstance(rule, str):
        able = plan.labels is not None and metrics.judgeable(plan.labels).thresholds
        if rule in _MEASURED and not able:
            raise _unmeasurable(rule, _why_not(plan.source, model.summary_, model.validation))
    elif not isinstance(rule, Real):
        try:
            metrics.decide(rule, np.zeros((1, model.summary_.n_labels)))
        except UserError as error:
            raise UserError(f"rule: {error}") from None


def decision_of(model: MultiLabelClassifier, unseen: Unseen | None, run: Trained, X: Any) -> Decision:
    """Return the decision of ``run`` by the parameters of ``model``; ``X`` are the training items as they were read."""

    def logits_of_all() -> np.ndarray:
        left_out = run.left_out_logits
        return run.logits(X) if left_out is None else left_out

    return learn_decision(
        unseen,
        model.rule,
        calibrate=model.calibrate,
        prior=None if model.prior is None else model.prior_,
        summary=model.summary_,
        validation=model.validation,
        logits_of_all=logits_of_all,
    )


def learn_decision(
    unseen: Unseen | None,
    rule: Any,
    *,
    calibrate: bool,
    prior: np.ndarray | None,
    summary: Summary,
    validation: Any,
    logits_of_all: Callable[[], np.ndarray],
) -> Decision:
    """Choose calibration and decision rule from rows that the model did not see, and judge them there.

    ``prior`` (K,) is the one the user gave, if any. Where no such row shows a label in both classes, shares of
    positives are matched on ``logits_of_all``, those of the training items: the given ones, those of the known entries,
    or, as a lower bound, those of the observed positives.
    """
    check_goal(rule)
    can = None if unseen is None else metrics.judgeable(unseen.labels)
    calibration = None
    if calibrate and unseen is not None and can is not None and can.calibration:
        fitted = metrics.PlattCalibration.fit(
            unseen.labels, unseen.logits, input="logit", label_names=summary.label_names
        )
        # The same line for scores: what callers apply it to.
        calibration = replace(fitted, input="probability")
    notes: list[str] = []
    shown_on = None if unseen is None else _calibrated(unseen.logits, calibration)
    learnt: metrics.Rule
    if not isinstance(rule, str):
        number = isinstance(rule, Real)
        learnt, source = (
            (metrics.Threshold(float(rule)), "the given threshold") if number else (rule, "the given rule")
        )
    elif rule != "shares" and unseen is not None and can is not None and can.thresholds:
        thresholds = metrics.learn_thresholds(
            unseen.labels,
            unseen.logits,
            goal=rule,  # type: ignore[arg-type]
            input="logit",
            label_names=summary.label_names,
        )
        at = np.array(thresholds.logits)
        if (unshown := ~can.labels & (summary.positives > 0)).any():
            at, words = _neutral(at, unshown, summary, logits_of_all)
            notes.append(words)
        at = _calibrated(at[None], calibration)[0]
        learnt = metrics.PerLabelThreshold.at_logits(at, thresholds.name)
        source = f"thresholds of {_AIMS[rule]} on {unseen.source}; F1 and Hamming loss there flatter a little"
    else:
        why = _why_not("" if unseen is None else unseen.source, summary, validation)
        if rule in _MEASURED:
            raise _unmeasurable(rule, why)
        shares, source = _shares(prior, summary, "" if rule == "shares" else f", since {why}")
        shown_on = _calibrated(logits_of_all(), calibration)
        learnt = metrics.PriorMatched.fit(shown_on, list(shares), input="logit")
    if shown_on is not None and len(shown_on):
        notes += _never(learnt, shown_on, summary)
    evaluation = None
    if unseen is not None and can is not None and can.average_precision:
        evaluation = metrics.evaluate(
            unseen.labels[can.rows],
            _calibrated(unseen.logits, calibration)[can.rows],
            learnt,
            label_names=summary.label_names,
            input="logit",
        )
    return Decision(learnt, source, calibration, evaluation, tuple(notes))


_MEASURED = ("micro-f1", "macro-f1")
_AIMS = {
    "auto": "the best F1, each label's own as far as that costs little micro-F1,",
    "micro-f1": "the best micro-F1",
    "macro-f1": "the best macro-F1",
}


def _calibrated(logits: np.ndarray, calibration: metrics.PlattCalibration | None) -> np.ndarray:
    return logits if calibration is None else calibration.logits(logits)


def _unmeasurable(rule: str, why: str) -> UserError:
    return UserError(
        f"rule={rule!r}: F1 cannot be measured, since {why}; take 'auto' or 'shares', or give some fully labelled items"
    )


def _why_not(source: str, summary: Summary, validation: Any) -> str:
    """Return why no threshold can be learnt on the rows of ``source``, if any, as the end of a sentence."""
    if not summary.negatives_known:
        return "no negative is known"
    if source:
        return f"{source} show no label in both classes"
    if validation is None:
        return "no rows were held out (validation=None)"
    return f"fewer than {ENOUGH_ROWS} rows can be judged, too few to hold some out"


def _shares(prior: np.ndarray | None, summary: Summary, why: str) -> tuple[np.ndarray, str]:
    """Return the share of positives of each label (K,) that is matched, and where it comes from."""
    if prior is not None:
        return prior, "matched to the given prior on the training items"
    identified = summary.priors()
    if identified is not None:
        words = (
            f"matched, on the training items, to each label's share of positives among the known entries{why}"
        )
        return np.nan_to_num(identified, nan=0.0), words
    shares = summary.positives / summary.n_items
    return shares, (
        "each label for as many of the training items as are known to have it, "
        f"{shares.sum():.2f} labels an item: a lower bound, since no negative is known and no prior was given"
    )


def _neutral(
    at: np.ndarray, unshown: np.ndarray, summary: Summary, logits_of_all: Callable[[], np.ndarray]
) -> tuple[np.ndarray, str]:
    """Return thresholds (K,) whose ``unshown`` labels take no side that one class alone suggests, and say so.

    Such a label is predicted for its share of the known entries, on the training items; where that is unknown, or no
    entry is known to be positive, it keeps the common threshold.
    """
    names = [name for name, one in zip(summary.label_names, unshown, strict=True) if one]
    identified = summary.priors()
    shares = np.zeros(len(at)) if identified is None else np.nan_to_num(identified, nan=0.0)
    known = unshown & (shares > 0)
    if known.any():
        matched = metrics.PriorMatched.fit(logits_of_all(), list(np.where(known, shares, 0.0)), input="logit")
        own = np.asarray(matched.logits, dtype=np.float64)
        at = np.where(known & np.isfinite(own), own, at)
    return at, (
        f"the rows that decide do not show {listed(names)} in both classes, so they tell no threshold: taken was"
        " the one that matches the share among the known training entries, or else the common one"
    )


def _never(rule: metrics.Rule, logits: np.ndarray, summary: Summary) -> list[str]:
    """Return a sentence on the labels with known positives that the rule predicts for none of these items."""
    if isinstance(rule, metrics.OracleCardinality):
        return []
    counts = metrics.decide(rule, logits).sum(axis=0)
    names = [
        name
        for name, count, positives in zip(summary.label_names, counts, summary.positives, strict=True)
        if positives and not count
    ]
    if not names:
        return []
    return [f"never predicted for any of {len(logits):,} items by the decision rule: {listed(names, 10)}"]
