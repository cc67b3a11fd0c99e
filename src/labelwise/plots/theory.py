"""The theory's figure: class risks and VCA against the ratio of spreads, for levels of noise."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from labelwise.plots.paper_axes import Data, columns, lines, ordered, panels, put_legend, title
from labelwise.plots.style import colour, drawing


def theory_curves(data: Data, *, width: float = 900) -> Figure:
    """Draw both class risks and VCA against M, a line a noise level, a row of panels a label share.

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
                mine = drawn & ~exact & (noise == level)
                error = errors[which]
                axes.errorbar(
                    ratio[mine],
                    values[which][mine],
                    yerr=None if error is None else 3 * error[mine],
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
