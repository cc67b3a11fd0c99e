"""Pictures in files, decoded by several threads when they are asked for."""

from __future__ import annotations

import copy
import hashlib
import itertools
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelwise._random import generator
from labelwise.data.images.decode import (
    MOST_PIXELS,
    DecodedPictures,
    Unusable,
    decode,
    open_regular,
    shortened,
)
from labelwise.data.images.paths import resolve_inside
from labelwise.data.images.strong_view import StrongView
from labelwise.data.views import bits, check_view, dropped, streams
from labelwise.errors import UserError

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    from labelwise.models import ImagePreprocessing


class Workers:
    """Threads that share out numbered jobs.

    ``count`` of them are started when first needed; with 0 or 1 the calling thread does the work.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._threads: ThreadPoolExecutor | None = None
        self._process = 0

    def __getstate__(self) -> dict[str, object]:
        return {"count": self.count, "_threads": None, "_process": 0}

    def run(self, job: Callable[[int], None], jobs: int) -> None:
        """Call ``job(0)`` to ``job(jobs - 1)``, in any order.

        Jobs write to places of their own.

        The error that is raised is that of the lowest number, whatever the number of threads.
        """
        if self.count < 2 or jobs < 2:
            for number in range(jobs):
                job(number)
            return
        if self._threads is None or self._process != os.getpid():
            # The threads of a forked process's parent do not come along.
            self._threads, self._process = ThreadPoolExecutor(self.count, "labelwise-items"), os.getpid()
        numbers = itertools.count()
        failed: list[tuple[int, BaseException]] = []

        def work() -> None:
            for number in numbers:
                if number >= jobs or failed:
                    return
                try:
                    job(number)
                except BaseException as error:
                    failed.append((number, error))

        # Numbers are handed out in order and each one begun is finished, so the lowest failure is among these.
        for done in [self._threads.submit(work) for _ in range(min(self.count, jobs))]:
            done.result()
        if failed:
            raise min(failed, key=lambda failure: failure[0])[1]


Progress = Callable[[int, int], None]
"""A function of the numbers of items done and of all items."""

_BAD_SHARE, _BAD_LEAST = 0.05, 3


@dataclass(frozen=True)
class BadItem:
    """An item that cannot be used.

    It has its row in the source (from 0), its id, and a clause that says why.
    """

    row: int
    item: str
    reason: str


def refuse_too_many(bad: Sequence[BadItem], n_items: int) -> None:
    """Raise ``UserError`` where more than 5% of the items are bad.

    Two are accepted in any case.
    """
    if bad and len(bad) > max(_BAD_SHARE * n_items, _BAD_LEAST - 1):
        first = min(bad, key=lambda item: item.row)
        raise UserError(
            f"{len(bad)} of {n_items:,} items cannot be used, which is past {_BAD_SHARE:.0%}; the first is"
            f" {first.item[:80]!r} (row {first.row}, counted from 0): {first.reason}; mend them or drop their rows"
        )


class ImageFiles:
    """Pictures in files, as uint8 (3, H, W) of a backbone's size.

    The files are JPEG, PNG, WebP, GIF, BMP or TIFF.

    The plain view is the upright RGB picture, resized. The weak view is that, mirrored with probability .5;
    the strong view is mirrored likewise, by a number of its own, and changed by ``strong``. Every view is a
    function of (seed, epoch, item), whatever the batch and the number of workers; ``source[index]`` keeps the
    items' numbers.

    Args:
        paths: N files, or the bytes of pictures; what they hold decides on their format, not their names.
        preprocessing: The size, and how a picture comes to it; ``models.preprocessing_of`` gives a backbone's.
        root: A folder: relative paths start there, and none may lead out of it, by links neither.
        items: The n ids, for messages; by default the paths as given, or numbers from 0 for bytes.
        workers: Threads that decode, >= 0; 0 decodes in the calling thread.
        strong: The strong view, or keywords of ``StrongView``.
        cache: A folder in which to keep the decoded pictures, with the shorter side at 256 pixels (or as large as
            the backbone needs), for the epochs and runs to come. Larger pictures then pass through that size, so
            that their views differ in a few units from those made without.
        most_pixels: A picture with more is not decoded.

    Raises:
        UserError: For a path that leads out of ``root``, and for arguments out of range.
    """

    kind: Literal["image"] = "image"

    def __init__(
        self,
        paths: Iterable[str | os.PathLike[str] | bytes],
        preprocessing: ImagePreprocessing,
        *,
        root: str | Path | None = None,
        items: Sequence[str] | None = None,
        workers: int = 2,
        strong: StrongView | Mapping[str, Any] | None = None,
        cache: str | Path | None = None,
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        sources = [path if isinstance(path, bytes) else os.fspath(path) for path in paths]
        if items is not None and len(items) != len(sources):
            raise UserError(f"{len(sources)} paths and {len(items)} items: give one id per path")
        if workers < 0:
            raise UserError(f"workers is {workers}: give a number of threads, or 0 for none")
        named = [str(row) if isinstance(path, bytes) else path for row, path in enumerate(sources)]
        self.items = named if items is None else [str(item) for item in items]
        self._paths: list[str | bytes] = sources
        if root is not None:
            inside = iter(resolve_inside(_names(sources), root, self._location, "root"))
            self._paths = [path if isinstance(path, bytes) else next(inside) for path in sources]
        self.preprocessing = preprocessing
        self.strong = strong if isinstance(strong, StrongView) else StrongView(**(strong or {}))
        self.most_pixels = most_pixels
        self._rows: NDArray[np.int64] = np.arange(len(sources))
        self._workers = Workers(workers)
        self._decoded: DecodedPictures | None = None
        if cache is not None:
            self._decoded = DecodedPictures(
                Path(cache),
                side=max(256, preprocessing.short_side or 0, *preprocessing.size),
                interpolation=preprocessing.interpolation,
                most_pixels=most_pixels,
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """``(3, H, W)``."""
        return (3, *self.preprocessing.size)

    @property
    def workers(self) -> int:
        """The number of threads that decode."""
        return self._workers.count

    @property
    def decoded_side(self) -> int | None:
        """The shorter side of the pictures that are kept decoded.

        None where none are.
        """
        return None if self._decoded is None else self._decoded.side

    @property
    def paths(self) -> list[str | bytes]:
        """The n files, or what they hold."""
        return [self._paths[row] for row in self._rows.tolist()]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: NDArray[Any] | slice) -> ImageFiles:
        """Return the source of some rows: numbers, a mask or a slice.

        Files and cache are shared.
        """
        part = copy.copy(self)
        part._rows = self._rows[index]
        part.items = [self.items[row] for row in np.arange(len(self))[index].tolist()]
        return part

    def batch(self, index: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> torch.Tensor:
        """Return the pictures' views (b, 3, H, W) uint8.

        They are laid out channels last; see ``Source``.

        Raises:
            UserError: For a file that cannot be used, or is gone.
        """
        return self.views({view: index}, seed=seed, epoch=epoch)[view]

    def views(
        self, wanted: Mapping[str, NDArray[np.int64]], *, seed: int, epoch: int
    ) -> dict[str, torch.Tensor]:
        """Return a batch for each view, as ``batch`` does.

        An item of several views is decoded once.
        """
        import torch

        height, width = self.preprocessing.size
        batches: dict[str, NDArray[np.uint8]] = {}
        places: dict[int, list[tuple[str, int, bool]]] = {}
        for view, index in wanted.items():
            check_view(view)
            rows = np.asarray(index, dtype=np.int64)
            batches[view] = np.empty((len(rows), height, width, 3), dtype=np.uint8)
            # Drawn for the whole batch at once, since a generator an item takes its time.
            mirrored = self._mirrored(rows, view, seed=seed, epoch=epoch)
            for place, (row, mirror) in enumerate(zip(rows.tolist(), mirrored, strict=True)):
                places.setdefault(row, []).append((view, place, mirror))
        jobs = list(places.items())

        def fill(number: int) -> None:
            row, uses = jobs[number]
            plain = self._resized(self._read(row))
            for view, place, mirror in uses:
                batches[view][place] = self._changed(plain, view, mirror, row, seed, epoch)

        self._workers.run(fill, len(jobs))
        return {view: torch.from_numpy(batch).permute(0, 3, 1, 2) for view, batch in batches.items()}

    def scan(self, progress: Progress | None = None) -> list[BadItem]:
        """Decode every item once, and return those that cannot be used.

        Decoded pictures go into the cache where there is one.
        """
        bad: list[BadItem] = []
        done, one_at_a_time = 0, threading.Lock()

        def check(row: int) -> None:
            nonlocal done
            try:
                self._pixels(row)
            except Unusable as reason:
                bad.append(BadItem(row, self.items[row], str(reason)))
            with one_at_a_time:
                done += 1
                if progress is not None:
                    progress(done, len(self))

        self._workers.run(check, len(self))
        return sorted(bad, key=lambda item: item.row)

    def digests(self) -> list[bytes]:
        """Return a digest (16 bytes) of each file's bytes.

        It is empty for a file that cannot be read.
        """
        digests = [b""] * len(self)

        def digest(row: int) -> None:
            try:
                with open_regular(self._path(row)) as file:
                    digests[row] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).digest()
            except (Unusable, OSError):
                return

        self._workers.run(digest, len(self))
        return digests

    def _path(self, row: int) -> str | bytes:
        return self._paths[int(self._rows[row])]

    def _location(self, row: int) -> str:
        return f"row {row} (counted from 0)"

    def _mirrored(self, rows: NDArray[np.int64], view: str, *, seed: int, epoch: int) -> list[bool]:
        if view == "plain":
            return [False] * len(rows)
        # By the items' own numbers: a part of a source mirrors each item as the whole does.
        numbers = bits(streams(self._rows[rows], seed=seed, epoch=epoch), 2)
        mirrored: list[bool] = dropped(numbers[:, ("weak", "strong").index(view)], 0.5).tolist()
        return mirrored

    def _changed(
        self, plain: Image, view: str, mirror: bool, row: int, seed: int, epoch: int
    ) -> NDArray[np.uint8]:
        from PIL.Image import Transpose

        image = plain.transpose(Transpose.FLIP_LEFT_RIGHT) if mirror else plain
        if view == "strong":
            image = self.strong(image, generator(seed, "strong view", epoch, int(self._rows[row])))
        return np.asarray(image)

    def _resized(self, image: Image) -> Image:
        from PIL.Image import Resampling

        height, width = self.preprocessing.resized(image.height, image.width)
        image = image.resize((width, height), Resampling[self.preprocessing.interpolation.upper()])
        size = self.preprocessing.size
        if (height, width) == size:
            return image
        top, left = (height - size[0]) // 2, (width - size[1]) // 2
        return image.crop((left, top, left + size[1], top + size[0]))

    def _read(self, row: int) -> Image:
        try:
            return self._pixels(row)
        except Unusable as reason:
            mend = "put the file back" if str(reason) == "does not exist" else "replace the file"
            raise UserError(
                f"item {self.items[row][:80]!r} (row {row}, counted from 0): {self._shown(row)} {reason};"
                f" {mend}, drop the row, or skip such items (--on-bad-item skip)"
            ) from None

    def _shown(self, row: int) -> str:
        path = self._path(row)
        return "its picture" if isinstance(path, bytes) else path[:300]

    def _pixels(self, row: int) -> Image:
        """Return a row's picture, by way of the cache."""
        path = self._path(row)
        if self._decoded is None:
            return self._fitting(decode(path, most_pixels=self.most_pixels))
        key = self._decoded.key(path)
        small = self._decoded.get(key)
        if small is None:
            image = decode(path, most_pixels=self.most_pixels)
            small = shortened(image, self._decoded.side, self.preprocessing.interpolation)
            # A file that was being written meanwhile may be half of one picture under the key of another.
            if key == self._decoded.key(path):
                self._decoded.put(key, small)
        return self._fitting(small)

    def _fitting(self, image: Image) -> Image:
        """Return the picture, or refuse one too narrow to be resized.

        Such a one would become more pixels than a picture may have.
        """
        height, width = self.preprocessing.resized(image.height, image.width)
        if height * width > max(self.most_pixels, math.prod(self.preprocessing.size)):
            raise Unusable(
                f"has {image.width:,} x {image.height:,} pixels, too narrow to be resized"
                f" ({width:,} x {height:,} would be more than {self.most_pixels:,} pixels)"
            )
        return image


def _names(paths: Sequence[str | bytes]) -> list[str]:
    return [path for path in paths if isinstance(path, str)]
