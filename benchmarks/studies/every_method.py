"""Every method in every label setting that it accepts, with default settings, on three sets of features.

``python -m benchmarks.studies.every_method [--sets ...] [--methods ...] [--jobs 2] [--write]`` writes ``every_method.csv`` and
the tables ``every_method.md``; with ``--write`` those of ``docs/results``. The digits are embedded; scene and
VOC12-animals are read from LABELWISE_DATA and left out without it; of each set at most 1,000 training and 1,000 test
rows are taken, so that all runs take a quarter of an hour on two cores. Rows that the file already holds are not
computed again: delete it, or the rows of a method that changed, to do so.

Labels are hidden by ``labelwise.simulate`` with seed 0. Each learner sees the same labels, its hyper-parameters and
budget are its defaults, and nothing is chosen on test rows. Where no negative is known, methods that need a prior are
given one number, the training set's mean number of labels of an item, and the row says so; methods that need the true
labels get them. ``logistic_standardised`` and ``logistic_l2`` are one-vs-rest logistic regressions, C = 10, on the
rows with a known entry, unknown as absent: the floor of a setting, and with full labels the ceiling.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import place, script_parser
from benchmarks.studies.ridge import load, logistic

SETS = ("digits", "scene", "voc12_animals")
SETTINGS = {
    "single positive": "one relevant label of each row is known",
    "partial positives": "half of each row's relevant labels are known",
    "partial": "half of the entries are known",
    "semi-supervised": "a tenth of the rows is labelled",
    "full": "every entry is known",
}
ROWS = 1000
LOGISTIC = ("logistic_standardised", "logistic_l2")
FIELDS = ("set", "setting", "learner", "map", "micro_f1", "rule", "prior", "seconds", "protocol")
RESULTS = Path(__file__).parents[2] / "docs" / "results" / "every_method.csv"


@cache
def data(name: str) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Return X and Y of train and test, at most ``ROWS`` items each, drawn by RandomState(0)."""
    if name == "digits":
        from labelwise.data import digits_canvases, digits_features

        (pictures, Y, _), (test, Y_test, _) = (
            digits_canvases(ROWS, part=part, seed=0) for part in ("train", "test")
        )
        return digits_features(pictures, seed=0), Y, digits_features(test, seed=0), Y_test
    X, Y, X_test, Y_test = load(name, Path(os.environ["LABELWISE_DATA"]))
    rows, test_rows = (np.random.RandomState(0).permutation(len(y))[:ROWS] for y in (Y, Y_test))
    kept = Y[rows].any(0)
    return X[rows], Y[rows][:, kept], X_test[test_rows], Y_test[test_rows][:, kept]


def hide(Y: np.ndarray, setting: str) -> np.ndarray:
    """Return Y as a setting shows it."""
    from labelwise.annotations import simulate

    if setting == "single positive":
        return simulate.single_positive(Y, seed=0)
    if setting == "partial positives":
        return simulate.partial_positives(Y, 0.5, seed=0)
    if setting == "partial":
        return simulate.partial(Y, 0.5, seed=0)
    return simulate.semi_supervised(Y, 0.1, seed=0, rule="cap") if setting == "semi-supervised" else Y


def judge(name: str, setting: str, learner: str) -> dict[str, str]:
    """Return one row of the results."""
    import torch
    from threadpoolctl import threadpool_limits

    import labelwise as lw
    from labelwise.metrics import Threshold, evaluate

    torch.set_num_threads(1)
    threadpool_limits(1)
    X, Y, X_test, Y_test = data(name)
    seen = hide(Y, setting)
    start, given, oracle = time.perf_counter(), "", False
    if learner in LOGISTIC:
        scores = logistic(X, seen, X_test, learner.removeprefix("logistic_"))
        spent = time.perf_counter() - start
        found = evaluate(Y_test, 1 / (1 + np.exp(-scores)), rule=Threshold(0.5))
    else:
        needs = lw.methods.get(learner).spec.needs
        prior = float(Y.sum(1).mean()) if "prior" in needs and "positive" in setting else None
        given = "" if prior is None else f"{prior:.3f} labels an item"
        oracle = "true_labels" in needs
        model = lw.MultiLabelClassifier(learner, prior=prior, device="cpu", random_state=0)
        model.fit(X, seen, true_labels=Y if oracle else None)
        spent = time.perf_counter() - start
        found = model.evaluate(X_test, Y_test)
    cells = (f"{found['map']:.4f}", f"{found['micro_f1']:.4f}", found.rule, given, f"{spent:.1f}")
    return dict(zip(FIELDS, (name, setting, learner, *cells, "oracle" if oracle else "honest"), strict=True))


def wanted(sets: list[str], chosen: list[str] | None) -> Iterator[tuple[str, str, str]]:
    """Yield every run (set, setting, learner), the cheap sets first."""
    import labelwise as lw

    for name in sets:
        for setting in SETTINGS:
            word = {"partial positives": "partial_positive"}.get(setting)
            fitting = lw.methods.fitting(word or setting.replace(" ", "_").replace("-", "_"))
            for learner in (*LOGISTIC, *fitting):
                if chosen is None or learner in chosen:
                    yield name, setting, learner


