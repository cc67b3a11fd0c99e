"""Items small enough to stand in a page: pictures as JPEG in a ``data:`` URI, texts cut short."""

from __future__ import annotations

import base64
import io
from pathlib import Path

_SIDE, _LONGEST, _MOST_TEXT = 160, 480, 400


def thumbnail(path: str | Path | bytes) -> str | None:
    """Return the picture in a file, or in its bytes, with a short side of at most 160 pixels; None if it is none."""
    from labelwise.data.images.decode import Unusable, decode

    try:
        image = decode(path)
    except Unusable:
        return None
    scale = min(1.0, _SIDE / min(image.size), _LONGEST / max(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    file = io.BytesIO()
    image.resize((width, height)).save(file, format="JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def shortened(text: str) -> str:
    """Return the beginning of a text, 400 characters at most."""
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT].rstrip() + "…"
