"""Compare methods: deal folds, train and judge every method on each, and put the figures together."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelwise import metrics
from labelwise.annotations import Annotations, Summary, as_groups, describe
from labelwise.classifier import FitOptions, MultiLabelClassifier, fingerprint
from labelwise.comparison.folds import Fold, deal_folds
from labelwise.comparison.logistic import BASELINE, LogisticBaseline
from labelwise.comparison.result import OBSERVED, Comparison, comparison_of
from labelwise.data import check_lengths, is_source, select_rows
from labelwise.errors import UserError, listed, near, repeated
from labelwise.experiments import Job, Measured, Measurement, Progress, read_shards, run_jobs
from labelwise.methods import get, names
from labelwise.methods.recommendation import recommend

_CODES = ("unlisted", "minus_one", "empty")
"""Options that say how labels are read: here they are read once, before any fold."""
_HERE_ONLY = ("method", "hyperparameters", "random_state", "directory", "progress")


@dataclass(frozen=True, eq=False)
class Material:
    """All that a run of the comparison needs; it can be sent to another process."""

    X: Any
    labels: Annotations
    folds: tuple[Fold, ...]
    options: Mapping[str, Any]
    groups: NDArray[np.int64] | None = None
    true_labels: NDArray[np.int8] | None = None
    items: Sequence[str] | None = None
    hyperparameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def compare(
    X: Any,
    Y: Any,
    methods: Sequence[str] | None = None,
    *,
    baseline: bool = True,
    folds: int = 5,
    repeats: int = 1,
    groups: Any = None,
    metric: str | None = None,
    level: float = 0.95,
    hyperparameters: Mapping[str, Mapping[str, Any]] | None = None,
    label_names: Sequence[str] | None = None,
    items: Sequence[str] | None = None,
    true_labels: Any = None,
    seed: int = 0,
    folder: str | Path | None = None,
    workers: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> Comparison:
    """Compare methods by cross-validation on the known entries.

    The rows that can be judged are dealt into folds, stratified by their known positives. Each method is trained
    without a fold's rows, with all their labels hidden, and judged on what is known of them; the folds, and so what is
    hidden, are the same for all methods. The differences are paired over folds, with intervals by the corrected
    resampled t-test (``corrected_difference``).

    Args:
        X: n items, as ``MultiLabelClassifier.fit`` takes them.
        Y: (n, K) annotations.
        methods: Ids; by default the recommended method and what it says is worth trying. ``"logistic"`` is the
            baseline.
        baseline: Whether the logistic regression of scikit-learn takes part.
        folds: Parts of a repetition, from 2.
        repeats: Repetitions of the cross-validation, each with folds of its own.
        groups: n names or numbers; rows of a group are never on both sides of a fold.
        metric: What methods are ranked by, out of ``metrics.METRICS``; mAP by default. Where positives alone are
            known it is ``"observed_map"``, and nothing else can be had: unknown entries count as absent, which ranks
            methods if positives are observed at random given the label, and whose level is biased.
        level: Coverage that the intervals aim at.
        hyperparameters: A method's own, by its id.
        label_names: Names of the columns of Y.
        items: n ids, which name the items in messages.
        true_labels: (n, K), read by oracle methods alone.
        seed: Of the folds, and of every fit.
        folder: Where the run of each method and fold is kept, so that the same call goes on where it was stopped.
        workers: Processes that run folds at a time; 0 runs them here, one after the other.
        progress: Called as ``progress(finished, of, shard)`` after every run.
        **options: Of ``MultiLabelClassifier``, the same for all methods.

    Raises:
        UserError: Methods that do not exist, or of which none takes these labels; too few rows to deal; options out of
            range.
    """
    for name in _HERE_ONLY:
        if name in options:
            raise UserError(f"{name}: it is no option of a comparison; give methods, hyperparameters or seed")
    checked = FitOptions(**options).checked()
    labels = checked.annotations(Y, label_names)
    check_lengths(X, labels.matrix)
    codes = None if groups is None else as_groups(groups, len(labels.matrix))
    dealt = deal_folds(labels.matrix, folds, repeats, seed=seed, groups=codes)
    can = metrics.judgeable(labels.matrix)
    metric = _checked_metric(metric, can.average_precision)
    own = {name: dict(values) for name, values in (hyperparameters or {}).items()}
    summary = describe(labels)
    chosen = _names(methods, baseline, own, summary, checked)
    kept = {name: value for name, value in options.items() if name not in _CODES}
    kept["random_state"] = seed
    truth = None if true_labels is None else checked.annotations(true_labels, labels.label_names).matrix
    material = Material(X, labels, tuple(dealt), kept, codes, truth, items, own)
    left_out = {name: why for name in chosen if (why := _why_not(name, material, summary))}
    entrants = [name for name in chosen if name not in left_out]
    if not entrants:
        raise UserError(f"no method is left to compare: {listed(left_out.values(), 3, 300)}")
    shards = _run(entrants, material, summary.setting, folder, workers, progress)
    return comparison_of(
        shards,
        material.folds,
        labels,
        can,
        metric=metric,
        level=level,
        folds=folds,
        repeats=repeats,
        grouped=codes is not None,
        left_out=left_out,
        setting=summary.setting,
    )


def _checked_metric(metric: str | None, by_both_classes: bool) -> str:
    """Return the metric that ranks the methods."""
    if not by_both_classes:
        if metric not in (None, OBSERVED):
            raise UserError(
                f"metric={metric!r}: no label has both classes known, so {OBSERVED!r} alone can be had: leave it out,"
                " or add rows with known negatives"
            )
        return OBSERVED
    if metric is not None and metric not in metrics.METRICS:
        raise UserError(f"metric={metric!r} does not exist here; {near(metric, metrics.METRICS, 8)}")
    return metric or "map"


def _names(
    methods: Sequence[str] | None,
    baseline: bool,
    hyperparameters: Mapping[str, Any],
    summary: Summary,
    options: FitOptions,
) -> list[str]:
    """Return the methods that were asked for, the baseline last."""
    if methods is None:
        advice = recommend(summary, options.tuning, entrywise=options.takes_entries)
        chosen = [advice.method, *(name for name, _ in advice.alternatives)]
    else:
        chosen = [methods] if isinstance(methods, str) else list(methods)
    if doubles := repeated(chosen):
        raise UserError(f"methods names {listed(doubles)} twice: give each method once")
    for name in chosen:
        if name not in (*names(), BASELINE):
            raise UserError(f"there is no method {name!r}: {near(str(name), (*names(), BASELINE))}")
    if baseline and BASELINE not in chosen:
        chosen.append(BASELINE)
    if unknown := [name for name in hyperparameters if name not in chosen or name == BASELINE]:
        raise UserError(f"hyperparameters of {listed(unknown)}: give those of a method that takes part")
    for name, values in hyperparameters.items():
        get(name).spec.resolve(values)
    if len(chosen) < 2:
        raise UserError(
            f"only {listed(chosen)} takes part: give two methods or more, or leave the baseline in"
        )
    return chosen


def _why_not(name: str, material: Material, summary: Summary) -> str | None:
    """Return why a method cannot take part, None where nothing speaks against it."""
    if name == BASELINE:
        return None
    spec = get(name).spec
    try:
        FitOptions(**material.options, method=name).checked()
    except UserError as error:
        return str(error)
    if summary.setting not in spec.settings:
        setting = summary.setting.replace("_", " ")
        return f"method {name!r} does not take {setting} labels (it assumes: {spec.assumption})"
    if "true_labels" in spec.needs and material.true_labels is None:
        return f"method {name!r} is an oracle, and no true labels are given"
    return None


def _run(
    entrants: Sequence[str],
    material: Material,
    setting: str,
    folder: str | Path | None,
    workers: int,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Return the shard of every method and fold, by method."""
    jobs = _jobs(entrants, material, setting)
    with tempfile.TemporaryDirectory(prefix="labelwise-") as passing:
        out = Path(passing if folder is None else folder)
        try:
            run_jobs(
                jobs,
                run_fold,
                out,
                data=material,
                workers=workers or None,
                progress=progress,
                # A worker starts in seconds: one alone would only cost them.
                here=workers == 0,
            )
        except KeyboardInterrupt:
            if folder is None:
                raise KeyboardInterrupt("stopped") from None
            raise
        by_key = {shard["key"]: shard for shard in read_shards(out)}
    return [by_key[job.key] for job in jobs]


