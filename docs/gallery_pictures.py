"""Pictures of the gallery: a function an example, drawn from the names that it left behind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from labelwise.plots import PALETTE

WIDTH = 560
"""Pixels: small enough that the text can be read on a telephone."""
MOST_BYTES = 60_000
SIZE = 14.0


class Canvas:
    """A transparent figure in the colours of a theme."""

    def __init__(self, theme: str, height: int) -> None:
        self._theme = theme
        self.figure = Figure(
            figsize=(WIDTH / 72, height / 72), dpi=72, layout="constrained", facecolor="none"
        )

    def colour(self, role: str) -> str:
        """Return the role's colour in this theme."""
        return str(getattr(PALETTE[role], self._theme))

    def axes(self, *place: Any, title: str = "") -> Any:
        """Return axes without a frame, at a place of a grid."""
        axes = self.figure.add_subplot(*place)
        axes.set_facecolor("none")
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.tick_params(length=0, colors=self.colour("muted"), labelsize=SIZE - 1)
        axes.set_axisbelow(True)
        axes.set_title(title, color=self.colour("ink"), fontsize=SIZE, loc="left")
        return axes

    def legend(self, axes: Any, **where: Any) -> None:
        """Draw the legend without a frame."""
        axes.legend(frameon=False, fontsize=SIZE - 1, labelcolor=self.colour("ink"), **where)


def draw(name: str, ran: Any, theme: str, path: Path) -> None:
    """Draw an example's picture as WebP of at most 60 kB, twice as fine as it is shown."""
    figure = DRAWN[name](ran, theme)
    file = io.BytesIO()
    figure.savefig(file, format="png", transparent=True, dpi=144)
    image = Image.open(file)
    for quality in (90, 80, 70, 55):
        image.save(path, format="WEBP", quality=quality, method=6)
        if path.stat().st_size <= MOST_BYTES:
            return
    raise SystemExit(f"{path.name} has {path.stat().st_size:,} bytes")


def photo_library(ran: Any, theme: str) -> Figure:
    """Draw pictures of no album with the tags that they got."""
    canvas, space = Canvas(theme, 330), ran.space
    for place, (file, tags) in enumerate(list(zip(space["asked"], space["names"], strict=True))[:8]):
        axes = canvas.axes(2, 4, place + 1)
        axes.imshow(Image.open(file))
        axes.set_xticks([])
        axes.set_yticks([])
        right = set(tags) == set(space["truth"][Path(file).name])
        colour = canvas.colour("ink" if right else "orange")
        axes.set_xlabel("\n".join(_lines(tags)), color=colour, fontsize=SIZE)
    return canvas.figure


def _lines(tags: list[str], width: int = 14) -> list[str]:
    """Return tags on two lines, so that all pictures of a row are as high."""
    lines = [""]
    for tag in tags:
        joined = f"{lines[-1]}, {tag}" if lines[-1] else tag
        if len(joined) <= width:
            lines[-1] = joined
        else:
            lines[-1] += ","
            lines.append(tag)
    return [*lines, ""][:2]


def support_tickets(ran: Any, theme: str) -> Figure:
    """Draw new tickets with the probability of each tag."""
    space, canvas = ran.space, Canvas(theme, 300)
    probabilities = space["model"].predict_proba(space["new"])
    names = space["model"].label_names_
    for place, (text, row) in enumerate(zip(space["new"], probabilities, strict=True)):
        axes = canvas.axes(len(space["new"]), 1, place + 1, title=text)
        chosen = space["names_of"][place]
        for x, (name, p) in enumerate(zip(names, row, strict=True)):
            strong = name in chosen
            axes.barh([0], [0.94], left=x, height=1, color=canvas.colour("grey"), alpha=0.35)
            axes.barh([0], [0.94 * p], left=x, height=1, color=canvas.colour("blue" if strong else "slate"))
            weight = "bold" if strong else "normal"
            colour = canvas.colour("ink" if strong else "muted")
            axes.text(
                x, -1.05, f"{name} {p:.2f}", color=colour, fontsize=SIZE - 2, va="center", weight=weight
            )
        axes.set_xlim(0, len(names))
        axes.set_ylim(-1.6, 0.6)
        axes.set_axis_off()
        axes.set_title(text, color=canvas.colour("ink"), fontsize=SIZE, loc="left")
    return canvas.figure


def one_tag_each(ran: Any, theme: str) -> Figure:
    """Draw micro-F1 of each method, without and with one number from outside."""
    canvas = Canvas(theme, 250)
    axes = canvas.axes(1, 1, 1, title="micro-F1 on new canvases")
    rows = list(ran.space["results"].items())
    methods = list(dict.fromkeys(method for (method, _), _ in rows))
    for prior, role, shift in ((False, "grey", -0.2), (True, "blue", 0.2)):
        found = [figures["micro_f1"] for (_, told), figures in rows if (told is not None) == prior]
        places = [index + shift for index in range(len(methods))]
        label = "labels an item told" if prior else "nothing but the tags"
        axes.barh(places, found, height=0.36, color=canvas.colour(role), label=label)
        for y, value in zip(places, found, strict=True):
            axes.text(
                value + 0.01, y, f"{value:.2f}", va="center", color=canvas.colour("ink"), fontsize=SIZE - 1
            )
    axes.set_yticks(range(len(methods)), methods)
    axes.tick_params(axis="y", colors=canvas.colour("ink"))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_xlim(0, 1)
    canvas.legend(axes, loc="upper center", bbox_to_anchor=(0.4, 0), ncols=2)
    return canvas.figure


