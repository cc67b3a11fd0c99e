"""From a fitted classifier to the content of its report."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from labelwise import metrics
from labelwise._random import seed_of
from labelwise.analysis import survey
from labelwise.annotations import as_matrix, parse
from labelwise.methods import get
from labelwise.report.content import Decision, Example, ReportContent, Results, Skipped, Training
from labelwise.report.learnt import learnt_of, missing_of
from labelwise.report.reliability import held_out_reliability, reliability_of

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

_BUDGET = ("epochs", "batch_size", "learning_rate")
_PACKAGES = ("labelwise", "torch", "numpy", "scikit-learn")


def content_of(
    model: MultiLabelClassifier,
    evaluation: metrics.Evaluation | None = None,
    *,
    title: str | None = None,
    lead: Sequence[str] = (),
    labels: ArrayLike | None = None,
    scores: ArrayLike | None = None,
    judged_on: str = "",
    results_words: Sequence[str] = (),
    examples: Sequence[Example] = (),
    seed: int = 0,
    X: Any = None,
    Y: Any = None,
    items: Sequence[str] | None = None,
    contents: Sequence[Any] | None = None,
    kind: Literal["image", "text"] | None = None,
    held_out: tuple[ArrayLike, ArrayLike] | None = None,
    configuration: Mapping[str, Any] | None = None,
    skipped: Sequence[Any] = (),
    memory: int | None = None,
) -> ReportContent:
    """Return what there is to report of a fitted or loaded classifier.

    Args:
        evaluation: How well it does; by default on ``labels`` and ``scores``, else what it found on held-out rows
            while it was trained (``validation_``), if anything.
        labels: (n, K) annotations of the items judged; with ``scores``, intervals are resampled from them.
        scores: (n, K), what ``model.predict_proba`` gave for these items.
        judged_on: A sentence on the items judged.
        results_words: More sentences on the figures, or on why there are none.
        examples: Items to show.
        seed: Of the resampling and of samples.
        X: The training items as the classifier takes them. With ``Y`` the model goes over them once more, and the
            report shows angles, how labels go together and the most probable missing labels.
        Y: (n, K) their annotations, or ``Annotations``.
        items: Their n ids.
        contents: What is shown of them: paths or arrays of pictures, or texts.
        kind: Which of the two; None for neither.
        held_out: (labels, scores before calibration) of the rows that ``validation_`` rests on, for its intervals
            and reliability; by default what the classifier kept of them (``held_out_``), if anything.
        configuration: What the run was asked, by name.
        skipped: Items that could not be used, each with ``row``, ``item`` and ``reason``.
        memory: Bytes of memory that training held at most, as ``peak_memory()`` tells.
    """
    judged: metrics.Evaluation | Mapping[str, Any] | None = evaluation
    diagrams: list[tuple[str, metrics.Reliability]] = []
    if judged is None and labels is not None and scores is not None:
        judged = metrics.evaluate(labels, scores, model.rule_, label_names=model.label_names_)
    if labels is not None and scores is not None:
        title_of = "Calibrated probabilities" if model.calibration_ is not None else "Scores, not calibrated"
        diagrams = reliability_of(labels, scores, title_of)
    if judged is None and model.validation_ is not None:
        judged = model.validation_
        judged_on = judged_on or (
            "Judged on labelled items held out while decision rule and calibration were chosen; the model was then "
            "trained again on all items."
        )
        kept = held_out or getattr(model, "held_out_", None)
        if kept is not None:
            calibrated = model.calibration_ is not None
            diagrams = held_out_reliability(*kept, calibrated=calibrated, seed=seed)
            labels, scores = _judged_rows(model, *kept)
    results = None
    if judged is not None:
        results = replace(_results(model, judged, judged_on, labels, scores, seed), reliability=diagrams)
    learnt = missing = None
    if X is not None and Y is not None:
        matrix = parse(Y, label_names=model.label_names_).matrix
        found = survey(model, X, matrix, seed=seed)
        learnt = learnt_of(model, found, matrix)
        if found.missing is not None:
            missing = missing_of(model, found.missing, matrix, items, contents, kind)
    return ReportContent(
        title=title or f"{get(model.method_).spec.title} on {len(model.label_names_):,} labels",
        lead=lead,
        key_figures=() if results is None else _key_figures(results),
        summary=model.summary_,
        examples=examples,
        results=results,
        results_words=results_words,
        decision=_decision(model),
        learnt=learnt,
        missing=missing,
        training=replace(training_of(model), configuration=configuration or {}, memory=memory),
        skipped=tuple(Skipped(int(bad.row), str(bad.item), str(bad.reason)) for bad in skipped),
        history=model.history_,
    )


def _judged_rows(
    model: MultiLabelClassifier, labels: ArrayLike, scores: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Return the held-out rows that were judged, with their scores calibrated as the model's are."""
    matrix, values = as_matrix(labels), np.asarray(scores)
    if model.calibration_ is not None:
        values = model.calibration_.apply(values)
    rows = metrics.judgeable(matrix).rows
    return matrix[rows], values[rows]


