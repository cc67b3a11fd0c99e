"""Intervals of an audit: how often they cover, and how wide they are beside those of a uniform sample.

Real label matrices, scores simulated: an entry's logit is normal around its label's prior log-odds, +1.5 where it is
relevant and -1.5 where it is not, with deviation 1.5, which makes calibrated scores, and half of the entries are hidden
at random; `shifted` halves each logit and adds 1, so that scores are badly calibrated, and hides all but one positive
of each item. 200 unknown entries are drawn and answered with the truth, 100 times. The uniform sample of the same size
gets exact hypergeometric intervals of the whole, and of what the rule predicts.

    python -m benchmarks.studies.audit_coverage --write
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import expit

from benchmarks.common import RESULTS, data_folder, place, script_parser, write_rows
from benchmarks.local.sets import comments, load
from labelwise.annotations import simulate
from labelwise.completion.draw import Strata, drawn
from labelwise.completion.entries import Answered
from labelwise.completion.estimates import estimate_of
from labelwise.completion.exact import Bounds, hypergeometric_bounds, ratio_of

COMMITTED = RESULTS / "audit_coverage.csv"
ROWS, ANSWERS, ROUNDS = 3_000, 200, 100
SETS = ("voc12", "coco14", "nuswide", "goemotions", "scene", "yeast")
CASES = (("calibrated", "half"), ("shifted", "single positive"))
FIGURES = ("cardinality", "missing", "precision", "recall", "prevalence")


def matrix(name: str) -> np.ndarray:
    """Return labels (n, K), of 3,000 rows at most."""
    root = data_folder()
    if name == "voc12":
        with np.load(root / "voc12_labels" / "voc12_labels.npz") as file:
            Y = file["train_Y"]
    elif name == "coco14":
        with np.load(root / "coco14_labels" / "coco14_labels.npz") as file:
            Y = np.unpackbits(file["train_Y"][:ROWS], axis=1)[:, :80]
    elif name == "nuswide":
        with np.load(root / "flickr_labels" / "nuswide_81_m.npz") as file:
            Y = np.unpackbits(file["train_Y"][:ROWS], axis=1)[:, :81]
    elif name == "goemotions":
        Y = comments("train")[1]
    else:
        Y = load(name)[1]
    Y = Y[:ROWS].astype(np.int8)
    return Y[:, Y.any(axis=0)]


def simulated(Y: np.ndarray, kind: str) -> np.ndarray:
    random = np.random.default_rng(0)
    prior = np.clip(Y.mean(axis=0), 1e-3, 1 - 1e-3)
    # Of two normal classes of one deviation s at +-d the posterior's logit is 2 d x / s^2 + the prior's.
    x = np.where(Y == 1, 1.5, -1.5) + 1.5 * random.normal(size=Y.shape)
    logits = 2 * 1.5 * x / 1.5**2 + np.log(prior / (1 - prior))
    return expit(logits if kind == "calibrated" else logits / 2 + 1)


def uniform(strata: Strata, values: np.ndarray, on: np.ndarray) -> dict[str, Bounds]:
    """Return the estimates of a uniform sample with answers ``values`` and predictions ``on``."""
    unknown = strata.Y == -1
    N, N_on = int(unknown.sum()), int((unknown & strata.predicted).sum())

    def total(chosen: np.ndarray, size: int) -> Bounds:
        x, n = int(values[chosen].sum()), int(chosen.sum())
        low, high = hypergeometric_bounds(x, n, size)
        return Bounds(size * x / n if n else 0.0, low, high)

    missing, hits, misses = total(np.ones(len(on), bool), N), total(on, N_on), total(~on, N - N_on)
    known, known_hits = int((strata.Y == 1).sum()), int(((strata.Y == 1) & strata.predicted).sum())
    odds = ratio_of(
        Bounds(*(known - known_hits + value for value in misses)),
        Bounds(*(known_hits + value for value in hits)),
    )
    n_on = int((strata.predicted & (strata.Y >= 0)).sum()) + N_on
    return {
        "cardinality": Bounds(*((known + value) / len(strata.items) for value in missing)),
        "missing": missing,
        "precision": Bounds(*((known_hits + value) / n_on for value in hits)),
        "recall": Bounds(1 / (1 + odds.value), 1 / (1 + odds.upper), 1 / (1 + odds.lower)),
    }


def measure(name: str, kind: str, hiding: str) -> Iterator[dict[str, Any]]:
    truth = matrix(name)
    scores = simulated(truth, kind)
    if hiding == "half":
        Y = np.where(np.random.default_rng(1).random(truth.shape) < 0.5, -1, truth).astype(np.int8)
    else:
        Y = simulate.single_positive(truth, seed=0)
    strata = Strata.of(scores, Y)
    rule = scores >= 0.5
    expected = {
        "cardinality": truth.sum() / len(truth),
        "missing": float(((truth == 1) & (Y == -1)).sum()),
        "precision": float(truth[rule].mean()),
        "recall": float(rule[truth == 1].mean()),
    }
    shares, width, open_places = truth.mean(axis=0), truth.shape[1], np.flatnonzero(Y == -1)
    covered = {how: dict.fromkeys(FIGURES, 0.0) for how in ("audit", "uniform")}
    widths = {how: dict.fromkeys(FIGURES, 0.0) for how in ("audit", "uniform")}
    allocation = strata.allocation(ANSWERS)
    for seed in range(ROUNDS):
        frame = drawn(strata, allocation, seed)
        places = np.sort(frame["row"].to_numpy() * width + frame["column"].to_numpy())
        answered = Answered(places, truth.reshape(-1)[places], width)
        result = estimate_of(strata, answered, seed=seed, confidence=0.95)
        sample = np.random.default_rng([7, seed]).choice(open_places, ANSWERS, replace=False)
        other = uniform(strata, truth.reshape(-1)[sample], rule.reshape(-1)[sample])
        for how, bounds in (("audit", {key: getattr(result, key) for key in expected}), ("uniform", other)):
            for key, value in expected.items():
                covered[how][key] += bounds[key].lower - 1e-9 <= value <= bounds[key].upper + 1e-9
                widths[how][key] += bounds[key].upper - bounds[key].lower
        covered["audit"]["prevalence"] += np.mean(
            [b.lower - 1e-9 <= p <= b.upper + 1e-9 for b, p in zip(result.prevalence, shares, strict=True)]
        )
        widths["audit"]["prevalence"] += np.mean([b.upper - b.lower for b in result.prevalence])
    for key in FIGURES:
        same = key != "prevalence"
        yield {
            "set": name,
            "scores": kind,
            "hidden": hiding,
            "figure": key,
            "coverage": f"{covered['audit'][key] / ROUNDS:.3f}",
            "width": f"{widths['audit'][key] / ROUNDS:.5g}",
            "coverage_uniform": f"{covered['uniform'][key] / ROUNDS:.3f}" if same else "",
            "width_uniform": f"{widths['uniform'][key] / ROUNDS:.5g}" if same else "",
            "width_ratio": f"{widths['audit'][key] / widths['uniform'][key]:.3f}" if same else "",
        }


def main() -> None:
    given = script_parser(__doc__, COMMITTED).parse_args()
    rows = []
    for name in SETS:
        for kind, hiding in CASES:
            rows += measure(name, kind, hiding)
            print(*rows[-len(FIGURES) :], sep="\n", flush=True)
    write_rows(place(given, COMMITTED), rows)
    for key in FIGURES:
        part = [row for row in rows if row["figure"] == key]
        coverage = [float(row["coverage"]) for row in part]
        ratio = [float(row["width_ratio"]) for row in part if row["width_ratio"]]
        beside = (
            f", width beside uniform {np.mean(ratio):.2f} ({min(ratio):.2f} to {max(ratio):.2f})"
            if ratio
            else ""
        )
        print(f"{key}: coverage {np.mean(coverage):.3f} (least {min(coverage):.3f}){beside}")


if __name__ == "__main__":
    main()
