"""Figures of sweeps: values against margin, scale, label share, ratio of spreads."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from labelwise.plots.panels import (
    Data,
    columns,
    lines,
    optional,
    ordered,
    panels,
    put_legend,
    rows_by,
    shades,
    space_panels,
    title,
)
from labelwise.plots.style import bare, colour, drawing, new_figure, write_numbers

_TICKS = 7
"""So many shares have a tick each."""


def margin_sweep(data: Data, *, width: float = 560) -> Figure:
    """Draw mAP and the accumulated gradient difference against the margin.

    HML, figure 3.

    Args:
        data: Columns ``margin``, ``map`` and ``gradient_difference`` (``analysis.gradient_difference``), and
            perhaps ``method``.
    """
    margin, score, difference = columns(data, "margin", "map", "gradient_difference")
    method = optional(data, "method")
    group = np.zeros(len(margin)) if method is None else method
    with drawing():
        figure = new_figure(width, 380)
        space_panels(figure)
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes in (upper, lower):
            bare(axes, grid="y")
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.margins(x=0.03, y=0.15)
        handles = lines(upper, margin, score, group)
        lines(lower, margin, difference, group)
        for name in ordered(group):
            rows = np.flatnonzero((group == name) & np.isfinite(score))
            if not len(rows):
                continue
            best = rows[np.argmax(score[rows])]
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
    """Draw mAP against the share of labels kept, a line a method.

    HML, figure 4; the EM+APL poster's MLML setting.

    Args:
        data: Columns ``fraction`` (or ``x``) in [0, 1], ``method``, ``map``, and perhaps ``std`` for a band and
            ``dataset`` for a panel each.
        label: What the share is of.
    """
    fraction, method, score = columns(data, x, "method", "map")
    error, datasets = optional(data, "std"), rows_by(data, "dataset", len(fraction))
    with drawing():
        figure, grid = panels(len(datasets), width, 300 if len(datasets) == 1 else 240, most=2)
        among = ordered(method)
        for axes, (name, rows) in zip(grid, datasets, strict=True):
            handles = lines(
                axes,
                fraction[rows],
                score[rows],
                method[rows],
                error=None if error is None else error[rows],
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
    """Draw a score for each pair of scale and margin, as shades.

    The best pair is framed (HML, figure 5).

    Args:
        data: Columns ``scale``, ``margin`` and ``value``; a pair without a row is left blank, of several rows the
            mean is shown.
    """
    scale, margin, score = columns(data, "scale", "margin", value)
    scales, margins = np.unique(scale), np.unique(margin)
    grid = np.full((len(scales), len(margins)), np.nan)
    for i, s in enumerate(scales):
        for j, m in enumerate(margins):
            scores = score[(scale == s) & (margin == m)]
            grid[i, j] = scores.mean() if len(scores) else np.nan
    with drawing():
        figure = new_figure(width, 84 + 40 * len(scales))
        axes = figure.subplots()
        bare(axes, grid="")
        mesh = axes.pcolormesh(grid, cmap=shades(), edgecolor="white", linewidth=2)
        # Dark shades take white numbers.
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
    """Draw scores against the values of each hyper-parameter, a panel each.

    BBAM, sensitivity to s and m.

    Args:
        data: Columns ``parameter``, ``value``, ``metric`` and ``score``, and perhaps ``std``.
    """
    parameter, value, metric, score = columns(data, "parameter", "value", "metric", "score")
    error = optional(data, "std")
    with drawing():
        figure, grid = panels(len(ordered(parameter)), width, 250, most=2, sharey=True)
        among = ordered(metric)
        for axes, (name, rows) in zip(grid, rows_by(data, "parameter", len(parameter)), strict=True):
            handles = lines(
                axes,
                value[rows].astype(np.float64),
                score[rows],
                metric[rows],
                error=None if error is None else error[rows],
                among=among,
            )
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_xticks(np.unique(value[rows]))
            write_numbers(axes.xaxis)
            axes.set_xlabel(str(name), color=colour("muted"))
        grid[0].set_ylabel("score", color=colour("muted"))
        put_legend(figure, handles, width)
        return figure


def theory_curves(data: Data, *, width: float = 900) -> Figure:
    """Draw both class risks and VCA against M by noise level.

    A row of panels a label share.

    Args:
        data: The columns of ``analysis.theory.curves``; rows whose ``source`` is "simulation" are dots with bars of
            three standard errors, where the figure has errors.
    """
    names = ("ratio", "label_share", "noise_positive", "noise_negative", "source")
    ratio, alpha, wrong_p, wrong_n, source = columns(data, *names)
    values = columns(data, "risk_positive", "risk_negative", "vca")
    errors = [*columns(data, "risk_positive_error", "risk_negative_error"), None]
    noise = np.array(
        [f"ε₊ = {p:g}, ε₋ = {n:g}" for p, n in zip(wrong_p.tolist(), wrong_n.tolist(), strict=True)]
    )
    levels, shares = ordered(noise), ordered(alpha)
    with drawing():
        figure, grid = panels(3 * len(shares), width, 236, sharex=True)
        for place, axes in enumerate(grid):
            share, which = shares[place // 3], place % 3
            drawn, exact = alpha == share, source == "theory"
            x, y, group = (v[drawn & exact] for v in (ratio, values[which], noise))
            handles = lines(axes, x, y, group, among=levels, markers=False)
            for handle, level in zip(handles, levels, strict=True):
                simulated = drawn & ~exact & (noise == level)
                error = errors[which]
                axes.errorbar(
                    ratio[simulated],
                    values[which][simulated],
                    yerr=None if error is None else 3 * error[simulated],
                    fmt="o",
                    markersize=4,
                    color=handle.get_color(),
                    linewidth=1.25,
                )
            axes.axvline(1, color=colour("line"), linewidth=1, zorder=0)
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8]))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}" if v >= 1 else f"1/{1 / v:g}"))
            axes.set_xlim(ratio.min(), ratio.max())
            axes.yaxis.set_major_locator(MaxNLocator(5))
            axes.set_ylim(bottom=0)
            about = ("risk of the positives", "risk of the negatives", "VCA")[which]
            title(axes, about if len(shares) == 1 else f"{about}, α = {share:g}")
            if place >= 3 * (len(shares) - 1):
                axes.set_xlabel("M, spread of negatives over positives", color=colour("muted"))
        put_legend(figure, handles, width)
        return figure
