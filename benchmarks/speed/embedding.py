"""Rate of ``embed`` on pictures and texts beside the backbone's own rate on batches that are ready.

``python benchmarks/embedding.py`` needs ``LABELWISE_DATA`` and the extras ``vision`` and ``text``. It embeds 256 JPEGs
of ``voc12_subset`` by ``efficientnet-lite0`` at 224 x 224, from the files, and 2,048 comments of ``goemotions`` by
``minilm``, from the strings, tokens included. Beside each runs its reference: batches that are decoded and padded
beforehand, through the backbone alone, in bfloat16 and channels last, with all of torch's threads. The two take turns
for five rounds; the median of the five ratios stands beside its bound in ``benchmarks/results/embedding.csv``.
"""

from __future__ import annotations

import csv
import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import Tensor, nn
from writing import place, script_parser

from labelwise.data import ImageFiles, Source, Texts
from labelwise.embedding import embed
from labelwise.embedding.batches import bucketed, in_order
from labelwise.embedding.extraction import ITEMS
from labelwise.models import build_backbone, build_tokenizer, preprocessing_of

RESULTS = Path(__file__).parent / "results" / "embedding.csv"
ROUNDS, BOUND = 5, 0.85
OWN_TOKENS = 1024
"""Padded tokens of a batch for the backbone alone: those of like length side by side, with hardly any padding."""


def pictures(data: Path) -> tuple[Callable[[], Source], list[np.ndarray]]:
    """Return what makes the source of 256 JPEGs, and the batches that ``embed`` makes of it."""
    paths = sorted((data / "voc12_subset" / "JPEGImages").iterdir())[:256]
    preprocessing = preprocessing_of("efficientnet-lite0")
    batches = in_order(np.arange(len(paths)), ITEMS["cpu"])
    return lambda: ImageFiles(paths, preprocessing), [batch.rows for batch in batches]


def texts(data: Path) -> tuple[Callable[[], Source], list[np.ndarray]]:
    """Return what makes the source of 2,048 comments, and the batches that the backbone alone reads."""
    with gzip.open(data / "goemotions" / "train.tsv.gz", "rt", encoding="utf-8") as file:
        strings = [next(file).split("\t")[0] for _ in range(2048)]
    preprocessing = preprocessing_of("minilm")

    def make() -> Texts:
        return Texts(strings, build_tokenizer(preprocessing))

    batches = bucketed(np.arange(len(strings)), make().lengths, OWN_TOKENS)
    return make, [batch.rows for batch in batches]


def own_rate(backbone: nn.Module, batches: list[Tensor]) -> float:
    """Return the items a second of the backbone alone."""
    began = time.perf_counter()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches:
            backbone(batch)
    return sum(map(len, batches)) / (time.perf_counter() - began)


def embedding_rate(backbone: nn.Module, make: Callable[[], Source]) -> float:
    """Return the items a second of ``embed``, from files or strings to features."""
    began = time.perf_counter()
    features = embed(backbone, make(), device="cpu", precision="bf16").features
    return len(features) / (time.perf_counter() - began)


def main() -> None:
    results = place(script_parser(__doc__, RESULTS).parse_args(), RESULTS)
    data, rows = Path(os.environ["LABELWISE_DATA"]), []
    for name, prepare in (("efficientnet-lite0", pictures), ("minilm", texts)):
        make, index = prepare(data)
        backbone = build_backbone(name, ()).eval()
        ready = [make().batch(rows_, "plain", seed=0, epoch=0) for rows_ in index]
        own = backbone
        if ready[0].ndim == 4:
            own = build_backbone(name, ()).eval().to(memory_format=torch.channels_last)
            ready = [batch.contiguous(memory_format=torch.channels_last) for batch in ready]
        own_rate(own, ready[:4])
        embedding_rate(backbone, make)
        rates = [(embedding_rate(backbone, make), own_rate(own, ready)) for _ in range(ROUNDS)]
        row = {
            "backbone": name,
            "items": sum(map(len, ready)),
            "embed_per_second": round(median(rate for rate, _ in rates), 1),
            "own_per_second": round(median(rate for _, rate in rates), 1),
            "ratio": round(median(rate / alone for rate, alone in rates), 3),
            "bound": BOUND,
        }
        rows.append(row)
        under = "" if row["ratio"] >= BOUND else "  UNDER"
        print("  ".join(f"{key} {value}" for key, value in row.items()) + under, flush=True)
    with results.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
