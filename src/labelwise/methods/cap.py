"""CAP: class-aware pseudo-labels, as many positives of each label as its share says (Xie et al., NeurIPS 2023)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from labelwise import losses, targets
from labelwise.methods.base import Batch, Method, Pool
from labelwise.methods.plan import Stage
from labelwise.methods.semi_supervised import (
    EMA_DECAY,
    UNLABELLED_WEIGHT,
    WARM_UP,
    entry_weights,
    two_stages,
    warm_up_labels,
)
from labelwise.methods.spec import SETTINGS, Budget, Hyperparameter, MethodSpec

__all__ = ["NEGATIVE_SHARE", "POSITIVE_SHARE", "ClassAwarePseudoLabels"]

POSITIVE_SHARE = Hyperparameter(
    1.0, "share of a label's pseudo-positives that are used", low=0.0, high=1.0, source="released code"
)
NEGATIVE_SHARE = Hyperparameter(
    0.998,
    "share of a label's pseudo-negatives that are used, the least likely first",
    low=0.0,
    high=1.0,
    source="released code: 1, clipped to .998",
)


class ClassAwarePseudoLabels(Method):
    """Warm up on the complete rows; then, before every epoch, pseudo-label the unknown entries label by label.

    The averaged network scores all items; the prior_k n highest scores of a label become positives. Known entries
    keep their label. Loss: asymmetric (gamma_negative 4, clip .05) on strong views, summed over entries and
    divided by their number; entries between the shares are masked.
    """

    spec = MethodSpec(
        id="cap",
        title="Class-aware pseudo-labelling (CAP)",
        paper="Xie et al., Class-Distribution-Aware Pseudo-Labeling for SSMLL, NeurIPS 2023",
        assumption="the share of positives of each label is known or estimated on complete rows, and the same "
        "among unlabelled items",
        settings=frozenset(SETTINGS) - {"full"},
        passes=4,
        needs=frozenset({"prior"}),
        hyperparameters={
            "warm_up": WARM_UP,
            "positive_share": POSITIVE_SHARE,
            "negative_share": NEGATIVE_SHARE,
            "gamma_negative": Hyperparameter(
                4.0, "focusing of negatives", low=0.0, high=10.0, source="released code"
            ),
            "gamma_positive": Hyperparameter(
                0.0, "focusing of positives", low=0.0, high=10.0, source="released code"
            ),
            "clip": Hyperparameter(
                0.05, "probability margin of negatives", low=0.0, high=0.5, source="released code"
            ),
            "unlabelled_weight": UNLABELLED_WEIGHT,
            "ema_decay": EMA_DECAY,
        },
        head_budget=Budget(20, 64, 1e-4),
        full_budget=Budget(40, 64, 1e-4),
    )

    def plan(self) -> list[Stage]:
        """Warm-up on complete rows, then complete and incomplete rows together."""
        return two_stages(self)

    def start_labels(self) -> np.ndarray:
        """Return the labels of the rows that the warm-up trains on."""
        return warm_up_labels(self.problem)

    def slots(self) -> dict[str, targets.Slot]:
        """The target of every entry: 1, 0, or -1 for one that is not used."""
        return {"target": targets.Slot("int8", fill=-1)}

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Set the targets of unknown entries from the averaged network's scores; known entries keep theirs."""
        pool = pools("averaged")
        target = targets.pseudo_labels_from_chunks(
            lambda: ((rows, scores.numpy()) for rows, scores in pool.scores()),
            self.problem.n_items,
            self.problem.unknown_prior(self.spec.id),
            self.hp.positive_share,
            self.hp.negative_share,
            labels=self.problem.labels,
        )
        pool.state.write("target", target)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of the asymmetric loss, masked entries counted as 0."""
        target = batch.labels if batch.stage == "warm-up" else batch.state["target"]
        values = losses.asymmetric(
            batch.scores,
            target,
            gamma_negative=self.hp.gamma_negative,
            gamma_positive=self.hp.gamma_positive,
            clip=self.hp.clip,
        )
        if batch.stage == "warm-up":
            return self.mean(values, batch)
        return self.mean(
            values, batch, weights=entry_weights(target, batch.labels, self.hp.unlabelled_weight)
        )
