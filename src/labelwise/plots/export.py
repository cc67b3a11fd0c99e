"""Figures and pictures as SVG, PNG and files.

An SVG takes its colours and font from the page that it stands in.
"""

from __future__ import annotations

import base64
import io
import re
import warnings
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labelwise.errors import printable
from labelwise.plots.style import PALETTE, colour, drawing

_ROLES = {value.light: f"var(--plot-{role},{value.light})" for role, value in PALETTE.items()}
_HEX = re.compile("|".join(_ROLES))
_FAMILY = re.compile(r"font-family:[^;]*;?\s*")
_CLIP = re.compile(rb'<clipPath id="(p[0-9a-f]+)"')
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def as_svg(figure: Figure, description: str, *, name: str = "plot") -> str:
    """Return the figure as an ``<svg>`` element for an HTML page.

    Text stays text in the page's font, and colours of ``PALETTE`` become ``var(--plot-ROLE)`` (see
    ``stylesheet``), so that one drawing serves both themes. The element is as wide as its container,
    up to the figure's own width.

    Args:
        description: What the figure shows, for those who cannot see it.
        name: Prefix of the element's ids, unique in the page.
    """
    file = io.StringIO()
    with drawing(), warnings.catch_warnings():
        # The page's font draws the text; that matplotlib's own lacks a letter changes a width at most.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    # Not all text in a figure passed through short(), and XML holds no control character.
    root = ElementTree.fromstring(printable(file.getvalue()))
    for parent in list(root.iter()):
        for child in list(parent):
            # A drawing's style element would reach the whole page.
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    # Ids that nothing refers to would only make the page longer.
    used = {target for element in root.iter() for target in _references(element)}
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(_themed(attributes, name, used))
        if element.tag != "text" and element.text is not None and not element.text.strip():
            element.text = None
        element.tail = None
    _, _, width, height = root.attrib["viewBox"].split()
    root.attrib = {
        "role": "img",
        "aria-label": printable(description),
        "viewBox": f"0 0 {width} {height}",
        "stroke-linejoin": "round",
        "style": f"display:block;width:100%;max-width:{float(width):g}px;height:auto",
    }
    return ElementTree.tostring(root, encoding="unicode")


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _references(element: ElementTree.Element) -> list[str]:
    targets = [value[1:] for key, value in element.attrib.items() if _local(key) == "href"]
    return targets + [target for value in element.attrib.values() for target in _REFERENCE.findall(value)]


def _themed(attributes: dict[str, str], name: str, used: set[str]) -> dict[str, str]:
    """Return the attributes with unique ids, the page's font and theme colours."""
    themed = {}
    for key, value in attributes.items():
        if key == "id":
            if value in used:
                themed[key] = f"{name}-{value}"
        elif key == "href":
            themed[key] = f"#{name}-{value[1:]}"
        elif key == "style":
            themed[key] = _HEX.sub(lambda m: _ROLES[m[0]], _FAMILY.sub("", value))
        elif key == "d":
            themed[key] = " ".join(value.split())
        else:
            themed[key] = _REFERENCE.sub(rf"url(#{name}-\1)", value)
    return themed


def as_png_data_uri(figure: Figure, *, scale: float = 2.0) -> str:
    """Return the figure as a transparent PNG in a ``data:`` URI.

    ``scale`` pixels stand for one of its width.
    """
    file = io.BytesIO()
    with drawing(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="png", transparent=True, dpi=figure.dpi * scale)
    return _data_uri(file.getvalue())


def save_figure(
    figure: Figure, path: Path, kind: Literal["png", "svg"], *, caption: str = "", scale: float = 2.0
) -> None:
    """Write the figure on white to ``path``.

    The same figure gives the same bytes.

    Args:
        caption: Small print below the figure: what it rests on.
        scale: Pixels of a PNG to one of the figure's width.
    """
    # A file stands alone: text as outlines looks alike where the font is missing.
    with drawing(), rc_context({"svg.fonttype": "path"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        if caption:
            figure.supxlabel(caption, x=0.01, ha="left", fontsize=10, color=colour("muted"))
        file = io.BytesIO()
        figure.savefig(
            file,
            format=kind,
            dpi=figure.dpi * scale,
            facecolor="white",
            metadata={"Date": None, "Description": caption} if kind == "svg" else {"Software": None},
        )
    Path(path).write_bytes(_numbered(file.getvalue()) if kind == "svg" else file.getvalue())


def _numbered(drawn: bytes) -> bytes:
    """Name an SVG's clips by their order: their own names hash places whose last bits the layout does not decide."""
    for place, name in enumerate(dict.fromkeys(_CLIP.findall(drawn))):
        drawn = drawn.replace(name, b"clip%d" % place)
    return drawn


def picture_data_uri(picture: NDArray[Any], *, most: int = 256) -> str:
    """Return a picture as a PNG in a ``data:`` URI.

    Pictures are (H, W) grey or (H, W, 3 or 4) colour.

    Integers are 0..255, floats 0..1. A picture whose longer side is above ``most`` pixels is reduced to it.
    """
    from PIL import Image

    values = np.asarray(picture)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype.kind == "f":
        values = np.rint(np.clip(values, 0, 1) * 255)
    image = Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    image.thumbnail((most, most))
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return _data_uri(file.getvalue())


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
