"""What a trained model shows, as data: its angles, how its labels go together, what its training labels lack."""

from labelwise.analysis import theory
from labelwise.analysis.angles import AngleDistributions, angle_distributions
from labelwise.analysis.columns import Columns, stack
from labelwise.analysis.correlation import (
    LabelCorrelation,
    known_correlation,
    output_correlation,
    strongest,
    weight_correlation,
)
from labelwise.analysis.epochs import epoch_seconds, vdfd_by_epoch
from labelwise.analysis.gradients import cosine_gradients, gradient_difference
from labelwise.analysis.label_survey import MissingLabels, Survey, survey
from labelwise.analysis.landscape import loss_landscape
from labelwise.analysis.paper_correlation import correlation_pairs
from labelwise.analysis.predictions import prediction_densities, wasserstein_distances
from labelwise.analysis.ranks import Difference, Ranks, compare_ranks, gap_share, mean_difference

__all__ = [
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
    "epoch_seconds",
    "gap_share",
    "gradient_difference",
    "known_correlation",
    "loss_landscape",
    "mean_difference",
    "output_correlation",
    "prediction_densities",
    "stack",
    "strongest",
    "survey",
    "theory",
    "vdfd_by_epoch",
    "wasserstein_distances",
    "weight_correlation",
]
