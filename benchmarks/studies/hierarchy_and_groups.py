"""Gains of a hierarchy, and of naming groups, on tables built from the data at hand.

`python -m benchmarks.studies.hierarchy_and_groups [--seeds 1]` reads LABELWISE_DATA.

Hierarchies: `awa2` has AwA2's 50 classes and 85 attributes as labels, a class below each attribute that it has, and
*simulated* features (60 numbers: a class's attributes through random directions, a class's own place, and noise; 8
training and 20 test items a class); `voc12` has VOC12-animals' features and 20 labels with four more above them
(mammal below animal, animal, vehicle, indoor). Labels are hidden in two ways: 80% of the entries, and all but one
positive an item. Test mAP of `none`; `closing` (labels closed before training, nothing else); `hierarchy` (closed, and
coherent scores); `coherent loss` (and the loss of C-HMCNN, for a method that trains).

Groups: every training picture of VOC12-animals, and every gene of yeast, stands in the table five times, each with
noise of a tenth of a feature's deviation, as frames of one video do. `told` is the mAP that the fit reports, `new` that
on the test rows, which belong to other groups. `single rows` are left out one by one, or `whole groups`.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.common import RESULTS, data_folder, place, script_parser, write_rows
from benchmarks.local import sets
from labelwise import simulate
from labelwise.annotations import Hierarchy
from labelwise.metrics import ranking_score

TABLE = RESULTS / "hierarchy_and_groups.csv"
VOC = (
    *(
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "diningtable",
        "dog",
    ),
    *("horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
ABOVE = {
    **dict.fromkeys(("cat", "cow", "dog", "horse", "sheep"), "mammal"),
    **dict.fromkeys(("mammal", "bird"), "animal"),
    **dict.fromkeys(("aeroplane", "bicycle", "boat", "bus", "car", "motorbike", "train"), "vehicle"),
    **dict.fromkeys(("bottle", "chair", "diningtable", "pottedplant", "sofa", "tvmonitor"), "indoor"),
}
HIDDEN = {
    "80% of the entries hidden": lambda Y, seed: simulate.random_partial(Y, 0.8, seed),
    "one positive": simulate.single_positive,
}


def awa2() -> tuple[Any, ...]:
    """Return X, Y, test X, test Y, names and parents of classes with simulated features."""
    folder = data_folder() / "awa2_labels"
    words = [[line.split()[-1] for line in (folder / name).read_text().splitlines() if line.strip()]
             for name in ("classes.txt", "predicates.txt")]  # fmt: skip
    classes, attributes = words
    matrix = np.loadtxt(folder / "predicate-matrix-binary.txt", dtype=np.int8)
    random = np.random.default_rng(0)
    centres = matrix @ random.standard_normal((len(attributes), 60)) / 4 + random.standard_normal((50, 60))
    of = np.tile(np.arange(50), 28)
    X = (centres[of] + 2.5 * random.standard_normal((1400, 60))).astype(np.float32)
    Y = np.hstack([np.eye(50, dtype=np.int8), matrix])[of]
    # A class and an attribute may be called alike.
    names = [*(f"class {name}" for name in classes), *attributes]
    parents = {names[c]: [attributes[a] for a in np.flatnonzero(matrix[c])] for c in range(50)}
    return X[:400], Y[:400], X[400:], Y[400:], names, parents


def voc12() -> tuple[Any, ...]:
    """Return the same of VOC12-animals and its super-categories."""
    with np.load(data_folder() / "voc12_subset" / "voc12_animal_lite0.npz") as file:
        X, Y, train = file["X"].astype(np.float32), file["Y"].astype(np.int8), file["split"] == "train"
    names = [*VOC, "mammal", "animal", "vehicle", "indoor"]
    parents = dict(ABOVE)
    Y = np.hstack([Y, np.zeros((len(Y), 4), dtype=np.int8)])
    known = np.where(Y == 1, 1, -1).astype(np.int8)
    Y = (Hierarchy.of(parents, names).close(known).matrix == 1).astype(np.int8)
    return X[train], Y[train], X[~train], Y[~train], names, parents


def hierarchies(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield the mAP of each way of taking a hierarchy."""
    for seed, way, (name, read) in itertools.product(
        range(seeds), HIDDEN, (("awa2", awa2), ("voc12", voc12))
    ):
        X, Y, X_test, Y_test, names, parents = read()
        hierarchy, seen = Hierarchy.of(parents, names), HIDDEN[way](Y, seed)
        closing = hierarchy.close(seen)
        trained = "ignore_unknown" if (seen == 0).any() else "an"
        for method in ("ridge", trained):
            forms: dict[str, tuple[Any, dict[str, Any]]] = {
                "none": (seen, {}),
                "closing": (closing.matrix, {}),
                "hierarchy": (seen, {"hierarchy": parents}),
            }
            if method != "ridge":
                forms["coherent loss"] = (seen, {"hierarchy": parents, "coherent_loss": True})
            for form, (labels, given) in forms.items():
                model = lw.MultiLabelClassifier(
                    method, device="cpu", random_state=seed, validation=None, **given
                )
                model.fit(X, labels, label_names=names)
                found = ranking_score(Y_test, model.decision_function(X_test))
                filled = round((closing.relevant + closing.irrelevant) / closing.unknown, 4)
                yield {"table": name, "way": way, "seed": seed, "method": method, "form": form,
                       "new": round(found, 5), "told": "", "filled": filled}  # fmt: skip


def groups(seeds: int) -> Iterator[dict[str, Any]]:
    """Yield what a fit tells of itself and what it reaches on new groups."""
    for seed, name in itertools.product(range(seeds), ("yeast", "voc12_animals")):
        X, Y, X_test, Y_test = sets.load(name)
        random = np.random.default_rng(seed)
        of = np.repeat(np.arange(len(X)), 5)
        frames = X[of] + 0.1 * X.std(axis=0) * random.standard_normal((len(of), X.shape[1]))
        for method, form in itertools.product(("ridge", "an"), ("single rows", "whole groups")):
            model = lw.MultiLabelClassifier(method, device="cpu", random_state=seed)
            model.fit(frames.astype(np.float32), Y[of], groups=of if form == "whole groups" else None)
            found = ranking_score(Y_test, model.decision_function(X_test))
            yield {"table": f"{name}, five frames each", "way": "all labels", "seed": seed, "method": method,
                   "form": form, "new": round(found, 5), "told": round(model.validation_["map"], 5),
                   "filled": ""}  # fmt: skip


def main() -> None:
    """Measure all, and print means over seeds."""
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    path, rows = place(given, TABLE), []
    for row in itertools.chain(hierarchies(given.seeds), groups(given.seeds)):
        rows.append(row)
        write_rows(path, rows)
    keys = dict.fromkeys((r["table"], r["way"], r["method"], r["form"]) for r in rows)
    for key in keys:
        of = [r for r in rows if (r["table"], r["way"], r["method"], r["form"]) == key]
        told = [r["told"] for r in of if r["told"] != ""]
        words = f"  told {100 * statistics.mean(told):5.1f}" if told else ""
        print(f"{', '.join(key):75} new {100 * statistics.mean(r['new'] for r in of):5.1f}{words}")


if __name__ == "__main__":
    main()
