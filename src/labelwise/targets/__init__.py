"""From annotations to targets: pseudo-labels, negatives, soft labels, priors, item state."""

from labelwise.targets.adaptive import metric_adaptive_thresholds
from labelwise.targets.balanced import BalancedTargets, balanced_refresh
from labelwise.targets.hints import Hints, HintTargets
from labelwise.targets.negatives import hard_negatives, hard_negatives_from_chunks, self_paced_negatives
from labelwise.targets.pseudo_labels import (
    class_aware_pseudo_labels,
    expected_prior,
    pseudo_labels_from_chunks,
)
from labelwise.targets.state import ItemState, Slot

__all__ = [
    "BalancedTargets",
    "HintTargets",
    "Hints",
    "ItemState",
    "Slot",
    "balanced_refresh",
    "class_aware_pseudo_labels",
    "expected_prior",
    "hard_negatives",
    "hard_negatives_from_chunks",
    "metric_adaptive_thresholds",
    "pseudo_labels_from_chunks",
    "self_paced_negatives",
]
