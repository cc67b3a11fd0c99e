"""The style of all figures: colours of two themes, sizes, bare axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from labelwise.errors import printable

PIXELS_PER_INCH = 72
"""One SVG unit is one pixel at the width that a figure is made for."""


class Colour(NamedTuple):
    """A role's colour in the light and in the dark theme."""

    light: str
    dark: str


PALETTE: Mapping[str, Colour] = MappingProxyType(
    {
        "ink": Colour("#1d2530", "#e6ebf1"),
        "muted": Colour("#596472", "#a5b0bd"),
        "line": Colour("#d9dee5", "#343e4a"),
        "blue": Colour("#1b6cb3", "#5eabee"),
        "pale": Colour("#5f9acb", "#3d6f9c"),
        "orange": Colour("#b05706", "#f0a150"),
        "grey": Colour("#c5ccd5", "#46515e"),
        "slate": Colour("#87929f", "#7b8794"),
    }
)
"""Roles and their colours. Blue, orange and grey stay apart for every common colour vision deficiency."""


def colour(role: str) -> str:
    """Return the role's colour in the light theme.

    ``as_svg`` makes it follow the page's theme.
    """
    return PALETTE[role].light


def stylesheet() -> str:
    """Return the CSS custom properties ``--plot-ROLE`` for both themes.

    Printing takes the light one.
    """

    def block(theme: str) -> str:
        pairs = (f"--plot-{role}:{getattr(value, theme)}" for role, value in PALETTE.items())
        return ":root{" + ";".join(pairs) + "}"

    return block("light") + "@media screen and (prefers-color-scheme:dark){" + block("dark") + "}"


@contextmanager
def drawing() -> Iterator[None]:
    """Draw inside with our settings; the user's own are back afterwards."""
    settings: dict[Any, Any] = {
        "font.size": 12.5,
        # Names of labels may hold a dollar sign.
        "text.parse_math": False,
        "axes.unicode_minus": True,
        "svg.fonttype": "none",
        # Ids that depend on the drawing alone: the same data give the same bytes.
        "svg.hashsalt": "labelwise",
        "hatch.linewidth": 0.8,
    }
    with rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty transparent figure of ``width`` x ``height`` pixels."""
    size = (width / PIXELS_PER_INCH, height / PIXELS_PER_INCH)
    return Figure(figsize=size, dpi=PIXELS_PER_INCH, layout="constrained", facecolor="none")


def bare(axes: Axes, *, grid: str = "x") -> None:
    """Leave tick labels and thin lines across the ``grid`` axis alone.

    ``grid`` is ``x``, ``y`` or ``""``.
    """
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, colors=colour("muted"), labelsize=12.5)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=colour("line"), linewidth=1)  # type: ignore[arg-type]


def write_numbers(axis: Axis) -> None:
    """Write an axis's numbers without trailing zeros."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def shade_steps(
    axes: Axes,
    edges: NDArray[Any],
    values: NDArray[Any],
    role: str,
    *,
    baseline: float = 0.0,
    alpha: float = 0.22,
) -> None:
    """Draw a density over bins, the area below its steps shaded."""
    axes.stairs(values, edges, baseline=baseline, fill=True, color=colour(role), alpha=alpha)
    axes.stairs(values, edges, baseline=baseline, color=colour(role), linewidth=1.75)


def write_beside(axes: Axes, place: float, text: str, role: str = "ink", *, distance: float = 12) -> None:
    """Write a text right of the axes, beside the row at ``place``.

    ``distance`` pixels away.
    """
    axes.annotate(
        text,
        (1, place),
        xycoords=("axes fraction", "data"),
        xytext=(distance, 0),
        textcoords="offset points",
        va="center",
        color=colour(role),
    )


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Write the names of horizontal rows left of the axes."""
    axes.set_yticks(range(len(names)), [short(name, 34) for name in names])
    axes.tick_params(axis="y", colors=colour("ink"), pad=6)


def short(name: str, most: int) -> str:
    """Return ``name`` on one line of at most ``most`` characters.

    The middle of a longer one is left out.

    Control characters are written out: no drawing can hold them.
    """
    flat = printable(" ".join(name.split()))
    if len(flat) <= most:
        return flat
    head = (most - 1) * 2 // 3
    return f"{flat[:head]}…{flat[len(flat) - (most - 1 - head) :]}"
