"""Results: metrics, a table of labels, reliability, decision rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

from labelwise import metrics, plots
from labelwise.analysis.predictions import drawn_labels, held_out_reliability, score_reliability
from labelwise.annotations import as_matrix
from labelwise.metrics import LOWER_IS_BETTER, TITLES, TOP_TITLES, Evaluation, Reliability
from labelwise.report import formats
from labelwise.report.section import Section, Subject


@dataclass(frozen=True)
class Results:
    """Figures of a model on the items judged."""

    evaluation: Evaluation | Mapping[str, Any]
    """An ``labelwise.metrics.Evaluation``, or what its ``to_dict`` gave."""
    judged_on: str = ""
    """A sentence on the items judged."""
    rule_source: str = ""
    """A sentence on how the decision rule was chosen."""
    thresholds: Sequence[float] | None = None
    """(K,) score from which each label is predicted; infinity means never."""
    known_positives: Sequence[int] | None = None
    """(K,) known positives that the model was trained on."""
    low: Sequence[float] | None = None
    """(K,) lower end of each label's interval of average precision."""
    high: Sequence[float] | None = None
    map_interval: tuple[float, float] | None = None
    level: float = 0.95
    """Coverage that the intervals aim at."""
    reliability: Sequence[tuple[str, Reliability]] = ()
    """Reliability diagrams with their titles."""
    reliability_words: Sequence[str] = ()

    def facts(self) -> Mapping[str, Any]:
        """Return the evaluation as plain data, None where a value is undefined."""
        return self.evaluation.to_dict() if isinstance(self.evaluation, Evaluation) else self.evaluation


@dataclass(frozen=True)
class Decision:
    """The rule that makes label sets of scores."""

    rule: str
    source: str = ""
    """A sentence on how it was chosen."""
    names: Sequence[str] = ()
    thresholds: Sequence[float] = ()
    """(K,) score from which each label is predicted; infinity means never. Empty where there are none."""
    known_positives: Sequence[int] = ()
    """(K,)"""


def gather(subject: Subject) -> dict[str, Any]:
    """Return the figures of judged items and the decision rule.

    Judged are, in this order: an evaluation, scored items, the rows held out in training.
    """
    model, labels, scores = subject.model, subject.labels, subject.scores
    evaluation: Evaluation | Mapping[str, Any] | None = subject.evaluation
    judged_on = subject.judged_on
    diagrams: list[tuple[str, Reliability]] = []
    drawn_words: tuple[str, ...] = ()
    calibrated = model.calibration_ is not None
    if labels is not None and scores is not None:
        if evaluation is None:
            evaluation = metrics.evaluate(labels, scores, model.rule_, label_names=model.label_names_)
        diagrams = score_reliability(
            labels, scores, "Calibrated probabilities" if calibrated else "Scores, not calibrated"
        )
    if evaluation is None and model.validation_ is not None:
        evaluation = model.validation_
        judged_on = judged_on or (
            "Judged on labelled items held out while decision rule and calibration were chosen; the model was then "
            "trained again on all items."
        )
        held_out = subject.held_out or getattr(model, "held_out_", None)
        if held_out is not None:
            matrix, values = as_matrix(held_out[0]), np.asarray(held_out[1])
            drawn = drawn_labels(matrix, subject.seed)
            if len(drawn) < matrix.shape[1]:
                drawn_words = (
                    f"Drawn are {formats.count(len(drawn))} of {formats.count(matrix.shape[1])} labels, by a key, those"
                    " with relevant and irrelevant items first.",
                )
            diagrams = held_out_reliability(
                matrix[:, drawn], values[:, drawn], calibrated=calibrated, seed=subject.seed
            )
            rows = metrics.judgeable(matrix).rows
            # Judged as the model scores: held-out scores are from before calibration.
            values = values if model.calibration_ is None else model.calibration_.apply(values)
            labels, scores = matrix[rows], values[rows]
    return {
        "results": None
        if evaluation is None
        else Results(
            evaluation,
            judged_on=judged_on,
            rule_source=model.rule_source_,
            thresholds=_thresholds(model.rule_, len(model.label_names_)),
            known_positives=subject.known_positives,
            reliability=diagrams,
            reliability_words=drawn_words,
            **_intervals(labels, scores, subject.seed),
        ),
        "results_words": subject.results_words,
        "decision": _decision(subject),
    }


