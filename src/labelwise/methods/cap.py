"""CAP: class-aware pseudo-labels by each label's share (Xie et al., NeurIPS 2023).

As many positives of each label as its share says.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from labelwise.methods.base import Batch, Pool
from labelwise.methods.families.semi_supervised import DEPARTURES, SHARED, SelfTraining
from labelwise.methods.spec import SETTINGS, Budget, Hyperparameter, MethodSpec


class ClassAwarePseudoLabels(SelfTraining):
    """Self-training with class-aware pseudo-labels.

    Warm up on the known entries of fair rows; then, before every epoch, pseudo-label the others label by label.

    The averaged network scores all items; the prior_k n highest scores of a label become positives. Known entries
    keep their label. Loss: asymmetric (gamma_negative 4, clip .05) on strong views, summed over entries and
    divided by their number; entries between the shares are masked.
    """

    spec = MethodSpec(
        id="cap",
        title="Class-aware pseudo-labelling (CAP)",
        paper="Xie et al., Class-Distribution-Aware Pseudo-Labeling for SSMLL, NeurIPS 2023",
        assumption="the share of positives of each label is known or estimated where both signs are known, and the "
        "same among unlabelled items",
        settings=frozenset(SETTINGS) - {"full"},
        passes=4,
        needs=frozenset({"prior"}),
        hyperparameters={
            **SHARED,
            "gamma_negative": Hyperparameter(
                4.0, "focusing of negatives", low=0.0, high=10.0, source="released code"
            ),
            "gamma_positive": Hyperparameter(
                0.0, "focusing of positives", low=0.0, high=10.0, source="released code"
            ),
            "clip": Hyperparameter(
                0.05, "probability margin of negatives", low=0.0, high=0.5, source="released code"
            ),
        },
        head_budget=Budget(20, 64, 1e-4),
        full_budget=Budget(40, 64, 1e-3),
        departures=DEPARTURES,
    )

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Set the targets of unknown entries from the averaged network's scores.

        Known entries keep theirs.
        """
        pool = pools("averaged")
        pool.state.write("target", self.pseudo_labels(pool))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean asymmetric loss, masked entries counted as 0."""
        return self.asymmetric_loss(batch)
