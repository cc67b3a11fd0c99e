"""VOC12-animals pictures for measurements of whole networks: one file to carry, and pictures decoded once."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from labelwise._random import generator
from labelwise.data.images.files import Workers
from labelwise.data.images.strong_view import StrongView
from labelwise.data.views import bits, check_view, dropped, streams

MOST_BYTES = 45_000_000
_SIDE, _QUALITY = 144, 85


class Pictures(NamedTuple):
    """JPEG files as bytes, labels (n, K) int8, and which of them are training pictures (n,)."""

    files: list[bytes]
    labels: np.ndarray
    train: np.ndarray


class DecodedPictures:
    """Decoded pictures (n, H, W, 3) uint8 as a source of items, with the views that files of pictures have.

    Args:
        pixels: The pictures, in memory or mapped.
        rows: Which of them the items are.
        workers: Threads that make strong views; the next batch is drawn ahead.
    """

    kind = "image"

    def __init__(self, pixels: np.ndarray, rows: np.ndarray, workers: int = 2) -> None:
        self._pixels, self._rows = pixels, np.asarray(rows, np.int64)
        self._threads, self._strong = Workers(workers), StrongView()

    @property
    def shape(self) -> tuple[int, ...]:
        """``(3, H, W)``."""
        return (3, *self._pixels.shape[1:3])

    @property
    def workers(self) -> int:
        """The number of threads."""
        return self._threads.count

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> DecodedPictures:
        return DecodedPictures(self._pixels, self._rows[index], self.workers)

    def batch(self, index: np.ndarray, view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return views (b, 3, H, W) uint8, functions of (seed, epoch, picture)."""
        from PIL import Image

        check_view(view)
        rows = self._rows[np.asarray(index, np.int64)]
        pixels = np.asarray(self._pixels[rows])
        if view != "plain":
            numbers = bits(streams(rows, seed=seed, epoch=epoch), 2)
            mirrored = dropped(numbers[:, ("weak", "strong").index(view)], 0.5)
            pixels[mirrored] = pixels[mirrored][:, :, ::-1]
        if view == "strong":

            def change(place: int) -> None:
                random = generator(seed, "strong view", epoch, int(rows[place]))
                pixels[place] = np.asarray(self._strong(Image.fromarray(pixels[place]), random))

            self._threads.run(change, len(rows))
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def from_data(folder: Path) -> Pictures:
    """Return the set in the folder of real data, with the labels that both parts have a positive of."""
    with np.load(folder / "voc12_subset" / "voc12_animal_lite0.npz") as file:
        names, split, labels = file["names"], file["split"], file["Y"].astype(np.int8)
    train = split == "train"
    present = labels[train].any(0) & labels[~train].any(0)
    paths = [folder / "voc12_subset" / "JPEGImages" / f"{name}.jpg" for name in names]
    return Pictures([path.read_bytes() for path in paths], labels[:, present], train)


def export_pack(pictures: Pictures, path: Path, side: int = _SIDE, quality: int = _QUALITY) -> int:
    """Write the pictures with a short side of ``side`` pixels, and their labels; return the file's bytes.

    Raises:
        SystemExit: Where that would be more than ``MOST_BYTES``.
    """
    small = [_smaller(file, side, quality) for file in pictures.files]
    ends = np.cumsum([len(file) for file in small])
    if ends[-1] > MOST_BYTES:
        raise SystemExit(
            f"{ends[-1]:,} bytes of pictures are more than {MOST_BYTES:,}: give a smaller --pack-size or --quality"
        )
    joined = np.frombuffer(b"".join(small), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft.npz")
    np.savez(draft, files=joined, ends=ends, labels=pictures.labels, train=pictures.train)
    draft.replace(path)
    return path.stat().st_size


def from_pack(path: Path) -> Pictures:
    """Return the set that ``export_pack`` wrote."""
    with np.load(path, allow_pickle=False) as file:
        ends, joined = file["ends"], file["files"].tobytes()
        starts = np.concatenate([[0], ends[:-1]])
        files = [joined[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
        return Pictures(files, file["labels"], file["train"])


def decoded(pictures: Pictures, size: int, folder: Path) -> np.ndarray:
    """Return all pictures squashed to (n, size, size, 3) uint8, mapped from a file that is made once in ``folder``."""
    digest = hashlib.blake2b(digest_size=6)
    for file in pictures.files:
        digest.update(file)
    path = folder / f"pictures-{size}-{digest.hexdigest()}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".{path.name}.{os.getpid()}.draft"
        pixels = np.lib.format.open_memmap(draft, "w+", np.uint8, (len(pictures.files), size, size, 3))

        def fill(row: int) -> None:
            pixels[row] = _squashed(pictures.files[row], size)

        Workers(min(os.cpu_count() or 1, 16)).run(fill, len(pictures.files))
        pixels.flush()
        draft.replace(path)
    return np.load(path, mmap_mode="r")


def _squashed(file: bytes, size: int) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(image.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def _smaller(file: bytes, side: int, quality: int) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(file)) as image:
        ratio = min(1.0, side / min(image.size))
        width, height = (max(1, round(ratio * length)) for length in image.size)
        out = io.BytesIO()
        image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC).save(
            out, "JPEG", quality=quality
        )
        return out.getvalue()
