"""Parts of the papers' figures: columns as input, panels, lines and legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from labelwise.errors import UserError, listed
from labelwise.plots.style import bare, colour, new_figure, short

Data = Mapping[str, ArrayLike] | Any
"""Columns by name, of one length: a mapping of arrays or a pandas frame."""

Floats = NDArray[np.float64]


class _Style(NamedTuple):
    role: str
    dashes: str | tuple[int, tuple[int, ...]]
    marker: str


_STYLES = [
    _Style(role, dashes, marker)
    for dashes, marker in (("-", "o"), ((0, (4, 2)), "s"), ((0, (1, 1)), "^"))
    for role in ("blue", "orange", "slate", "ink")
]


def columns(data: Data, *names: str) -> list[NDArray[Any]]:
    """Return the columns of these names as arrays.

    Raises:
        UserError: one that is not there, or columns of different length.
    """
    missing = [name for name in names if name not in data]
    if missing:
        raise UserError(f"data lacks {listed(missing)}: this figure is drawn from {listed(names, 20)}")
    arrays = [np.asarray(data[name]) for name in names]
    lengths = {name: len(values) for name, values in zip(names, arrays, strict=True)}
    if len(set(lengths.values())) > 1:
        raise UserError(f"data has columns of different length: {lengths}")
    if not len(arrays[0]):
        raise UserError("data has no rows: there is nothing to draw")
    return arrays


def ordered(values: NDArray[Any]) -> list[Any]:
    """Return the different values in the order in which they first come."""
    return list(dict.fromkeys(values.tolist()))


def optional(data: Data, column: str) -> NDArray[Any] | None:
    """Return an optional column, None where it is missing."""
    return np.asarray(data[column]) if column in data else None


def rows_by(data: Data, column: str, n_rows: int) -> list[tuple[Any, NDArray[np.bool_]]]:
    """Return each value of a column with the mask of its rows.

    Where the column is missing: None with all rows.
    """
    values = optional(data, column)
    if values is None:
        return [(None, np.ones(n_rows, bool))]
    return [(value, values == value) for value in ordered(values)]


def panels(
    count: int, width: float, height: float, *, most: int = 3, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of ``count`` bare axes, at most ``most`` a row.

    One a row where the figure is narrow.
    """
    across = 1 if width < 500 else min(most, count)
    down = -(-count // across)
    figure = new_figure(width, 40 + height * down)
    space_panels(figure)
    grid = figure.subplots(down, across, squeeze=False, **shared).ravel()
    for axes in grid[count:]:
        axes.set_axis_off()
    for axes in grid[:count]:
        bare(axes, grid="y")
        axes.tick_params(axis="x", pad=6)
    return figure, list(grid[:count])


def space_panels(figure: Figure) -> None:
    """Leave room between panels for ticks, titles and legend."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.set(w_pad=10 / 72, h_pad=7 / 72)  # type: ignore[call-arg]


def title(axes: Axes, text: str) -> None:
    """Write what a panel shows above it."""
    axes.set_title(short(text, 40), loc="left", color=colour("ink"), fontsize=13)


def lines(
    axes: Axes,
    x: NDArray[Any],
    y: NDArray[Any],
    group: NDArray[Any],
    *,
    error: NDArray[Any] | None = None,
    among: Sequence[Any] | None = None,
    markers: bool = True,
) -> list[Line2D]:
    """Draw y against x, one line a group, sorted by x.

    With a band of one ``error`` to either side.

    ``among`` are the groups of all panels, so that a group looks alike in each. Returns the legend's handles.
    """
    handles = []
    names = ordered(group)
    for place, name in enumerate(among or names):
        style = _STYLES[place % len(_STYLES)]
        rows = np.flatnonzero(group == name)
        # A line joins its points in their order: tables of results come unsorted.
        rows = rows[np.argsort(x[rows], kind="stable")]
        look: dict[str, Any] = {
            "color": colour(style.role),
            "linestyle": style.dashes,
            "linewidth": 2,
            "marker": style.marker if markers else None,
            "markersize": 5,
        }
        axes.plot(x[rows], y[rows], **look)
        if error is not None and len(rows):
            low, high = y[rows] - error[rows], y[rows] + error[rows]
            axes.fill_between(x[rows], low, high, color=colour(style.role), alpha=0.15, linewidth=0)
        handles.append(Line2D([], [], label=str(name), **look))
    return handles


def shades() -> Any:
    """Return the map from low (pale) to high (blue) values."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ["#f3f6fa", colour("pale"), colour("blue"), "#0d3a66"])


def put_legend(figure: Figure, handles: Sequence[Line2D | Patch], width: float) -> None:
    """Put the legend above the panels, in lines that fit the width."""
    # Text has no size before it is drawn: 7.5 pixels a letter is what the font comes to.
    longest = max(len(str(handle.get_label())) for handle in handles)
    across = max(1, min(len(handles), int(width / (48 + 7.5 * longest))))
    figure.legend(
        handles=list(handles),
        loc="outside upper left",
        ncols=across,
        frameon=False,
        labelcolor=colour("ink"),
        handlelength=1.6 if isinstance(handles[0], Line2D) else 0.9,
        handleheight=0.9,
        columnspacing=1.6,
        handletextpad=0.5,
        borderpad=0.0,
        borderaxespad=0.8,
        fontsize=12,
    )
