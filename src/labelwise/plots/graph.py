"""Label correlation graphs: labels on a circle, joined by lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from numpy.typing import NDArray

from labelwise.plots.style import colour, drawing, new_figure, short

_NARROW = 500
_WIDE, _HIGH = 1.95, 1.35
"""Half the width and height of a panel whose circle has radius 1: room for the names."""
_CROWD, _AROUND = 24, 1.6
"""More names than so many stand out from the circle like rays, which takes the same room on all sides."""
Edge = tuple[int, int, float]
"""Two positions in the names, and how strongly they go together, above 0."""


def label_graphs(
    names: Sequence[str], panels: Sequence[tuple[str, Sequence[Edge]]], *, width: float = 680
) -> Figure:
    """Draw one graph for each of the panels (title, edges).

    All have the same labels in the same places.

    A line is as wide as its pair is strong, within its panel; one that every panel has is blue, others orange. Labels
    that go together stand near each other; where the figure is narrow the panels stand below each other.
    """
    with drawing():
        stacked = width < _NARROW and len(panels) > 1
        rows, columns = (len(panels), 1) if stacked else (1, len(panels))
        crowded = len(names) > _CROWD
        wide, high = (_AROUND, _AROUND) if crowded else (_WIDE, _HIGH)
        side = min(width / columns, 800 if crowded else 480)
        figure = new_figure(width, rows * (side * high / wide + 36))
        order = _around(len(names), [edge for _, edges in panels for edge in edges])
        places = np.empty((len(names), 2))
        turn = np.pi / 2 - 2 * np.pi * (np.arange(len(names)) + 0.5) / max(len(names), 1)
        places[order] = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        shared = set.intersection(*({edge[:2] for edge in edges} for _, edges in panels)) if panels else set()
        for axes, (title, edges) in zip(
            figure.subplots(rows, columns, squeeze=False).ravel(), panels, strict=True
        ):
            axes.set_xlim(-wide, wide)
            axes.set_ylim(-high, high)
            _draw(axes, names, places, edges, shared if len(panels) > 1 else {edge[:2] for edge in edges})
            axes.set_title(title, loc="left", color=colour("ink"), fontsize=13)
        return figure


def _draw(
    axes: Axes,
    names: Sequence[str],
    places: NDArray[np.float64],
    edges: Sequence[Edge],
    shared: set[tuple[int, int]],
) -> None:
    axes.set_axis_off()
    axes.set_aspect("equal")
    most = max((value for *_, value in edges), default=1.0)
    for i, j, value in sorted(edges, key=lambda edge: edge[2]):
        start, end = places[i], places[j]
        # Bent towards the middle, so that lines between neighbours keep clear of the labels.
        cross = start[0] * end[1] - start[1] * end[0]
        axes.add_patch(
            FancyArrowPatch(
                tuple(start),
                tuple(end),
                arrowstyle="-",
                connectionstyle=f"arc3,rad={0.25 if cross < 0 else -0.25}",
                shrinkA=0,
                shrinkB=0,
                linewidth=1 + 4 * value / most,
                color=colour("blue" if (i, j) in shared else "orange"),
                alpha=0.75,
            )
        )
    joined = {end for edge in edges for end in edge[:2]}
    for place, (x, y) in enumerate(places):
        axes.plot([x], [y], "o", markersize=6, color=colour("ink" if place in joined else "slate"))
        look: dict[str, Any] = {"ha": "left" if x > 0 else "right", "va": "center"}
        look["color"] = colour("ink" if place in joined else "muted")
        # Text along the ray never stands on its head: the turn stays within a quarter.
        if len(places) > _CROWD:
            turn = np.degrees(np.arctan(y / x)) if abs(x) > 1e-9 else 90 * np.sign(y)
            ray: dict[str, Any] = {"rotation": turn, "rotation_mode": "anchor", "fontsize": 10}
            axes.text(1.05 * x, 1.05 * y, short(names[place], 14), **ray, **look)
            continue
        # Names beside the poles stand a little farther out, clear of the next ones.
        out = 0.07 * np.sign(y) if abs(x) < 0.25 else 0.0
        axes.text(1.08 * x, 1.14 * y + out, short(names[place], 14), fontsize=11.5, **look)


def _around(n: int, edges: Sequence[Edge]) -> NDArray[np.int64]:
    """Return an order of the labels in which joined ones are near.

    By the angle in the two slowest modes of the graph.
    """
    if n < 4:
        return np.arange(n)
    # A weak tie of all pairs keeps the graph whole: its parts would share the slowest modes.
    weight = np.full((n, n), 1e-3)
    for i, j, value in edges:
        weight[i, j] += value
        weight[j, i] += value
    np.fill_diagonal(weight, 0)
    _, modes = np.linalg.eigh(np.diag(weight.sum(axis=1)) - weight)
    return np.argsort(np.arctan2(modes[:, 2], modes[:, 1]), kind="stable").astype(np.int64)
