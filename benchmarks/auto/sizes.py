"""Time and memory of `auto` at the sizes that the documentation promises, each run in a process of its own.

Features are simulated but for tmc2007 and bibtex, whose rows are all taken: what is measured is time and memory. The
memory is the peak of the process, its libraries and data among it; the seconds are those of one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

import labelwise as lw
from benchmarks.common import data_folder
from benchmarks.local import sets
from benchmarks.studies import paper_size
from labelwise._random import generator
from labelwise.experiments import Job, Measured, Measurement

Data = tuple[Any, np.ndarray]


@dataclass(frozen=True)
class Size:
    """A case: its data, the settings it is run in, and what it may take."""

    read: Callable[[], Data]
    shape: str
    settings: tuple[str, ...]
    most_seconds: float
    most_gb: float | None = 3.0


def pictures(name: str, columns: int) -> Data:
    """Return drawn features of unit length for a real label matrix: a direction a label, and noise."""
    Y, _ = paper_size.labels(name)
    draw, unit = generator(0, "sizes", name), columns**-0.5
    directions = draw.standard_normal((Y.shape[1], columns), dtype=np.float32) * unit
    X = draw.standard_normal((len(Y), columns), dtype=np.float32) * (2 * unit)
    X += Y.astype(np.float32) @ directions
    return X / np.linalg.norm(X, axis=1, keepdims=True), Y


def whole_set(name: str) -> Data:
    """Return all rows of a set of the local benchmark."""
    X, Y, X_test, Y_test = sets.load(name)
    return (
        sp.vstack([X, X_test]).tocsr() if sp.issparse(X) else np.concatenate([X, X_test])
    ), np.concatenate([Y, Y_test])


def comments() -> Data:
    """Return 4,000 comments of GoEmotions as TF-IDF of 6,390 words, sparse."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    text, Y = sets.comments("train")
    rows = np.sort(generator(0, "goemotions").permutation(len(text))[:4000])
    words = TfidfVectorizer(max_features=6390, sublinear_tf=True, dtype=np.float32)
    return sp.csr_array(words.fit_transform([text[i] for i in rows])), Y[rows]


def words(n: int = 200_000, columns: int = 50_000, labels: int = 100, length: int = 30) -> Data:
    """Return drawn texts: word frequencies after Zipf, and labels that prefer some of the words."""
    draw = generator(0, "sizes", "words")
    Y = (draw.random((n, labels)) < np.geomspace(0.2, 0.002, labels)).astype(np.int8)
    chance = 1 / np.arange(2, columns + 2)
    common = draw.choice(columns, (n, length), p=chance / chance.sum())
    rows, present = np.nonzero(Y)
    own = (present[:, None] * 37 + draw.integers(0, 20, (len(rows), 2)) + 200) % columns
    index = np.concatenate([common.ravel(), own.ravel()])
    row = np.concatenate([np.repeat(np.arange(n), length), np.repeat(rows, 2)])
    X = sp.csr_array((np.ones(len(row), np.float32), (row, index)), shape=(n, columns))
    weight = np.log(n / np.maximum(np.bincount(X.indices, minlength=columns), 1)).astype(np.float32)
    X.data *= weight[X.indices]
    norm = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
    X.data /= np.repeat(norm, np.diff(X.indptr)).astype(np.float32)
    return X, Y


BOTH = ("10% labelled", "single positive")
SIZES = {
    "VOC's size": Size(partial(pictures, "voc12", 1280), "5,717 x 1,280 x 20", BOTH, 60),
    "tmc2007": Size(partial(whole_set, "tmc2007-500"), "28,596 x 500 x 22", BOTH, 240),
    "bibtex": Size(partial(whole_set, "bibtex"), "7,395 x 1,836 x 159", BOTH, 240),
    "comments": Size(comments, "4,000 x 6,390 x 28, sparse", ("single positive",), 25),
    "COCO's size": Size(partial(pictures, "coco14", 256), "82,081 x 256 x 80", BOTH, 900),
    "words": Size(words, "200,000 x 50,000 x 100, sparse", BOTH, 900, 6.0),
}


def jobs(method: str = "auto") -> list[Job]:
    """Return every run, the small first."""
    return [sets.job(name, setting, method, 0) for name, size in SIZES.items() for setting in size.settings]


def run(job: Job, folder: str) -> Measured:
    """Fit a method at a size, and score up to 20,000 of the rows."""
    import torch

    torch.set_num_threads(1)
    X, Y = SIZES[job.dataset].read()
    seen = sets.hide(Y, job)
    before = lw.models.peak_memory() or 0
    wall, cpu = time.perf_counter(), time.process_time()
    model = lw.MultiLabelClassifier(job.method, device="cpu", random_state=0).fit(X, seen)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    part = X[:20_000]
    began, began_cpu = time.perf_counter(), time.process_time()
    model.predict_proba(part)
    took, took_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    n = part.shape[0]
    return Measured(
        [Measurement("seconds", wall), Measurement("cpu_seconds", cpu)],
        {
            "data_mb": before >> 20,
            "rows_a_second": round(n / took),
            "rows_a_cpu_second": round(n / took_cpu),
            "notes": list(model.notes_),
        },
    )


def row_of(shard: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a run: what it took, and what it may take."""
    job, facts = Job.from_dict(shard["job"]), shard["facts"]
    size = SIZES[job.dataset]
    setting = next(w for w, kind in sets.KINDS.items() if kind == (job.setting, job.fraction))
    measured = {m["metric"]: m["value"] for m in shard["measurements"]}
    return {
        "case": job.dataset,
        "shape": size.shape,
        "setting": setting,
        "method": job.method,
        "status": shard["status"],
        "seconds": measured.get("seconds"),
        "cpu_seconds": measured.get("cpu_seconds"),
        "most_seconds": size.most_seconds,
        "memory_mb": shard["memory_mb"],
        "data_mb": facts.get("data_mb"),
        "most_gb": size.most_gb,
        "rows_a_second": facts.get("rows_a_second"),
        "error": shard["error"],
    }


def data_is_there() -> bool:
    """Return whether the label matrices of real sets are at hand."""
    return (data_folder() / "coco14_labels").exists()
