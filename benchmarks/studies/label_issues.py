"""Wrong labels planted in real sets, and how many of the first 100 doubted entries are wrong, beside cleanlab.

`python -m benchmarks.studies.label_issues`: the training rows of scene, yeast and VOC12-animals from LABELWISE_DATA,
labels with 5 positives or more. 5% of the labels are made wrong in two ways: `flip` turns each entry with probability
.05, so that a rare label gets far more wrong positives than right ones; `swap` takes 5% of each label's positives and
as many of its negatives, so that each label keeps its frequency. In a third of the runs half of the entries are hidden.
Every ranking reads the same scores: ridge, each row left out in turn. cleanlab (any version that has
`find_multilabel_issues_per_class`) is asked label by label, over the label's known entries, and its lists are merged by
its own quality score. Seeds 0 to 2.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, place, script_parser, show, write_rows
from benchmarks.local import sets

SETS = ("scene", "yeast", "voc12_animals")
KINDS = ("flip", "swap", "flip, half hidden")
SEEDS = (0, 1, 2)
SHARE, FIRST = 0.05, 100
TABLE = RESULTS / "label_issues.csv"
SIGNS = {"both": (0, 1), "yes": (1,), "no": (0,)}


def plant(Y: np.ndarray, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with wrong entries in them, and which these are."""
    random = np.random.default_rng(seed)
    wrong = np.zeros(Y.shape, bool)
    if kind.startswith("flip"):
        wrong = random.random(Y.shape) < SHARE
    else:
        for k, column in enumerate(Y.T):
            ones, zeros = np.flatnonzero(column == 1), np.flatnonzero(column == 0)
            count = min(max(1, round(SHARE * len(ones))), len(zeros))
            wrong[random.choice(ones, count, replace=False), k] = True
            wrong[random.choice(zeros, count, replace=False), k] = True
    labels = np.where(wrong, 1 - Y, Y).astype(np.int8)
    if "hidden" in kind:
        labels[random.random(Y.shape) < 0.5] = -1
    return labels, wrong & (labels >= 0)


def left_out(X: Any, labels: np.ndarray) -> np.ndarray:
    """Return calibrated scores (n, K) of ridge, each row left out in turn."""
    import labelwise as lw
    from labelwise.completion import left_out_scores
    from labelwise.metrics import PlattCalibration

    model = lw.MultiLabelClassifier("ridge", validation=None, rule=0.5).fit(X, labels)
    logits = left_out_scores(model, X, labels).logits
    return PlattCalibration.fit(labels, logits, input="logit").apply(logits)


def by_cleanlab(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return cleanlab's issues (m, 2), the most doubtful first."""
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    found: list[tuple[float, int, int]] = []
    for k in range(labels.shape[1]):
        rows = np.flatnonzero(labels[:, k] >= 0)
        given = [[0] if state else [] for state in labels[rows, k]]
        p = scores[rows][:, [k]]
        (places,), _, _ = find_multilabel_issues_per_class(
            given, p, return_indices_ranked_by="self_confidence"
        )
        confidence = np.where(labels[rows, k] == 1, p[:, 0], 1 - p[:, 0])
        found += [(float(confidence[place]), int(rows[place]), k) for place in places]
    return np.array([entry[1:] for entry in sorted(found)], dtype=np.int64).reshape(-1, 2)


def rankings(labels: np.ndarray, scores: np.ndarray) -> dict[str, np.ndarray]:
    from labelwise.completion import find_label_issues, label_quality_scores

    found: dict[str, np.ndarray] = {"cleanlab": by_cleanlab(labels, scores)}
    for method in ("self_confidence", "likelihood_ratio"):
        found[f"issues by {method}"] = find_label_issues(labels, scores, return_indices_ranked_by=method)
        quality = label_quality_scores(labels, scores, method=method)
        order = np.argsort(quality, axis=None, kind="stable")[: (labels >= 0).sum()]
        found[f"all by {method}"] = np.stack(np.unravel_index(order, labels.shape), axis=1)
    return found


def judge(name: str, kind: str, seed: int) -> list[dict[str, Any]]:
    """Return for each ranking and sign the share of wrong entries among the first 100."""
    X, Y, _, _ = sets.load(name)
    Y = Y[:, Y.sum(axis=0) >= 5]
    labels, wrong = plant(Y, kind, seed)
    scores = left_out(X, labels)
    rows = []
    for ranking, entries in rankings(labels, scores).items():
        for sign, states in SIGNS.items():
            chosen = entries[np.isin(labels[tuple(entries.T)], states)]
            hits = wrong[tuple(chosen[:FIRST].T)]
            # A list shorter than 100 is judged as if nothing followed.
            values = {"precision_at_100": f"{hits.sum() / FIRST:.3f}", "listed": len(chosen)}
            base = f"{wrong[np.isin(labels, states)].mean():.3f}"
            rows.append(
                {
                    "set": name,
                    "wrong": kind,
                    "seed": seed,
                    "ranking": ranking,
                    "given": sign,
                    **values,
                    "share": base,
                }
            )
    return rows


def main() -> None:
    table = place(script_parser(__doc__, TABLE).parse_args(), TABLE)
    rows = []
    for run in itertools.product(SETS, KINDS, SEEDS):
        rows += judge(*run)
        write_rows(table, rows)
    for kind, sign in itertools.product(KINDS, SIGNS):
        for ranking in dict.fromkeys(row["ranking"] for row in rows):
            values = {
                name: [
                    float(row["precision_at_100"])
                    for row in rows
                    if (row["set"], row["wrong"], row["given"], row["ranking"]) == (name, kind, sign, ranking)
                ]
                for name in SETS
            }
            means = {name: f"{np.mean(found):.3f}" for name, found in values.items()}
            mean = f"{np.mean([*map(np.mean, values.values())]):.3f}"
            show({"wrong": kind, "given": sign, "ranking": ranking, **means, "mean": mean})


if __name__ == "__main__":
    main()
