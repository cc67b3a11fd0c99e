"""Figures of the papers about fitted models: gradients, predictions, landscapes, correlations, epochs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator

from labelwise.plots.graph import label_graphs
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
from labelwise.plots.style import (
    bare,
    colour,
    drawing,
    name_rows,
    new_figure,
    shade_steps,
    write_beside,
    write_numbers,
)

_ROLES = {"positives": "blue", "negatives": "slate", "true negatives": "slate", "false negatives": "orange"}


def cosine_gradients(data: Data, *, width: float = 900) -> Figure:
    """Draw densities of cosines with their scores, and of gradients below.

    HML, figure 2.

    Args:
        data: The columns of ``analysis.cosine_gradients``, and perhaps ``scenario`` for a column of panels each.
    """
    quantity, group, low, high, density = columns(data, "quantity", "group", "low", "high", "density")
    scenarios = rows_by(data, "scenario", len(group))
    groups = [name for name in ordered(group) if name in _ROLES]
    with drawing():
        figure = new_figure(width, 470)
        space_panels(figure)
        grid = figure.subplots(2, len(scenarios), squeeze=False, sharey="row", sharex="row")
        for place, (name, of_scenario) in enumerate(scenarios):
            last = place + 1 == len(scenarios)
            # An empty bin is drawn at the floor of the logarithmic axis.
            for axes, shown, floor in zip(grid[:, place], ("cosine", "gradient"), (0.0, 1e-4), strict=True):
                bare(axes, grid="x")
                for part in groups:
                    rows = of_scenario & (quantity == shown) & (group == part)
                    if rows.any():
                        edges, values = np.append(low[rows], high[rows][-1]), np.maximum(density[rows], floor)
                        shade_steps(axes, edges, values, _ROLES[part], baseline=floor, alpha=0.2)
            upper, lower = grid[:, place]
            upper.set_yticks([])
            curve = of_scenario & (quantity == "probability")
            score = upper.twinx()
            bare(score, grid="")
            score.plot(
                low[curve], density[curve], color=colour("ink"), linewidth=1.5, linestyle=(0, (1, 1.5))
            )
            score.set_ylim(0, 1.05)
            # No tick at 0, which stands where the cosines' last one does.
            score.set_yticks([0.5, 1] if last else [])
            if last:
                score.set_ylabel("mean score p", color=colour("muted"))
            lower.set_yscale("log")
            lower.yaxis.set_major_locator(LogLocator(numticks=5))
            write_numbers(lower.yaxis)
            lower.minorticks_off()
            upper.set_xlabel("cosine of item and label", color=colour("muted"))
            lower.set_xlabel("size of the gradient, |p − y|", color=colour("muted"))
            if name is not None:
                title(upper, name)
        # Panels share their axes: limits are set when all is drawn.
        grid[0, 0].set_ylim(bottom=0)
        grid[1, 0].set_ylim(bottom=5e-3)
        grid[1, 0].set_xlim(0, 1)
        grid[0, 0].set_ylabel("density", color=colour("muted"))
        grid[1, 0].set_ylabel("density (log)", color=colour("muted"))
        handles = [Patch(color=colour(_ROLES[name]), label=name) for name in groups]
        dotted = Line2D(
            [], [], color=colour("ink"), linewidth=1.5, linestyle=(0, (1, 1.5)), label="mean score p"
        )
        put_legend(figure, [*handles, dotted], width)
        return figure


def prediction_densities(data: Data, *, label: str = "score", width: float = 900) -> Figure:
    """Draw one label's score densities by sign, a panel a method.

    EM+APL poster.

    Args:
        data: The columns of ``analysis.prediction_densities``, and perhaps ``method``.
    """
    group, low, high, density = columns(data, "group", "low", "high", "density")
    methods = rows_by(data, "method", len(group))
    with drawing():
        figure, grid = panels(len(methods), width, 190, sharex=True)
        for axes, (name, of_method) in zip(grid, methods, strict=True):
            bare(axes, grid="x")
            axes.grid(visible=False, axis="y")
            for part in ("negatives", "positives"):
                rows = of_method & (group == part)
                shade_steps(axes, np.append(low[rows], high[rows][-1]), density[rows], _ROLES[part])
            axes.set_yticks([])
            axes.set_ylim(bottom=0)
            axes.set_ylabel("density", color=colour("muted"))
            axes.set_xlim(0, 1)
            axes.set_xlabel(label, color=colour("muted"))
            if name is not None:
                title(axes, name)
        handles = [Patch(color=colour(_ROLES[name]), label=name) for name in ("positives", "negatives")]
        put_legend(figure, handles, width)
        return figure


def wasserstein_distances(data: Data, *, width: float = 680) -> Figure:
    """Draw each label's distance between positives' and negatives' scores.

    A row a method (EM+APL poster).

    Args:
        data: Columns ``method``, ``label`` and ``distance`` (``analysis.wasserstein_distances``); a method's mean
            is a bar with its value.
    """
    method, _, distance = columns(data, "method", "label", "distance")
    methods = rows_by(data, "method", len(method))
    with drawing():
        figure = new_figure(width, 56 + 34 * len(methods))
        axes = figure.subplots()
        bare(axes, grid="x")
        for place, (_, of_method) in enumerate(methods):
            values = distance[of_method & np.isfinite(distance)]
            axes.scatter(
                values, np.full(len(values), place), s=26, color=colour("pale"), alpha=0.6, linewidths=0
            )
            if len(values):
                axes.vlines(values.mean(), place - 0.3, place + 0.3, color=colour("blue"), linewidth=3)
            write_beside(axes, place, f"{values.mean():.3f}" if len(values) else "not defined")
        name_rows(axes, [str(name) for name, _ in methods])
        axes.set_ylim(len(methods) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel("Wasserstein distance of a label's scores (dot), mean (bar)", color=colour("muted"))
        return figure


def loss_landscape(data: Data, *, width: float = 900) -> Figure:
    """Draw the loss around the trained weights, a panel a method.

    All panels have the same shades (EM+APL poster).

    Args:
        data: The columns of ``analysis.loss_landscape``, and perhaps ``method``.
    """
    a, b, loss = columns(data, "a", "b", "loss")
    methods = rows_by(data, "method", len(a))
    # Steps of equal ratio: around the weights of a good model the loss spans powers of ten.
    levels = np.geomspace(max(float(np.nanmin(loss)), 1e-6), float(np.nanmax(loss)) * 1.0001, 25)
    with drawing():
        across = 1 if width < 500 else min(3, len(methods))
        figure, grid = panels(len(methods), width, width / across * 0.92, sharex=True, sharey=True)
        for axes, (name, rows) in zip(grid, methods, strict=True):
            bare(axes, grid="")
            xs, ys = np.unique(a[rows]), np.unique(b[rows])
            # Rows may come in any order; a contour takes a grid.
            order = np.lexsort((a[rows], b[rows]))
            values = loss[rows][order].reshape(len(ys), len(xs))
            axes.contourf(xs, ys, values, levels=levels, cmap=shades(), norm="log", extend="both")
            lined = axes.contour(xs, ys, values, levels=levels[1::3], colors="white", linewidths=0.8)
            axes.clabel(lined, levels[4::3], fmt="%.2g", fontsize=10)
            axes.plot(0, 0, "+", color=colour("orange"), markersize=12, markeredgewidth=2.5)
            axes.set_aspect("equal")
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.set_xlabel("along one direction", color=colour("muted"))
            if axes is grid[0]:
                axes.set_ylabel("along another", color=colour("muted"))
            least = float(values[np.abs(ys).argmin(), np.abs(xs).argmin()])
            title(axes, f"cross-entropy {least:.3f} at +" if name is None else f"{name}, {least:.3f} at +")
        return figure


def correlation_graph(data: Data, *, width: float = 560) -> Figure:
    """Draw labels on a circle, correlated ones joined (HML, figure 6).

    Args:
        data: The columns of ``analysis.correlation_pairs``; labels without a pair are left out.
    """
    first, second, value = columns(data, "first", "second", "correlation")
    names = sorted({*first.tolist(), *second.tolist()})
    place = {name: i for i, name in enumerate(names)}
    pairs = zip(first.tolist(), second.tolist(), value.tolist(), strict=True)
    edges = [(min(place[a], place[b]), max(place[a], place[b]), float(v)) for a, b, v in pairs]
    return label_graphs(names, [(f"pairs of labels, correlation from {value.min():.2f}", edges)], width=width)


def vdfd_by_epoch(data: Data, *, labels: Sequence[str] | None = None, width: float = 900) -> Figure:
    """Draw VDFD over the epochs, a line a run.

    BBAM: semi-supervised against supervised, and per method.

    Args:
        data: Columns ``epoch``, ``label``, ``vdfd`` (``analysis.vdfd_by_epoch``), and perhaps ``run``.
        labels: A panel each; None draws one panel of the mean size over all labels.
    """
    epoch, label, value = columns(data, "epoch", "label", "vdfd")
    given = optional(data, "run")
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
                rows = label == name
                x, y, group = epoch[rows], value[rows], run[rows]
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
    """Draw the seconds of an epoch, a bar a method.

    With its range, and a panel a dataset (BBAM, training time).

    Args:
        data: The columns of ``analysis.epoch_seconds``, and perhaps ``dataset``.
    """
    method, seconds, low, high = columns(data, "method", "seconds", "low", "high")
    datasets = rows_by(data, "dataset", len(method))
    most = max(int(rows.sum()) for _, rows in datasets)
    with drawing():
        figure, grid = panels(len(datasets), width, 20 + 30 * most, most=2)
        for axes, (name, rows) in zip(grid, datasets, strict=True):
            bare(axes, grid="x")
            axes.grid(visible=False, axis="y")
            places = np.arange(rows.sum())
            axes.barh(places, seconds[rows], 0.62, color=colour("pale"))
            axes.hlines(places, low[rows], high[rows], color=colour("ink"), linewidth=1.5)
            for place, median in enumerate(seconds[rows]):
                write_beside(axes, place, f"{median:.3g} s", distance=8)
            name_rows(axes, [str(m) for m in method[rows]])
            axes.set_ylim(len(places) - 0.4, -0.6)
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(4))
            write_numbers(axes.xaxis)
            axes.set_xlabel("seconds an epoch: median, least to most", color=colour("muted"))
            if name is not None:
                title(axes, str(name))
        return figure
