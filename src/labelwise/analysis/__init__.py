"""What a trained model shows, as data: its angles, how its labels go together, what its training labels lack."""

from labelwise.analysis._angles import AngleDistributions, angle_distributions
from labelwise.analysis._correlation import (
    LabelCorrelation,
    known_correlation,
    output_correlation,
    strongest,
    weight_correlation,
)
from labelwise.analysis._survey import MissingLabels, Survey, survey

__all__ = [
    "AngleDistributions",
    "LabelCorrelation",
    "MissingLabels",
    "Survey",
    "angle_distributions",
    "known_correlation",
    "output_correlation",
    "strongest",
    "survey",
    "weight_correlation",
]
