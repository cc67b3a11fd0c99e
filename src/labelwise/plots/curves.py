"""The course of training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from labelwise.plots.style import bare, colour, drawing, new_figure, short


def learning_curve(
    stages: Mapping[str, Sequence[float]],
    *,
    label: str,
    mark: int | None = None,
    beside: Mapping[str, Sequence[float]] | None = None,
    titles: tuple[str, str] = ("", ""),
    width: float = 340,
    height: float = 220,
) -> Figure:
    """Draw one value an epoch, stage after stage on one axis.

    Args:
        stages: The values of each stage by its name, in order; NaN leaves a gap. A thin line and their names tell
            stages apart; both are left out where there is only one.
        label: What the values are.
        mark: The epoch, counted from 1 over all stages, to mark with a dot and its value.
        beside: A second value an epoch, of the same stages, drawn dashed in orange.
        titles: What the two are, where there are two.
    """
    with drawing():
        figure = new_figure(width, height)
        axes = figure.subplots()
        bare(axes, grid="y")
        values = np.concatenate([np.asarray(v, dtype=np.float64) for v in stages.values()])
        start = 0
        for place, (name, part) in enumerate(stages.items()):
            epochs = np.arange(start, start + len(part)) + 1
            style: dict[str, Any] = {"marker": "o", "markersize": 4} if len(part) < 2 else {}
            axes.plot(epochs, part, color=colour("blue"), linewidth=2, solid_capstyle="round", **style)
            if beside is not None:
                dashed = {**style, "linestyle": (0, (4, 2))}
                axes.plot(epochs, beside[name], color=colour("orange"), linewidth=2, **dashed)
            if place:
                axes.axvline(start + 0.5, color=colour("slate"), linewidth=1, linestyle=(0, (2, 2)))
            if len(stages) > 1:
                axes.text(
                    start + 0.5 + len(part) / 2,
                    1.02,
                    short(name, max(4, int(width / 8 * len(part) / len(values)))),
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="bottom",
                    color=colour("muted"),
                )
            start += len(part)
        if mark is not None and 1 <= mark <= len(values) and np.isfinite(values[mark - 1]):
            axes.plot([mark], [values[mark - 1]], "o", color=colour("orange"), markersize=7)
            axes.annotate(
                f"{values[mark - 1]:.3f}",
                (mark, values[mark - 1]),
                xytext=(0, 9),
                textcoords="offset points",
                ha="center",
                color=colour("ink"),
            )
        if beside is not None:
            handles = [
                Line2D([], [], color=colour("blue"), linewidth=2, label=titles[0]),
                Line2D([], [], color=colour("orange"), linewidth=2, linestyle=(0, (4, 2)), label=titles[1]),
            ]
            axes.legend(
                handles=handles,
                loc="upper center",
                bbox_to_anchor=(0.5, -0.22),
                ncols=2,
                frameon=False,
                labelcolor=colour("ink"),
                fontsize=11.5,
            )
        axes.margins(x=0.04, y=0.18)
        axes.set_xlim(min(0.5, 1 - 0.04 * len(values)), len(values) + max(0.5, 0.04 * len(values)))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("epoch", color=colour("muted"))
        axes.set_title(label, loc="left", color=colour("ink"), fontsize=13, pad=22 if len(stages) > 1 else 10)
        return figure
