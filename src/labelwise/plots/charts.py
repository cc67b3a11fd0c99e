"""Charts of one model: learning curve, angles, reliability, and pictures of items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import ArrayLike, NDArray

from labelwise.plots.style import bare, colour, drawing, new_figure, shade_steps, short, write_numbers

_NARROW = 500


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


def angle_densities(
    edges: ArrayLike, panels: Sequence[tuple[str, ArrayLike, ArrayLike]], *, width: float = 680
) -> Figure:
    """Draw the densities of positives' and negatives' angles.

    A panel each of (title, positives, negatives).

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
        # One height for all panels, or their areas could not be compared.
        top = 1.05 * max(float(np.max(density)) for _, *pair in panels for density in pair)
        for place, (axes, (title, positives, negatives)) in enumerate(zip(grid, panels, strict=True)):
            bare(axes, grid="x")
            for values, role in ((negatives, "orange"), (positives, "blue")):
                shade_steps(axes, bounds, np.asarray(values, dtype=np.float64), role)
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


def reliability_diagram(
    edges: ArrayLike,
    counts: ArrayLike,
    predicted: ArrayLike,
    observed: ArrayLike,
    *,
    title: str = "",
    width: float = 340,
) -> Figure:
    """Draw the observed share of positives against the predicted probability, by bin.

    Below are the entries of each bin.

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
        filled = np.isfinite(x) & np.isfinite(y)
        bare(upper, grid="both")
        upper.plot([0, 1], [0, 1], color=colour("slate"), linewidth=1.5, linestyle=(0, (4, 3)))
        upper.plot(x[filled], y[filled], "o-", color=colour("blue"), linewidth=2, markersize=5)
        upper.set_xlim(0, 1)
        upper.set_ylim(-0.03, 1.03)
        upper.set_yticks([0, 0.5, 1])
        upper.set_ylabel("observed share", color=colour("muted"))
        bare(lower, grid="")
        sizes = np.asarray(counts, dtype=np.float64)
        # An empty bin has no place on a logarithmic axis: it is drawn at the floor, below one entry.
        lower.stairs(np.maximum(sizes, 0.5), np.asarray(edges), fill=True, baseline=0.5, color=colour("pale"))
        lower.set_yscale("log")
        lower.set_ylim(0.5, max(sizes.max(initial=1) * 2, 2))
        lower.set_yticks([])
        lower.minorticks_off()
        lower.set_ylabel("entries", color=colour("muted"))
        lower.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
        for axis in (upper.xaxis, lower.xaxis, upper.yaxis):
            write_numbers(axis)
        lower.set_xlabel("predicted probability", color=colour("muted"))
        if title:
            upper.set_title(title, loc="left", color=colour("ink"), fontsize=13)
        return figure


def item_grid(
    pictures: Sequence[NDArray[Any]], captions: Sequence[str], *, columns: int = 4, width: float = 680
) -> Figure:
    """Draw pictures in rows of ``columns``, with captions below.

    Pictures are (H, W) grey or (H, W, 3) colour.

    A caption may have several lines; ``width`` is in pixels.
    """
    if len(pictures) != len(captions):
        raise ValueError(f"{len(pictures)} pictures and {len(captions)} captions: give one caption each")
    rows = max(1, -(-len(pictures) // columns))
    lines = max((caption.count("\n") + 1 for caption in captions), default=1)
    with drawing():
        figure = new_figure(width, rows * (width / columns + 17 * lines))
        for place, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
            axes.set_axis_off()
            if place < len(pictures):
                picture = np.asarray(pictures[place])
                most = 255 if picture.dtype.kind in "ui" else 1
                axes.imshow(picture, cmap="gray", vmin=0, vmax=most, interpolation="nearest")
                axes.text(
                    0.5,
                    -0.04,
                    captions[place],
                    transform=axes.transAxes,
                    ha="center",
                    va="top",
                    color=colour("ink"),
                )
        return figure
