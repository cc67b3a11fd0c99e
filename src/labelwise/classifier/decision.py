"""Decision rules and calibration: learnt, applied and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Self

import numpy as np

from labelwise import metrics
from labelwise._random import generator
from labelwise.annotations import Hierarchy, Summary, stays_lists
from labelwise.classifier.fitted import FittedModel
from labelwise.classifier.items import take
from labelwise.classifier.options import FitOptions
from labelwise.classifier.record import Record, complete_rule
from labelwise.classifier.training import TrainingSet
from labelwise.classifier.unseen import Unseen
from labelwise.classifier.validation import ENOUGH_ROWS, ValidationPlan
from labelwise.errors import UserError, listed


@dataclass(frozen=True, eq=False)
class Decision:
    """Calibration and rule that turn scores into probabilities and label sets.

    Attributes:
        rule: The decision rule.
        source: Where it comes from, in words.
        calibration: Applied before it; None where probabilities are not identified.
        evaluation: The figures on rows that the model did not see, None without any.
        notes: Sentences on what was assumed.
        hierarchy: Which labels stand above which: no logit is above one of a label above it. None without one.
    """

    rule: metrics.Rule
    source: str
    calibration: metrics.PlattCalibration | None = None
    evaluation: metrics.Evaluation | None = None
    notes: tuple[str, ...] = ()
    hierarchy: Hierarchy | None = None

    def logits(self, logits: np.ndarray) -> np.ndarray:
        """Return calibrated, coherent logits (n, K) from those of the method's scores."""
        return _coherent(_calibrated(logits, self.calibration), self.hierarchy)

    def sets(self, logits: np.ndarray) -> np.ndarray:
        """Return label sets (n, K) int8 by the logits of probabilities."""
        if not len(logits):
            return logits.astype(np.int8)
        # Coherent logits and thresholds need no more; other rules, such as the highest three, may stop half way up.
        return _coherent(metrics.decide(self.rule, logits), self.hierarchy)

    def record(self) -> dict[str, Any]:
        """Return the decision's entries for a model directory."""
        return {
            "rule": self.rule.to_dict(),
            "rule_source": self.source,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "validation": None if self.evaluation is None else self.evaluation.to_dict(),
            **({} if self.hierarchy is None else {"hierarchy": self.hierarchy.to_dict()}),
        }

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Return the decision of a model directory."""
        return cls(
            record.read("rule", complete_rule),
            record.config["rule_source"],
            record.read("calibration", metrics.calibration_from_dict),
            record.read("validation", metrics.Evaluation.from_dict),
            hierarchy=record.read(
                "hierarchy",
                lambda given: Hierarchy.of(given, record.config["label_names"]),
                {"hierarchy": record.config.get("hierarchy")},
            ),
        )


def check_rule(options: FitOptions, training_set: TrainingSet, plan: ValidationPlan) -> None:
    """Refuse, before any training, a rule that cannot be applied or learnt.

    That is a rule for other labels, and a goal that the rows of ``plan`` cannot measure.
    """
    rule, facts = options.rule, training_set.full_summary
    if rule == "recall":
        if plan.labels is None or not (plan.labels == 1).any():
            raise UserError(
                f"rule='recall': no row with a known positive is held out ({_why_none_held_out(options, plan)}); give"
                " validation=0.2 (--validation 0.2), or validation items with known positives"
            )
    elif isinstance(rule, str):
        measurable = plan.labels is not None and metrics.judgeable(plan.labels).thresholds
        if rule in _MEASURED and not measurable:
            raise _unmeasurable(rule, _reason_unmeasurable(plan.source, facts, options.validation))
    elif not isinstance(rule, Real):
        # Tried on one row, since each rule checks its labels where it is applied.
        try:
            metrics.decide(rule, np.zeros((1, facts.n_labels)))
        except UserError as error:
            raise UserError(f"rule: {error}") from None


def learn_decision(
    options: FitOptions, training_set: TrainingSet, model: FittedModel, unseen: Unseen | None
) -> Decision:
    """Learn calibration and decision rule from unseen rows, and evaluate them there.

    Where no such row shows a label in both classes, shares of positives are matched on the training items: the given
    ones, those of the known entries, or, as a lower bound, those of the observed positives.
    """
    rule, facts, hierarchy = options.rule, training_set.full_summary, training_set.hierarchy

    def logits_of_all() -> np.ndarray:
        left_out, labels = model.left_out_logits, training_set.labels
        if left_out is None and stays_lists(labels.states):
            order = generator(options.seed, "shares of lists").permutation(labels.n_items)
            some = np.sort(order[: max(1, _LISTED_ENTRIES // labels.n_labels)])
            return model.logits(take(training_set.X, some))
        return model.logits(training_set.X) if left_out is None else left_out

    unseen = None if unseen is None else unseen.translated_to(model.method)
    measurable = None if unseen is None else metrics.judgeable(unseen.labels)
    calibration = None
    if options.calibrate and unseen is not None and measurable is not None and measurable.calibration:
        platt = metrics.PlattCalibration.fit(
            unseen.labels, unseen.logits, input="logit", label_names=facts.label_names
        )
        # The same line for scores: what callers apply it to.
        calibration = replace(platt, input="probability")
    notes: list[str] = []

    def finished(logits: np.ndarray) -> np.ndarray:
        return _coherent(_calibrated(logits, calibration), hierarchy)

    rule_logits = None if unseen is None else finished(unseen.logits)
    learnt: metrics.Rule
    if isinstance(rule, Real):
        learnt, source = metrics.Threshold(float(rule)), "the given threshold"
    elif not isinstance(rule, str):
        learnt, source = rule, "the given rule"
    elif rule == "recall":
        assert unseen is not None
        assert rule_logits is not None
        learnt = metrics.recall_thresholds(unseen.labels, rule_logits, options.recall, input="logit")
        source = f"thresholds that keep {options.recall:.4g} of the known positives of {unseen.source}"
        notes += _notes_on_recall(options, facts, unseen.labels)
    elif rule != "shares" and unseen is not None and measurable is not None and measurable.thresholds:
        thresholds = metrics.learn_thresholds(
            unseen.labels,
            unseen.logits if hierarchy is None else finished(unseen.logits),
            goal=rule,  # type: ignore[arg-type]
            input="logit",
            label_names=facts.label_names,
        )
        cutoffs = np.array(thresholds.logits)
        if (one_class := ~measurable.labels & (facts.positives > 0)).any():
            every = logits_of_all if hierarchy is None else lambda: finished(logits_of_all())
            cutoffs, words = _thresholds_by_share(cutoffs, one_class, facts, every)
            notes.append(words)
        # Learnt on uncalibrated logits: a rising line keeps the order, so it moves thresholds as it moves logits.
        if hierarchy is None:
            cutoffs = _calibrated(cutoffs[None], calibration)[0]
        learnt = metrics.PerLabelThreshold.at_logits(cutoffs, thresholds.name)
        source = f"thresholds of {_AIMS[rule]} on {unseen.source}; F1 and Hamming loss there flatter a little"
    else:
        reason = _reason_unmeasurable("" if unseen is None else unseen.source, facts, options.validation)
        if rule in _MEASURED:
            raise _unmeasurable(rule, reason)
        prior = None if options.prior is None else training_set.prior
        shares, source = _shares(prior, facts, "" if rule == "shares" else f", since {reason}")
        rule_logits = finished(logits_of_all())
        learnt = metrics.PriorMatched.fit(rule_logits, list(shares), input="logit")
    if hierarchy is not None and isinstance(rule, str):
        assert isinstance(learnt, metrics.PerLabelThreshold)
        learnt = coherent_rule(learnt, hierarchy)
    if rule_logits is not None and len(rule_logits):
        notes += _note_unpredicted(learnt, rule_logits, facts)
    evaluation = None
    if unseen is not None and measurable is not None and measurable.average_precision:
        evaluation = metrics.evaluate(
            unseen.labels[measurable.rows],
            finished(unseen.logits)[measurable.rows],
            learnt,
            label_names=facts.label_names,
            input="logit",
            training=(facts.positives, facts.n_items) if facts.n_labels >= metrics.MANY_LABELS else None,
        )
    return Decision(learnt, source, calibration, evaluation, tuple(notes), hierarchy)


def coherent_rule(rule: metrics.PerLabelThreshold, hierarchy: Hierarchy) -> metrics.PerLabelThreshold:
    """Return thresholds by which coherent logits give label sets with all labels above theirs."""
    assert rule.logits is not None
    logits = hierarchy.coherent_thresholds(np.array(rule.logits))
    return metrics.PerLabelThreshold.at_logits(logits, rule.name)


_LISTED_ENTRIES = 1 << 24  # scores by which shares are matched, of labels that stay lists
_MEASURED = ("micro-f1", "macro-f1")
_AIMS = {
    "auto": "the best F1, each label's own as far as that costs little micro-F1,",
    "micro-f1": "the best micro-F1",
    "macro-f1": "the best macro-F1",
}


def _coherent(values: np.ndarray, hierarchy: Hierarchy | None) -> np.ndarray:
    return values if hierarchy is None else hierarchy.coherent(values)


def _calibrated(logits: np.ndarray, calibration: metrics.PlattCalibration | None) -> np.ndarray:
    return logits if calibration is None or not len(logits) else calibration.logits(logits)


def _why_none_held_out(options: FitOptions, plan: ValidationPlan) -> str:
    if options.validation is None:
        return "validation=None"
    return "those held out show none" if plan.labels is not None else "too few rows have one"


def _notes_on_recall(options: FitOptions, summary: Summary, labels: np.ndarray) -> list[str]:
    """Return what a recall rests on, and the labels with too few positives for a threshold."""
    share = f"{options.recall:.4g}"
    notes = [
        f"the recall of {share} holds for positives drawn like the known ones: where striking ones are noted more,"
        " more of the others are missed; it says nothing of precision"
        + (
            ""
            if isinstance(options.validation, tuple | list)
            else ", and is exact for the model that had not seen these rows (give validation items to keep that one)"
        )
    ]
    few = metrics.too_few_positives(labels, options.recall)
    if few.any():
        names = [name for name, one in zip(summary.label_names, few, strict=True) if one]
        least = metrics.positives_for(options.recall)
        notes.append(
            f"predicted for every item, since a recall of {share} takes {least} held-out positives of a label:"
            f" {listed(names, 10)}"
        )
    return notes


def _unmeasurable(rule: str, why: str) -> UserError:
    return UserError(
        f"rule={rule!r}: F1 cannot be measured, since {why}; take 'auto' or 'shares', or give some fully labelled items"
    )


def _reason_unmeasurable(source: str, summary: Summary, validation: Any) -> str:
    """Return the reason why no threshold can be learnt, in words.

    ``source`` says in words which rows were held out, if any.
    """
    if not summary.negatives_known:
        return "no negative is known"
    if source:
        return f"{source} show no label in both classes"
    if validation is None:
        return "no rows were held out (validation=None)"
    return f"fewer than {ENOUGH_ROWS} rows can be judged, too few to hold some out"


def _shares(prior: np.ndarray | None, summary: Summary, why: str) -> tuple[np.ndarray, str]:
    """Return the shares of positives (K,) to match, and their origin."""
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


def _thresholds_by_share(
    cutoffs: np.ndarray, one_class: np.ndarray, summary: Summary, logits_of_all: Callable[[], np.ndarray]
) -> tuple[np.ndarray, str]:
    """Return neutral thresholds (K,) for labels seen in one class alone.

    Such a label is predicted for its share of the known entries, on the training items; where that is unknown, or no
    entry is known to be positive, it keeps the common threshold.
    """
    names = [name for name, one in zip(summary.label_names, one_class, strict=True) if one]
    identified = summary.priors()
    shares = np.zeros(len(cutoffs)) if identified is None else np.nan_to_num(identified, nan=0.0)
    known = one_class & (shares > 0)
    if known.any():
        matched = metrics.PriorMatched.fit(logits_of_all(), list(np.where(known, shares, 0.0)), input="logit")
        matching = np.asarray(matched.logits, dtype=np.float64)
        cutoffs = np.where(known & np.isfinite(matching), matching, cutoffs)
    return cutoffs, (
        f"the rows that decide do not show {listed(names)} in both classes, so they tell no threshold: taken was"
        " the one that matches the share among the known training entries, or else the common one"
    )


def _note_unpredicted(rule: metrics.Rule, logits: np.ndarray, summary: Summary) -> list[str]:
    """Return a sentence on the labels that the rule never predicts.

    Labels without a known positive do not count.
    """
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
