"""The rate of `hml`'s scale and margin, chosen on held-out training rows.

`python -m benchmarks.studies.adaptive_rate`: heads on real features from LABELWISE_DATA, trained on 65% of the
*training* rows (of Ohsumed, of 5,000) and judged on the other 35% of them; no test row is read. Seed 0. For each set it
prints the rate that is best by mAP on all *other* sets, and what that comes to on this one beside a rate of 1, at which
scale and margin hardly move.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, place, script_parser, show, write_rows
from benchmarks.local import sets

SETS = ("scene", "yeast", "ohsumed")
SETTINGS = ("10% labelled", "single positive")
RATES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
TABLE = RESULTS / "adaptive_rate.csv"


def judge(name: str, setting: str, rate: float) -> dict[str, Any]:
    """Return mAP and micro-F1 at one half on the held-out rows, and where scale and margin ended."""
    import torch

    import labelwise as lw
    from labelwise.metrics import Threshold, evaluate

    torch.set_num_threads(1)
    X, Y, X_held, Y_held = sets.tuning_split(name)
    model = lw.MultiLabelClassifier("hml", hyperparameters={"adaptive_rate": rate}, validation=None)
    model.fit(X, sets.hide(Y, sets.job(name, setting, "hml", 0)))
    found = evaluate(Y_held, model.decision_scores(X_held), Threshold(0.5), metrics=["map", "micro_f1"])
    learnt = model.trained_method_
    values = (found["map"], found["micro_f1"], float(learnt.scale.detach()), float(learnt.margin.detach()))
    figures = zip(("map", "micro_f1", "scale", "margin"), (f"{value:.4f}" for value in values), strict=True)
    return {"set": name, "setting": setting, "adaptive_rate": rate, **dict(figures)}


def main() -> None:
    table = place(script_parser(__doc__, TABLE).parse_args(), TABLE)
    rows = []
    for run in itertools.product(SETS, SETTINGS, RATES):
        rows.append(judge(*run))
        show(rows[-1])
    write_rows(table, rows)

    def mean(rate: float, names: set[str]) -> float:
        found = [float(r["map"]) for r in rows if r["adaptive_rate"] == rate and r["set"] in names]
        return float(np.mean(found))

    for name in SETS:
        best = max(RATES, key=lambda rate: mean(rate, {*SETS} - {name}))
        print(f"{name} left out: {best:g} ({mean(best, {name}):.4f} there, {mean(1.0, {name}):.4f} at 1)")


if __name__ == "__main__":
    main()
