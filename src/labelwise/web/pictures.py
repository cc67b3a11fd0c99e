"""Pictures of items, small, for a page."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict

from labelwise.runs.reviewing import ReviewData

_MOST_BYTES = 64 << 20
_SMALL = 128
"""Pictures up to this side are sent as they are, and drawn with their pixels."""


class Pictures:
    """Thumbnails of the run's pictures, by row alone; the last ones are kept.

    A path never comes from a request: the rows' files were found when the table was read.
    """

    def __init__(self, data: ReviewData) -> None:
        self._contents = data.contents if data.kind == "image" else None
        self._kept: OrderedDict[tuple[int, int], tuple[bytes, str]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, row: int, side: int) -> tuple[bytes, str]:
        """Return a picture whose sides are at most ``side``, and its media type.

        Raises:
            LookupError: Where the item has no picture.
            labelwise.data.images.decode.Unusable: Where it cannot be read.
        """
        if self._contents is None or not 0 <= row < len(self._contents):
            raise LookupError(row)
        key = row, side
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = _thumbnail(self._contents[row], side)
        with self._lock:
            self._kept[key] = made
            self._bytes += len(made[0])
            while self._bytes > _MOST_BYTES:
                _, (old, _) = self._kept.popitem(last=False)
                self._bytes -= len(old)
        return made


def _thumbnail(path: str | bytes, side: int) -> tuple[bytes, str]:
    from labelwise.data.images.decode import decode

    image = decode(path)
    small = max(image.size) <= _SMALL
    if not small:
        image.thumbnail((side, side))
    file = io.BytesIO()
    if small:
        image.save(file, format="PNG")
        return file.getvalue(), "image/png"
    image.save(file, format="JPEG", quality=86)
    return file.getvalue(), "image/jpeg"
