"""Which terms make the columns of the backbone `words`: leave-one-out ridge on GoEmotions, alone and beside MiniLM.

`python -m benchmarks.studies.words [--terms NAME ...]` reads LABELWISE_DATA, fits each choice of terms to the 8,000
comments of `benchmarks.auto`, without labels, and writes one row each. The criterion is the best leave-one-out average
precision of `solve_ridge` on unit rows, of which the mean over seeds and settings chose; beside it stand the mAP on
3,000 test comments. `beside` has MiniLM's standardised unit rows next to them, of the same norm. Settings: 5% of the
rows labelled (three seeds), and a single positive in each of the first 2,000 (one seed: a larger one takes minutes).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from benchmarks.auto import grid
from benchmarks.common import RESULTS, place, script_parser, show, write_rows
from benchmarks.local import sets
from labelwise.metrics import mean_average_precision
from labelwise.models import InputScaling, Words, solve_ridge

TABLE = RESULTS / "words.csv"
CACHE = Path("runs", "embeddings")
SETTINGS = {"5%": ("5% labelled", 3, grid.ROWS), "single positive": ("single positive", 1, 2_000)}
TERMS: dict[str, list[tuple[str, int, int]]] = {
    "words": [("word", 1, 1)],
    "words 1-2": [("word", 1, 2)],
    "n-grams 2-4": [("char_wb", 2, 4)],
    "n-grams 3-5": [("char_wb", 3, 5)],
    "words, n-grams 2-4": [("word", 1, 1), ("char_wb", 2, 4)],
    "words, n-grams 3-5": [("word", 1, 1), ("char_wb", 3, 5)],
    "words 1-2, n-grams 2-4": [("word", 1, 2), ("char_wb", 2, 4)],
    "words 1-2, n-grams 3-5": [("word", 1, 2), ("char_wb", 3, 5)],
}
PACKAGED = "backbone words"


def features(name: str, train: list[str], test: list[str]) -> tuple[Any, Any]:
    """Return both parts' rows of norm 1, CSR, without labels."""
    if name == PACKAGED:
        words = Words.fit(train)
        return words.transform(train), words.transform(test)
    parts = []
    for analyzer, low, high in TERMS[name]:
        terms = TfidfVectorizer(
            analyzer=analyzer,
            ngram_range=(low, high),
            min_df=2,
            max_features=25_000,
            sublinear_tf=True,
            dtype=np.float32,
        )
        parts.append((terms.fit_transform(train), terms.transform(test)))
    root = np.float32(len(parts) ** -0.5)
    return tuple(sp.csr_array(sp.hstack(part) * root) for part in zip(*parts, strict=True))


def compare(X: Any, Y: np.ndarray, X_test: Any, Y_test: np.ndarray, setting: str) -> tuple[float, float]:
    """Return the best leave-one-out average precision and the test mAP, means over seeds."""
    words, seeds, rows = SETTINGS[setting]
    values = []
    for seed in range(seeds):
        seen = sets.hide(Y[:rows], sets.job("goemotions", words, "ridge", seed, rows))
        solution = solve_ridge(X[:rows], seen, scalings=["none"])
        scores = X_test @ solution.weight.T + solution.bias
        best = max(float(row["value"]) for row in solution.table)
        values.append((best, mean_average_precision(Y_test, scores)))
    return tuple(np.mean(values, axis=0).tolist())


def records(names: list[str]) -> Iterator[dict[str, Any]]:
    """Yield one row a choice of terms."""
    (train, Y), (test, Y_test) = grid.sample("train", grid.ROWS), grid.sample("test", grid.TEST_ROWS)
    scaling, dense = None, []
    for part, texts in (("train", train), ("test", test)):
        rows = sets.embedded(texts, CACHE / f"goemotions_{part}_{len(texts)}.npy")
        scaling = scaling or InputScaling.fit(rows, "standardise_l2")
        dense.append(sp.csr_array(scaling.transform(rows)))
    for name in names:
        start = time.perf_counter()
        parts = features(name, train, test)
        record = {"terms": name, "columns": parts[0].shape[1], "fit_s": f"{time.perf_counter() - start:.1f}"}
        beside = [sp.csr_array(sp.hstack(pair)) for pair in zip(dense, parts, strict=True)]
        for setting in SETTINGS:
            for where, (X, X_test) in (("alone", parts), ("beside", beside)):
                loo, test_map = compare(X, Y, X_test, Y_test, setting)
                record |= {f"{setting}, {where}, loo": f"{loo:.4f}", f"{setting}, {where}": f"{test_map:.4f}"}
        yield record


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    choices = [*TERMS, PACKAGED]
    parser.add_argument("--terms", nargs="+", default=choices, choices=choices)
    given = parser.parse_args()
    found = []
    for record in records(given.terms):
        found.append(record)
        write_rows(place(given, TABLE), found)
        show(record)


if __name__ == "__main__":
    main()
