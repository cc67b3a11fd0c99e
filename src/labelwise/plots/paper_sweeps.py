"""Figures of sweeps: a measured value against a margin, a share of labels, a scale; from a table of results."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from labelwise.plots.paper_axes import (
    Data,
    apart,
    columns,
    lines,
    names_of,
    ordered,
    panels,
    put_legend,
    shades,
    title,
)
from labelwise.plots.style import bare, colour, drawing, new_figure

_TICKS = 7
"""So many shares have a tick each."""


def margin_sweep(data: Data, *, width: float = 560) -> Figure:
    """Draw mAP, and below it the accumulated gradient difference, against the margin (HML, figure 3).

    Args:
        data: Columns ``margin``, ``map`` and ``gradient_difference`` (``analysis.gradient_difference``), and
            perhaps ``method``.
    """
    margin, score, difference = columns(data, "margin", "map", "gradient_difference")
    method = names_of(data, "method")
    group = np.zeros(len(margin)) if method is None else method
    with drawing():
        figure = new_figure(width, 380)
        apart(figure)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes in (upper, lower):
            bare(axes, grid="y")
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.margins(x=0.03, y=0.15)
        handles = lines(upper, margin, score, group)
        lines(lower, margin, difference, group)
        for name in ordered(group):
            mine = np.flatnonzero((group == name) & np.isfinite(score))
            if not len(mine):
                continue
            best = mine[np.argmax(score[mine])]
            upper.annotate(
                f"{score[best]:.3f}",
                (margin[best], score[best]),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                color=colour("ink"),
            )
        lower.set_ylim(bottom=0)
        title(upper, "mean average precision")
        title(lower, "accumulated gradient difference an item")
        lower.set_xlabel("margin", color=colour("muted"))
        if method is not None:
            put_legend(figure, handles, width)
        return figure


def fraction_curves(
    data: Data, *, label: str = "share of positives kept", x: str = "fraction", width: float = 680
) -> Figure:
    """Draw mAP against the share of labels kept, a line a method (HML, figure 4; the EM+APL poster's MLML setting).

    Args:
        data: Columns ``fraction`` (or ``x``) in [0, 1], ``method``, ``map``, and perhaps ``std`` for a band and
            ``dataset`` for a panel each.
        label: What the share is of.
    """
    fraction, method, score = columns(data, x, "method", "map")
    error, dataset = names_of(data, "std"), names_of(data, "dataset")
    sets = [None] if dataset is None else ordered(dataset)
    with drawing():
        figure, grid = panels(len(sets), width, 300 if len(sets) == 1 else 240, most=2)
        among = ordered(method)
        for axes, name in zip(grid, sets, strict=True):
            mine = np.ones(len(fraction), bool) if dataset is None else dataset == name
            handles = lines(
                axes,
                fraction[mine],
                score[mine],
                method[mine],
                error=None if error is None else error[mine],
                among=among,
            )
            shares = np.unique(fraction)
            if len(shares) <= _TICKS:
                axes.set_xticks(shares)
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:.0%}"))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_xlabel(label, color=colour("muted"))
            title(axes, "mean average precision" + ("" if name is None else f", {name}"))
        put_legend(figure, handles, width)
        return figure


def scale_margin(data: Data, *, value: str = "map", width: float = 560) -> Figure:
    """Draw a score for each pair of scale and margin as shades, the best one framed (HML, figure 5).

    Args:
        data: Columns ``scale``, ``margin`` and ``value``; a pair without a row is left blank, of several rows the
            mean is shown.
    """
    scale, margin, score = columns(data, "scale", "margin", value)
    scales, margins = np.unique(scale), np.unique(margin)
    grid = np.full((len(scales), len(margins)), np.nan)
    for i, s in enumerate(scales):
        for j, m in enumerate(margins):
            found = score[(scale == s) & (margin == m)]
            grid[i, j] = found.mean() if len(found) else np.nan
    with drawing():
        figure = new_figure(width, 84 + 40 * len(scales))
        axes = figure.subplots()
        bare(axes, grid="")
        mesh = axes.pcolormesh(grid, cmap=shades(), edgecolor="white", linewidth=2)
        middle = (np.nanmin(grid) + np.nanmax(grid)) / 2
        for i, j in np.argwhere(np.isfinite(grid)).tolist():
            ink = "white" if grid[i, j] > middle else colour("ink")
            axes.text(j + 0.5, i + 0.5, f"{grid[i, j]:.3f}", ha="center", va="center", color=ink)
        i, j = divmod(int(np.nanargmax(grid)), len(margins))
        axes.plot(
            [j, j + 1, j + 1, j, j],
            [i, i, i + 1, i + 1, i],
            color=colour("orange"),
            linewidth=3,
            clip_on=False,
        )
        axes.set_xticks(np.arange(len(margins)) + 0.5, [f"{m:g}" for m in margins])
        axes.set_yticks(np.arange(len(scales)) + 0.5, [f"{s:g}" for s in scales])
        axes.set_xlabel("margin", color=colour("muted"))
        axes.set_ylabel("scale", color=colour("muted"))
        mesh.set_clim(np.nanmin(grid), np.nanmax(grid))
        title(axes, "mean average precision" if value == "map" else value)
        return figure


def sensitivity(data: Data, *, width: float = 680) -> Figure:
    """Draw scores against the values of each hyper-parameter, a panel each (BBAM, sensitivity to s and m).

    Args:
        data: Columns ``parameter``, ``value``, ``metric`` and ``score``, and perhaps ``std``.
    """
    parameter, value, metric, score = columns(data, "parameter", "value", "metric", "score")
    error = names_of(data, "std")
    with drawing():
        figure, grid = panels(len(ordered(parameter)), width, 250, most=2, sharey=True)
        among = ordered(metric)
        for axes, name in zip(grid, ordered(parameter), strict=True):
            mine = parameter == name
            handles = lines(
                axes,
                value[mine].astype(np.float64),
                score[mine],
                metric[mine],
                error=None if error is None else error[mine],
                among=among,
            )
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_xticks(np.unique(value[mine]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.set_xlabel(str(name), color=colour("muted"))
        grid[0].set_ylabel("score", color=colour("muted"))
        put_legend(figure, handles, width)
        return figure
