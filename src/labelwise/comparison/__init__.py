"""Several methods by cross-validation on the known entries, with their paired differences.

``compare`` deals the rows that can be judged into folds, trains every method without each of them in turn, and judges
it there on what is known. All methods have the same folds, so their differences are paired.
"""

from labelwise.comparison.comparing import Material, compare
from labelwise.comparison.differences import Difference, corrected_difference, holm
from labelwise.comparison.folds import Fold, deal_folds
from labelwise.comparison.logistic import BASELINE, LogisticBaseline
from labelwise.comparison.result import Comparison, MethodResult

__all__ = [
    "BASELINE",
    "Comparison",
    "Difference",
    "Fold",
    "LogisticBaseline",
    "Material",
    "MethodResult",
    "compare",
    "corrected_difference",
    "deal_folds",
    "holm",
]
