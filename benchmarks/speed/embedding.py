"""Rate of `embed` on pictures and texts beside the backbone's own rate on ready batches.

`python -m benchmarks.speed.embedding` needs LABELWISE_DATA and the extras `vision` and `text`. It embeds 256 JPEGs of
`voc12_subset` by `efficientnet-lite0` at 224 x 224, from the files, and 2,048 comments of `goemotions` by `minilm`,
from the strings, tokens included. Beside each runs its reference: batches that are decoded and padded beforehand,
through the backbone alone, in bfloat16 and channels last, with all of torch's threads. The two take turns for five
rounds; the median of the five ratios stands beside its bound.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.common import RESULTS, data_folder, in_turns, median_ratio, place, publish, script_parser
from labelwise.data import ImageFiles, Source, Texts
from labelwise.embedding import embed
from labelwise.embedding.extraction import ITEMS
from labelwise.embedding.pipeline import bucketed, in_order
from labelwise.models import build_backbone, build_tokenizer, preprocessing_of

TABLE = RESULTS / "embedding.csv"
OWN_TOKENS = 1024
"""Padded tokens of a batch for the backbone alone: those of like length side by side, with hardly any padding."""


def pictures(data: Path) -> tuple[Callable[[], Source], list[np.ndarray]]:
    """Return what makes the source of 256 JPEGs, and the batches that `embed` makes of it."""
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


def forward(backbone: nn.Module, batches: list[Tensor]) -> None:
    """Run the backbone alone."""
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for batch in batches:
            backbone(batch)


def main() -> None:
    given = script_parser(__doc__, TABLE, rounds=5).parse_args()
    table, data, rows = place(given, TABLE), data_folder(), []
    for name, prepare in (("efficientnet-lite0", pictures), ("minilm", texts)):
        make, index = prepare(data)
        backbone = build_backbone(name, ()).eval()
        ready = [make().batch(rows_, "plain", seed=0, epoch=0) for rows_ in index]
        own = backbone
        if ready[0].ndim == 4:
            own = build_backbone(name, ()).eval().to(memory_format=torch.channels_last)
            ready = [batch.contiguous(memory_format=torch.channels_last) for batch in ready]
        cases = {
            "own": partial(forward, own, ready),
            # From files or strings to features: the source is made anew each time.
            "embed": lambda b=backbone, make=make: embed(b, make(), device="cpu", precision="bf16"),
        }
        forward(own, ready[:4])
        cases["embed"]()
        times, items = in_turns(cases, given.rounds), sum(map(len, ready))
        row = {
            "backbone": name,
            "items": items,
            "embed_per_second": round(items / median(times["embed"]), 1),
            "own_per_second": round(items / median(times["own"]), 1),
            "ratio": round(median_ratio(times["own"], times["embed"]), 3),
            "bound": 0.85,
        }
        rows.append(row)
    publish(table, rows)


if __name__ == "__main__":
    main()
