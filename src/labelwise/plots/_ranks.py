"""The critical-difference diagram: learners at their mean ranks, bars under those that do not differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from labelwise.plots._style import bare, colour, drawing, new_figure, short

__all__ = ["critical_difference"]

_ROW, _TOP = 17.0, 62.0


def critical_difference(
    names: Sequence[str],
    mean_ranks: Sequence[float],
    difference: float,
    cliques: Sequence[tuple[int, int]] = (),
    *,
    emphasis: Sequence[str] = (),
    width: float = 680,
) -> Figure:
    """Draw learners along an axis of mean ranks, after Demsar (JMLR 7, 2006); the best are on the left.

    :param names: in the order of ``mean_ranks``, ascending.
    :param difference: the critical difference, drawn as a measure above the axis, at most as long as it.
    :param cliques: (first, last) positions of groups that do not differ, drawn as bars under the axis.
    :param emphasis: names of learners to draw in orange, such as a floor.
    """
    ranks = np.asarray(mean_ranks, dtype=np.float64)
    count = len(names)
    left = (count + 1) // 2
    bars = 9.0 * len(cliques) + 8
    height = _TOP + bars + _ROW * left + 8
    low, high = np.floor(ranks.min(initial=1.0)), np.ceil(ranks.max(initial=2.0))
    margin = 0.28 * (high - low) / 0.44
    with drawing():
        figure = new_figure(width, height)
        axes = figure.subplots()
        bare(axes, grid="")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlim(low - margin, high + margin)
        axes.set_ylim(height, 0)
        ink, muted = colour("ink"), colour("muted")
        axes.hlines(_TOP, low, high, color=muted, linewidth=1)
        for tick in np.arange(low, high + 1, max(1, round((high - low) / 8))):
            axes.vlines(tick, _TOP - 5, _TOP, color=muted, linewidth=1)
            axes.text(tick, _TOP - 8, f"{tick:g}", ha="center", va="bottom", color=muted, fontsize=11.5)
        shown = min(difference, high - low)
        axes.hlines(22, low, low + shown, color=ink, linewidth=1.5)
        axes.vlines([low, low + shown], 18, 26, color=ink, linewidth=1.5)
        axes.text(low, 14, f"critical difference {difference:.1f}", va="bottom", color=ink, fontsize=11.5)
        for place, (first, last) in enumerate(cliques):
            y = _TOP + 9 + 9 * place
            axes.hlines(y, ranks[first], ranks[last], color=colour("pale"), linewidth=4, zorder=2)
        for place, (name, rank) in enumerate(zip(names, ranks, strict=True)):
            best = place < left
            row = place if best else count - 1 - place
            y = _TOP + bars + _ROW * (row + 0.6)
            role = "orange" if name in emphasis else "ink"
            edge = low - 0.02 * margin if best else high + 0.02 * margin
            line = colour("orange" if name in emphasis else "slate")
            axes.plot([rank, rank, edge], [_TOP, y, y], color=line, linewidth=0.8, zorder=1)
            axes.plot([rank], [_TOP], "o", color=line, markersize=3.5, zorder=3)
            text = f"{short(name, 24)}  {rank:.1f}" if best else f"{rank:.1f}  {short(name, 24)}"
            axes.text(
                edge - (0.03 if best else -0.03) * margin,
                y,
                text,
                ha="right" if best else "left",
                va="center",
                color=colour(role),
                fontsize=11.5,
            )
        return figure
