"""Intervals of `compare`: how often they cover the true difference of two methods on real rows, and at what width.

250 rows are drawn from a real set, `ridge` and the logistic regression of scikit-learn are compared by five folds, and
that is done again 30 times. The truth is the mean difference on all other rows of both, trained on 200 of the drawn
rows, as many as a fold leaves. `naive` is the paired t-interval that takes the folds for independent.

    python -m benchmarks.studies.comparison_coverage --write
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.common import RESULTS, place, script_parser, show, write_rows
from benchmarks.local.sets import load
from labelwise.annotations import parse, simulate
from labelwise.comparison import BASELINE, Fold, Material, corrected_difference, deal_folds
from labelwise.comparison.comparing import run_fold
from labelwise.experiments import Job

COMMITTED = RESULTS / "comparison_coverage.csv"
ROWS, FOLDS, DRAWS, LEVEL = 250, 5, 30, 0.95
CASES = (("scene", "full"), ("yeast", "half known"), ("yeast", "single positive"))
METHODS = ("ridge", BASELINE)


def figures(X: np.ndarray, Y: np.ndarray, fold: Fold) -> list[float]:
    """Return the figure of both methods, trained without a fold's rows, on them."""
    material = Material(X, parse(Y), (fold,), {"random_state": 0, "device": "cpu"})
    metric = "map" if (Y == 0).any() else "observed_map"
    values = []
    for name in METHODS:
        measured = run_fold(Job("study", "any", name, options={"fold": 0}), material)
        values.append(next(one.value for one in measured.measurements if one.metric == metric))
    return values


def study(name: str, kind: str, draws: int = DRAWS) -> dict[str, Any]:
    """Return how often the intervals of one case cover."""
    X, truth = load(name)[:2]
    hidden = {"full": lambda Y: Y, "half known": lambda Y: simulate.partial(Y, known_fraction=0.5, seed=0)}
    Y = hidden.get(kind, lambda Y: simulate.single_positive(Y, seed=0))(truth.astype(np.int8))
    differences, true = [], []
    for draw in range(draws):
        random = np.random.default_rng(draw)
        order = random.permutation(len(X))
        rows, others = order[:ROWS], order[ROWS:]
        differences.append(
            np.array([figures(X[rows], Y[rows], fold) for fold in deal_folds(Y[rows], FOLDS, seed=draw)])
        )
        part = rows[: ROWS - ROWS // FOLDS]
        true.append(figures(X, Y, Fold(part, others)))
    truths = np.array(true)
    target = float(np.mean(truths[:, 0] - truths[:, 1]))
    intervals = [corrected_difference(*one.T, 1 / (FOLDS - 1), LEVEL) for one in differences]
    gaps = [one[:, 0] - one[:, 1] for one in differences]
    naive = [student.ppf((1 + LEVEL) / 2, FOLDS - 1) * gap.std(ddof=1) / np.sqrt(FOLDS) for gap in gaps]
    return {
        "set": name,
        "labels": kind,
        "draws": draws,
        "true_difference": round(target, 4),
        "covered": round(float(np.mean([one.low <= target <= one.high for one in intervals])), 3),
        "covered_naive": round(
            float(np.mean([abs(gap.mean() - target) <= half for gap, half in zip(gaps, naive, strict=True)])),
            3,
        ),
        "half_width": round(float(np.mean([(one.high - one.low) / 2 for one in intervals])), 4),
        "wrong_winner": round(
            float(np.mean([one.clear and (one.value > 0) != (target > 0) for one in intervals])), 3
        ),
    }


def main() -> None:
    given = script_parser(__doc__, COMMITTED).parse_args()
    rows = []
    for name, kind in CASES:
        rows.append(study(name, kind))
        show(rows[-1])
    write_rows(place(given, COMMITTED), rows)


if __name__ == "__main__":
    main()
