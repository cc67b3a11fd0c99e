"""Decoded pictures kept on disk, at a small size, for the epochs and runs to come."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelwise._files import clear_drafts, is_link, open_own, replacing_folder
from labelwise.data._decode import Unusable, measure
from labelwise.data._workers import Workers
from labelwise.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["DecodedPictures", "shortened"]

_VERSION = 1


def shortened(image: Image, side: int, interpolation: str) -> Image:
    """Return the picture with its shorter side at ``side`` pixels, or as it is where that is no longer."""
    from PIL.Image import Resampling

    height, width = _short_shape((image.height, image.width), side)
    if (width, height) == image.size:
        return image
    return image.resize((width, height), Resampling[interpolation.upper()])


class DecodedPictures:
    """One place per picture in one file, laid out from the pictures' headers, and a check sum once it is filled.

    The folder's name is a digest of the paths, sizes and times of all files, so that a changed file is
    decoded anew. A picture is written before its check sum (``done``, n uint32, 0 for none), and one whose sum
    is wrong counts as not written: a run that is killed leaves nothing half done. Two processes write equal
    bytes to equal places. A picture whose header told another size than its pixels is never kept.

    :raises UserError: where the folder cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        paths: Sequence[str | bytes],
        *,
        side: int,
        interpolation: str,
        most_pixels: int,
        workers: Workers,
    ) -> None:
        self.side, self._most_pixels = side, most_pixels
        self.folder = folder / _key(paths, side, interpolation, most_pixels)
        if not self._found(len(paths)):
            shapes = _shapes(paths, side, most_pixels, workers)
            try:
                _lay_out(self.folder, shapes)
                self._load(len(paths))
            except OSError as error:
                raise UserError(
                    f"cache: {folder} cannot be written ({error.strerror or error}); give another folder"
                ) from None

    def _found(self, n: int) -> bool:
        """Open what is there and return whether it is whole; what is damaged is deleted."""
        try:
            self._load(n)
        except (OSError, ValueError, EOFError):
            # Whoever has it open keeps what it has; of a link, what it leads to stays.
            if is_link(self.folder):
                self.folder.unlink()
            shutil.rmtree(self.folder, ignore_errors=True)
            return False
        return True

    def _load(self, n: int) -> None:
        if is_link(self.folder):
            raise NotADirectoryError("a link")
        # Mapped first: a header that lies of its size would have room made for it.
        shapes = np.load(self.folder / "shapes.npy", allow_pickle=False, mmap_mode="r" if n else None)
        if shapes.shape != (n, 2) or shapes.dtype != np.int32 or (shapes < 0).any():
            raise ValueError("the shapes are of other pictures")
        self._shapes: NDArray[np.int32] = np.array(shapes)
        if (self._shapes.astype(np.float64).prod(axis=1) > self._most_pixels).any():
            raise ValueError("the shapes are of no pictures")
        ends = np.cumsum(3 * self._shapes.astype(np.int64).prod(axis=1))
        self._starts = np.concatenate([np.zeros(1, dtype=np.int64), ends])
        self._open()

    def _open(self) -> None:
        total = int(self._starts[-1])
        self._pixels = np.memmap(self.folder / "pixels.bin", np.uint8, "r", shape=(total,)) if total else None
        # Written in place, so never through a link nor to a file of another name.
        with os.fdopen(open_own(self.folder / "done.bin", os.O_RDWR), "r+b") as done:
            self._done = np.memmap(done, "<u4", "r+", shape=(max(len(self._shapes), 1),))
        self._file = os.fdopen(open_own(self.folder / "pixels.bin", os.O_RDWR), "r+b", buffering=0)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: self.__dict__[name] for name in ("side", "folder", "_shapes", "_starts")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def get(self, row: int) -> Image | None:
        """Return a picture that was kept, or None."""
        from PIL import Image as images

        if not self._done[row] or self._pixels is None:
            return None
        pixels = self._pixels[self._starts[row] : self._starts[row + 1]]
        if _check_sum(pixels) != self._done[row]:
            return None
        height, width = self._shapes[row].tolist()
        return images.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)

    def put(self, row: int, image: Image) -> None:
        """Keep a picture, if it has the size that its header told.

        :raises UserError: where the disk is full.
        """
        if (image.height, image.width) != tuple(self._shapes[row].tolist()):
            return
        pixels = image.tobytes()
        try:
            with self._lock:
                # Written as a file, since a full disk ends a process that writes to mapped memory.
                self._file.seek(int(self._starts[row]))
                rest = memoryview(pixels)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise UserError(
                f"cache: {self.folder} cannot be written ({error.strerror}); free the disk or train without it"
            ) from None
        self._done[row] = _check_sum(pixels)


def _check_sum(pixels: Any) -> int:
    return zlib.crc32(pixels) or 1


def _short_shape(shape: tuple[int, int], side: int) -> tuple[int, int]:
    short = min(shape)
    if short <= side:
        return shape
    height, width = (side if length == short else round(length * side / short) for length in shape)
    return height, width


def _key(paths: Sequence[str | bytes], side: int, interpolation: str, most_pixels: int) -> str:
    digest = hashlib.blake2b(f"{_VERSION} {side} {interpolation} {most_pixels}\n".encode(), digest_size=16)
    for path in paths:
        if isinstance(path, bytes):
            digest.update(hashlib.blake2b(path, digest_size=16).digest())
            continue
        try:
            status = os.stat(path)
            size, time = status.st_size, status.st_mtime_ns
        except (OSError, ValueError):
            size, time = -1, -1
        digest.update(f"{os.path.abspath(path)}\n{size} {time}\n".encode("utf-8", "surrogateescape"))
    return "decoded-" + digest.hexdigest()


def _shapes(paths: Sequence[str | bytes], side: int, most_pixels: int, workers: Workers) -> NDArray[np.int32]:
    shapes = np.zeros((len(paths), 2), dtype=np.int32)

    def look(row: int) -> None:
        try:
            shapes[row] = _short_shape(measure(paths[row], most_pixels=most_pixels), side)
        except Unusable:
            return

    workers.run(look, len(paths))
    return shapes


def _lay_out(folder: Path, shapes: NDArray[np.int32]) -> None:
    """Make the folder with all its files at once; of two processes that do, the first one's stays."""
    try:
        with replacing_folder(folder) as made:
            clear_drafts(folder.parent)
            np.save(made / "shapes.npy", shapes)
            with (made / "pixels.bin").open("wb") as file:
                file.truncate(3 * int(shapes.astype(np.int64).prod(axis=1).sum()))
            # Written out, since it is mapped: a full disk would end the process at the first check sum.
            (made / "done.bin").write_bytes(bytes(4 * max(len(shapes), 1)))
    except OSError:
        if not folder.is_dir():
            raise
