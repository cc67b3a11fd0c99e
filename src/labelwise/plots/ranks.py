"""Learners compared over many sets: mean ranks, and gains with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from labelwise.plots.style import bare, colour, drawing, new_figure, short

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
    """Draw learners along an axis of mean ranks.

    After Demsar (JMLR 7, 2006); the best are on the left.

    Args:
        names: In the order of ``mean_ranks``, ascending.
        difference: The critical difference, drawn as a measure above the axis, at most as long as it.
        cliques: (first, last) positions of groups that do not differ, drawn as bars under the axis.
        emphasis: Names of learners to draw in orange, such as a floor.
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


def paired_gains(
    names: Sequence[str],
    panels: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[float]]],
    *,
    label: str,
    limits: tuple[float, float] | None = None,
    emphasis: Sequence[str] = (),
    width: float = 680,
) -> Figure:
    """Draw differences to a reference with their intervals.

    One row a name, and one panel a setting.

    Args:
        panels: (values, low, high), each (names,), by title; NaN where there is none. Blue: the interval lies above
            0; orange: below it; grey: it holds 0.
        limits: Of every panel's axis; a value beyond is written at the edge, beside an arrow.
        emphasis: Names to write in orange, such as a floor.
    """
    with drawing():
        figure = new_figure(width, 76 + 19.0 * len(names))
        places = np.arange(len(names))
        panes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, (title, parts) in zip(panes, panels.items(), strict=True):
            bare(axes, grid="x")
            values, low, high = (np.asarray(part, dtype=np.float64) for part in parts)
            roles = np.where(low > 0, "blue", np.where(high < 0, "orange", "slate"))
            colours = [colour(role) for role in roles]
            axes.axvline(0, color=colour("muted"), linewidth=1)
            shown = (
                np.ones(len(names), bool) if limits is None else (values >= limits[0]) & (values <= limits[1])
            )
            axes.hlines(places, np.where(shown, low, np.nan), high, colors=colours, linewidth=2)
            axes.scatter(values, places, c=colours, s=26, zorder=3, linewidths=0)
            if limits is not None:
                _beyond(axes, values, limits, colours)
            axes.set_title(title, loc="left", color=colour("ink"), fontsize=12.5)
            axes.set_yticks(places, [short(name, 28) for name in names])
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3))
            axes.xaxis.set_major_formatter(
                FuncFormatter(lambda x, _: f"{x:+g}".replace("-", "−") if x else "0")
            )
        for text, name in zip(panes[0].get_yticklabels(), names, strict=True):
            text.set_color(colour("orange" if name in emphasis else "ink"))
            text.set_fontsize(11.5)
        figure.supxlabel(label, color=colour("muted"), fontsize=12.5)
        return figure


def _beyond(axes: Axes, values: NDArray[np.float64], limits: tuple[float, float], colours: list[str]) -> None:
    """Cut an axis at ``limits``, writing values outside at its ends."""
    axes.set_xlim(limits)
    for place, value in enumerate(values):
        for edge, outside, align in (
            (limits[0], value < limits[0], "left"),
            (limits[1], value > limits[1], "right"),
        ):
            if outside:
                number = f"{abs(value):.1f}"
                text = f"◂ −{number}" if align == "left" else f"+{number} ▸"
                axes.text(
                    edge, place, text, ha=align, va="center", color=colours[place], fontsize=10, zorder=4
                )
