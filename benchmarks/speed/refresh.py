"""The refresh of `bbam` at COCO's size beside the plain arithmetic that it replaces.

`python -m benchmarks.speed.refresh`: 82,081 stored features of 256 numbers, simulated around one direction per label
from COCO's real label matrix (LABELWISE_DATA), 80 labels, 5% of the items labelled. Times are medians of five,
interleaved in one run (`cpu` is processor time of all threads). Extra memory is how far a fresh process's resident set
grows above features and labels.
"""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.common import RESULTS, data_folder, place, publish, script_parser
from labelwise._random import generator
from labelwise.targets import balanced_refresh

TABLE = RESULTS / "refresh.csv"
Data = tuple[NDArray[np.float32], NDArray[np.int8], NDArray[np.float32], NDArray[np.float64]]


def coco() -> Data:
    """Return features (n, D), labels with 95% of the rows unknown, class weights (K, D) and the labelled prior."""
    path = data_folder() / "coco14_labels" / "coco14_labels.npz"
    with np.load(path) as file:
        truth = np.unpackbits(file["train_Y"], axis=1)[:, :80].astype(np.int8)
    n, n_labels = truth.shape
    random = generator(0, "refresh-benchmark")
    weight = random.standard_normal((n_labels, 256)).astype(np.float32)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    features = truth.astype(np.float32) @ weight
    features += random.standard_normal(features.shape, dtype=np.float32) / 16
    labels = np.full_like(truth, -1)
    labelled = random.permutation(n)[: int(0.05 * n)]
    labels[labelled] = truth[labelled]
    return features, labels, weight, truth[labelled].mean(axis=0)


def balanced(data: Data) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    found = balanced_refresh(*data)
    return found.pseudo, found.keep


def plain(data: Data) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Refresh as the released code is described: full float matrices, full sorts, arccos of everything."""
    features, weight = torch.from_numpy(data[0]), torch.from_numpy(data[2])
    targets = torch.from_numpy(data[1]).float()
    unknown = targets[:, 0] == -1
    unit = torch.nn.functional.normalize(features)
    angles = torch.acos((unit @ torch.nn.functional.normalize(weight).T).clamp(-1, 1))
    scores = torch.sigmoid(torch.cos(angles[unknown]))
    counts = (torch.from_numpy(data[3]) * len(scores)).long()
    highest = torch.sort(scores, dim=0, descending=True).values
    thresholds = highest.gather(0, counts.clamp(min=1)[None] - 1)
    targets[unknown] = ((scores >= thresholds) & (counts > 0)).float()
    positive, negative = (targets == 1).float(), (targets == 0).float()
    prototypes = positive.T @ features / (positive.sum(0)[:, None] + 1e-5)
    similarities = unit @ torch.nn.functional.normalize(prototypes).T
    angles = torch.acos(similarities.clamp(-1, 1))
    for side in (positive, negative):
        mean = (angles * side).sum(0) / side.sum(0).clamp(min=1)
        _ = (((angles - mean) * side) ** 2).sum(0) / (side.sum(0) - 1).clamp(min=1)
    order = torch.sort(similarities.masked_fill(negative == 0, -2), dim=0, descending=True).indices
    wanted = torch.minimum(5 * positive.sum(0), negative.sum(0)).long()
    keep = positive == 1
    for label, count in enumerate(wanted.tolist()):
        keep[order[:count, label], label] = True
    return targets.numpy(), keep.numpy()


CONTENDERS = {"balanced_refresh": balanced, "plain": plain}


def resident(line: str) -> float:
    """Return a figure of this process's memory in MB, by its name in Linux's status file."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(line + ":")[1].split()[0]) / 1000


def extra_memory(name: str) -> float:
    """Return how many MB the resident set grows during the first refresh of this process, at its peak."""
    data = coco()
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    CONTENDERS[name](data)
    return resident("VmHWM") - before


def timed(name: str, data: Data) -> tuple[float, float]:
    """Return wall and processor time of one refresh."""
    start, start_cpu = time.perf_counter(), time.process_time()
    CONTENDERS[name](data)
    return time.perf_counter() - start, time.process_time() - start_cpu


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=5).parse_args()
    table, data = place(given, TABLE), coco()
    results = [action(data) for action in CONTENDERS.values()]
    times = {name: [] for name in CONTENDERS}
    for _ in range(given.rounds):
        for name in CONTENDERS:
            times[name].append(timed(name, data))
    spent = {name: [median(column) for column in zip(*values, strict=True)] for name, values in times.items()}
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        memory = dict(zip(CONTENDERS, pool.map(extra_memory, CONTENDERS, chunksize=1), strict=True))
    n, dimensions = data[0].shape
    rows = [
        {
            "refresh": name,
            "items": n,
            "features": dimensions,
            "labels": len(data[2]),
            "seconds": f"{wall:.3f}",
            "cpu": f"{cpu:.3f}",
            "ratio": f"{wall / spent['plain'][0]:.3f}",
            "extra_mb": f"{memory[name]:.0f}",
        }
        for name, (wall, cpu) in spent.items()
    ]
    publish(table, rows)
    equal = [float((ours == theirs).mean()) for ours, theirs in zip(*results, strict=True)]
    print(f"entries that agree: pseudo-labels {equal[0]:.6f}, kept {equal[1]:.6f}")


if __name__ == "__main__":
    main()
