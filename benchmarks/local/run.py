"""One run of the local benchmark: hide labels, train under the honest protocol, judge on the test rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.local import baselines, sets
from labelwise.experiments import Job, Measured, Measurement, run_jobs

RULE_METRICS = ("micro_f1", "macro_f1", "hamming_loss")
METRICS = ("map", "one_error", *RULE_METRICS)
REPLICATES = 200


def compute(jobs: Sequence[Job], execute: str, out: Path, workers: int, cap: float) -> None:
    """Compute the runs that `out` does not hold yet, each in at most `cap` seconds."""
    tally = run_jobs(jobs, execute, out, data=str(out), workers=workers, time_cap=cap, progress=show_progress)
    print(
        f"{tally.done} done, {tally.before} before, {tally.capped} stopped by the cap, {tally.failed} failed"
    )


def show_progress(finished: int, of: int, shard: Mapping[str, Any]) -> None:
    """Print a line on a run that ended."""
    figures = {m["metric"]: m["value"] for m in shard["measurements"]}
    done = f"mAP {figures['map']:.4f}" if "map" in figures else "done"
    told = done if figures else f"{shard['status']}: {shard['error']}"
    print(f"{finished}/{of}  {shard['key'].rpartition('-')[0]}  {told}  {shard['seconds']} s", flush=True)


def run(job: Job, folder: str) -> Measured:
    """Train and judge a job; `folder` holds embeddings, and takes the mAP of resampled test sets."""
    import torch

    torch.set_num_threads(1)
    X, Y, X_test, Y_test = read(job.dataset, folder, job.options.get("rows"))
    seen = sets.hide(Y, job)
    began = time.perf_counter()
    if job.method in baselines.BASELINES:
        from labelwise.metrics import Threshold

        scores: np.ndarray = baselines.BASELINES[job.method](X, seen, X_test, seed=job.seed)
        rule: Any = Threshold(0.5)
        facts: dict[str, Any] = {"rule_source": "one half", "prior": None, "epochs": None}
    else:
        model = fitted(job, X, Y, seen)
        scores, rule = model.predict_proba(X_test), model.rule_
        facts = {"rule_source": model.rule_source_, "prior": model.prior, "epochs": len(model.history_)}
        facts["oracle"] = "true_labels" in lw.methods.get(job.method).spec.needs
    facts |= {"fit_and_score_seconds": round(time.perf_counter() - began, 2), "rule": rule.name}
    facts |= {"items": len(Y), "test_items": len(Y_test), "labels": Y.shape[1]}
    keep_replicates(Path(folder) / "replicates" / f"{job.key}.npy", Y_test, scores)
    return Measured(figures(Y_test, scores, rule), facts)


def fitted(job: Job, X: Any, Y: np.ndarray, seen: np.ndarray, **given: Any) -> lw.MultiLabelClassifier:
    """Train a method with its defaults; where no negative is known, the set's cardinality is the prior it needs."""
    needs = lw.methods.get(job.method).spec.needs
    prior = round(float(Y.sum(1).mean()), 3) if "prior" in needs and "positive" in job.setting else None
    model = lw.MultiLabelClassifier(
        job.method,
        hyperparameters=job.hyperparameters,
        prior=prior,
        device="cpu",
        random_state=job.seed,
        **given,
    )
    truth = Y if "true_labels" in needs or job.protocol == "published" else None
    return model.fit(X, seen, true_labels=truth)


def figures(Y: np.ndarray, scores: np.ndarray, rule: Any) -> list[Measurement]:
    """Return all metrics by the learner's rule, and those that need a rule by one half and by the oracle's count."""
    from labelwise.metrics import OracleCardinality, Threshold, evaluate

    found = evaluate(Y, scores, rule, metrics=METRICS)
    rows = [Measurement(name, found[name], "own" if name in RULE_METRICS else "") for name in METRICS]
    for word, other in (("half", Threshold(0.5)), ("oracle_count", OracleCardinality())):
        found = evaluate(Y, scores, other, metrics=RULE_METRICS)
        rows += [Measurement(name, found[name], word) for name in RULE_METRICS]
    return rows


def keep_replicates(path: Path, Y: np.ndarray, scores: np.ndarray) -> None:
    """Keep the mAP of resampled test sets; replicate r is the same draw of items for every learner."""
    from labelwise.metrics import bootstrap

    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.npy")
    np.save(draft, bootstrap(Y, scores, n=REPLICATES).replicates.astype(np.float32))
    draft.replace(path)


@cache
def read(name: str, folder: str, rows: int | None) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Return a set, read once a process; `folder` holds the embeddings."""
    return sets.read(name, Path(folder) / "embeddings", rows)