def _intervals(labels: ArrayLike | None, scores: ArrayLike | None, seed: int) -> dict[str, Any]:
    if labels is None or scores is None:
        return {}
    by_label = metrics.bootstrap(labels, scores, "average_precision", seed=seed)
    mean = by_label.mean()
    return {
        "low": by_label.low.tolist(),
        "high": by_label.high.tolist(),
        "map_interval": (float(mean.low), float(mean.high)),
        "level": by_label.level,
    }


def _thresholds(rule: metrics.Rule, n_labels: int) -> list[float] | None:
    if isinstance(rule, metrics.Threshold):
        return [rule.value] * n_labels
    return list(rule.values) if isinstance(rule, metrics.PerLabelThreshold) else None


def _decision(subject: Subject) -> Decision:
    model = subject.model
    thresholds = list(model.rule_.values) if isinstance(model.rule_, metrics.PerLabelThreshold) else []
    return Decision(
        model.rule_.name, model.rule_source_, model.label_names_, thresholds, subject.known_positives
    )


def key_figures(results: Results | None) -> tuple[tuple[str, str], ...]:
    """Return the (name, value) pairs at the top of the page."""
    if results is None:
        return ()
    values = results.facts()["metrics"]
    return tuple(
        (TITLES[key], f"{values[key]:.3f}")
        for key in ("map", "micro_f1", "macro_f1", "one_error")
        if values.get(key) is not None
    )


def show(
    results: Results | None, results_words: Sequence[str], decision: Decision | None
) -> dict[str, Any] | None:
    """Return the figures, or the decision rule where there are none."""
    # The table of labels has the thresholds, and the words above it the rule.
    if results:
        decision = None
    if not (results or results_words or decision):
        return None
    return {
        "words": list(results_words),
        "results": results and _figures(results),
        "decision": decision and _rule(decision),
    }


def _figures(results: Results) -> dict[str, Any]:
    facts = results.facts()
    table = facts["per_label"]
    names, ap = table["name"], table.get("average_precision")
    shown = _shown(ap, len(names))
    return {
        "words": [_basis(results, facts)],
        "figures": [
            {
                "title": title,
                "value": formats.share(facts["metrics"][key]),
                "interval": formats.interval(results.map_interval) if key == "map" else "",
                "lower": key in LOWER_IS_BETTER,
            }
            for key, title in (TITLES | (TOP_TITLES if "ndcg_at_1" in facts["metrics"] else {})).items()
            if key in facts["metrics"]
        ],
        "level": f"{results.level:.0%}" if results.low is not None else "",
        "plot": None if ap is None else _ap_plot(names, ap, results),
        "caption": formats.partial_caption("with the lowest average precision", len(names)),
        "rows": _label_rows(table, results, shown),
        "partial": formats.partial_table(
            "the lowest and the highest average precision",
            len(shown),
            len(names),
            "The figures of all are in evaluation.json beside this page, or where 'evaluate --out' writes them.",
        ),
        "reliability": [
            _diagram(title, diagram, i) for i, (title, diagram) in enumerate(results.reliability)
        ],
        "reliability_words": _calibration_errors(results),
        "trained": results.known_positives is not None,
    }


def _basis(results: Results, facts: Mapping[str, Any]) -> str:
    """Return in words the figures' basis, and the entries left out."""
    unknown, without = facts["n_unknown"], facts["labels_without_positive"]
    rule = facts["rule"].replace("_", " ")
    if not unknown:
        left_out = "No entry was unknown, so none was left out."
    elif facts["n_items_left_out"]:
        left_out = (
            f"{formats.count(unknown)} unknown entries were left out, among them "
            f"{formats.count(facts['n_items_left_out'])} items without a known label."
        )
    else:
        left_out = f"{formats.count(unknown)} unknown entries were left out."
    sentences = [
        results.judged_on,
        f"{formats.count(facts['n_items'])} items were judged; decision rule: {rule}.",
        results.rule_source,
        left_out,
    ]
    if without:
        fate = "left out of mAP and macro-F1" if facts["empty_labels"] == "omit" else "counted as 0"
        sentences.append(
            f"Labels without a relevant item among those judged, {fate}: {formats.join_names(without)}."
        )
    return " ".join(formats.sentence(text) for text in (*sentences, *facts.get("notes", ())) if text)


