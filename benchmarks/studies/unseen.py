"""`auto` on sets that nobody tuned it on: `python -m benchmarks.studies.unseen --cache DIR`.

Real labels and tables from LABELWISE_DATA and scikit-learn, as `unseen_sets` changes them. A cell is a case in a
setting; each case has three of the seven settings in turn. `auto` stands beside `ridge`, the tuned floor, and the two
logistic regressions of `benchmarks.auto`, with default settings, on the same hidden labels. Test mAP is over labels
that test rows show in both signs. Seed 0 is taken everywhere, and `--seeds` of them in cells where `auto` lies under a
reference by more than a thousandth.

A row of the table is a cell. `below` names the references that `auto` lies under by more than .003 (.01 where rows
mislead) and, with three seeds or more, by more than two standard errors of the paired difference. The calibration
error is given where rows are wholly known. `warnings` are those of libraries. DIR keeps what is done; the same command
goes on.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.auto.learners import LEARNERS
from benchmarks.common import RESULTS, place, publish, script_parser, show
from benchmarks.studies import unseen_sets as unseen
from labelwise._random import generator
from labelwise.experiments import Job

TABLE = RESULTS / "unseen.csv"
KINDS: dict[str, tuple[str, float | None]] = {
    "5% labelled": ("semi_supervised", 0.05),
    "10% labelled": ("semi_supervised", 0.1),
    "20% labelled": ("semi_supervised", 0.2),
    "single positive": ("single_positive", None),
    "half of the entries": ("partial", 0.5),
    "half of the positives": ("partial_positive", 0.5),
    "all labels": ("full", None),
}
COST = (
    "5% labelled",
    "10% labelled",
    "20% labelled",
    "all labels",
    "half of the positives",
    "single positive",
    "half of the entries",
)
WHOLE_ROWS = ("5% labelled", "10% labelled", "20% labelled", "all labels")
REFERENCES = ("ridge", *LEARNERS)
LEAST, LEAST_MISLED, LOOK_AGAIN = 0.003, 0.01, 0.001


def cells(families: list[str] | None = None) -> list[tuple[str, str]]:
    """Return case and setting of every cell."""
    words = list(KINDS)
    return [
        (name, setting)
        for number, name in enumerate(unseen.CASES)
        for setting in (
            words[:3] if name in unseen.POOLS else [words[(number + step) % 7] for step in (0, 2, 4)]
        )
        if families is None or unseen.FAMILY[name] in families
    ]


def run(name: str, setting: str, seed: int) -> dict[str, Any]:
    """Return the figures of all learners in a cell."""
    from benchmarks.local import sets

    X, Y, X_test, Y_test = unseen.CASES[name](seed)
    kind, share = KINDS[setting]
    of_positives = (
        {"positives_fraction": share} if kind == "partial_positive" else {"labelled_fraction": share}
    )
    seen = sets.hide(Y, Job(name, kind, "auto", seed, **of_positives))
    if name in unseen.POOLS:
        known = (seen != -1).any(axis=1, keepdims=True)
        X = np.where(known, X, unseen.POOLS[name](X, generator(seed, "unseen pool"))).astype(np.float32)
    found: dict[str, Any] = {"rows": len(Y), "columns": X.shape[1], "labels": Y.shape[1]}
    found["labelled"] = int((seen != -1).any(axis=1).sum())
    for method in ("auto", *REFERENCES):
        found[method] = judged(method, X, seen, X_test, Y_test, seed)
    return found


def judged(
    method: str, X: Any, seen: np.ndarray, X_test: Any, Y_test: np.ndarray, seed: int
) -> dict[str, Any]:
    """Return a learner's test figures, its seconds, and the warnings of libraries."""
    import labelwise as lw
    from labelwise.errors import Notice
    from labelwise.metrics import Threshold, evaluate, expected_calibration_error

    began, rule, opened = time.process_time(), Threshold(0.5), None
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        if method in LEARNERS:
            scores = LEARNERS[method](X, seen)(X_test)
        else:
            model = lw.MultiLabelClassifier(method, device="cpu", random_state=seed).fit(X, seen)
            scores, rule = model.predict_proba(X_test), model.rule_
            if method == "auto" and model.explanation_ is not None:
                opened = next(
                    (gate.share for gate in model.explanation_.gates if gate.name == "ensemble"), None
                )
    told = sorted({f"{one.category.__name__}: {one.message}" for one in raised if one.category is not Notice})
    figures = evaluate(Y_test, scores, rule, metrics=("map", "micro_f1"))
    return {
        "map": float(figures["map"]),
        "micro_f1": float(figures["micro_f1"]),
        "ece": float(expected_calibration_error(Y_test, scores)),
        "seconds": round(time.process_time() - began, 2),
        "opened": opened,
        "warnings": told if method in ("auto", "ridge") else [],
    }


