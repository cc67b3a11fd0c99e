"""From a fitted classifier to the content of its report."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from labelwise import metrics
from labelwise.methods import get
from labelwise.report._content import Example, ReportContent, Results, Training

if TYPE_CHECKING:
    from labelwise.classifier import MultiLabelClassifier

__all__ = ["content_of"]

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
) -> ReportContent:
    """Return what there is to report of a fitted or loaded classifier.

    :param evaluation: how well it does; by default on ``labels`` and ``scores``, else what it found on held-out
        rows while it was trained (``validation_``), if anything.
    :param labels: (n, K) annotations of the items judged; with ``scores``, intervals are resampled from them.
    :param scores: (n, K), what ``model.predict_proba`` gave for these items.
    :param judged_on: a sentence on the items judged.
    :param results_words: more sentences on the figures, or on why there are none.
    :param examples: items to show.
    :param seed: of the resampling.
    """
    judged: metrics.Evaluation | Mapping[str, Any] | None = evaluation
    if judged is None and labels is not None and scores is not None:
        judged = metrics.evaluate(labels, scores, model.rule_, label_names=model.label_names_)
    if judged is None and model.validation_ is not None:
        judged = model.validation_
        judged_on = judged_on or (
            "Judged on labelled items held out while decision rule and calibration were chosen; the model was then "
            "trained again on all items."
        )
    results = None
    if judged is not None:
        results = _results(model, judged, judged_on, labels, scores, seed)
    return ReportContent(
        title=title or f"{get(model.method_).spec.title} on {len(model.label_names_):,} labels",
        lead=lead,
        key_figures=() if results is None else _key_figures(results),
        summary=model.summary_,
        examples=examples,
        results=results,
        results_words=results_words,
        training=training_of(model),
        history=model.history_,
    )


def training_of(model: MultiLabelClassifier) -> Training:
    """Return how a fitted or loaded classifier was trained."""
    spec = get(model.method_).spec
    summary = model.summary_
    unclear = summary["not_identified"] if isinstance(summary, Mapping) else summary.not_identified
    settings: dict[str, Any] = {
        "backbone": model.backbone if isinstance(model.backbone, str) else type(model.backbone).__name__,
        "trained": {"head": "the head alone", "all": "the whole network"}[model.tune_],
        **{name.replace("_", " "): model.budget_[name] for name in _BUDGET if spec.passes},
        "input scaling": None if model.scaling_ is None else model.scaling_.kind,
        "calibration": "none" if model.calibration_ is None else "Platt, per label",
        "seed": int(model.random_state or 0),
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