def _jobs(entrants: Sequence[str], material: Material, setting: str) -> list[Job]:
    shared = (material.X, material.labels.matrix, material.labels.label_names, material.true_labels)
    jobs = []
    for number, fold in enumerate(material.folds):
        digest = fingerprint(*shared, material.groups, material.options, fold.train, fold.held_out)
        jobs += [
            Job(
                dataset="comparison",
                setting=setting,
                method=name,
                seed=int(material.options["random_state"]),
                hyperparameters=material.hyperparameters.get(name, {}),
                options={"fold": number, "digest": digest},
            )
            for name in entrants
        ]
    return jobs


def run_fold(job: Job, material: Material) -> Measured:
    """Train a method without a fold's rows, and judge it on them."""
    fold = material.folds[job.options["fold"]]
    X, X_held_out = rows_of(material.X, fold.train), rows_of(material.X, fold.held_out)
    labels = material.labels.matrix
    if job.method == BASELINE:
        model = LogisticBaseline(material.options).fit(X, labels[fold.train])
        scores, kept = model.scores(X_held_out)
        return _judged(labels[fold.held_out][kept], scores, metrics.Threshold(0.5), "probability")
    classifier = MultiLabelClassifier(
        **material.options, method=job.method, hyperparameters=dict(job.hyperparameters) or None
    )
    truth = material.true_labels
    classifier.fit(
        X,
        labels[fold.train],
        label_names=material.labels.label_names,
        items=None if material.items is None else [material.items[row] for row in fold.train],
        true_labels=None if truth is None else truth[fold.train],
        groups=None if material.groups is None else material.groups[fold.train],
    )
    read = classifier.read(X_held_out)
    logits = classifier.decision_function(read)
    return _judged(labels[fold.held_out][read.kept], logits, classifier.rule_, "logit")


def _judged(labels: NDArray[np.int8], scores: Any, rule: metrics.Rule, kind: Any) -> Measured:
    """Return every figure that these labels let one measure."""
    if not metrics.judgeable(labels).average_precision:
        observed = metrics.observed_average_precision(labels, scores)
        return Measured([Measurement(OBSERVED, float(np.nanmean(observed)))])
    result = metrics.evaluate(labels, scores, rule, input=kind, fair_rows=True)
    return Measured(
        [
            Measurement(name, value, result.rule if name in metrics.RULE_METRICS else "")
            for name, value in result.figures.items()
        ],
        {"labels_judged": result.n_labels_judged},
    )


def rows_of(X: Any, rows: NDArray[np.int64]) -> Any:
    """Return rows of items in any form that ``fit`` takes."""
    if is_source(X):
        return select_rows(X, rows)
    if isinstance(X, list | tuple):
        return [X[int(row)] for row in rows]
    if type(X).__module__.partition(".")[0] in ("polars", "pyarrow"):
        X = X.to_pandas()
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    return (X.tocsr() if hasattr(X, "tocsr") else X)[rows]
