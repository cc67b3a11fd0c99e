"""Mergeable per-label summaries, gathered batch by batch.

They hold whatever is global in a method.

Each has ``update(batch)``, ``merge(other)`` and ``finalize()``. Its size depends on the number of labels (for
exact selections, on the number selected), never on items x labels. Gathered in any split of the batches and
merged in any order, selections are equal to the bit and float64 moments to 1e-12 relative.
"""

from labelwise.summaries.arrays import as_array
from labelwise.summaries.moments import AngleMoments, AngleStatistics, LabelMoments
from labelwise.summaries.score_histogram import ScoreHistogram
from labelwise.summaries.top_scores import Thresholds, TopScores, TopSelection

__all__ = [
    "AngleMoments",
    "AngleStatistics",
    "LabelMoments",
    "ScoreHistogram",
    "Thresholds",
    "TopScores",
    "TopSelection",
    "as_array",
]
