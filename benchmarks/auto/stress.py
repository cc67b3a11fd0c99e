"""Hostile data: `auto` beside `ridge` on the same rows, with every warning that a user would see.

The rows are scene's, 5% or 20% labelled (`SHARES`); a case changes the features or the labels. Test rows stay as they
are but for their columns, so that a difference says what the case did to what is learnt.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.local import run as local
from benchmarks.local import sets
from benchmarks.local.sets import Parts
from labelwise._random import generator
from labelwise.experiments import Job, Measured, Measurement

SHARES = (0.05, 0.2)
METHODS = ("ridge", "auto")
Given = tuple[Any, np.ndarray, Any, np.ndarray]
"""Features, labels with unknown entries, test features, test labels."""


def as_it_is(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Nothing is changed."""
    X, _, X_test, Y_test = parts
    return X, seen, X_test, Y_test


def random_features(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Every feature is drawn, of train and test rows."""
    X, _, X_test, Y_test = parts
    draw = generator(seed, "random features")
    return normal(draw, X.shape), seen, normal(draw, X_test.shape), Y_test


def pool_of_noise(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Unlabelled rows are noise of each column's mean and deviation."""
    X, noise = np.array(parts[0], dtype=np.float32), normal(generator(seed, "noise"), parts[0].shape)
    return with_pool(parts, seen, noise * X.std(axis=0) + X.mean(axis=0))


def permuted_columns(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Unlabelled rows have their columns in another order."""
    order = generator(seed, "columns").permutation(parts[0].shape[1])
    return with_pool(parts, seen, parts[0][:, order])


def another_domain(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Unlabelled rows are pictures of another set, by another network."""
    other = sets.load("voc12_animals")[0]
    rows = np.resize(np.arange(len(other)), len(parts[0]))
    return with_pool(parts, seen, other[rows, : parts[0].shape[1]])


def two_positives(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """The first label keeps two known positives; its other positive rows lose all their labels."""
    X, _, X_test, Y_test = parts
    seen = seen.copy()
    seen[np.flatnonzero(seen[:, 0] == 1)[2:]] = -1
    return X, seen, X_test, Y_test


def one_label(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """There is one label."""
    X, _, X_test, Y_test = parts
    return X, seen[:, :1], X_test, Y_test[:, :1]


def ten_rows(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Ten rows in all, each labelled; the labels are those with a positive among them."""
    X, Y, X_test, Y_test = parts
    rows = np.flatnonzero((seen != -1).any(axis=1))[:10]
    has = (Y[rows] == 1).any(axis=0)
    return X[rows], Y[rows][:, has], X_test, Y_test[:, has]


def duplicate_rows(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Every row stands there three times."""
    X, _, X_test, Y_test = parts
    return np.tile(X, (3, 1)), np.tile(seen, (3, 1)), X_test, Y_test


def constant_features(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Half of the columns hold one value each."""
    X, X_test = (np.array(part, dtype=np.float32) for part in (parts[0], parts[2]))
    X[:, ::2] = X_test[:, ::2] = np.arange(X[:, ::2].shape[1])
    return X, seen, X_test, parts[3]


def nothing_but_constants(parts: Parts, seen: np.ndarray, seed: int) -> Given:
    """Every row is the same."""
    X, X_test = (np.ones(part.shape, dtype=np.float32) for part in (parts[0], parts[2]))
    return X, seen, X_test, parts[3]


CASES: dict[str, Callable[[Parts, np.ndarray, int], Given]] = {
    function.__name__.replace("_", " "): function
    for function in (
        as_it_is,
        random_features,
        pool_of_noise,
        permuted_columns,
        another_domain,
        two_positives,
        one_label,
        ten_rows,
        duplicate_rows,
        constant_features,
        nothing_but_constants,
    )
}


def jobs(seeds: int = 2) -> list[Job]:
    """Return every run."""
    return [
        Job("scene", "semi_supervised", method, seed, labelled_fraction=share, options={"case": case})
        for case in CASES
        for seed in range(seeds)
        for share in SHARES
        for method in METHODS
    ]


def run(job: Job, folder: str) -> Measured:
    """Train and judge a job, and keep the warnings that came up."""
    from labelwise.metrics import evaluate

    parts = sets.load(job.dataset)
    X, seen, X_test, Y_test = CASES[job.options["case"]](parts, sets.hide(parts[1], job), job.seed)
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        model = local.fitted(job, X, np.maximum(seen, 0), seen)
        scores = model.predict_proba(X_test)
    value = evaluate(Y_test, scores, model.rule_, metrics=("map",))["map"]
    told = sorted({f"{warning.category.__name__}: {warning.message}" for warning in raised})
    return Measured([Measurement("map", value)], {"warnings": told, "notes": list(model.notes_)})


def rows_of(shards: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a row for each case, share and seed that both methods have ended."""
    found = pd.DataFrame(
        [
            {
                "case": shard["job"]["options"]["case"],
                "labelled": shard["job"]["labelled_fraction"],
                "seed": shard["job"]["seed"],
                "method": shard["job"]["method"],
                "map": next((m["value"] for m in shard["measurements"]), None),
                "told": "; ".join([*shard["facts"].get("warnings", []), shard["error"]]).strip("; "),
            }
            for shard in shards
        ]
    )
    if found.empty:
        return found
    ridge, auto = (found[found["method"] == method].drop(columns="method") for method in METHODS)
    both = ridge.drop(columns="told").merge(
        auto, on=["case", "labelled", "seed"], suffixes=("_ridge", "_auto")
    )
    both = both.rename(columns={"map_ridge": "ridge", "map_auto": "auto", "told": "warnings"})
    both["difference"] = both["auto"] - both["ridge"]
    place = {case: i for i, case in enumerate(CASES)}
    order = both["case"].map(place)
    return both.assign(order=order).sort_values(["order", "labelled", "seed"]).drop(columns="order")


def normal(draw: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Return normal noise, float32."""
    return draw.standard_normal(shape, dtype=np.float32)


def with_pool(parts: Parts, seen: np.ndarray, pool: np.ndarray) -> Given:
    """Return the parts with other features in the unlabelled rows."""
    X, _, X_test, Y_test = parts
    known = (seen != -1).any(axis=1)
    return np.where(known[:, None], X, pool).astype(np.float32), seen, X_test, Y_test
