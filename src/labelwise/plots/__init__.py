"""Draws data that it is handed, as matplotlib figures: no global state, no file formats, one calm style."""

from labelwise.plots.angles import angle_densities
from labelwise.plots.bars import label_bars, label_counts, method_bars
from labelwise.plots.curves import learning_curve
from labelwise.plots.export import as_png_data_uri, as_svg, picture_data_uri, save_figure
from labelwise.plots.graph import label_graphs
from labelwise.plots.grid import item_grid
from labelwise.plots.paper_epochs import epoch_seconds, vdfd_by_epoch
from labelwise.plots.paper_models import (
    correlation_graph,
    cosine_gradients,
    loss_landscape,
    prediction_densities,
    wasserstein_distances,
)
from labelwise.plots.paper_sweeps import fraction_curves, margin_sweep, scale_margin, sensitivity
from labelwise.plots.ranks import critical_difference, paired_gains
from labelwise.plots.reliability import reliability_diagram
from labelwise.plots.style import PALETTE, stylesheet
from labelwise.plots.theory import theory_curves

__all__ = [
    "PALETTE",
    "angle_densities",
    "as_png_data_uri",
    "as_svg",
    "correlation_graph",
    "cosine_gradients",
    "critical_difference",
    "epoch_seconds",
    "fraction_curves",
    "item_grid",
    "label_bars",
    "label_counts",
    "label_graphs",
    "learning_curve",
    "loss_landscape",
    "margin_sweep",
    "method_bars",
    "paired_gains",
    "picture_data_uri",
    "prediction_densities",
    "reliability_diagram",
    "save_figure",
    "scale_margin",
    "sensitivity",
    "stylesheet",
    "theory_curves",
    "vdfd_by_epoch",
    "wasserstein_distances",
]
