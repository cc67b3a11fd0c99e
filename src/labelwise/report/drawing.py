"""Drawings as a page shows them, for wide and for narrow screens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from labelwise import plots
from labelwise.report import words

WIDE, NARROW = 848, 354
"""Widths in pixels at which a drawing is made: for a page on a desk or on paper, and for a phone."""
MOST_BARS = 40


def drawing(draw: Callable[..., Any], description: str, name: str) -> list[tuple[str, Markup]]:
    """Return a drawing for wide and for narrow pages, as (class, SVG) pairs."""
    return [
        (kind, Markup(plots.as_svg(draw(width=width), description, name=f"{name}-{kind}")))
        for kind, width in (("wide", WIDE), ("narrow", NARROW))
    ]


def left_out(which: str, n_labels: int) -> str:
    """Return the caption of a drawing that shows some labels only."""
    return f"The {MOST_BARS} of {words.count(n_labels)} labels {which}." if n_labels > MOST_BARS else ""