def read(path: Path) -> list[dict[str, str]]:
    """Return the rows of a results file, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write(rows: list[dict[str, str]], path: Path) -> None:
    """Write the rows in the order of sets, settings and the registry."""
    import labelwise as lw

    learners = [*LOGISTIC, *lw.methods.names()]
    settings = list(SETTINGS)
    known = [row for row in rows if row["learner"] in learners]
    known.sort(
        key=lambda r: (
            SETS.index(r["set"]),
            settings.index(r["setting"]),
            learners.index(r["learner"]),
        )
    )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)


def page(rows: list[dict[str, str]]) -> str:
    """Return the tables as Markdown: one a set, mAP and micro-F1 in percent, the best method of a column in bold."""
    lines = [
        "# Every method on three sets of features",
        "",
        "Made by `python -m benchmarks.studies.every_method` from `every_method.csv`. mAP / micro-F1 on the test rows, in "
        "percent, one run each with seed 0 and default settings. A dash: outside the method's assumption. "
        "`bce_single_positive_all_negatives` is an oracle, which sees the true negatives.",
        "",
        *(f"- *{setting}*: {text}" for setting, text in SETTINGS.items()),
        "",
        "The *floor* is the better of two logistic regressions (by its test mAP, which favours it), unknown as absent; "
        "with full labels it is the *ceiling*. After the micro-F1: the decision rule, t (thresholds learnt on held-out "
        "labels), p (as many positives as the given prior says) or none (one half). `*`: given the true cardinality of "
        "the training set. In bold the best mAP of a column, oracles and logistic regressions apart. One run tells "
        "methods that differ by less than about a point not apart.",
    ]
    for name in SETS:
        mine = [row for row in rows if row["set"] == name]
        if mine:
            X, Y, X_test, _ = data(name)
            size = f"{X.shape[0]} + {X_test.shape[0]} items, {X.shape[1]} features, {Y.shape[1]} labels"
            lines += ["", f"## {name}", "", f"{size}, {Y.sum(1).mean():.2f} labels an item.", ""]
            lines += table(mine)
    spent = sum(float(row["seconds"]) for row in rows)
    lines += ["", f"{len(rows)} runs, {spent / 60:.0f} minutes of one core.", ""]
    return "\n".join(lines)


def table(rows: list[dict[str, str]]) -> list[str]:
    """Return a set's table as lines."""
    cells = {(row["learner"], row["setting"]): row for row in rows}
    learners = [name for name in dict.fromkeys(row["learner"] for row in rows) if name not in LOGISTIC]
    best = {
        setting: max(
            (float(r["map"]) for (m, s), r in cells.items() if s == setting and counts(r)), default=2.0
        )
        for setting in SETTINGS
    }
    lines = ["| method | " + " | ".join(SETTINGS) + " |", "|---|" + "---|" * len(SETTINGS)]
    floor = []
    for setting in SETTINGS:
        found = [cells[one, setting] for one in LOGISTIC if (one, setting) in cells]
        floor.append(shown(max(found, key=lambda row: float(row["map"]))) if found else "–")
    lines.append("| *floor* | " + " | ".join(floor) + " |")
    for learner in learners:
        row = []
        for setting in SETTINGS:
            cell = cells.get((learner, setting))
            row.append(
                "–" if cell is None else shown(cell, counts(cell) and float(cell["map"]) == best[setting])
            )
        lines.append(f"| {learner} | " + " | ".join(row) + " |")
    return lines


def counts(row: dict[str, str]) -> bool:
    """Whether a row stands for a method that can be used."""
    return row["learner"] not in LOGISTIC and row["protocol"] != "oracle"


def shown(row: dict[str, str], bold: bool = False) -> str:
    """Return a cell."""
    value, rule = f"{100 * float(row['map']):.1f}", row["rule"]
    mark = " t" if rule == "learnt_thresholds" else " p" if rule.startswith("prior") else ""
    star = r"\*" if row["prior"] else ""
    return f"{f'**{value}**' if bold else value}{star} / {100 * float(row['micro_f1']):.1f}{mark}"


def main() -> None:
    parser = script_parser(__doc__, RESULTS)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="+", default=None)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    sets = [name for name in arguments.sets if name == "digits" or "LABELWISE_DATA" in os.environ]
    path = place(arguments, RESULTS)
    rows = read(path)
    done = {(row["set"], row["setting"], row["learner"]) for row in rows}
    failed = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        tasks = {pool.submit(judge, *run): run for run in wanted(sets, arguments.methods) if run not in done}
        for task in as_completed(tasks):
            if task.exception() is not None:
                failed.append((tasks[task], task.exception()))
                print(*failed[-1], file=sys.stderr, flush=True)
                continue
            rows.append(task.result())
            print(*task.result().values(), sep="\t", flush=True)
            write(rows, path)
    rows = read(path)
    (path.with_suffix(".md")).write_text(page(rows), encoding="utf-8")
    if failed:
        raise SystemExit(f"{len(failed)} runs failed; the others are written")


if __name__ == "__main__":
    main()
