"""Metrics on known entries, and summaries of scores, at the size of a large set: `python -m benchmarks.speed.metrics`.

Simulated scores of 1,000,000 items x 80 labels, float32, 5% of the entries relevant. Of the labels a fifth is hidden at
random for this library; scikit-learn, which knows no unknown entry, reads all of them. Each metric takes turns with
its counterpart, a round at a time; the ratio is the median of the rounds', of processor time, on one thread.
Then the scores a second that `ScoreHistogram` counts in a pass, that its thresholds select, and that
`AngleMoments` and `LabelMoments` take in. scikit-learn's label-ranking AP, a loop over items, is left out: it takes
minutes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from sklearn import metrics as sk

import labelwise.metrics as lm
from benchmarks.common import RESULTS, in_turns, median_ratio, place, publish, read_rows, script_parser
from labelwise._random import generator
from labelwise.summaries import AngleMoments, LabelMoments, ScoreHistogram

TABLE, SUMMARIES = RESULTS / "metrics.csv", RESULTS / "summaries.csv"
MOST_RATIO, LEAST_RATE = 1.5, 20e6

Pair = tuple[Callable[[], object], Callable[[], object]]


def scored(items: int, labels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return full labels int8, the same with a fifth unknown, and scores float32 in (0, 1), each (items, labels)."""
    random = generator(0, "speed of metrics")
    truth = (random.random((items, labels), dtype=np.float32) < 0.05).astype(np.int8)
    logits = random.standard_normal((items, labels), dtype=np.float32) + 2 * truth - 2
    seen = np.where(random.random((items, labels), dtype=np.float32) < 0.2, np.int8(-1), truth)
    return truth, seen, 1 / (1 + np.exp(-logits))


def pairs(truth: np.ndarray, seen: np.ndarray, scores: np.ndarray) -> dict[str, Pair]:
    """Return each metric's two calls: this library's with unknown entries, scikit-learn's without."""
    predicted = (scores >= 0.5).astype(np.int8)

    def ours(*names: str) -> Callable[[], object]:
        return lambda: lm.evaluate(seen, scores, rule=lm.Threshold(0.5), metrics=names)

    def f1() -> list[float]:
        return [sk.f1_score(truth, predicted, average=how, zero_division=0) for how in ("micro", "macro")]

    return {
        "mAP": (
            lambda: lm.mean_average_precision(seen, scores),
            lambda: sk.average_precision_score(truth, scores, average="macro"),
        ),
        "macro AUC": (ours("macro_auc"), lambda: sk.roc_auc_score(truth, scores, average="macro")),
        "micro-F1 and macro-F1": (ours("micro_f1", "macro_f1"), f1),
        "Hamming loss": (ours("hamming_loss"), lambda: sk.hamming_loss(truth, predicted)),
        "ranking loss": (ours("ranking_loss"), lambda: sk.label_ranking_loss(truth, scores)),
    }


def compared(items: int, labels: int, rounds: int, only: list[str] | None) -> list[dict[str, Any]]:
    """Return a row for each metric."""
    rows = []
    for name, (ours, theirs) in pairs(*scored(items, labels)).items():
        if only and name not in only:
            continue
        times = in_turns({"ours": ours, "theirs": theirs}, rounds, time.process_time)
        rows.append(
            {
                "metric": name,
                "items": items,
                "labels": labels,
                "rounds": rounds,
                "seconds": f"{median(times['ours']):.2f}",
                "scikit_learn_seconds": f"{median(times['theirs']):.2f}",
                "ratio": f"{median_ratio(times['ours'], times['theirs']):.2f}",
                "bound": MOST_RATIO,
            }
        )
    return rows


def summaries(items: int, labels: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each summary: scores a second of processor time."""
    _, seen, scores = scored(items, labels)
    features = generator(0, "features").standard_normal((items, 16), dtype=np.float32)
    angles = scores * np.float32(np.pi)
    counts = np.full(labels, items // 20)
    last = ScoreHistogram(counts)
    for _ in last.passes:
        last.update(scores, 0)
        last.next_pass()
    thresholds = last.finalize()

    def histogram(level: int) -> Callable[[], object]:
        """Return a pass of the histogram, after those before it."""
        one = ScoreHistogram(counts)
        for _ in range(level):
            one.update(scores, 0)
            one.next_pass()
        return partial(one.update, scores, 0)

    cases: dict[str, Callable[[], object]] = {
        "ScoreHistogram, first pass": histogram(0),
        "ScoreHistogram, second pass": histogram(1),
        "ScoreHistogram, third pass": histogram(2),
        "selection by its thresholds": lambda: thresholds.select(scores, 0),
        "AngleMoments": lambda: AngleMoments(labels).update(angles, seen),
        "LabelMoments": lambda: LabelMoments(labels, 16).update(features, seen),
    }
    times = in_turns(cases, rounds, time.process_time)
    return [
        {
            "summary": name,
            "items": items,
            "labels": labels,
            "rounds": rounds,
            "seconds": f"{median(spent):.3f}",
            "scores_a_second": f"{items * labels / median(spent):.0f}",
            "bound": f"{LEAST_RATE:.0f}",
        }
        for name, spent in times.items()
    ]


def parser() -> argparse.ArgumentParser:
    own = script_parser(__doc__, TABLE, rounds=5)
    own.add_argument("--items", type=int, default=1_000_000, help="number of items [default: 1000000]")
    own.add_argument("--labels", type=int, default=80, help="number of labels [default: 80]")
    own.add_argument("--only", nargs="+", metavar="NAME", help="some metrics, or 'summaries' alone")
    return own


def main() -> None:
    given = parser().parse_args()
    table = place(given, TABLE)
    torch.set_num_threads(1)
    if given.only != ["summaries"]:
        found = {row["metric"]: row for row in read_rows(table)}
        new = {row["metric"]: row for row in compared(given.items, given.labels, given.rounds, given.only)}
        # some metrics alone leave the others' rows as they are
        publish(table, list((found | new).values()))
    if not given.only or "summaries" in given.only:
        publish(table.with_name(SUMMARIES.name), summaries(given.items, given.labels, given.rounds))


if __name__ == "__main__":
    main()