def five_per_cent(ran: Any, theme: str) -> Figure:
    """Draw mAP against the share of labelled items, a line for each use of the labels."""
    canvas, results = Canvas(theme, 300), ran.space["results"]
    axes = canvas.axes(1, 1, 1, title="test mAP, by the share of items that are labelled")
    roles = {"scikit-learn, labelled rows": "orange", "missing is no": "slate", "ridge": "blue"}
    for place, (name, role) in enumerate(roles.items()):
        values = [row[place] for row in results.values()]
        axes.plot(
            range(len(values)), values, marker="o", linewidth=2.5, color=canvas.colour(role), label=name
        )
    axes.set_xticks(range(len(results)), [f"{share:.1%}" for share in results])
    axes.grid(axis="y", color=canvas.colour("line"))
    canvas.legend(axes, loc="lower right")
    return canvas.figure


def chest_xray(ran: Any, theme: str) -> Figure:
    """Draw what the cells of each finding hold."""
    canvas, cells, findings = Canvas(theme, 360), ran.space["cells"], list(ran.space["FINDINGS"])
    axes = canvas.axes(1, 1, 1, title="what the table says of each finding")
    roles = {"1": ("present", "blue"), "0": ("absent", "orange"), "-1": ("uncertain", "slate")}
    start = np.zeros(len(findings))
    for code, (name, role) in {**roles, "": ("not mentioned", "grey")}.items():
        share = (cells == code).mean(axis=0)
        axes.barh(findings, share, left=start, height=0.7, color=canvas.colour(role), label=name)
        start += share
    axes.invert_yaxis()
    axes.tick_params(axis="y", colors=canvas.colour("ink"))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "half", "all images"])
    canvas.legend(
        axes, loc="upper center", bbox_to_anchor=(0.3, -0.08), ncols=4, columnspacing=1, handlelength=1
    )
    return canvas.figure


def hierarchy_and_groups(ran: Any, theme: str) -> Figure:
    """Draw what was promised and found, by what was left out."""
    canvas, space = Canvas(theme, 250), ran.space
    axes = canvas.axes(1, 1, 1, title="mAP, by what was left out to judge")
    for shift, role, name, values in (
        (-0.2, "slate", "promised by rows left out", space["promised"]),
        (0.2, "blue", "found on new videos", space["found"]),
    ):
        places = [place + shift for place in range(len(values))]
        axes.barh(places, list(values.values()), height=0.36, color=canvas.colour(role), label=name)
        for y, value in zip(places, values.values(), strict=True):
            axes.text(
                value + 0.01, y, f"{value:.2f}", va="center", color=canvas.colour("ink"), fontsize=SIZE - 1
            )
    axes.set_yticks(range(len(space["found"])), [name.replace(" ", "\n") for name in space["found"]])
    axes.tick_params(axis="y", colors=canvas.colour("ink"))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_xlim(0, 1)
    canvas.legend(axes, loc="upper center", bbox_to_anchor=(0.42, 0), ncols=2)
    return canvas.figure


def losses_only(ran: Any, theme: str) -> Figure:
    """Draw the test mAP of each loss, as it was printed."""
    canvas = Canvas(theme, 200)
    axes = canvas.axes(1, 1, 1, title="test mAP, the same network and loop under three losses")
    rows = [line.split() for line in ran.printed.splitlines()[1:]]
    roles = ("grey", "blue", "blue")
    values = [float(row[1]) for row in rows]
    axes.barh([row[0] for row in rows], values, height=0.7, color=[canvas.colour(role) for role in roles])
    for y, value in enumerate(values):
        axes.text(value + 0.01, y, f"{value:.3f}", va="center", color=canvas.colour("ink"), fontsize=SIZE - 1)
    axes.tick_params(axis="y", colors=canvas.colour("ink"))
    axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_xlim(0, 1.1)
    return canvas.figure


def several_processes(ran: Any, theme: str) -> Figure:
    """Draw the scores of one process against those of two."""
    canvas = Canvas(theme, 320)
    axes = canvas.axes(1, 1, 1, title="every score of 200 new canvases")
    one, two = (np.load(f"scores-{count}.npy").ravel() for count in (1, 2))
    ends = [1e-4, 1]
    axes.plot(ends, ends, color=canvas.colour("muted"), linewidth=1)
    axes.scatter(one, two, s=14, color=canvas.colour("blue"), alpha=0.5, linewidths=0)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
    axes.minorticks_off()
    axes.set_xlabel("trained by one process", color=canvas.colour("ink"), fontsize=SIZE)
    axes.set_ylabel("by two", color=canvas.colour("ink"), fontsize=SIZE)
    axes.grid(color=canvas.colour("line"))
    axes.set_aspect("equal")
    return canvas.figure


DRAWN: dict[str, Callable[[Any, str], Figure]] = {
    drawn.__name__: drawn
    for drawn in (
        photo_library,
        support_tickets,
        one_tag_each,
        five_per_cent,
        chest_xray,
        hierarchy_and_groups,
        losses_only,
        several_processes,
    )
}
