"""The closed form at the sizes that strain it: wide, long, huge, and with masks that differ by label.

`python -m benchmarks.speed.closed_form [--only wide ...]`: simulated features at the sizes of real problems. `wide`:
4,000 texts x 6,390 words, single positives; `coco`: 82,081 x 256 x 80; `huge`: 200,000 texts x 50,000 words x 100
labels, 15 words a text; `masks`: 28,596 x 500 x 22 with half of all entries hidden at random. Each in a process of its
own. `cpu` is its processor time, which other work on the machine hardly changes; `peak_mb` its largest memory, the data
included; `map` that of the scores of left-out rows.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.common import RESULTS, place, publish, read_rows, script_parser
from labelwise._random import generator
from labelwise.annotations import simulate
from labelwise.models import peak_memory, solve_ridge

TABLE = RESULTS / "closed_form.csv"
Labels = NDArray[np.int8]


def texts(n: int, words: int, n_labels: int, length: int = 15) -> tuple[Any, Labels]:
    """Return unit TF-IDF rows (n, words) and labels (n, K): a quarter of a text's words come from its labels."""
    random = generator(0, "closed-form-texts", n)
    share = 0.15 / np.arange(1, n_labels + 1) ** 0.7
    labels = (random.random((n, n_labels)) < share).astype(np.int8)
    frequency = 1 / np.arange(1, words + 1)
    drawn = np.searchsorted(np.cumsum(frequency / frequency.sum()), random.random((n, length)))
    own = random.integers(0, words, (n_labels, 200)) // random.integers(1, 50, (n_labels, 200))
    # one of a row's labels for each of its words: the largest of random numbers over those that are present
    chosen = np.stack([(labels * random.random(labels.shape)).argmax(axis=1) for _ in range(length)], axis=1)
    of_label = labels.any(axis=1)[:, None] & (random.random((n, length)) < 0.25)
    drawn = np.where(of_label, own[chosen, random.integers(0, 200, (n, length))], drawn)
    rows = np.repeat(np.arange(n), length)
    counts = sp.csr_array(
        (np.ones(n * length), (rows, np.minimum(drawn, words - 1).ravel())), shape=(n, words)
    )
    idf = np.log((1 + n) / (1 + np.bincount(counts.indices, minlength=words)))
    weighted = counts @ sp.diags_array(idf)
    norm = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    return sp.csr_array(sp.diags_array(1 / norm) @ weighted, dtype=np.float32), labels


def vectors(n: int, features: int, n_labels: int) -> tuple[NDArray[np.float32], Labels]:
    """Return features (n, D) around one direction for each label, and labels (n, K)."""
    random = generator(0, "closed-form-vectors", n)
    labels = (random.random((n, n_labels)) < 0.3 / np.arange(1, n_labels + 1) ** 0.7).astype(np.int8)
    directions = random.standard_normal((n_labels, features), dtype=np.float32) / np.float32(features**0.5)
    noise = random.standard_normal((n, features), dtype=np.float32) / np.float32(features**0.5)
    return labels.astype(np.float32) @ directions + 2 * noise, labels


def wide() -> tuple[Any, Labels, Labels]:
    X, truth = texts(4_000, 6_390, 20)
    return X, simulate.single_positive(truth, seed=0), truth


def coco() -> tuple[Any, Labels, Labels]:
    X, truth = vectors(82_081, 256, 80)
    return X, truth, truth


def huge() -> tuple[Any, Labels, Labels]:
    X, truth = texts(200_000, 50_000, 100)
    return X, truth, truth


def masks() -> tuple[Any, Labels, Labels]:
    X, truth = vectors(28_596, 500, 22)
    hidden = generator(0, "closed-form-masks").random(truth.shape) < 0.5
    return X, np.where(hidden, np.int8(-1), truth), truth


CASES: dict[str, Callable[[], tuple[Any, Labels, Labels]]] = {
    "wide": wide,
    "coco": coco,
    "masks": masks,
    "huge": huge,
}


def measured(name: str) -> dict[str, str]:
    """Return the row of one case."""
    X, seen, truth = CASES[name]()
    start, start_cpu = time.perf_counter(), time.process_time()
    solution = solve_ridge(X, seen)
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    known = seen != -1 if name == "masks" else (seen != -1).any(axis=1)[:, None] & (truth >= 0)
    values = [
        average_precision_score(truth[known[:, k], k], solution.loo_scores[known[:, k], k])
        for k in range(0, truth.shape[1], max(1, truth.shape[1] // 20))
    ]
    return {
        "case": name,
        "rows": str(X.shape[0]),
        "features": str(X.shape[1]),
        "labels": str(truth.shape[1]),
        "seconds": f"{wall:.1f}",
        "cpu": f"{cpu:.1f}",
        "peak_mb": f"{(peak_memory() or 0) / 1e6:.0f}",
        "scaling": solution.scaling.kind,
        "lambda": f"{solution.lambda_:.3g}",
        "exact": str(solution.exact),
        "map": f"{np.mean(values):.4f}",
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument(
        "--only", nargs="+", choices=list(CASES), default=list(CASES), help="some of the cases"
    )
    given = parser.parse_args()
    table = place(given, TABLE)
    rows = {row["case"]: row for row in read_rows(table)}
    for name in given.only:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            rows[name] = pool.apply(measured, (name,))
        publish(table, [rows[case] for case in CASES if case in rows])


if __name__ == "__main__":
    main()
