"""Which entries to ask: mAP and recovered positives against the number of answers, beside random.

`python -m benchmarks.studies.asking`: the training rows of scene, yeast, VOC12-animals and the first 2,000 of 6,000
comments of GoEmotions (MiniLM) from LABELWISE_DATA, labels with 5 positives or more. Two tables of each: `one tag` (one
positive an item) and `20% known` (each entry known with probability .2). The truth answers up to 400 times, 100 entries
at a time, each time after ridge was trained anew on the table with the answers so far; where the table knows no
negative, an answer of no stays unknown in training, as `labelwise train --answers` has it. `items` asks whole items.
For each number of answers: mAP on the test rows; the positives that were found by asking; and `recovered`, the share
of the missing positives, of labels with AP above .8 on the table's unknown entries at the start, that stand above the
depth at which the precision of the ranking falls below .9, confirmed ones among them. That depth and those labels are
known by the truth: a certificate from answers alone has to stop earlier. VOC12-animals' 1,280 features are brought to
their 128 principal components, for speed. Seeds 0 to 2.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, UNCOMMITTED, place, script_parser, show, write_rows
from benchmarks.local import sets

SETS = ("scene", "yeast", "voc12_animals", "goemotions")
TABLES = ("one tag", "20% known")
STRATEGIES = ("random", "missing", "uncertain", "gain", "missing, items", "random, items")
SEEDS = (0, 1, 2)
STEP, ANSWERS = 100, (0, 100, 200, 400)
COMMENTS, WIDE, NARROW = 2000, 500, 128
PRECISION, GOOD_AP = 0.9, 0.8
TABLE = RESULTS / "asking.csv"


def problem(name: str, table: str, seed: int, cache: Path) -> tuple[Any, ...]:
    """Return X, the truth, the labels that are shown, and X and Y of the test rows."""
    from labelwise.annotations import simulate

    X, Y, X_test, Y_test = sets.read(name, cache)
    if name == "goemotions":
        X, Y = X[:COMMENTS], Y[:COMMENTS]
    if X.shape[1] > WIDE:
        X, X_test = narrow(X, X_test)
    kept = Y.sum(axis=0) >= 5
    Y, Y_test = np.ascontiguousarray(Y[:, kept]), Y_test[:, kept]
    if table == "one tag":
        shown = simulate.single_positive(Y, seed=1200 + seed)
    else:
        shown = np.where(np.random.default_rng(seed).random(Y.shape) < 0.2, Y, -1).astype(np.int8)
    return X, Y, shown, X_test, Y_test


def narrow(X: np.ndarray, X_test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first principal components of the training rows."""
    from sklearn.decomposition import PCA

    fitted = PCA(NARROW, random_state=0).fit(X)
    return fitted.transform(X).astype(np.float32), fitted.transform(X_test).astype(np.float32)


def model_of(X: Any, labels: np.ndarray) -> Any:
    import labelwise as lw

    return lw.MultiLabelClassifier("ridge", validation=None, rule=0.5).fit(X, labels)


def left_out(model: Any, X: Any, labels: np.ndarray) -> np.ndarray:
    """Return scores (n, K) of rows left out in turn, calibrated where that is identified."""
    from labelwise.completion import left_out_scores
    from labelwise.metrics import PlattCalibration

    found = left_out_scores(model, X, labels)
    if (labels == 0).any():
        return PlattCalibration.fit(labels, found.logits, input="logit").apply(found.logits)
    return found.scores.astype(np.float64)


def ask(strategy: str, scores: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the next entries (m, 2), at most STEP."""
    from labelwise.completion import next_entries

    by, _, items = strategy.partition(", ")
    frame = next_entries(scores, labels, STEP, by, items=bool(items), seed=seed)
    return frame[["row", "column"]].to_numpy()[:STEP]


def recovered(
    Y: np.ndarray, start: np.ndarray, labels: np.ndarray, scores: np.ndarray, good: np.ndarray
) -> float:
    """Return the share of the start's missing positives above the depth of precision .9, answered ones decided."""
    entries = (start < 0) & good
    missing = int((Y[entries] == 1).sum())
    if not missing:
        return float("nan")
    confirmed = int((Y[entries & (labels == 1)] == 1).sum())
    open_ = entries & (labels < 0)
    truth = Y[open_][np.argsort(-scores[open_], kind="stable")] == 1
    hits = confirmed + np.cumsum(truth)
    precision = hits / (confirmed + np.arange(1, len(truth) + 1))
    depth = np.flatnonzero(precision >= PRECISION)
    return float(hits[depth[-1]] if depth.size else confirmed) / missing


def run(name: str, table: str, strategy: str, seed: int, cache: Path) -> list[dict[str, Any]]:
    from sklearn.metrics import average_precision_score

    from labelwise.metrics import Threshold, evaluate

    X, Y, start, X_test, Y_test = problem(name, table, seed, cache)
    known = start.copy()  # every answer, for what is not to be asked again
    positives_only = not (start == 0).any()
    rows: list[dict[str, Any]] = []
    good: np.ndarray | None = None
    while True:
        labels = np.where((known == 0) & (start < 0), -1, known).astype(np.int8) if positives_only else known
        model = model_of(X, labels)
        scores = left_out(model, X, labels)
        asked = int(((known >= 0) & (start < 0)).sum())
        if good is None:
            ap = np.zeros(Y.shape[1])
            for k in range(Y.shape[1]):
                hidden = start[:, k] < 0
                if Y[hidden, k].any():
                    ap[k] = average_precision_score(Y[hidden, k], scores[hidden, k])
            good = ap > GOOD_AP
        if asked in ANSWERS:
            found = evaluate(Y_test, model.decision_scores(X_test), Threshold(0.5), metrics=["map"])["map"]
            values = {
                "map": f"{found:.4f}",
                "found": int(((known == 1) & (start < 0)).sum()),
                "recovered": f"{recovered(Y, start, known, scores, np.broadcast_to(good, Y.shape)):.4f}",
            }
            rows.append(
                {"set": name, "table": table, "strategy": strategy, "seed": seed, "answers": asked, **values}
            )
        if asked >= max(ANSWERS):
            return rows
        entries = ask(strategy, scores, known, 1000 * seed + asked)
        if not len(entries):
            return rows
        known[tuple(entries.T)] = Y[tuple(entries.T)]


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--cache", type=Path, default=UNCOMMITTED / "cache", help="the folder of embeddings")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    given = parser.parse_args()
    table = place(given, TABLE)
    rows: list[dict[str, Any]] = []
    for name, kind, seed, strategy in itertools.product(given.sets, TABLES, SEEDS, STRATEGIES):
        rows += run(name, kind, strategy, seed, given.cache)
        write_rows(table, rows)
    for kind, strategy, answers in itertools.product(TABLES, STRATEGIES, ANSWERS):
        chosen = [
            row
            for row in rows
            if (row["table"], row["strategy"], row["answers"]) == (kind, strategy, answers)
        ]
        means = {
            name: f"{np.nanmean([float(row[name]) for row in chosen]):.4f}"
            for name in ("map", "found", "recovered")
        }
        show({"table": kind, "strategy": strategy, "answers": answers, **means})


if __name__ == "__main__":
    main()
