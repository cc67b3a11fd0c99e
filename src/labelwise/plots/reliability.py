"""Reliability: observed shares beside predicted probabilities."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import ArrayLike

from labelwise.plots.style import bare, colour, drawing, new_figure


def reliability_diagram(
    edges: ArrayLike,
    counts: ArrayLike,
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    title: str = "",
    width: float = 340,
) -> Figure:
    """Draw each bin's observed share of positives at its mean probability, and below how many entries it holds.

    Args:
        edges: (B + 1,) of the bins, from 0 to 1.
        counts: (B,) entries; drawn on a logarithmic axis, since most entries lie near 0.
        predicted: (B,), NaN in an empty bin.
        observed: As ``predicted``.
    """
    with drawing():
        figure = new_figure(width, 340)
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        x, y = np.asarray(predicted, dtype=np.float64), np.asarray(observed, dtype=np.float64)
        there = np.isfinite(x) & np.isfinite(y)
        bare(upper, grid="both")
        upper.plot([0, 1], [0, 1], color=colour("slate"), linewidth=1.5, linestyle=(0, (4, 3)))
        upper.plot(x[there], y[there], "o-", color=colour("blue"), linewidth=2, markersize=5)
        upper.set_xlim(0, 1)
        upper.set_ylim(-0.03, 1.03)
        upper.set_yticks([0, 0.5, 1])
        upper.set_ylabel("observed share", color=colour("muted"))
        bare(lower, grid="")
        sizes = np.asarray(counts, dtype=np.float64)
        lower.stairs(np.maximum(sizes, 0.5), np.asarray(edges), fill=True, baseline=0.5, color=colour("pale"))
        lower.set_yscale("log")
        lower.set_ylim(0.5, max(sizes.max(initial=1) * 2, 2))
        lower.set_yticks([])
        lower.minorticks_off()
        lower.set_ylabel("entries", color=colour("muted"))
        lower.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        for axes in (upper, lower):
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        upper.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        lower.set_xlabel("predicted probability", color=colour("muted"))
        if title:
            upper.set_title(title, loc="left", color=colour("ink"), fontsize=13)
        return figure
