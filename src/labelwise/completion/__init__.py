"""Missing labels: ranked, asked for, certified and filled.

Scores here are those of models that did not see the row (``left_out_scores``), so that what is said of a training
table holds for it.
"""

from __future__ import annotations

from labelwise.completion.left_out import LeftOutScores, left_out_scores

__all__ = ["LeftOutScores", "left_out_scores"]
