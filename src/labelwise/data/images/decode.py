"""Pictures from files of any origin: decoded within bounds, and kept decoded."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import warnings
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from labelwise._files import is_link, make_folder, open_unshared, read_bytes, write_all
from labelwise.errors import Notice, UserError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

MOST_PIXELS = 2**30 // 12
"""Most pixels of a picture; past them Pillow warns of a bomb."""

BYTES_A_PIXEL = 3
"""Bytes a pixel of the largest picture; deeper ones have fewer pixels."""
_DEPTHS = {"1": 1, "L": 1, "P": 1, "LA": 4, "La": 4, "PA": 4, "RGB": 3, "YCbCr": 3, "LAB": 3, "HSV": 3}

_MOST_SCANS = 100
"""Most passes over a JPEG picture.

Encoders write about ten, and sixty bytes make one more of any size.
"""
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
"""A JPEG marker, neither a stuffed byte nor a restart."""
_WITHOUT_LENGTH, _SCAN, _END = (0x01, 0xD8), 0xDA, 0xD9

_ORIENTATION = 0x0112
_NAMES = "JPEG, PNG, WebP, GIF, BMP and TIFF files"


class Unusable(Exception):
    """A file that is no picture.

    The message is a clause, such as "is empty (0 bytes)".
    """


def open_regular(path: str | Path | bytes) -> BufferedReader | BytesIO:
    """Open a regular file to read, or a file's bytes.

    Bytes are what a file holds, never its name.

    Raises:
        Unusable: For what is missing, forbidden, a folder, a pipe, a socket or a device (never waits).
    """
    if isinstance(path, bytes):
        if not path:
            raise Unusable("is empty (0 bytes)")
        return BytesIO(path)
    try:
        # Looked at first, since to open a device can do something; opened without waiting, since a pipe can
        # take the file's place in between.
        _check_regular(os.stat(path).st_mode)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        file = os.fdopen(os.open(path, flags), "rb")
    except FileNotFoundError:
        raise Unusable("does not exist") from None
    except OSError as error:
        raise Unusable(f"cannot be opened ({error.strerror})") from None
    except ValueError:
        raise Unusable("cannot be opened (its name holds a null character)") from None
    status = os.fstat(file.fileno())
    try:
        _check_regular(status.st_mode)
        if not status.st_size:
            raise Unusable("is empty (0 bytes)")
    except Unusable:
        file.close()
        raise
    return file


def decode(path: str | Path | bytes, *, most_pixels: int = MOST_PIXELS) -> Image:
    """Return a file's picture as upright RGB.

    It is a JPEG, PNG, WebP, GIF, BMP or TIFF file, or the bytes of one, turned as its EXIF says.

    The content decides on the format, not the name. Of an animation the first frame counts; transparent
    pixels lie on white; 16-bit grey is scaled to 8 bits. The size is checked before anything is decoded.

    Raises:
        Unusable: For whatever cannot be read so.
    """
    with ExitStack() as stack:
        image = _open(stack.enter_context(open_regular(path)), most_pixels)
        try:
            image.load()
            return _upright(_rgb(image), _orientation(image))
        except Unusable:
            raise
        except Exception as error:
            raise Unusable(f"is damaged or cut short ({_reason(error)})") from None


def _check_regular(mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise Unusable("is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise Unusable("is a pipe, socket or device, not a file")


def _open(file: IO[bytes], most_pixels: int) -> ImageFile:
    """Open a picture by Pillow's classes themselves.

    ``Image.open`` has global limits, and formats that run programs.
    """
    try:
        start = file.read(32)
        kind = _kind(start)
        if kind is None:
            raise Unusable(f"is no picture that can be read (by content; {_NAMES} can)")
        # The header alone first, then what Pillow read, then what decoding would take: nothing has been decoded yet.
        _check_size(_webp_size(start), most_pixels)
        file.seek(0)
        image = kind(file)
        _check_size(image.size, most_pixels)
        _check_depth(image, most_pixels)
        # Each pass of a progressive file goes over all pixels, however few bytes it has.
        if "progressive" in image.info:
            _check_scans(file, BYTES_A_PIXEL * most_pixels)
        return image
    except Unusable:
        raise
    except Exception as error:
        raise Unusable(f"is damaged or cut short ({_reason(error)})") from None


def begins_as_picture(data: bytes) -> bool:
    """Return whether bytes begin as a picture that ``decode`` reads."""
    return _kind(data[:32]) is not None


def _kind(start: bytes) -> Callable[[IO[bytes]], ImageFile] | None:
    if start.startswith(b"\xff\xd8\xff"):
        from PIL.JpegImagePlugin import JpegImageFile

        return JpegImageFile
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        from PIL.WebPImagePlugin import WebPImageFile

        return WebPImageFile
    if start.startswith((b"GIF87a", b"GIF89a")):
        from PIL.GifImagePlugin import GifImageFile

        return GifImageFile
    if start.startswith(b"BM"):
        from PIL.BmpImagePlugin import BmpImageFile

        return BmpImageFile
    if start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        from PIL.TiffImagePlugin import TiffImageFile

        return TiffImageFile
    return None


def _webp_size(start: bytes) -> tuple[int, int]:
    """Return the size in a WebP header.

    Pillow has room made for the whole canvas to learn it.
    """
    if start[:4] != b"RIFF":
        return 1, 1
    if start[12:16] == b"VP8X":
        return 1 + int.from_bytes(start[24:27], "little"), 1 + int.from_bytes(start[27:30], "little")
    if start[12:16] == b"VP8L":
        both = int.from_bytes(start[21:25], "little")
        return 1 + (both & 0x3FFF), 1 + (both >> 14 & 0x3FFF)
    return int.from_bytes(start[26:28], "little") & 0x3FFF, int.from_bytes(start[28:30], "little") & 0x3FFF


def _check_size(size: tuple[int, int], most_pixels: int) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise Unusable("has no pixels")
    if width * height > most_pixels:
        raise Unusable(f"has {width:,} x {height:,} pixels, more than {most_pixels:,} in all")


def _check_depth(image: Image, most_pixels: int) -> None:
    """Refuse a picture whose decoded bytes exceed three a pixel allowed.

    The bytes are pixels x channels x depth.

    Of several frames the first alone is decoded, so their number does not matter.
    """
    depth = 2 if image.mode.startswith("I;16") else _DEPTHS.get(image.mode, 4)
    most = BYTES_A_PIXEL * most_pixels
    if image.width * image.height * depth > max(most, 4):
        raise Unusable(
            f"has {image.width:,} x {image.height:,} pixels of {depth} bytes ({image.mode}), more than {most:,} bytes"
            " in all"
        )


def _check_scans(file: IO[bytes], most: int) -> None:
    """Refuse a JPEG file of very many passes over its pixels.

    Those past its end do not count.
    """
    position = file.tell()
    file.seek(0)
    data = file.read(most)
    file.seek(position)
    at, scans = 0, 0
    # Segments are jumped over by their own length, so that a thumbnail's markers within them do not count.
    while (marker := _MARKER.search(data, at)) and (code := marker[1][0]) != _END:
        at = marker.end()
        if code not in _WITHOUT_LENGTH:
            at += int.from_bytes(data[at : at + 2], "big")
        scans += code == _SCAN
        if scans > _MOST_SCANS:
            raise Unusable(f"has more than {_MOST_SCANS} scans, which would take very long; save it anew")


def _rgb(image: Image) -> Image:
    from PIL import Image as images

    if image.mode == "F":
        raise Unusable("holds floating-point pixels, whose range nothing tells; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values: np.ndarray[Any, np.dtype[Any]] = np.asarray(image)
        if values.min() < 0 or values.max() > 65535:
            raise Unusable("holds 32-bit pixels, whose range nothing tells; save it with 8 or 16 bits")
        # 65535 * 255 is below 2^32: no more room than four bytes a pixel is needed.
        grey = values.astype(np.uint32)
        grey *= 255
        grey += 32767
        grey //= 65535
        return images.fromarray(grey.astype(np.uint8)).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        white = images.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _orientation(image: Image) -> int:
    if image.format == "JPEG" and "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def _upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    turn = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if turn is None else image.transpose(turn)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]


_VERSION = 2
_HEADER = struct.Struct("<4I")
"""Version of the format, height, width, and a check sum of all."""
_FLAGS = os.O_WRONLY | os.O_CREAT


def shortened(image: Image, side: int, interpolation: str) -> Image:
    """Return the picture with its shorter side at ``side`` pixels.

    It stays as it is where that side is no longer.
    """
    from PIL.Image import Resampling

    short = min(image.size)
    if short <= side:
        return image
    width, height = (side if length == short else round(length * side / short) for length in image.size)
    return image.resize((width, height), Resampling[interpolation.upper()])


class DecodedPictures:
    """Decoded pictures on disk, one file each.

    The file is named by the picture's own file: a new, changed or moved one costs itself alone.

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
            make_folder(self.folder)
        except OSError as error:
            raise UserError(
                f"cache: {folder} cannot be written ({error.strerror or error}); give another folder"
            ) from None

    @staticmethod
    def key(path: str | bytes) -> str | None:
        """Return the name under which a picture is kept.

        None for a file that is not there.

        A file is known by its path, size and times. The time of its last change is one of them, since no program sets
        it: another picture of the same name, size and date is another one.
        """
        if isinstance(path, bytes):
            return hashlib.blake2b(path, digest_size=16).hexdigest()
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            return None
        identity = f"{os.path.abspath(path)}\n{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
        return hashlib.blake2b(identity.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

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
        # The key is part of the sum: a file under another picture's name fails too.
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
            handle = open_unshared(path, _FLAGS)
        except OSError:
            # A link, a pipe or a file with another name: it goes, and what it leads to stays.
            path.unlink(missing_ok=True)
            handle = open_unshared(path, _FLAGS)
        with FileIO(handle, "w") as file:
            write_all(file, content)
            # After the write: a reader of the longer old file sees a wrong check sum, never an empty file.
            file.truncate(len(content))


def _check_sum(key: str, height: int, width: int, pixels: bytes) -> int:
    return zlib.crc32(pixels, zlib.crc32(f"{key} {height} {width}".encode()))
