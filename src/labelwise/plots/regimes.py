"""Small panels of the losses' values and gradients."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from labelwise.plots.panels import Data, columns, ordered, panels, put_legend, title
from labelwise.plots.style import colour, drawing

_ROLES = {"relevant": "blue", "unknown": "orange", "irrelevant": "slate"}
_LOW, _HIGH = -1.15, 2.1


def gradient_regimes(data: Data, *, width: float = 900) -> Figure:
    """Draw each loss's gradient and value against p.

    A panel a loss, cut at 2.1 and -1.15. Gradients are solid, values dotted; entries have a colour each.

    Args:
        data: The columns of ``analysis.gradient_regimes``.
    """
    loss, entry, p, value, gradient = columns(data, "loss", "entry", "p", "value", "gradient")
    names = ordered(loss)
    with drawing():
        figure, grid = panels(len(names), width, 168, most=4, sharex=True, sharey=True)
        for place, (axes, name) in enumerate(zip(grid, names, strict=True)):
            axes.axhline(0, color=colour("line"), linewidth=1, zorder=0)
            # Unknown entries last: they are what the losses differ in.
            for kind in ("relevant", "irrelevant", "unknown"):
                rows = (loss == name) & (entry == kind)
                axes.plot(
                    p[rows], value[rows], color=colour(_ROLES[kind]), linewidth=1, linestyle=(0, (1, 1.5))
                )
                axes.plot(p[rows], gradient[rows], color=colour(_ROLES[kind]), linewidth=2)
            axes.set_xlim(0, 1)
            axes.set_ylim(_LOW, _HIGH)
            axes.xaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
            axes.yaxis.set_major_locator(FixedLocator([-1, 0, 1, 2]))
            title(axes, name)
            if place >= len(names) - 4:
                axes.set_xlabel("p", color=colour("muted"))
        handles = [
            Line2D([], [], color=colour(role), linewidth=2, label=f"{kind}: gradient")
            for kind, role in _ROLES.items()
        ]
        handles.append(
            Line2D([], [], color=colour("muted"), linewidth=1, linestyle=(0, (1, 1.5)), label="value")
        )
        put_legend(figure, handles, width)
        return figure
