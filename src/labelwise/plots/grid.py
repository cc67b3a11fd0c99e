"""Pictures with captions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from labelwise.plots.style import colour, drawing, new_figure


def item_grid(
    pictures: Sequence[NDArray[Any]], captions: Sequence[str], *, columns: int = 4, width: float = 680
) -> Figure:
    """Draw pictures, (H, W) grey or (H, W, 3) colour each, in rows of ``columns`` with captions below them.

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
