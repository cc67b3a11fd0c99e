"""Densities of angles: how far the positives of labels lie from their negatives, before and after balancing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike

from labelwise.plots.style import bare, colour, drawing, new_figure

_NARROW = 500


def angle_densities(
    edges: ArrayLike, panels: Sequence[tuple[str, ArrayLike, ArrayLike]], *, width: float = 680
) -> Figure:
    """Draw the densities of positives' and negatives' angles, a panel each of (title, positives, negatives).

    Args:
        edges: (B + 1,) of the bins, in degrees.
        panels: Titles with densities (B,) per degree; all share both axes, and stand below each other where the
            figure is narrow.
    """
    with drawing():
        stacked = width < _NARROW and len(panels) > 1
        rows, columns = (len(panels), 1) if stacked else (1, len(panels))
        figure = new_figure(width, 66 + 190 * rows)
        grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        bounds = np.asarray(edges, dtype=np.float64)
        top = 1.05 * max(float(np.max(density)) for _, *pair in panels for density in pair)
        for place, (axes, (title, positives, negatives)) in enumerate(zip(grid, panels, strict=True)):
            bare(axes, grid="x")
            for values, role in ((negatives, "orange"), (positives, "blue")):
                density = np.asarray(values, dtype=np.float64)
                axes.stairs(density, bounds, fill=True, color=colour(role), alpha=0.22)
                axes.stairs(density, bounds, color=colour(role), linewidth=1.75)
            axes.set_yticks([])
            axes.set_ylim(0, top)
            axes.set_xlim(bounds[0], bounds[-1])
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}°"))
            axes.set_title(title, loc="left", color=colour("ink"), fontsize=13, pad=8)
            if not stacked or place + 1 == len(panels):
                axes.set_xlabel("angle between item and label", color=colour("muted"))
        figure.legend(
            handles=[
                Patch(color=colour(role), label=name)
                for name, role in (("positives", "blue"), ("negatives", "orange"))
            ],
            loc="outside lower left",
            ncols=2,
            frameon=False,
            labelcolor=colour("ink"),
            handlelength=0.9,
            handleheight=0.9,
            borderpad=0.0,
            borderaxespad=0.2,
        )
        return figure
