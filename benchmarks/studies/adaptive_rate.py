"""How the rate of `hml`'s scale and margin was chosen: ``python -m benchmarks.studies.adaptive_rate``.

Heads on real features from LABELWISE_DATA, trained on 65% of the *training* rows (of Ohsumed, of 5,000) and judged on
the other 35% of them; no test row is read. Seed 0. For each set it prints the rate that is best by mAP on all *other*
sets, and what that comes to on this one beside a rate of 1, at which scale and margin hardly move. ``--write`` writes
``benchmarks/results/adaptive_rate.csv``.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from benchmarks.common import place, script_parser
from benchmarks.studies.ridge import SETTINGS, hide, load, mean_average_precision

SETS = ("scene", "yeast", "ohsumed")
RATES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
RESULTS = Path(__file__).parents[1] / "results" / "adaptive_rate.csv"


def judge(name: str, setting: str, rate: float) -> tuple[float, float, float, float]:
    """Return mAP and micro-F1 at one half on the held-out rows, and where scale and margin ended."""
    import torch

    import labelwise as lw

    torch.set_num_threads(1)
    X, Y, _, _ = load(name, Path(os.environ["LABELWISE_DATA"]))
    order = np.random.RandomState(999).permutation(len(Y))[:5000]
    train, held = np.sort(order[: int(0.65 * len(order))]), np.sort(order[int(0.65 * len(order)) :])
    model = lw.MultiLabelClassifier("hml", hyperparameters={"adaptive_rate": rate}, validation=None)
    model.fit(X[train], hide(Y[train], setting, 0))
    scores = model.decision_scores(X[held])
    said, true = scores >= 0.5, Y[held] == 1
    micro = 2 * float((said & true).sum()) / max(1.0, float(said.sum() + true.sum()))
    learnt = model.trained_method_
    return (
        mean_average_precision(Y[held], scores),
        micro,
        float(learnt.scale.detach()),
        float(learnt.margin.detach()),
    )


def main() -> None:
    results = place(script_parser(__doc__, RESULTS).parse_args(), RESULTS)
    rows = []
    for name in SETS:
        for setting in SETTINGS:
            for rate in RATES:
                rows.append((name, setting, rate, *judge(name, setting, rate)))
                print(name, setting, f"{rate:g}", *(f"{value:.4f}" for value in rows[-1][3:]), flush=True)
    with results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["set", "setting", "adaptive_rate", "map", "micro_f1", "scale", "margin"])
        writer.writerows([*row[:3], *(f"{value:.4f}" for value in row[3:])] for row in rows)
    for left_out in SETS:
        means = {r: np.mean([row[3] for row in rows if row[2] == r and row[0] != left_out]) for r in RATES}
        best = max(means, key=lambda rate: means[rate])
        here = {r: np.mean([row[3] for row in rows if row[2] == r and row[0] == left_out]) for r in RATES}
        print(f"{left_out} left out: {best:g} ({here[best]:.4f} there, {here[1.0]:.4f} at 1)")


if __name__ == "__main__":
    main()