def done(name: str, setting: str, seed: int, cache: Path, compute: bool = True) -> dict[str, Any] | None:
    """Return a cell's figures of a seed, computed where DIR does not hold them; None where they may not be."""
    words = f"{name}-{setting}".replace("%", "").replace(",", "").replace("'", "").replace(" ", "_")
    path = cache / f"{words}-{seed}.json"
    if not path.is_file():
        if not compute:
            return None
        found = run(name, setting, seed)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(found), encoding="utf-8")
        draft.replace(path)
        gains = {f"over_{one}": round(found["auto"]["map"] - found[one]["map"], 4) for one in REFERENCES}
        show({"cell": path.stem, **gains, "s": found["auto"]["seconds"]})
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def measured(name: str, setting: str, seeds: int, cache: Path, compute: bool = True) -> dict[str, Any] | None:
    """Return a cell's row; None where its first seed is not there."""
    first = done(name, setting, 0, cache, compute)
    if first is None:
        return None
    found = [first]
    if min(first["auto"]["map"] - first[one]["map"] for one in REFERENCES) < -LOOK_AGAIN:
        more = [done(name, setting, seed, cache, compute) for seed in range(1, seeds)]
        found += [one for one in more if one is not None]
    row: dict[str, Any] = {
        "family": unseen.FAMILY[name],
        "case": name,
        "setting": setting,
        "seeds": len(found),
    }
    row |= {key: first[key] for key in ("rows", "columns", "labels", "labelled")}
    row |= {f"map_{one}": round(mean(found, one, "map"), 4) for one in ("auto", *REFERENCES)}
    row |= compared(found, LEAST_MISLED if name in unseen.HOSTILE else LEAST)
    opened = [each["auto"]["opened"] for each in found if each["auto"]["opened"] is not None]
    row["opened"] = round(float(np.mean(opened)), 3) if opened else ""
    for one in ("auto", "ridge"):
        row[f"ece_{one}"] = round(mean(found, one, "ece"), 4) if setting in WHOLE_ROWS else ""
    for one in ("auto", "ridge"):
        row[f"micro_f1_{one}"] = round(mean(found, one, "micro_f1"), 4)
    row["seconds"] = first["auto"]["seconds"]
    row["warnings"] = "; ".join(sorted({word for each in found for word in each["auto"]["warnings"]}))
    return row


def compared(found: list[dict[str, Any]], least: float) -> dict[str, Any]:
    """Return `auto`'s gain over each reference with its error, and those that it is below."""
    row: dict[str, Any] = {}
    below = []
    for one in REFERENCES:
        gains = np.array([each["auto"]["map"] - each[one]["map"] for each in found])
        error = float(gains.std(ddof=1) / np.sqrt(len(gains))) if len(gains) > 2 else 0.0
        row[f"over_{one}"] = round(float(gains.mean()), 4)
        row[f"se_{one}"] = round(error, 4) if len(gains) > 2 else ""
        if gains.mean() < -least and gains.mean() < -2 * error:
            below.append(one)
    return row | {"below": " ".join(below)}


def mean(found: list[dict[str, Any]], method: str, figure: str) -> float:
    """Return a figure's mean over seeds."""
    return float(np.mean([each[method][figure] for each in found]))


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the table says of each family, and of all."""
    families = {row["family"]: [one for one in rows if one["family"] == row["family"]] for row in rows}
    return [told(name, part) for name, part in {**families, "all": rows}.items()]


def told(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of some cells."""
    whole = [row for row in rows if row["ece_auto"] != ""]
    against = np.array([row["micro_f1_auto"] - row["micro_f1_ridge"] for row in rows])
    return {
        "cells": f"{len(rows)} {name}",
        **{f"over_{one}": f"{np.mean([row[f'over_{one}'] for row in rows]):+.4f}" for one in REFERENCES},
        "worst": f"{min(row['over_ridge'] for row in rows):+.4f}",
        **{f"below_{one}": sum(one in row["below"].split() for row in rows) for one in REFERENCES},
        "ece": f"{np.mean([row['ece_auto'] for row in whole]):.4f}" if whole else "",
        "ece_ridge": f"{np.mean([row['ece_ridge'] for row in whole]):.4f}" if whole else "",
        "ece_above_.03": sum(row["ece_auto"] > 0.03 for row in whole),
        "of": len(whole),
        "micro_f1": f"{against.mean():+.4f}",
        "micro_f1_below_.005": int((against < -0.005).sum()),
        "warnings": sum(bool(row["warnings"]) for row in rows),
    }


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="the folder of cells")
    families = [*dict.fromkeys(unseen.FAMILY.values())]
    parser.add_argument("--families", nargs="+", choices=families, metavar="FAMILY", help=", ".join(families))
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="seeds of a suspicious cell [default: 3]"
    )
    parser.add_argument("--no-runs", action="store_true", help="the table of the cells that are there")
    given = parser.parse_args()
    if given.write and given.families:
        parser.error("the committed table has all families")
    given.cache.mkdir(parents=True, exist_ok=True)
    chosen = cells(given.families)
    if not given.no_runs:
        # cheap cells first, and each once before any of them again
        order = sorted(chosen, key=lambda cell: COST.index(cell[1]))
        for seeds in (1, given.seeds):
            for cell in order:
                measured(*cell, seeds, given.cache)
    found = [measured(*cell, given.seeds, given.cache, compute=False) for cell in chosen]
    rows = [row for row in found if row is not None]
    publish(place(given, TABLE), rows)
    for row in summary(rows):
        show(row)


if __name__ == "__main__":
    main()
