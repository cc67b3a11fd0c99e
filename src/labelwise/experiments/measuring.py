"""Measure one run: read, hide labels, train, evaluate by every decision rule."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from labelwise import metrics
from labelwise.analysis import gradient_difference
from labelwise.classifier import MultiLabelClassifier
from labelwise.data.datasets import Dataset, Part, read_dataset
from labelwise.errors import UserError, listed
from labelwise.experiments.figures import keep_columns, model_columns
from labelwise.experiments.jobs import Job, Labels, Measured, Measurement, hide, spml_split
from labelwise.experiments.publications import DATASETS
from labelwise.experiments.spec import Training
from labelwise.methods import get

if TYPE_CHECKING:
    from labelwise.metrics import Rule

_CLASSIFIER = [name for name in Training.model_fields if name != "backbone"]
"""Options of a job that are arguments of the classifier."""
_TRUTH_ONLY = ("leak_truth", "warm_up_seed")


@dataclass(frozen=True)
class Source:
    """Folders of a run.

    Attributes:
        directory: The folder of ``--data``, with the sets.
        keep: A folder for a figure's columns, None to keep none.
    """

    directory: str
    keep: str | None = None


def measure(job: Job, data: Source) -> Measured:
    """Train and evaluate one job; ``docs/reproduce.md`` describes the two protocols."""
    dataset = _read(DATASETS.get(job.dataset, job.dataset), data.directory)
    train, test = dataset.parts["train"], dataset.parts["test"]
    observed = hide(job, train.labels, train.observed)
    X, X_test = _items(dataset, train, job), _items(dataset, test, job)
    began = time.perf_counter()
    if job.protocol == "published":
        model = _published(job, dataset, X, observed, (X_test, test.labels))
    else:
        model = _honest(job, dataset, X, observed, train.labels)
    logits = model.decision_function(X_test)
    spent = time.perf_counter() - began
    rule = model.rule_ if job.protocol == "honest" else metrics.Threshold(0.5)
    measurements, facts = evaluate(test.labels, logits, rule, job.protocol, dataset.label_names)
    figure = job.options.get("figure", "")
    if figure == "margin_sweep":
        difference = gradient_difference(model.decision_scores(X), observed)
        measurements.append(Measurement("gradient_difference", difference))
    columns = model_columns(figure, model, dataset, (X, observed), (X_test, expit(logits).astype(np.float32)))
    if columns is not None and data.keep is not None:
        keep_columns(columns, Path(data.keep), job.key)
    facts |= {
        "kind": dataset.kind,
        "n_train": len(observed),
        "n_known": int((observed >= 0).sum()),
        "fit_and_score_seconds": round(spent, 2),
        "epochs": len(model.history_),
        "best_epoch": model.best_epoch_,
        "hyperparameters": model.hyperparameters_,
        "budget": model.budget_,
        "rule_source": model.rule_source_,
        "notes": list(model.notes_),
        "validation_map": None if model.validation_ is None else model.validation_["map"],
        "history": model.history_,
    }
    if dataset.kind == "features" and "backbone" in job.options:
        facts["notes"].append("features as they are, not the backbone of the paper: a head alone was trained")
    seconds = [record["seconds"] for record in model.history_ if "seconds" in record]
    if seconds:
        measurements.append(Measurement("seconds_per_epoch", float(np.median(seconds))))
    return Measured(measurements, facts)


def evaluate(
    truth: Labels,
    logits: NDArray[np.float64],
    model_rule: Rule,
    protocol: str,
    label_names: tuple[str, ...] | None = None,
) -> tuple[list[Measurement], dict[str, Any]]:
    """Evaluate logits (n, K) by three decision rules.

    The model's rule, a threshold of .5 and the oracle's count of labels. A metric that needs no decision rule has the
    rule "". Labels without a positive are left out of means, and count as 0 under the published protocol.

    Returns:
        The measurements, and facts about the test set and what was left out.
    """
    empty: Literal["omit", "zero"] = "zero" if protocol == "published" else "omit"
    # By logits, which are not tied where float32 probabilities are 1.
    by_logits = partial(metrics.evaluate, input="logit", empty_labels=empty)
    table = by_logits(truth, logits, model_rule, label_names=label_names)
    measurements = [
        Measurement(name, table[name], table.rule if name in metrics.RULE_METRICS else "") for name in table
    ]
    for rule in (metrics.Threshold(0.5), metrics.OracleCardinality()):
        if rule.name != table.rule:
            by_rule = by_logits(truth, logits, rule, metrics=metrics.RULE_METRICS)
            measurements += [Measurement(name, by_rule[name], by_rule.rule) for name in metrics.RULE_METRICS]
    facts = {
        "rule": table.rule,
        "n_test": table.n_items,
        "n_labels": len(table.label_names),
        "empty_labels": table.empty_labels,
        "labels_without_positive": len(table.labels_without_positive),
    }
    return measurements, facts


def _honest(job: Job, dataset: Dataset, X: Any, observed: Labels, truth: Labels) -> MultiLabelClassifier:
    """Fit with the labels that a user would have.

    An oracle alone sees the others.
    """
    for name in _TRUTH_ONLY:
        if job.hyperparameters.get(name):
            raise UserError(
                f"{name} reads true labels: it is part of the published protocol (--protocol published)"
            )
    oracle = "true_labels" in get(job.method).spec.needs
    groups = dataset.parts["train"].groups
    return _search(job, dataset, X, observed, truth if oracle else None, groups, validation="auto")


def _published(
    job: Job, dataset: Dataset, X: Any, observed: Labels, test: tuple[Any, Labels]
) -> MultiLabelClassifier:
    """Fit as the papers' code does.

    The best epoch is chosen by clean validation rows, or by the test set itself.
    """
    truth = dataset.parts["train"].labels
    if "validation" in dataset.parts:
        validation_part = dataset.parts["validation"]
        validation = (_items(dataset, validation_part, job), validation_part.labels)
    elif job.options.get("code") == "spml":
        rows, held_out = spml_split(len(observed))
        validation = (X[held_out], truth[held_out])
        X, observed, truth = X[rows], observed[rows], truth[rows]
    else:
        validation = test
    # The text code's best model is another name of its live one: the last epoch is what it tests.
    last = job.options.get("code") == "cap" and dataset.kind == "text"
    options = {"select": "last" if last else "best", "calibrate": False, "rule": 0.5}
    return _search(job, dataset, X, observed, truth, None, validation=validation, **options)


def _search(
    job: Job,
    dataset: Dataset,
    X: Any,
    observed: Labels,
    truth: Labels | None,
    groups: Sequence[str] | None,
    **options: Any,
) -> MultiLabelClassifier:
    """Return the search's model of the best validation mAP."""
    search = job.options.get("search")
    # A head on fixed features has a budget of its own, which a search of the network's does not move.
    if not search or dataset.kind == "features":
        return _fit(job, dataset, X, observed, truth, groups, options)
    best: MultiLabelClassifier | None = None
    for rate in search.get("learning_rate", [job.options.get("learning_rate")]):
        for size in search.get("batch_size", [job.options.get("batch_size")]):
            model = _fit(_at(job, rate, size), dataset, X, observed, truth, groups, options)
            if model.validation_ is None:
                raise UserError(
                    "a search needs validation labels of both signs, which this setting has not: leave --search out, "
                    "or take --protocol published"
                )
            if best is None or best.validation_ is None or model.validation_["map"] > best.validation_["map"]:
                best = model
    assert best is not None
    return best


