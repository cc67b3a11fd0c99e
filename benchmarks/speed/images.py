"""Rate of the weak view from picture files beside bare decoding and resizing.

`python -m benchmarks.speed.images`: two threads each, batches of 64 at 224 x 224, medians of five rounds after one that
warms the disk's cache; in a round each batch goes through all pipelines, so that the parts of a ratio share the
machine's state. The pictures are VOC12's (LABELWISE_DATA), else JPEGs of the same size that are made for it. The weak
and the strong view together, and the weak view from the cache of decoded pictures, have no bound.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.common import RESULTS, median_ratio, place, publish, script_parser, seconds
from labelwise.data import ImageFiles
from labelwise.models import ImagePreprocessing

TABLE = RESULTS / "images.csv"
SIZE, BATCH, WORKERS = 224, 64, 2


def pictures(folder: Path, count: int) -> tuple[str, list[Path]]:
    """Return what the pictures are, and `count` files."""
    data = os.environ.get("LABELWISE_DATA")
    if data:
        return "VOC12", sorted((Path(data) / "voc12_subset" / "JPEGImages").glob("*.jpg"))[:count]
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        rough = np.random.default_rng(number).integers(0, 256, (32, 43, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((341, 256), Image.Resampling.BICUBIC).save(path, quality=90)
    return "generated", paths


def bare(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def main() -> None:
    parser = script_parser(__doc__, TABLE, rounds=5)
    parser.add_argument("--pictures", type=int, default=640, help="number of pictures [default: 640]")
    given = parser.parse_args()
    table = place(given, TABLE)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as threads:
        kind, paths = pictures(Path(folder), given.pictures)
        preprocessing = ImagePreprocessing((SIZE, SIZE))
        source = ImageFiles(paths, preprocessing, workers=WORKERS)
        cached = ImageFiles(paths, preprocessing, workers=WORKERS, cache=Path(folder) / "cache")
        cached.scan()
        batches = [np.arange(start, min(start + BATCH, len(paths))) for start in range(0, len(paths), BATCH)]

        def views(names: tuple[str, ...], of: ImageFiles) -> Callable[[NDArray[np.int64], int], object]:
            return lambda index, epoch: of.views(dict.fromkeys(names, index), seed=0, epoch=epoch)

        cases: dict[str, Callable[[NDArray[np.int64], int], object]] = {
            "bare": lambda index, epoch: list(threads.map(bare, [paths[row] for row in index])),
            "weak": views(("weak",), source),
            "weak and strong": views(("weak", "strong"), source),
            "weak, cached": views(("weak",), cached),
        }
        rates: dict[str, list[float]] = {name: [] for name in cases}
        for epoch in range(given.rounds + 1):
            spent = dict.fromkeys(cases, 0.0)
            for index in batches:
                for name, case in cases.items():
                    spent[name] += seconds(lambda case=case, index=index, epoch=epoch: case(index, epoch))
            if epoch:
                for name, total in spent.items():
                    rates[name].append(len(paths) / total)
    rows = [
        {
            "pipeline": name,
            "pictures": len(paths),
            "kind": kind,
            "workers": WORKERS,
            "pictures_per_second": f"{median(values):.0f}",
            "ratio": f"{median_ratio(values, rates['bare']):.3f}",
            "bound": "0.9" if name == "weak" else "",
        }
        for name, values in rates.items()
    ]
    publish(table, rows)


if __name__ == "__main__":
    main()
