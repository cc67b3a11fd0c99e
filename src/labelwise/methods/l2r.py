"""Assume negative with an L2 penalty on the head."""

from __future__ import annotations

from torch import Tensor

from labelwise.methods.families.assumed_negative import DEPARTURES, PenalisedHead
from labelwise.methods.spec import SETTINGS, Hyperparameter, MethodSpec


class L2Regularised(PenalisedHead):
    """Assumed negatives, plus lambda sum W^2 over the head's weights.

    The mean binary cross-entropy takes unknown as negative.

    A baseline whose code and coefficient were not released: which weights are penalised, and how much, is ours. The
    penalty is part of the loss (not AdamW's decay).
    """

    spec = MethodSpec(
        id="l2r",
        title="Assume negative, L2 penalty (L2R)",
        paper="baseline of Zhou et al., Acknowledging the Unknown, ECCV 2022",
        assumption="nearly every unknown entry is irrelevant, and the labels are noisier than the features are rich",
        settings=frozenset(SETTINGS),
        passes=3,
        hyperparameters={"weight": Hyperparameter(1e-4, "lambda, weight of sum W^2", low=0.0, high=1.0)},
        departures=DEPARTURES,
    )

    def norm(self, weight: Tensor) -> Tensor:
        """Return sum W^2."""
        return weight.square().sum()