def _at(job: Job, rate: float | None, size: float | None) -> Job:
    """Return the job at one learning rate and batch size.

    Where the head is trained first, at a rate that the papers fix, the search is that of the second stage.
    """
    options = {**job.options, "batch_size": None if size is None else int(size)}
    if "second_rate" not in job.hyperparameters or rate is None or not options.get("learning_rate"):
        return replace(job, options={**options, "learning_rate": rate})
    second = {**job.hyperparameters, "second_rate": rate / options["learning_rate"]}
    return replace(job, options=options, hyperparameters=second)


def _fit(
    job: Job,
    dataset: Dataset,
    X: Any,
    observed: Labels,
    truth: Labels | None,
    groups: Sequence[str] | None,
    given: dict[str, Any],
) -> MultiLabelClassifier:
    features = dataset.kind == "features"
    options = {name: job.options[name] for name in _CLASSIFIER if job.options.get(name) is not None}
    if features:
        # A budget for fine-tuning a network means nothing for a head on fixed features.
        options = {name: value for name, value in options.items() if name == "precision"}
    elif "learning_rate" in options and options.get("tune") == "all":
        # The papers train backbone and head at one rate where they do not say otherwise.
        options.setdefault("backbone_learning_rate", options["learning_rate"])
    needs_prior = "prior" in get(job.method).spec.needs and "positive" in job.setting
    model = MultiLabelClassifier(
        job.method,
        "features" if features else job.options["backbone"],
        hyperparameters=dict(job.hyperparameters),
        prior=_cardinality(job) if needs_prior else None,
        random_state=job.seed,
        **options,
        **given,
    )
    return model.fit(X, observed, label_names=dataset.label_names, true_labels=truth, groups=groups)


def _cardinality(job: Job) -> float:
    if "cardinality" not in job.options:
        raise UserError(f"method {job.method!r} needs the mean number of labels of an item: give cardinality")
    return float(job.options["cardinality"])


def _items(dataset: Dataset, part: Part, job: Job) -> Any:
    """Return items as an array: features, paths or texts."""
    if dataset.kind == "features":
        return part.features
    if "backbone" not in job.options:
        raise UserError(f"{dataset.name} holds {dataset.kind}s: the experiment needs training.backbone")
    return np.array(part.contents, dtype=object)


@lru_cache(maxsize=1)
def _read(name: str, directory: str) -> Dataset:
    """Read a set; refuse one that lacks files before hours are spent."""
    dataset = read_dataset(name, Path(directory))
    for part in dataset.parts:
        missing = dataset.missing_files(part)
        if missing:
            raise UserError(
                f"{name}: its {part} part lacks {listed(missing, 1)}; put back what 'labelwise datasets {name} --data "
                "DIR' counts as missing"
            )
    return dataset
