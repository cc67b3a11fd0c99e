"""Losses: pure functions from logits or cosines and labels to unreduced values.

Entries of ``labels`` are 1 (relevant), 0 (irrelevant) or -1 (unknown), and each loss says what an unknown one
counts as. ``reduce`` makes a number of the values. The scalars ``expected_positives`` and
``gradient_balance`` look at the batch as a whole, ``pairwise`` and ``variational_pu`` at its rows and columns.
All are differentiable once, in at least float32 whatever the dtype of the input or autocast.
"""

from labelwise.losses.angular import (
    binary_angular_margin,
    hyperspherical,
    hyperspherical_logits,
    hyperspherical_with_balance,
)
from labelwise.losses.balanced import (
    AngleMoments,
    BalancingLines,
    balanced_angles,
    balanced_binary_angular_margin,
    balanced_cosine,
    balancing_lines,
)
from labelwise.losses.batch import (
    excess_positives,
    expected_positives,
    expected_positives_with_logits,
    gradient_balance,
    reduce,
)
from labelwise.losses.coherent import coherent
from labelwise.losses.cross_entropy import (
    assume_negative,
    entropy_maximization,
    entropy_maximization_with_soft,
    entropy_minimization,
    ignore_unknown,
    label_smoothing,
    soft_targets,
    weak_assume_negative,
)
from labelwise.losses.doubting import generalized_robust, self_paced_correction
from labelwise.losses.elsewhere import ComputeLoss, states_of
from labelwise.losses.focusing import asymmetric, focal, hill, partial_asymmetric
from labelwise.losses.pairs import compared_lines, pairwise
from labelwise.losses.selecting import selective_weights
from labelwise.losses.variational import variational_pu

__all__ = [
    "AngleMoments",
    "BalancingLines",
    "ComputeLoss",
    "assume_negative",
    "asymmetric",
    "balanced_angles",
    "balanced_binary_angular_margin",
    "balanced_cosine",
    "balancing_lines",
    "binary_angular_margin",
    "coherent",
    "compared_lines",
    "entropy_maximization",
    "entropy_maximization_with_soft",
    "entropy_minimization",
    "excess_positives",
    "expected_positives",
    "expected_positives_with_logits",
    "focal",
    "generalized_robust",
    "gradient_balance",
    "hill",
    "hyperspherical",
    "hyperspherical_logits",
    "hyperspherical_with_balance",
    "ignore_unknown",
    "label_smoothing",
    "pairwise",
    "partial_asymmetric",
    "reduce",
    "selective_weights",
    "self_paced_correction",
    "soft_targets",
    "states_of",
    "variational_pu",
    "weak_assume_negative",
]
