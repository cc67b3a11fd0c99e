"""Time and memory of every method at the papers' size: COCO's and VOC's label matrices, simulated features.

`python -m benchmarks.studies.paper_size --out DIR [--sets voc12 coco14] [--methods ...]` reads the label matrices
(82,081 x 80 and 5,717 x 20) from LABELWISE_DATA. Their pictures are not at hand, so the features are drawn: for each
label a random unit vector of 64 dimensions, the sum of those of the labels present plus noise of twice the norm of one,
of unit length. What this shows is that every method trains on so many items and labels, in what time and memory; the
mAP on drawn test features is a *simulation* and says nothing of pictures.

Each method trains one epoch of each of its stages, with 10% of the items labelled (with one positive an item where it
takes no such labels), as a head on the features, in a process of its own with one thread. `seconds` is the wall time of
`fit` alone, `cpu_seconds` its processor time, `peak_mb` the peak memory of the process, of which `data_mb` was there
before. Rows are kept in `DIR/paper_size.csv`: those that it holds are not computed again, and all of them are written
to `--table`, or with `--write` to `docs/results/local/paper_size.csv`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import labelwise as lw
from benchmarks.common import LOCAL, data_folder, place, read_rows, script_parser, write_rows
from labelwise._random import generator

SETS = ("voc12", "coco14")
DIMENSIONS = 64
TABLE = LOCAL / "paper_size.csv"
FIELDS = (
    "set",
    "items",
    "labels",
    "method",
    "setting",
    "epochs",
    "seconds",
    "cpu_seconds",
    "data_mb",
    "peak_mb",
)
FIELDS += ("simulated_map", "status")


def labels(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a set's whole label matrices of train and test, int8."""
    folder = data_folder() / f"{name}_labels"
    with np.load(next(folder.glob("*.npz")), allow_pickle=False) as file:
        if name == "coco14":
            train, test = (np.unpackbits(file[f"{part}_Y"], axis=1)[:, :80] for part in ("train", "val"))
        else:
            train, test = file["train_Y"], file["val_Y"]
    return train.astype(np.int8), test.astype(np.int8)


def features(Y: np.ndarray, part: str) -> np.ndarray:
    """Return drawn features (n, 64) float32 of unit length."""
    directions = generator(0, "directions", Y.shape[1]).standard_normal((Y.shape[1], DIMENSIONS))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    noise = generator(0, "noise", part).standard_normal((len(Y), DIMENSIONS)) * 2 / np.sqrt(DIMENSIONS)
    X = Y.astype(np.float32) @ directions.astype(np.float32) + noise.astype(np.float32)
    found: np.ndarray = X / np.linalg.norm(X, axis=1, keepdims=True)
    return found.astype(np.float32)


def memory() -> int:
    """Return the peak resident memory so far in MiB."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform != "darwin" else 2**20)


def one(name: str, method: str) -> dict[str, Any]:
    """Train a method and return its row."""
    import torch

    from labelwise.metrics import mean_average_precision

    torch.set_num_threads(1)
    Y, Y_test = labels(name)
    X, X_test = features(Y, "train"), features(Y_test, "test")
    spec = lw.methods.get(method).spec
    single = "semi_supervised" not in spec.settings
    seen = (
        lw.simulate.single_positive(Y) if single else lw.simulate.semi_supervised(Y, 0.1, seed=1, rule="cap")
    )
    prior = float(Y.sum(1).mean()) if single and "prior" in spec.needs else None
    epochs = spec.passes and (2 if "warm_up" in spec.hyperparameters or method.endswith("linear_init") else 1)
    model = lw.MultiLabelClassifier(
        method, epochs=epochs or None, validation=None, prior=prior, device="cpu", random_state=0
    )
    held = memory()
    wall, cpu = time.perf_counter(), time.process_time()
    model.fit(X, seen, true_labels=Y if "true_labels" in spec.needs else None)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = memory()
    value = mean_average_precision(Y_test, model.decision_scores(X_test))
    setting = "single positive" if single else "10% labelled"
    told = (name, *Y.shape, method, setting, len(model.history_), round(wall, 1), round(cpu, 1), held, peak)
    return dict(zip(FIELDS, (*told, round(float(value), 4), "trained"), strict=True))


def measure(
    out: Path, path: Path, *, names: Sequence[str] = SETS, methods: Sequence[str] = (), limit: float = 3600.0
) -> None:
    """Run what `out` does not hold yet, each method in a process of its own, and write the table."""
    kept = out / "paper_size.csv"
    rows = read_rows(kept)
    done = {(row["set"], row["method"]) for row in rows}
    runs = [(name, m) for name in names for m in methods or lw.methods.names() if (name, m) not in done]
    environment = os.environ | dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"
    )
    for name, method in runs:
        command = [sys.executable, "-m", "benchmarks.studies.paper_size", "--one", name, method]
        try:
            answer = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=True, timeout=limit
            )
            rows.append({k: str(v) for k, v in json.loads(answer.stdout.splitlines()[-1]).items()})
        except subprocess.TimeoutExpired:
            why = f"stopped after {limit:g} s"
            rows.append({**dict.fromkeys(FIELDS, ""), "set": name, "method": method, "status": why})
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{name}, {method}: {error.stderr.splitlines()[-1]}") from None
        print(*rows[-1].values(), sep="\t", flush=True)
        write_rows(kept, rows)
    write_rows(path, rows)


def main() -> None:
    parser = script_parser(__doc__, TABLE, option="--table")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--methods", nargs="+", default=[])
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds that a method may take")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(one(*given.one)))
        return
    if given.out is None:
        parser.error("--out is needed: the folder that keeps the rows")
    path = place(given, TABLE, given.out / "page" / TABLE.name)
    measure(given.out, path, names=given.sets, methods=given.methods, limit=given.limit)


if __name__ == "__main__":
    main()
