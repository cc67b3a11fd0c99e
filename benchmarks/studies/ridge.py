"""Ridge with default settings beside one-vs-rest logistic regression (C = 10), on frozen features.

``python -m benchmarks.studies.ridge [--sets voc12_animals ohsumed ...] [--seeds 5] [--out FILE]`` reads
LABELWISE_DATA, prints a table and writes one row per (set, setting, seed). Both learners see the same labels
in the same run. mAP is the mean average precision over the labels with a positive in train and in test.
Settings: 10% of the rows labelled (the first ``int(.1 n)`` of ``RandomState(seed).permutation(n)``), and a
single positive per row (``RandomState(1200 + seed)``, unknown as absent for both learners). Beside the
default: the plain maximum over scalings and lambdas, the squared error as criterion, and the average of the
three best lambdas. ``seconds`` is the wall time of the default fit.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.common import place, script_parser
from labelwise.models import solve_ridge

RESULTS = Path(__file__).parents[1] / "results" / "ridge.csv"

SETS = ("voc12_animals", "scene", "yeast", "ohsumed", "tmc2007-500")
SETTINGS = ("10% labelled", "single positive")
LEARNERS = (
    "logistic_standardised",
    "logistic_l2",
    "ridge",
    "ridge_plain_maximum",
    "ridge_squared_error",
    "ridge_average_3",
)
FIELDS = ("set", "setting", "seed", *LEARNERS, "scaling", "lambda", "seconds")


def load(name: str, root: Path) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Return X and Y of train and test; without a stored split 70% of RandomState(0)'s permutation."""
    if name == "voc12_animals":
        with np.load(root / "voc12_subset" / "voc12_animal_lite0.npz") as file:
            X, Y, train = file["X"].astype(np.float32), file["Y"], file["split"] == "train"
    else:
        with np.load(root / "classic" / f"{name}.npz") as file:
            parts = (
                tuple(file[f"X_{part}"] for part in ("data", "indices", "indptr")) if "X_data" in file else ()
            )
            X = sp.csr_array(parts, shape=tuple(file["X_shape"])) if parts else file["X"]
            Y, n = file["Y"], len(file["Y"])
            train = np.zeros(n, dtype=bool)
            if "n_train" in file:
                train[: int(file["n_train"])] = True
            else:
                train[np.random.RandomState(0).permutation(n)[: int(0.7 * n)]] = True
    Y = Y.astype(np.int8)
    Y = Y[:, Y[train].any(axis=0)]
    return X[train], Y[train], X[~train], Y[~train]


def hide(Y: np.ndarray, setting: str, seed: int) -> np.ndarray:
    """Return Y with entries made unknown (-1) by the published rules."""
    out = np.full_like(Y, -1)
    if setting == "10% labelled":
        rows = np.random.RandomState(seed).permutation(len(Y))[: int(0.1 * len(Y))]
        out[rows] = Y[rows]
        return out
    rng = np.random.RandomState(1200 + seed)
    for row, seen in zip(Y, out, strict=True):
        positives, negatives = np.flatnonzero(row == 1), np.flatnonzero(row == 0)
        rng.shuffle(positives)
        seen[positives[:1]] = 1
        rng.shuffle(negatives)
    return out


def mean_average_precision(Y: np.ndarray, scores: np.ndarray) -> float:
    """Return the mean over the labels with a positive in Y."""
    from sklearn.metrics import average_precision_score

    return float(
        np.mean([average_precision_score(y, s) for y, s in zip(Y.T, scores.T, strict=True) if y.any()])
    )


def logistic(X: Any, Y: np.ndarray, X_test: Any, scaler: str) -> np.ndarray:
    """Return one-vs-rest decision scores, C = 10, from the rows with a known entry; unknown is absent."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import Normalizer, StandardScaler

    rows = (Y != -1).any(axis=1)
    X, Y = X[rows], (Y[rows] == 1).astype(int)
    if scaler == "standardised" and sp.issparse(X):
        X, X_test = X.toarray(), X_test.toarray()
    scale = (StandardScaler() if scaler == "standardised" else Normalizer()).fit(X)
    X, X_test = scale.transform(X), scale.transform(X_test)
    scores = np.zeros((X_test.shape[0], Y.shape[1]))
    for k, y in enumerate(Y.T):
        if 0 < y.sum() < len(y):
            scores[:, k] = LogisticRegression(C=10, max_iter=1000).fit(X, y).decision_function(X_test)
    return scores


def compare(sets: list[str], seeds: int, root: Path) -> Iterator[dict[str, Any]]:
    """Yield one record per set, setting and seed."""
    for name in sets:
        X, Y, X_test, Y_test = load(name, root)
        for setting in SETTINGS:
            for seed in range(seeds):
                seen = hide(Y, setting, seed)
                record: dict[str, Any] = {"set": name, "setting": setting, "seed": seed}
                for scaler in ("standardised", "l2"):
                    scores = logistic(X, seen, X_test, scaler)
                    record[f"logistic_{scaler}"] = round(mean_average_precision(Y_test, scores), 4)
                start = time.perf_counter()
                solution = solve_ridge(X, seen)
                record["seconds"] = round(time.perf_counter() - start, 2)
                best = max(solution.table, key=lambda row: row["value"])
                solutions = {
                    "ridge": solution,
                    "ridge_plain_maximum": solve_ridge(
                        X, seen, scalings=[best["scaling"]], lambdas=[best["lambda"]]
                    ),
                    "ridge_squared_error": solve_ridge(X, seen, criterion="squared_error"),
                    "ridge_average_3": solve_ridge(X, seen, average=3),
                }
                for learner, found in solutions.items():
                    record[learner] = round(mean_average_precision(Y_test, found.predict(X_test)), 4)
                record |= {"scaling": solution.scaling.kind, "lambda": round(solution.lambda_, 4)}
                yield record


def main() -> None:
    """Run the comparison, write the rows and print the means."""
    parser = script_parser(__doc__, RESULTS)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    if "LABELWISE_DATA" not in os.environ:
        parser.error("LABELWISE_DATA is not set; point it at the folder of real data")
    records = []
    with place(options, RESULTS).open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        for record in compare(options.sets, options.seeds, Path(os.environ["LABELWISE_DATA"])):
            records.append(record)
            writer.writerow(record)
            file.flush()
            print(*(record[field] for field in FIELDS), sep="\t", flush=True)
    print("\nmAP, mean of the seeds; last: ridge less the better logistic regression", *LEARNERS, sep="\n  ")
    for name in options.sets:
        for setting in SETTINGS:
            cell = [r for r in records if (r["set"], r["setting"]) == (name, setting)]
            means = [np.mean([r[learner] for r in cell]) for learner in LEARNERS]
            line = "".join(f"{mean:8.4f}" for mean in means)
            print(f"{name:15}{setting:17}{line}{means[2] - max(means[:2]):+10.4f}")


if __name__ == "__main__":
    main()
