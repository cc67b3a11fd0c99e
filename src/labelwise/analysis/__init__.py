"""Data on trained models and on losses: angles, correlations, landscapes, gradient regimes."""

from labelwise.analysis import theory
from labelwise.analysis.angles import AngleDistributions, angle_distributions
from labelwise.analysis.columns import Columns, stack
from labelwise.analysis.correlation import (
    LabelCorrelation,
    correlation_pairs,
    known_correlation,
    output_correlation,
    strongest,
    weight_correlation,
)
from labelwise.analysis.outputs import MissingLabels, Survey, survey
from labelwise.analysis.predictions import (
    cosine_gradients,
    drawn_items,
    gradient_difference,
    prediction_densities,
    top_predictions,
    wasserstein_distances,
)
from labelwise.analysis.ranks import Difference, Ranks, compare_ranks, gap_share, mean_difference
from labelwise.analysis.regimes import REGIMES, gradient_regimes
from labelwise.analysis.training import epoch_seconds, loss_landscape, vdfd_by_epoch

__all__ = [
    "REGIMES",
    "AngleDistributions",
    "Columns",
    "Difference",
    "LabelCorrelation",
    "MissingLabels",
    "Ranks",
    "Survey",
    "angle_distributions",
    "compare_ranks",
    "correlation_pairs",
    "cosine_gradients",
    "drawn_items",
    "epoch_seconds",
    "gap_share",
    "gradient_difference",
    "gradient_regimes",
    "known_correlation",
    "loss_landscape",
    "mean_difference",
    "output_correlation",
    "prediction_densities",
    "stack",
    "strongest",
    "survey",
    "theory",
    "top_predictions",
    "vdfd_by_epoch",
    "wasserstein_distances",
    "weight_correlation",
]
