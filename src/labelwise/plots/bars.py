"""Horizontal bars of labels and of methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from labelwise.plots.style import (
    bare,
    colour,
    drawing,
    name_rows,
    new_figure,
    short,
    write_beside,
    write_numbers,
)

_NARROW, _SHORT = 500, 5


@dataclass(frozen=True)
class _Rows:
    """Axes with one horizontal bar a name, the first on top."""

    figure: Figure
    axes: Axes
    names: Sequence[str]
    stacked: bool
    """True: names and numbers stand above the bars, where there is little room and names are long."""
    bar: float

    @property
    def places(self) -> NDArray[np.float64]:
        """The middle of each bar."""
        return np.arange(len(self.names), dtype=np.float64) + (0.24 if self.stacked else 0.0)

    def write(self, texts: Sequence[str], role: str = "ink") -> None:
        """Write each row's text right of the bars or above them."""
        for place, text in enumerate(texts):
            if self.stacked:
                self.above(1, place, text, "right", role)
            else:
                write_beside(self.axes, place, text, role)

    def above(self, x: float, place: int, text: str, align: str, role: str) -> None:
        """Write a text above a bar's left (0) or right end (1)."""
        self.axes.annotate(
            text,
            (x, place - 0.04),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            ha=align,
            va="bottom",
            color=colour(role),
        )

    def line(self, value: float, role: str) -> None:
        """Draw a dashed line at ``value`` through all rows.

        Through their bars alone where text is in between.
        """
        style: dict[str, Any] = {"color": colour(role), "linewidth": 1.5, "zorder": 3}
        if self.stacked:
            self.axes.vlines(np.full(len(self.names), value), self.places - 0.26, self.places + 0.26, **style)
        else:
            self.axes.axvline(value, linestyle=(0, (4, 3)), **style)

    def intervals(self, low: Sequence[float] | None, high: Sequence[float] | None) -> None:
        """Draw each row's interval over its bar."""
        if low is None or high is None:
            return
        style: dict[str, Any] = {"color": colour("ink"), "linewidth": 1.5, "zorder": 4}
        self.axes.hlines(self.places, low, high, **style)
        for ends in (low, high):
            self.axes.vlines(ends, self.places - 0.1, self.places + 0.1, **style)


def _rows(
    names: Sequence[str], width: float, *, below: float, row: float, stacked: bool | None = None
) -> _Rows:
    """Return empty rows of ``row`` pixels each.

    ``below`` pixels are for the axis and the legend. ``stacked``: see ``_Rows``; None where there is little room.
    """
    count = max(len(names), 1)
    most = 22 if stacked is None else int(0.115 * width)
    if stacked is None:
        stacked = width < _NARROW and max(map(len, names), default=0) > _SHORT
    figure = new_figure(width, below + (row + 14 if stacked else row) * count)
    axes = figure.subplots()
    bare(axes, grid="" if stacked else "x")
    axes.set_ylim(count - 0.5, -0.6 if stacked else -0.75)
    rows = _Rows(figure, axes, names, stacked, 0.36 if stacked else 0.62)
    if stacked:
        axes.set_yticks([])
        for place, name in enumerate(names):
            rows.above(0, place, short(name, most), "left", "ink")
    else:
        name_rows(axes, names)
    return rows


def _unit_axis(rows: _Rows, label: str) -> None:
    rows.axes.set_xlim(0, 1)
    rows.axes.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    write_numbers(rows.axes.xaxis)
    rows.axes.set_xlabel(label, color=colour("muted"))


