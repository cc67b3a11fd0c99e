"""How the learning rates of heads on fixed features were chosen: ``python -m benchmarks.studies.head_budgets``.

Every method at several rates on real features from LABELWISE_DATA, trained on 65% of the *training* rows (of Ohsumed,
of 5,000) and judged on the other 35% of them; no test row is read. 10% labelled and single positive, seed 0. Writes
``benchmarks/results/head_budgets.csv``. The defaults stand in each method's ``head_budget``.
"""

from __future__ import annotations

import csv
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks.common import place, script_parser
from benchmarks.studies.ridge import SETTINGS, hide, load, mean_average_precision

SETS = ("scene", "yeast", "voc12_animals", "ohsumed")
ANGULAR = (1e-5, 3e-5, 1e-4, 3e-4)
RATES = {"ridge": (0.0,), "hml": ANGULAR, "bam": ANGULAR, "bbam": ANGULAR}
METHODS = ("ridge", "an", "em_apl", "hml", "bam", "cap", "bbam")
RESULTS = Path(__file__).parents[1] / "results" / "head_budgets.csv"


def judge(name: str, setting: str, method: str, rate: float) -> float:
    """Return the mAP on the held-out part of the training rows."""
    import torch

    import labelwise as lw

    torch.set_num_threads(1)
    X, Y, _, _ = load(name, Path(os.environ["LABELWISE_DATA"]))
    order = np.random.RandomState(999).permutation(len(Y))[:5000]
    train, held = np.sort(order[: int(0.65 * len(order))]), np.sort(order[int(0.65 * len(order)) :])
    needs = lw.methods.get(method).spec.needs
    prior = float(Y[train].sum(1).mean()) if "prior" in needs and setting == "single positive" else None
    model = lw.MultiLabelClassifier(method, learning_rate=rate or None, prior=prior, validation=None)
    model.fit(X[train], hide(Y[train], setting, 0))
    return mean_average_precision(Y[held], model.decision_scores(X[held]))


def main() -> None:
    results = place(script_parser(__doc__, RESULTS).parse_args(), RESULTS)
    runs = [
        (name, setting, method, rate)
        for name in SETS
        for setting in SETTINGS
        for method in METHODS
        for rate in RATES.get(method, (1e-4, 3e-4, 1e-3))
    ]
    with ProcessPoolExecutor(2) as pool:
        values = list(pool.map(judge, *zip(*runs, strict=True)))
    with results.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["set", "setting", "method", "learning_rate", "map"])
        for run, value in zip(runs, values, strict=True):
            writer.writerow([*run, f"{value:.4f}"])
            print(*run, f"{value:.4f}")


if __name__ == "__main__":
    main()
