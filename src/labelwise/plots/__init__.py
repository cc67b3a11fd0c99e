"""Figures of data with matplotlib, in one style.

Nothing here keeps global state or reads files.
"""

from labelwise.plots.bars import label_bars, label_counts, method_bars, share_bars
from labelwise.plots.charts import angle_densities, item_grid, learning_curve, reliability_diagram
from labelwise.plots.export import as_png_data_uri, as_svg, picture_data_uri, save_figure
from labelwise.plots.graph import label_graphs
from labelwise.plots.models import (
    correlation_graph,
    cosine_gradients,
    epoch_seconds,
    loss_landscape,
    prediction_densities,
    vdfd_by_epoch,
    wasserstein_distances,
)
from labelwise.plots.ranks import critical_difference, paired_gains
from labelwise.plots.regimes import gradient_regimes
from labelwise.plots.style import PALETTE, stylesheet
from labelwise.plots.sweeps import fraction_curves, margin_sweep, scale_margin, sensitivity, theory_curves
from labelwise.plots.tops import top_predictions

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
    "gradient_regimes",
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
    "share_bars",
    "stylesheet",
    "theory_curves",
    "top_predictions",
    "vdfd_by_epoch",
    "wasserstein_distances",
]
