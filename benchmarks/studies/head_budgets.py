"""Learning rates of heads on fixed features, chosen on held-out training rows.

`python -m benchmarks.studies.head_budgets`: every method at several rates on real features from LABELWISE_DATA, trained
on 65% of the *training* rows (of Ohsumed, of 5,000) and judged on the other 35% of them; no test row is read. 10%
labelled and single positive, seed 0. The defaults stand in each method's `head_budget`.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from benchmarks.common import RESULTS, place, publish, script_parser
from benchmarks.local import sets

SETS = ("scene", "yeast", "voc12_animals", "ohsumed")
SETTINGS = ("10% labelled", "single positive")
ANGULAR = (1e-5, 3e-5, 1e-4, 3e-4)
RATES = {"ridge": (0.0,), "hml": ANGULAR, "bam": ANGULAR, "bbam": ANGULAR}
METHODS = ("ridge", "an", "em_apl", "hml", "bam", "cap", "bbam")
TABLE = RESULTS / "head_budgets.csv"


def judge(name: str, setting: str, method: str, rate: float) -> float:
    """Return the mAP on the held-out part of the training rows."""
    import torch

    import labelwise as lw

    torch.set_num_threads(1)
    X, Y, X_held, Y_held = sets.tuning_split(name)
    needs = lw.methods.get(method).spec.needs
    prior = float(Y.sum(1).mean()) if "prior" in needs and setting == "single positive" else None
    model = lw.MultiLabelClassifier(method, learning_rate=rate or None, prior=prior, validation=None)
    model.fit(X, sets.hide(Y, sets.job(name, setting, method, 0)))
    return lw.metrics.mean_average_precision(Y_held, model.decision_scores(X_held))


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    given = parser.parse_args()
    table = place(given, TABLE)
    runs = [
        (name, setting, method, rate)
        for name in given.sets
        for setting in SETTINGS
        for method in METHODS
        for rate in RATES.get(method, (1e-4, 3e-4, 1e-3))
    ]
    with ProcessPoolExecutor(2) as pool:
        values = list(pool.map(judge, *zip(*runs, strict=True)))
    columns = ("set", "setting", "method", "learning_rate", "map")
    publish(
        table, [dict(zip(columns, (*r, f"{v:.4f}"), strict=True)) for r, v in zip(runs, values, strict=True)]
    )


if __name__ == "__main__":
    main()
