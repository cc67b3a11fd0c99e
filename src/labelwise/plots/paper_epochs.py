"""Figures over the epochs of training: the spread of angles, and the time an epoch takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from labelwise.plots.paper_axes import Data, columns, lines, names_of, ordered, panels, put_legend, title
from labelwise.plots.style import bare, colour, drawing, short


def vdfd_by_epoch(data: Data, *, labels: Sequence[str] | None = None, width: float = 900) -> Figure:
    """Draw VDFD over the epochs, a line a run (BBAM: semi-supervised against supervised, and per method).

    Args:
        data: Columns ``epoch``, ``label``, ``vdfd`` (``analysis.vdfd_by_epoch``), and perhaps ``run``.
        labels: A panel each; None draws one panel of the mean size over all labels.
    """
    epoch, label, value = columns(data, "epoch", "label", "vdfd")
    given = names_of(data, "run")
    run = np.full(len(epoch), "") if given is None else given
    among = ordered(run)
    with drawing():
        figure, grid = panels(
            len(labels) if labels else 1, width, 230 if labels else 280, most=2, sharex=True
        )
        for place, (axes, name) in enumerate(zip(grid, list(labels) if labels else [None], strict=True)):
            if name is None:
                keys = np.array(
                    sorted({(among.index(r), e) for r, e in zip(run.tolist(), epoch.tolist(), strict=True)})
                )
                x, group = keys[:, 1], np.array(among)[keys[:, 0]]
                sizes = [np.abs(value[(run == r) & (epoch == e)]) for e, r in zip(x, group, strict=True)]
                y = np.array([np.nanmean(s) if np.isfinite(s).any() else np.nan for s in sizes])
                title(axes, "mean size of VDFD over labels, rad²")
            else:
                mine = label == name
                x, y, group = epoch[mine], value[mine], run[mine]
                axes.axhline(0, color=colour("slate"), linewidth=1)
                title(axes, f"VDFD of {name}, rad²")
            handles = lines(axes, x, y, group, among=among, markers=False)
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            if place + 2 >= len(grid) or width < 500:
                axes.set_xlabel("epoch", color=colour("muted"))
        if not labels:
            grid[0].set_ylim(bottom=0)
        if given is not None:
            put_legend(figure, handles, width)
        return figure


def epoch_seconds(data: Data, *, width: float = 680) -> Figure:
    """Draw how long an epoch takes, a bar a method with its range, a panel a dataset (BBAM, training time).

    Args:
        data: The columns of ``analysis.epoch_seconds``, and perhaps ``dataset``.
    """
    method, seconds, low, high = columns(data, "method", "seconds", "low", "high")
    dataset = names_of(data, "dataset")
    sets = [None] if dataset is None else ordered(dataset)
    most = max(len(method) if s is None else int((dataset == s).sum()) for s in sets)
    with drawing():
        figure, grid = panels(len(sets), width, 20 + 30 * most, most=2)
        for axes, name in zip(grid, sets, strict=True):
            bare(axes, grid="x")
            axes.grid(visible=False, axis="y")
            mine = np.ones(len(method), bool) if dataset is None else dataset == name
            places = np.arange(mine.sum())
            axes.barh(places, seconds[mine], 0.62, color=colour("pale"))
            axes.hlines(places, low[mine], high[mine], color=colour("ink"), linewidth=1.5)
            for place, text in enumerate(seconds[mine]):
                axes.annotate(
                    f"{text:.3g} s",
                    (1, place),
                    xycoords=("axes fraction", "data"),
                    xytext=(8, 0),
                    textcoords="offset points",
                    va="center",
                    color=colour("ink"),
                )
            axes.set_yticks(places, [short(str(m), 34) for m in method[mine]])
            axes.tick_params(axis="y", colors=colour("ink"), pad=6)
            axes.set_ylim(len(places) - 0.4, -0.6)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
            axes.set_xlabel("seconds an epoch: median, least to most", color=colour("muted"))
            if name is not None:
                title(axes, str(name))
        return figure
