"""Assume negative with an L1 penalty on the head."""

from __future__ import annotations

from torch import Tensor

from labelwise.methods.families.assumed_negative import DEPARTURES, PenalisedHead
from labelwise.methods.spec import SETTINGS, Hyperparameter, MethodSpec


class L1Regularised(PenalisedHead):
    """Assumed negatives, plus lambda sum |W| over the head's weights.

    The mean binary cross-entropy takes unknown as negative.

    A baseline whose code and coefficient were not released: which weights are penalised, and how much, is ours.
    """

    spec = MethodSpec(
        id="l1r",
        title="Assume negative, L1 penalty (L1R)",
        paper="baseline of Zhou et al., Acknowledging the Unknown, ECCV 2022",
        assumption="nearly every unknown entry is irrelevant, and few features matter to a label",
        settings=frozenset(SETTINGS),
        passes=3,
        hyperparameters={"weight": Hyperparameter(1e-5, "lambda, weight of sum |W|", low=0.0, high=1.0)},
        departures=DEPARTURES,
    )

    def norm(self, weight: Tensor) -> Tensor:
        """Return sum |W|."""
        return weight.abs().sum()
