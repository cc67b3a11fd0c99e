"""Numbers, sentences, drawings and items as a page shows them."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from labelwise import plots

MISSING = "–"
WIDE, NARROW = 848, 354
"""Widths in pixels at which a drawing is made: for a page on a desk or on paper, and for a phone."""
MOST_BARS = 40
MOST_ROWS, _ENDS = 1_000, 100
"""Labels in a table; of more than these, so many stand at either end."""
_SIDE, _LONGEST, _MOST_TEXT = 160, 480, 400


def share(value: float | None) -> str:
    """Return a value in [0, 1] with three decimals.

    An undefined one is a dash.
    """
    return MISSING if value is None or math.isnan(value) else f"{value:.3f}"


def gain(value: float | None) -> str:
    """Return a difference with its sign, a true minus before negative ones."""
    return MISSING if value is None or math.isnan(value) else f"{value:+.3f}".replace("-", "−")


def count(value: int) -> str:
    """Return a whole number with separators of thousands."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Return a share in per cent.

    One that is not 0 or all never reads as if it were.
    """
    if 0 < value < 0.001:
        return "under 0.1%"
    if 0.999 < value < 1:
        return "over 99.9%"
    return f"{value:.0%}" if value in (0, 1) else f"{value:.1%}"


def duration(seconds: float | None) -> str:
    """Return a time span as seconds, minutes or hours."""
    if seconds is None:
        return MISSING
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def threshold(value: float | None) -> str:
    """Return the score from which a label is predicted.

    An infinite one is never reached.
    """
    return "never" if value is not None and math.isinf(value) else share(value)


def interval(ends: tuple[float, float] | None, form: Callable[[float | None], str] = share) -> str:
    """Return both ends of an interval, or nothing where one is undefined."""
    if ends is None or any(math.isnan(end) for end in ends):
        return ""
    return f"{form(ends[0])} to {form(ends[1])}"


def join_names(names: Sequence[str], most: int = 12) -> str:
    """Return names joined by commas, and how many more there are."""
    more = f" and {count(len(names) - most)} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def sentence(text: str) -> str:
    """Return the text with a capital and a full stop."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", "…")) else ".")


def drawings(draw: Callable[..., Any], description: str, name: str) -> list[tuple[str, Markup]]:
    """Return (class, SVG) pairs of a drawing, for wide and narrow pages."""
    # Text in a drawing does not wrap, so that a phone takes one of its own.
    return [
        (kind, Markup(plots.as_svg(draw(width=width), description, name=f"{name}-{kind}")))
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    ]


def rows_shown(order: Sequence[int], n_labels: int) -> list[int]:
    """Return the labels that a table has: all, or of too many the ends of ``order``.

    Args:
        order: Labels by what the table is about, one end of interest first.
        n_labels: Number of all labels.
    """
    if n_labels <= MOST_ROWS:
        return list(range(n_labels))
    return [*order[:_ENDS], *order[max(_ENDS, len(order) - _ENDS) :]]


def partial_table(selection: str, shown: int, n_labels: int, where: str) -> str:
    """Return a sentence on the rows of a table of selected labels; empty where all stand there."""
    if n_labels <= MOST_ROWS:
        return ""
    return f"The table has {count(shown)} of {count(n_labels)} labels: {selection}. {where}"


def partial_caption(selection: str, n_labels: int) -> str:
    """Return the caption of a drawing of selected labels.

    Empty where all are drawn.
    """
    return f"The {MOST_BARS} of {count(n_labels)} labels {selection}." if n_labels > MOST_BARS else ""


def item_card(name: str, alt: str, picture: str | NDArray[Any] | None, text: str | None) -> dict[str, Any]:
    """Return an item as the macro ``card`` prints it.

    Its picture is a ``data:`` URI, its text is cut short.
    """
    small = isinstance(picture, np.ndarray) and max(picture.shape[:2]) <= 64
    return {
        "name": name,
        "alt": alt,
        "picture": picture
        if picture is None or isinstance(picture, str)
        else plots.picture_data_uri(picture),
        "small": small,
        "text": text if text is None or len(text) <= _MOST_TEXT else text[:_MOST_TEXT].rstrip() + "…",
    }


def thumbnail(path: str | Path | bytes) -> str | None:
    """Return a picture file as a small JPEG in a ``data:`` URI.

    Args:
        path: The file, or its bytes.

    Returns:
        A picture whose short side is at most 160 pixels; None where the file holds no picture.
    """
    from labelwise.data.images.decode import Unusable, decode

    try:
        image = decode(path)
    except Unusable:
        return None
    # The long side is bounded as well: a strip of a picture would fill the page's bytes.
    scale = min(1.0, _SIDE / min(image.size), _LONGEST / max(image.size))
    width, height = (max(1, round(scale * side)) for side in image.size)
    file = io.BytesIO()
    image.resize((width, height)).save(file, format="JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")