def label_counts(
    names: Sequence[str],
    positives: Sequence[int],
    negatives: Sequence[int],
    unknown: Sequence[int],
    *,
    width: float = 680,
) -> Figure:
    """Draw each label's known positives, known negatives and unknown entries, stacked."""
    with drawing():
        rows = _rows(names, width, below=72, row=26)
        left = np.zeros(len(names))
        parts = (
            ("known relevant", positives, "blue"),
            ("known irrelevant", negatives, "orange"),
            ("unknown", unknown, "grey"),
        )
        for _, counts, role in parts:
            rows.axes.barh(rows.places, counts, rows.bar, left=left, color=colour(role))
            left = left + np.asarray(counts, dtype=np.float64)
        known = zip(positives, negatives, strict=True)
        rows.write([f"{yes:,} yes · {no:,} no" for yes, no in known], "muted")
        rows.axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        rows.axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        rows.axes.set_xlim(0, max(left.max(initial=0), 1))
        rows.axes.set_xlabel("items", color=colour("muted"))
        rows.figure.legend(
            handles=[Patch(color=colour(role), label=name) for name, _, role in parts],
            loc="outside upper left",
            ncols=3,
            frameon=False,
            labelcolor=colour("ink"),
            handlelength=0.9,
            handleheight=0.9,
            columnspacing=1.0 if width < _NARROW else 2.0,
            handletextpad=0.5,
            borderpad=0.0,
            borderaxespad=0.8,
            fontsize=11 if width < _NARROW else 12,
        )
        return rows.figure


def label_bars(
    names: Sequence[str],
    values: Sequence[float],
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    *,
    label: str = "average precision",
    width: float = 680,
) -> Figure:
    """Draw a value in [0, 1] for each label, with its interval.

    Intervals are drawn where ``low`` and ``high`` are given.

    A label whose value is NaN has no bar and says so.
    """
    with drawing():
        rows = _rows(names, width, below=44, row=26)
        lengths = np.asarray(values, dtype=np.float64)
        rows.axes.barh(rows.places, np.nan_to_num(lengths), rows.bar, color=colour("pale"))
        rows.intervals(low, high)
        rows.write([f"{v:.3f}" if np.isfinite(v) else "not defined" for v in lengths])
        _unit_axis(rows, label)
        return rows.figure


def share_bars(
    names: Sequence[str], shares: Sequence[float], texts: Sequence[str], *, label: str, width: float = 680
) -> Figure:
    """Draw each part's share of a whole, with a text at its right end.

    Names may be long: they stand above the bars.
    """
    with drawing():
        rows = _rows(names, width, below=44, row=22, stacked=True)
        rows.axes.barh(rows.places, shares, rows.bar, color=colour("pale"))
        rows.write(texts, "muted")
        rows.axes.xaxis.set_major_locator(MaxNLocator(4, min_n_ticks=3))
        rows.axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
        rows.axes.set_xlim(0, max(max(shares, default=0.0), 0.01))
        rows.axes.set_xlabel(label, color=colour("muted"))
        return rows.figure


def method_bars(
    names: Sequence[str],
    values: Sequence[float],
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    *,
    label: str = "mean average precision",
    reference: int | None = None,
    ceiling: int | None = None,
    best: int | None = None,
    width: float = 680,
) -> Figure:
    """Draw a value in [0, 1] for each method, with its interval.

    Intervals are drawn where ``low`` and ``high`` are given.

    ``reference``, ``ceiling`` and ``best`` are positions: a line runs through all rows at the value of the
    reference and of the ceiling, which have colours of their own; ``best`` is drawn stronger than the others.
    """
    with drawing():
        rows = _rows(names, width, below=44, row=34)
        lengths = np.asarray(values, dtype=np.float64)
        colours = [colour("pale")] * len(names)
        for place, role in ((best, "blue"), (reference, "orange"), (ceiling, "grey")):
            if place is not None:
                colours[place] = colour(role)
        rows.axes.barh(rows.places, np.nan_to_num(lengths), rows.bar, color=colours)
        for place, role in ((reference, "orange"), (ceiling, "slate")):
            if place is not None:
                rows.line(lengths[place], role)
        rows.intervals(low, high)
        texts = [f"{v:.3f}" if np.isfinite(v) else "not defined" for v in lengths]
        for place, gain in enumerate(lengths - lengths[reference] if reference is not None else ()):
            if place not in (reference, ceiling) and np.isfinite(gain):
                texts[place] += f"  ({gain:+.3f})".replace("-", "−")
        rows.write(texts)
        _unit_axis(rows, label)
        return rows.figure