def _decision(model: MultiLabelClassifier) -> Decision:
    summary = model.summary_
    known = summary["positives"] if isinstance(summary, Mapping) else summary.positives.tolist()
    thresholds = list(model.rule_.values) if isinstance(model.rule_, metrics.PerLabelThreshold) else []
    return Decision(model.rule_.name, model.rule_source_, model.label_names_, thresholds, known)


def training_of(model: MultiLabelClassifier) -> Training:
    """Return how a fitted or loaded classifier was trained."""
    spec = get(model.method_).spec
    summary = model.summary_
    unclear = summary["not_identified"] if isinstance(summary, Mapping) else summary.not_identified
    settings: dict[str, Any] = {
        "backbone": model.backbone if isinstance(model.backbone, str) else type(model.backbone).__name__,
        "trained": _trained(model),
        **{name.replace("_", " "): model.budget_[name] for name in _BUDGET if spec.passes},
        "input scaling": None if model.scaling_ is None else model.scaling_.kind,
        "calibration": "none" if model.calibration_ is None else "Platt, per label",
        "seed": seed_of(model.random_state),
    }
    return Training(
        method=spec.id,
        title=spec.title,
        paper=spec.paper,
        assumption=spec.assumption,
        hyperparameters={name: model.hyperparameters_[name] for name in spec.hyperparameters},
        help={name: parameter.help for name, parameter in spec.hyperparameters.items()},
        settings={name: value for name, value in settings.items() if value is not None},
        # What the labels cannot tell stands in the section on labels.
        notes=tuple(note for note in model.notes_ if note not in unclear),
        seconds=float(model.seconds_),
        versions=_versions(),
    )


def _trained(model: MultiLabelClassifier) -> str:
    """Return in words which weights the training moved."""
    if not get(model.method_).spec.passes:
        return "the head alone, solved in closed form on features that stay as they were"
    if model.tune_ == "all" and next(model.network_.backbone.parameters(), None) is not None:
        return "the whole network"
    projects = next(model.network_.neck.parameters(), None) is not None
    return "the projection of the features and the head" if projects else "the head alone"


def _results(
    model: MultiLabelClassifier,
    judged: metrics.Evaluation | Mapping[str, Any],
    judged_on: str,
    labels: ArrayLike | None,
    scores: ArrayLike | None,
    seed: int,
) -> Results:
    summary = model.summary_
    known = summary["positives"] if isinstance(summary, Mapping) else summary.positives.tolist()
    intervals: dict[str, Any] = {}
    if labels is not None and scores is not None:
        found = metrics.bootstrap(labels, scores, "average_precision", seed=seed)
        means = metrics.bootstrap(labels, scores, "map", seed=seed)
        intervals = {
            "low": found.low.tolist(),
            "high": found.high.tolist(),
            "map_interval": (float(means.low), float(means.high)),
            "level": found.level,
        }
    return Results(
        judged,
        judged_on=judged_on,
        rule_source=model.rule_source_,
        thresholds=_thresholds(model.rule_, len(model.label_names_)),
        known_positives=known,
        **intervals,
    )


def _thresholds(rule: metrics.Rule, n_labels: int) -> list[float] | None:
    if isinstance(rule, metrics.Threshold):
        return [rule.value] * n_labels
    return list(rule.values) if isinstance(rule, metrics.PerLabelThreshold) else None


def _key_figures(results: Results) -> tuple[tuple[str, str], ...]:
    figures = results.facts()["metrics"]
    names = {"map": "mAP", "micro_f1": "micro-F1", "macro_f1": "macro-F1", "one_error": "one-error"}
    shown = ((title, figures.get(key)) for key, title in names.items())
    return tuple((title, f"{v:.3f}") for title, v in shown if v is not None)


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
