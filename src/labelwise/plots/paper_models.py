"""Figures of fitted models: cosines and gradients, predictions, landscapes, label correlation."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from labelwise.plots.graph import label_graphs
from labelwise.plots.paper_axes import (
    Data,
    apart,
    columns,
    names_of,
    ordered,
    panels,
    put_legend,
    shades,
    title,
)
from labelwise.plots.style import bare, colour, drawing, new_figure, short

_ROLES = {"positives": "blue", "negatives": "slate", "true negatives": "slate", "false negatives": "orange"}


def cosine_gradients(data: Data, *, width: float = 900) -> Figure:
    """Draw densities of cosines with the score they get, and below them of gradients (HML, figure 2).

    Args:
        data: The columns of ``analysis.cosine_gradients``, and perhaps ``scenario`` for a column of panels each.
    """
    quantity, group, low, high, density = columns(data, "quantity", "group", "low", "high", "density")
    scenario = names_of(data, "scenario")
    names = [None] if scenario is None else ordered(scenario)
    groups = [name for name in ordered(group) if name in _ROLES]
    with drawing():
        figure = new_figure(width, 470)
        apart(figure)
        grid = figure.subplots(2, len(names), squeeze=False, sharey="row", sharex="row")
        for place, name in enumerate(names):
            mine = np.ones(len(group), bool) if scenario is None else scenario == name
            for axes, wanted in zip(grid[:, place], ("cosine", "gradient"), strict=True):
                bare(axes, grid="x")
                for part in groups:
                    rows = mine & (quantity == wanted) & (group == part)
                    if not rows.any():
                        continue
                    edges = np.append(low[rows], high[rows][-1])
                    role = colour(_ROLES[part])
                    # An empty bin is drawn at the floor of the logarithmic axis.
                    values = np.maximum(density[rows], 1e-4) if wanted == "gradient" else density[rows]
                    base = 1e-4 if wanted == "gradient" else 0
                    axes.stairs(values, edges, baseline=base, fill=True, color=role, alpha=0.2)
                    axes.stairs(values, edges, baseline=base, color=role, linewidth=1.75)
            upper, lower = grid[:, place]
            upper.set_yticks([])
            curve = mine & (quantity == "probability")
            score = upper.twinx()
            bare(score, grid="")
            score.plot(
                low[curve], density[curve], color=colour("ink"), linewidth=1.5, linestyle=(0, (1, 1.5))
            )
            score.set_ylim(0, 1.05)
            # No tick at 0, which stands where the cosines' last one does.
            score.set_yticks([0.5, 1] if place + 1 == len(names) else [])
            if place + 1 == len(names):
                score.set_ylabel("mean score p", color=colour("muted"))
            lower.set_yscale("log")
            lower.yaxis.set_major_locator(LogLocator(numticks=5))
            lower.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
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
    """Draw the densities of one label's scores on its positives and negatives, a panel a method (EM+APL poster).

    Args:
        data: The columns of ``analysis.prediction_densities``, and perhaps ``method``.
    """
    group, low, high, density = columns(data, "group", "low", "high", "density")
    method = names_of(data, "method")
    names = [None] if method is None else ordered(method)
    with drawing():
        figure, grid = panels(len(names), width, 190, sharex=True)
        for axes, name in zip(grid, names, strict=True):
            bare(axes, grid="x")
            axes.grid(visible=False, axis="y")
            mine = np.ones(len(group), bool) if method is None else method == name
            for part in ("negatives", "positives"):
                rows = mine & (group == part)
                edges = np.append(low[rows], high[rows][-1])
                axes.stairs(density[rows], edges, fill=True, color=colour(_ROLES[part]), alpha=0.22)
                axes.stairs(density[rows], edges, color=colour(_ROLES[part]), linewidth=1.75)
            axes.set_yticks([])
            axes.set_ylim(bottom=0)
            axes.set_ylabel("density", color=colour("muted"))
            axes.set_xlim(0, 1)
            axes.set_xlabel(label, color=colour("muted"))
            if name is not None:
                title(axes, name)
        put_legend(
            figure,
            [Patch(color=colour(_ROLES[name]), label=name) for name in ("positives", "negatives")],
            width,
        )
        return figure


def wasserstein_distances(data: Data, *, width: float = 680) -> Figure:
    """Draw each label's distance between its positives' and negatives' scores, a row a method (EM+APL poster).

    Args:
        data: Columns ``method``, ``label`` and ``distance`` (``analysis.wasserstein_distances``); a method's mean
            is a bar with its value.
    """
    method, _, distance = columns(data, "method", "label", "distance")
    names = ordered(method)
    with drawing():
        figure = new_figure(width, 56 + 34 * len(names))
        axes = figure.subplots()
        bare(axes, grid="x")
        for place, name in enumerate(names):
            values = distance[(method == name) & np.isfinite(distance)]
            axes.scatter(
                values, np.full(len(values), place), s=26, color=colour("pale"), alpha=0.6, linewidths=0
            )
            if len(values):
                mean = float(values.mean())
                axes.vlines(mean, place - 0.3, place + 0.3, color=colour("blue"), linewidth=3)
                text = f"{mean:.3f}"
            else:
                text = "not defined"
            axes.annotate(
                text,
                (1, place),
                xycoords=("axes fraction", "data"),
                xytext=(12, 0),
                textcoords="offset points",
                va="center",
                color=colour("ink"),
            )
        axes.set_yticks(np.arange(len(names)), [short(str(name), 34) for name in names])
        axes.tick_params(axis="y", colors=colour("ink"), pad=6)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(left=0)
        axes.set_xlabel("Wasserstein distance of a label's scores (dot), mean (bar)", color=colour("muted"))
        return figure


def loss_landscape(data: Data, *, width: float = 900) -> Figure:
    """Draw the loss around the trained weights, a panel a method, all in the same shades (EM+APL poster).

    Args:
        data: The columns of ``analysis.loss_landscape``, and perhaps ``method``.
    """
    a, b, loss = columns(data, "a", "b", "loss")
    method = names_of(data, "method")
    names = [None] if method is None else ordered(method)
    levels = np.geomspace(max(float(np.nanmin(loss)), 1e-6), float(np.nanmax(loss)) * 1.0001, 25)
    with drawing():
        across = 1 if width < 500 else min(3, len(names))
        figure, grid = panels(len(names), width, width / across * 0.92, sharex=True, sharey=True)
        for axes, name in zip(grid, names, strict=True):
            bare(axes, grid="")
            mine = np.ones(len(a), bool) if method is None else method == name
            xs, ys = np.unique(a[mine]), np.unique(b[mine])
            order = np.lexsort((a[mine], b[mine]))
            values = loss[mine][order].reshape(len(ys), len(xs))
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
    """Draw labels on a circle, joined where they go together (HML, figure 6).

    Args:
        data: The columns of ``analysis.correlation_pairs``; labels without a pair are left out.
    """
    first, second, value = columns(data, "first", "second", "correlation")
    names = sorted({*first.tolist(), *second.tolist()})
    place = {name: i for i, name in enumerate(names)}
    pairs = zip(first.tolist(), second.tolist(), value.tolist(), strict=True)
    edges = [(min(place[a], place[b]), max(place[a], place[b]), float(v)) for a, b, v in pairs]
    return label_graphs(names, [(f"pairs of labels, correlation from {value.min():.2f}", edges)], width=width)
