"""One run: hide labels, fit, score the test rows, and judge; time and memory are those of a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.auto import grid
from benchmarks.auto.learners import LEARNERS
from benchmarks.local import run as local
from benchmarks.local import sets
from benchmarks.local.sets import Parts
from labelwise.experiments import Job, Measured, Measurement

METRICS = ("map", "micro_f1", "macro_f1", "one_error")


def run(job: Job, folder: str) -> Measured:
    """Train and judge a job; `folder` holds the embeddings."""
    import torch

    torch.set_num_threads(1)
    X, Y, X_test, Y_test = read(job.dataset, folder)
    seen = sets.hide(Y, job)
    model, rule, facts = fit(job, X, Y, seen)
    began = time.perf_counter()
    scores = model(X_test)
    facts["predict_seconds"] = round(time.perf_counter() - began, 3)
    facts |= {"rule": rule.name, "items": len(Y), "test_items": len(Y_test), "labels": Y.shape[1]}
    facts["average_precision"] = per_label(Y_test, scores)
    return Measured(figures(Y_test, scores, rule), facts)


def fit(
    job: Job, X: Any, Y: np.ndarray, seen: np.ndarray
) -> tuple[Callable[[Any], np.ndarray], Any, dict[str, Any]]:
    """Return what scores new rows, the decision rule, and facts with the seconds of the fit."""
    from labelwise.metrics import Threshold

    wall, cpu = time.perf_counter(), time.process_time()
    facts: dict[str, Any] = {}
    rule: Any = Threshold(0.5)
    if job.method in LEARNERS:
        scorer = LEARNERS[job.method](X, seen)
    else:
        model = local.fitted(job, X, Y, named(seen, job.dataset), **texts(job.dataset))
        scorer, rule = model.predict_proba, model.rule_
        facts |= {"rule_source": model.rule_source_, "prior": model.prior, "notes": list(model.notes_)}
        # What the default says of itself: which members carry weight, and what its gates decided.
        if explanation := getattr(model, "explanation_", None):
            facts["explanation"] = str(explanation)
    facts["fit_seconds"] = round(time.perf_counter() - wall, 3)
    facts["fit_cpu_seconds"] = round(time.process_time() - cpu, 3)
    return scorer, rule, facts


def texts(name: str) -> dict[str, str]:
    """Return what a classifier has to be told to read a set's items."""
    return {"backbone": grid.BACKBONES[name]} if name in grid.BACKBONES else {}


def named(seen: np.ndarray, name: str) -> Any:
    """Return the labels as a set's user has them: a frame of named columns where the set has names."""
    columns = grid.label_names(name)
    return seen if columns is None else pd.DataFrame(seen, columns=columns)


def figures(Y: np.ndarray, scores: np.ndarray, rule: Any) -> list[Measurement]:
    """Return the metrics by the learner's own rule, and the calibration error of its scores."""
    from labelwise.metrics import evaluate, expected_calibration_error

    found = evaluate(Y, scores, rule, metrics=METRICS)
    rows = [Measurement(name, found[name], "own" if name.endswith("f1") else "") for name in METRICS]
    return [*rows, Measurement("ece", expected_calibration_error(Y, scores))]


def per_label(Y: np.ndarray, scores: np.ndarray) -> list[float | None]:
    """Return the average precision of each label, None where the test rows have no positive."""
    from labelwise.metrics import average_precision

    return [None if np.isnan(value) else round(float(value), 5) for value in average_precision(Y, scores)]


@cache
def read(name: str, folder: str) -> Parts:
    """Return a set, read once a process."""
    return grid.read(name, Path(folder) / "embeddings")