def _ap_plot(names: Sequence[str], ap: Sequence[float | None], results: Results) -> list[tuple[str, Markup]]:
    values = [math.nan if value is None else value for value in ap]
    order = list(range(len(values)))
    if len(order) > formats.MOST_BARS:
        # The worst labels are those that a reader looks for.
        order = sorted(order, key=lambda k: (math.isnan(values[k]), values[k]))[: formats.MOST_BARS]
    low, high = (None if end is None else [end[k] for k in order] for end in (results.low, results.high))
    drawn, lengths = [names[k] for k in order], [values[k] for k in order]
    return formats.drawings(
        lambda width: plots.label_bars(drawn, lengths, low, high, width=width),
        "Bars: average precision of each label; the table below has the numbers.",
        "ap",
    )


def _shown(ap: Sequence[float | None] | None, n_labels: int) -> list[int]:
    """Return the labels of the table, of very many those with an extreme average precision."""
    values = {k: value for k, value in enumerate(ap or ()) if value is not None and not math.isnan(value)}
    return formats.rows_shown(
        sorted(values or range(n_labels), key=lambda k: (values.get(k, 0.0), k)), n_labels
    )


def _label_rows(
    table: Mapping[str, Any], results: Results, shown: Sequence[int]
) -> list[list[dict[str, Any]]]:
    """Return the cells of the row of each label that is shown.

    ``sort`` is the key of a column's order.
    """
    rows = []
    for k in shown:
        name = table["name"][k]
        judged = table["positives"][k] + table["negatives"][k]
        ap, f1 = (table.get(key, [None] * (k + 1))[k] for key in ("average_precision", "f1"))
        predicted = table["predicted"][k] / judged if table.get("predicted") is not None and judged else None
        threshold = None if results.thresholds is None else results.thresholds[k]
        ends = None if results.low is None or results.high is None else (results.low[k], results.high[k])
        counts = [table["positives"][k]]
        if results.known_positives is not None:
            counts.insert(0, results.known_positives[k])
        rows.append(
            [
                {"text": name, "sort": name},
                *(_cell(number, formats.count(number)) for number in counts),
                {**_cell(ap, formats.share(ap)), "interval": formats.interval(ends)},
                _cell(f1, formats.share(f1)),
                _cell(threshold, formats.threshold(threshold)),
                _cell(predicted, formats.MISSING if predicted is None else formats.percent(predicted)),
            ]
        )
    return rows


def _cell(value: float | None, text: str) -> dict[str, Any]:
    # A browser takes no "inf" for a number; a threshold that is never reached comes last.
    sort = -1 if value is None or math.isnan(value) else min(value, 1e300)
    return {"text": text, "interval": "", "sort": sort}


def _diagram(title: str, diagram: Reliability, place: int) -> Markup:
    error = diagram.expected_calibration_error
    figure = plots.reliability_diagram(
        diagram.edges, diagram.counts, diagram.predicted, diagram.observed, title=title
    )
    description = (
        f"Reliability diagram, {title.lower()}: observed share of relevant entries against predicted probability, in "
        f"{len(diagram.counts)} bins; expected calibration error {error:.3f}."
    )
    return Markup(plots.as_svg(figure, description, name=f"reliability-{place}"))


def _calibration_errors(results: Results) -> str:
    """Return a guide to the diagrams, with each one's expected calibration error."""
    errors = ", ".join(
        f"{title[:1].lower() + title[1:]} {diagram.expected_calibration_error:.3f}"
        for title, diagram in results.reliability
    )
    crossed = " Calibration was judged on rows that it was not fitted to, five parts taking turns."
    return (
        "Known entries of all labels by predicted probability, ten bins: on the dashed line, as many are relevant as "
        f"was predicted. Expected calibration error: {errors}."
        + (crossed if len(results.reliability) > 1 else "")
        + "".join(f" {text}" for text in results.reliability_words)
    )


def _rule(decision: Decision) -> dict[str, Any]:
    """Return the rule in words, and the thresholds that it has."""
    text = f"Labels are decided by the rule {decision.rule.replace('_', ' ')}"
    known, n_labels = decision.known_positives, len(decision.thresholds)
    order = sorted(range(n_labels), key=lambda k: (-known[k], k))
    shown = formats.rows_shown(order, n_labels)
    partial = formats.partial_table(
        "the most and the fewest known relevant items",
        len(shown),
        n_labels,
        "The thresholds of all are in the model.",
    )
    return {
        "words": [
            formats.sentence(text + (f": {decision.source}" if decision.source else "")),
            *([partial] if partial else []),
        ],
        "rows": [
            (decision.names[k], formats.count(known[k]), formats.threshold(decision.thresholds[k]))
            for k in shown
        ],
    }


RESULTS = Section("results", "Results", ("results", "results_words", "decision"), show, gather)
