"""What methods predict for single items, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labelwise.plots.panels import Data, columns, optional, ordered, rows_by, space_panels, title
from labelwise.plots.style import bare, colour, drawing, new_figure, short

_ROW, _PICTURE, _PIXELS = 26, 190, 8


def top_predictions(
    data: Data, *, pictures: Mapping[str, NDArray[Any]] | None = None, width: float = 900
) -> Figure:
    """Draw each item with the labels that every method scores highest.

    A row an item, a column a method; the bar of a label that the item has is blue, others are grey.

    Args:
        data: The columns of ``analysis.top_predictions``, and perhaps ``method`` for a column of panels each.
        pictures: (H, W) or (H, W, 3) by item; an item without one is shown as its name.
        width: In pixels.
    """
    item, rank, label, score, relevant = columns(data, "item", "rank", "label", "score", "relevant")
    truth, given = (optional(data, name) for name in ("truth", "given"))
    items, methods = ordered(item), rows_by(data, "method", len(item))
    most = int(rank.max())
    with drawing():
        height = max(_PICTURE, _ROW * most + 34)
        figure = new_figure(width, height * len(items) + 24)
        space_panels(figure)
        shares = [0.8, *[1.0] * len(methods)]
        grid = figure.subplots(len(items), 1 + len(methods), squeeze=False, width_ratios=shares)
        for place, (line, name) in enumerate(zip(grid, items, strict=True)):
            of_item = item == name
            words = [_first(truth, of_item), _first(given, of_item, "given: ")]
            _show(line[0], str(name), [one for one in words if one], (pictures or {}).get(str(name)))
            for axes, (method, of_method) in zip(line[1:], methods, strict=True):
                rows = np.flatnonzero(of_item & of_method)
                rows = rows[np.argsort(rank[rows], kind="stable")]
                _bars(axes, label[rows], score[rows], relevant[rows], most)
                if not place and method is not None:
                    title(axes, str(method))
        return figure


def _first(column: NDArray[Any] | None, rows: NDArray[np.bool_], lead: str = "") -> str:
    """Return an item's words in a column, "" where it has none."""
    found = "" if column is None else column[rows][0]
    return f"{lead}{found}" if isinstance(found, str) and found else ""


def _show(axes: Axes, name: str, words: list[str], picture: NDArray[Any] | None) -> None:
    """Show an item, with its labels below."""
    axes.set_axis_off()
    if picture is not None:
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255 if picture.dtype.kind in "ui" else 1)
    else:
        axes.text(0, 1, short(name, 34), transform=axes.transAxes, va="top", color=colour("ink"), fontsize=11)
    text = "\n".join(short(line, 30) for line in words)
    place = -0.05 if picture is not None else 0.8
    axes.text(0, place, text, transform=axes.transAxes, va="top", color=colour("muted"), fontsize=11)


def _bars(axes: Axes, labels: NDArray[Any], scores: NDArray[Any], relevant: NDArray[Any], most: int) -> None:
    """Draw one method's labels of one item."""
    bare(axes, grid="")
    places = np.arange(len(labels))
    fills = [colour("blue" if one else "line") for one in relevant]
    axes.barh(places, scores, height=0.72, color=fills, alpha=0.55)
    for place, name, score, one in zip(places, labels, scores, relevant, strict=True):
        role = "ink" if one else "muted"
        axes.annotate(
            f"{short(str(name), 20)}  {score:.2f}",
            (0, place),
            xytext=(_PIXELS / 2, 0),
            textcoords="offset points",
            va="center",
            color=colour(role),
            fontsize=11.5,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(most - 0.4, -0.6)
    axes.set_xticks([])
    axes.set_yticks([])
