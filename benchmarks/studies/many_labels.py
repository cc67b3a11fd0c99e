"""Very many labels: the closed form beside omikuji, and at a size that only sums can hold.

`python -m benchmarks.studies.many_labels [--only bibtex ...]`: `bibtex` (7,395 x 1,836 words, 159 labels; a keyed third
is held out): ridge, and omikuji with its defaults (needs `pip install omikuji`), by precision of the highest labels and
by the same weighted by propensity. `simulated`: 100,000 x 768 features, 50,000 labels of which a row lists five; ridge
from sums, the ten highest labels of 5,000 new rows. `command`: what a user gives on a folder of Parquet of 14,000 x 384
features whose lists name three to five of 10,000 labels, and on 2,000 new rows: `train`, `evaluate`, `report` and
`predict --top 10`, each in a process of its own. `large`: the same commands on 100,000 x 768 x 50,000 labels and 5,000
new rows. `cpu` is processor time; `peak_mb` the largest memory, the data
included; `page_kb` the size of the report. Rows of cases that are left out stay as they are in the table.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.common import RESULTS, data_folder, place, publish, read_rows, script_parser
from labelwise._random import generator
from labelwise.annotations import ListedStates
from labelwise.metrics import propensities, top_labels, top_metrics
from labelwise.models import RowStream, peak_memory, solve_ridge, solve_stream

TABLE = RESULTS / "many_labels.csv"
N, D, K, NEW = 100_000, 768, 50_000, 5_000


def bibtex() -> tuple[Any, NDArray[np.int8], NDArray[np.intp], NDArray[np.intp]]:
    """Return features, labels, and the rows to train on and to judge by."""
    given = np.load(data_folder() / "classic" / "bibtex.npz", allow_pickle=False)
    X = sp.csr_array((given["X_data"], given["X_indices"], given["X_indptr"]), shape=tuple(given["X_shape"]))
    order = generator(0, "many-labels").permutation(X.shape[0])
    third = X.shape[0] // 3
    return X, given["Y"].astype(np.int8), np.sort(order[third:]), np.sort(order[:third])


def ridge() -> dict[str, float]:
    X, Y, train, test = bibtex()
    solution = solve_ridge(X[train], Y[train])
    return judged(Y[test], top_labels(solution.predict(X[test]), 5), Y[train])


def omikuji() -> dict[str, float]:
    import omikuji as library

    X, Y, train, test = bibtex()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.txt")
        with path.open("w") as file:
            file.write(f"{len(train)} {X.shape[1]} {Y.shape[1]}\n")
            for row in train:
                labels = ",".join(map(str, np.flatnonzero(Y[row])))
                part = slice(X.indptr[row], X.indptr[row + 1])
                pairs = zip(X.indices[part], X.data[part], strict=True)
                file.write(" ".join([labels, *(f"{j}:{value:g}" for j, value in pairs)]) + "\n")
        model = library.Model.train_on_data(str(path), n_threads=1)
    top = np.zeros((len(test), 5), np.int64)
    for place_, row in enumerate(test):
        part = slice(X.indptr[row], X.indptr[row + 1])
        pairs = list(zip(X.indices[part].tolist(), X.data[part].tolist(), strict=True))
        found = [label for label, _ in model.predict(pairs, top_k=5)]
        # A beam that ends early names fewer: any labels that it did not name fill up.
        rest = (label for label in range(Y.shape[1]) if label not in found)
        top[place_] = [*found, *(next(rest) for _ in range(5 - len(found)))]
    return judged(Y[test], top, Y[train])


class Simulated(RowStream):
    """Rows around the directions of their labels, drawn anew in every pass."""

    n_features, n_labels = D, K

    def __init__(self) -> None:
        random = generator(0, "many-labels-directions")
        self.directions = random.standard_normal((K, D), dtype=np.float32) * np.float32(0.4)
        self.share = np.cumsum(1 / np.arange(1, K + 1) ** 0.7)

    def lists(self, number: int, n: int) -> ListedStates:
        random = generator(0, "many-labels-lists", number)
        chosen = np.searchsorted(self.share, random.random(5 * n) * self.share[-1])
        return ListedStates.of(np.arange(0, 5 * n + 1, 5), chosen, np.zeros(n, np.int8), K)

    def fragment(self, number: int, n: int) -> tuple[NDArray[np.float32], ListedStates]:
        lists = self.lists(number, n)
        noise = generator(0, "many-labels-noise", number).standard_normal((n, D), dtype=np.float32)
        return lists.positives.astype(np.float32) @ self.directions + noise, lists

    def labels(self) -> Iterator[tuple[int, ListedStates]]:
        for number in range(N // 20_000):
            yield number, self.lists(number, 20_000)

    def rows(self) -> Iterator[tuple[int, NDArray[np.float32], ListedStates]]:
        for number in range(N // 20_000):
            yield number, *self.fragment(number, 20_000)


def simulated() -> dict[str, float]:
    stream = Simulated()
    streamed = solve_stream(stream)
    X, lists = stream.fragment(N, NEW)
    blocks = (X[start : start + 100] for start in range(0, NEW, 100))
    top = np.concatenate([top_labels(streamed.solution.predict(block), 10) for block in blocks])
    return top_metrics(lists, top, propensities(streamed.counts.states[0], N))


class Size(NamedTuple):
    """Rows, features, labels, and new rows, of what commands are given."""

    rows: int
    features: int
    labels: int
    new: int


SIZES = {"command": Size(14_000, 384, 10_000, 2_000), "large": Size(N, D, K, NEW)}


def write_rows_of_lists(path: Path, number: int, n: int, size: Size) -> None:
    """Write rows around the directions of their three to five labels; all labels are named in the first file."""
    import pyarrow as pa
    from pyarrow import parquet

    directions = generator(0, "many-labels-command").standard_normal(
        (size.labels, size.features), dtype=np.float32
    )
    directions *= np.float32(0.4)
    random = generator(0, "many-labels-command", number)
    share = np.cumsum(1 / np.arange(1, size.labels + 1) ** 0.7)
    sizes = random.integers(3, 6, n)
    chosen = np.searchsorted(share, random.random(int(sizes.sum())) * share[-1])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    if number == 0:
        chosen[starts[: size.labels]] = random.permutation(size.labels)
    x = random.standard_normal((n, size.features), dtype=np.float32)
    lists = [np.unique(chosen[a:b]) for a, b in pairwise(starts.tolist())]
    for row, labels in enumerate(lists):
        x[row] += directions[labels].sum(axis=0)
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), size.features)
    tags = pa.array([[f"label {k}" for k in labels] for labels in lists], pa.list_(pa.string()))
    parquet.write_table(pa.table({"embedding": embedding, "tags": tags}), path)


def make(folder: Path, size: Size) -> None:
    (folder / "rows").mkdir(parents=True)
    write_rows_of_lists(folder / "rows" / "0.parquet", 0, size.rows, size)
    write_rows_of_lists(folder / "new.parquet", 1, size.new, size)


def train(folder: Path) -> dict[str, float]:
    from labelwise import runs

    given = {"table": str(folder / "rows"), "labels_column": "tags", "unlisted": "absent"}
    outcome = runs.train(runs.RunConfig.build(given), folder / "run")
    assert outcome is not None
    return {"page_kb": Path(outcome.report).stat().st_size / 1e3}


def evaluate(folder: Path) -> dict[str, float]:
    from labelwise import runs

    found = runs.evaluate(folder / "run", folder / "new.parquet").evaluation
    assert found is not None
    return {f"precision_at_{k}": found.figures[f"precision_at_{k}"] for k in (1, 3, 5)}


def report(folder: Path) -> dict[str, float]:
    from labelwise import runs

    return {"page_kb": Path(runs.report(folder / "run")).stat().st_size / 1e3}


def predict(folder: Path) -> dict[str, float]:
    from labelwise import runs

    runs.predict(folder / "run", folder / "new.parquet", folder / "top.parquet", top=10)
    return {}


COMMANDS: dict[str, Callable[[Path], dict[str, float]]] = {
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "predict": predict,
}

CASES: dict[str, tuple[str, Callable[[], dict[str, float]]]] = {
    "bibtex ridge": ("bibtex", ridge),
    "bibtex omikuji": ("bibtex", omikuji),
    "simulated ridge": ("simulated", simulated),
}


def judged(Y: NDArray[np.int8], top: NDArray[np.int64], train: NDArray[np.int8]) -> dict[str, float]:
    return top_metrics(Y, top, propensities((train == 1).sum(axis=0), len(train)))


def measured(case: str, action: Callable[..., dict[str, float]], *given: Path) -> dict[str, str]:
    """Return the row of one case."""
    start, start_cpu = time.perf_counter(), time.process_time()
    figures = action(*given)
    wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    shown = {name: f"{value:.0f}" if name == "page_kb" else f"{value:.4f}" for name, value in figures.items()}
    peak = f"{(peak_memory() or 0) / 1e6:.0f}"
    return {"case": case, "seconds": f"{wall:.0f}", "cpu": f"{cpu:.0f}", "peak_mb": peak, **shown}


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    names = sorted({*SIZES, *(group for group, _ in CASES.values())})
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="some of the sets")
    given = parser.parse_args()
    rows: dict[str, dict[str, str]] = {row["case"]: row for row in read_rows(TABLE)}
    # "spawn": a forked process would count its parent's memory as its own.
    processes = multiprocessing.get_context("spawn")
    for case, (group, action) in CASES.items():
        if group in given.only:
            with processes.Pool(1) as pool:
                rows[case] = pool.apply(measured, (case, action))
    for group, size in SIZES.items():
        if group in given.only:
            with tempfile.TemporaryDirectory() as folder:
                made = Path(folder) / "made"
                make(made, size)
                for name, command in COMMANDS.items():
                    with processes.Pool(1) as pool:
                        case = f"{group} {name}"
                        rows[case] = pool.apply(measured, (case, command, made))
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    publish(place(given, TABLE), [{name: row.get(name, "") for name in columns} for row in rows.values()])


if __name__ == "__main__":
    main()
