"""Draws data that it is handed, as matplotlib figures: no global state, no file formats, one calm style."""

from labelwise.plots._angles import angle_densities
from labelwise.plots._bars import label_bars, label_counts, method_bars
from labelwise.plots._curves import learning_curve
from labelwise.plots._export import as_png_data_uri, as_svg, picture_data_uri
from labelwise.plots._graph import label_graphs
from labelwise.plots._grid import item_grid
from labelwise.plots._reliability import reliability_diagram
from labelwise.plots._style import PALETTE, stylesheet

__all__ = [
    "PALETTE",
    "angle_densities",
    "as_png_data_uri",
    "as_svg",
    "item_grid",
    "label_bars",
    "label_counts",
    "label_graphs",
    "learning_curve",
    "method_bars",
    "picture_data_uri",
    "reliability_diagram",
    "stylesheet",
]
