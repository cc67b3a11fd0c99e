"""Decoded pictures kept on disk, at a small size, for the epochs and runs to come."""

from __future__ import annotations

import hashlib
import os
import struct
import warnings
import zlib
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from labelwise._files import is_link, open_own, own_folder, read_bytes, write_all
from labelwise.errors import Notice, UserError

if TYPE_CHECKING:
    from PIL.Image import Image

_VERSION = 2
_HEADER = struct.Struct("<4I")
"""Before the pixels: the format's version, height, width, and a check sum of these, the key and the pixels."""
_FLAGS = os.O_WRONLY | os.O_CREAT


def shortened(image: Image, side: int, interpolation: str) -> Image:
    """Return the picture with its shorter side at ``side`` pixels, or as it is where that is no longer."""
    from PIL.Image import Resampling

    short = min(image.size)
    if short <= side:
        return image
    width, height = (side if length == short else round(length * side / short) for length in image.size)
    return image.resize((width, height), Resampling[interpolation.upper()])


class DecodedPictures:
    """One file a picture, named by the picture's own file: a new, changed or moved one costs itself alone.

    A file that a kill, a full disk or damage left wrong fails its check sum and is written anew; two processes write
    equal bytes to one place. Links in the folder are not followed. Where the disk refuses, a warning says so once and
    nothing more is kept.

    Raises:
        UserError: Where the folder cannot be made.
    """

    def __init__(self, folder: Path, *, side: int, interpolation: str, most_pixels: int) -> None:
        self.side, self._most_pixels, self._keeps = side, most_pixels, True
        space = hashlib.blake2b(f"{_VERSION} {side} {interpolation} {most_pixels}".encode(), digest_size=8)
        self.folder = folder / f"pictures-{space.hexdigest()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if is_link(self.folder):
                self.folder.unlink()
            own_folder(self.folder)
        except OSError as error:
            raise UserError(
                f"cache: {folder} cannot be written ({error.strerror or error}); give another folder"
            ) from None

    @staticmethod
    def key(path: str | bytes) -> str | None:
        """Return the name of what is kept of a picture, None for a file that is not there.

        A file is known by its path, size and times. The time of its last change is one of them, since no program sets
        it: another picture of the same name, size and date is another one.
        """
        if isinstance(path, bytes):
            return hashlib.blake2b(path, digest_size=16).hexdigest()
        try:
            found = os.stat(path)
        except (OSError, ValueError):
            return None
        told = f"{os.path.abspath(path)}\n{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"
        return hashlib.blake2b(told.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def get(self, key: str | None) -> Image | None:
        """Return a picture that was kept, or None."""
        from PIL import Image as images

        if key is None:
            return None
        try:
            content = read_bytes(self.folder / key, _HEADER.size + 3 * self._most_pixels)
            version, height, width, check = _HEADER.unpack_from(content)
        except (OSError, struct.error):
            return None
        pixels = content[_HEADER.size :]
        if version != _VERSION or 3 * height * width != len(pixels) or not len(pixels):
            return None
        if check != _check_sum(key, height, width, pixels):
            return None
        return images.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1)

    def put(self, key: str | None, image: Image) -> None:
        """Keep a picture, or warn once that nothing more is kept."""
        if key is None or not self._keeps:
            return
        pixels = image.tobytes()
        check = _check_sum(key, image.height, image.width, pixels)
        path = self.folder / key
        try:
            self._write(path, _HEADER.pack(_VERSION, image.height, image.width, check) + pixels)
        except OSError as error:
            self._keeps = False
            with suppress(OSError):
                path.unlink(missing_ok=True)
            note = (
                f"the cache of pictures {self.folder} cannot be written ({error.strerror or error}): this run goes on,"
                " and keeps no more of them; free some space, or give another folder"
            )
            warnings.warn(Notice(note), stacklevel=2)

    def _write(self, path: Path, content: bytes) -> None:
        try:
            handle = open_own(path, _FLAGS)
        except OSError:
            # A link, a pipe or a file with another name: it goes, and what it leads to stays.
            path.unlink(missing_ok=True)
            handle = open_own(path, _FLAGS)
        with FileIO(handle, "w") as file:
            write_all(file, content)
            file.truncate(len(content))


def _check_sum(key: str, height: int, width: int, pixels: bytes) -> int:
    return zlib.crc32(pixels, zlib.crc32(f"{key} {height} {width}".encode()))
