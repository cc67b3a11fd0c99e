"""HML: adaptive scale and margin on the sphere (Ke et al., ECCV 2022).

Scale and margin adapt to the balance of signs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labelwise import losses
from labelwise.methods.base import Batch, Method, Optimiser
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.hml_fixed import MARGIN, MEAN_OVER_LABELS, POOLED, SCALE
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_entries, batch_sum
from labelwise.methods.spec import SETTINGS, Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import Outputs

_ADAPTIVE_RATE = 1e-3


class HypersphericalLearning(NegativeByAssumption):
    """Cross-entropy on the sphere, with a learnt scale and margin.

    p = sigmoid(s cos(theta + m)), whose scale s and margin m keep the gradients balanced.

    theta is the angle between an item's feature and a label's weight; unknown counts as negative. The loss is the mean
    cross-entropy plus |sum over positives (1 - p) - sum over negatives p| / (B K). The balance sees cosines without
    gradient, so that only s and m learn from it; the cross-entropy sees s and m as constants, since it would otherwise
    inflate s (``bce_updates_scale`` lets it). At a head's rate of 1e-5 they would hardly move (by .01 in a thousand
    steps): they have a rate of their own.
    """

    spec = MethodSpec(
        id="hml",
        title="Hyperspherical learning (HML)",
        paper="Ke et al., Hyperspherical Learning in Multi-Label Classification, ECCV 2022",
        assumption="nearly every unknown entry of a labelled row is irrelevant",
        settings=frozenset(SETTINGS),
        passes=3,
        head="cosine",
        head_budget=Budget(10, 64, 1e-5),
        whole_batch=True,
        hyperparameters={
            "scale": SCALE,
            "margin": MARGIN,
            "adaptive_rate": Hyperparameter(
                None,
                "learning rate of s and m as a multiple of the head's; None: their own, .001 whatever the head's",
                low=0.0,
                high=1000.0,
                optional=True,
                source="ours: benchmarks/studies/adaptive_rate.py; the paper names one Adam, that is 1",
            ),
            "bce_updates_scale": Hyperparameter(False, "let the cross-entropy move s and m as well"),
        },
        departures=(
            Departure(
                "Scale and margin learn at a rate of their own; the paper names one Adam.",
                "At the learning rates that suit a head or a pretrained backbone they would hardly move.",
                option="adaptive_rate=1.0",
            ),
            Departure(
                "The cross-entropy takes scale and margin as constants; the paper does not say.",
                "It would inflate the scale.",
                option="bce_updates_scale=True",
            ),
            Departure(
                "Their bounds, 1 to 64 and 0 to pi/4, are ours, as is the start at 20 and .3.",
                "The paper names neither.",
            ),
            Departure(
                "The balance is divided by the number of a batch's entries.",
                "So that it stands beside a mean; Adam does not see the factor.",
            ),
            MEAN_OVER_LABELS,
            POOLED,
        ),
    )

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.scale = nn.Parameter(torch.tensor(float(self.hp.scale)))
        self.margin = nn.Parameter(torch.tensor(float(self.hp.margin)))

    def optimiser(self, **changes: Any) -> Optimiser:
        """Return the default optimiser with the adaptive parameters' rate."""
        factor = self.hp.adaptive_rate
        if factor is None:
            factor = _ADAPTIVE_RATE / self.budget.learning_rate
        return super().optimiser(**{"rates": {"method.": factor}, **changes})

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy plus the balance of signs.

        That is CE(sigmoid(s cos(theta + m)), y) + |sum_+ (1 - p) - sum_- p| / (B K).
        """
        if self.hp.bce_updates_scale:
            cosines, labels = batch.scores, batch.labels
            values = losses.hyperspherical(cosines, labels, scale=self.scale, margin=self.margin)
            # Cosines without gradient: the balance moves s and m, and leaves the network alone.
            adaptive = losses.hyperspherical_logits(cosines.detach(), scale=self.scale, margin=self.margin)
            balance = losses.gradient_balance(adaptive, labels, total=batch_sum)
        else:
            # The cross-entropy of entries that are right falls as s grows: it would inflate the scale.
            values, missed = losses.hyperspherical_with_balance(
                batch.scores, batch.labels, self.scale, self.margin
            )
            balance = batch_sum(missed).abs()
        return self.mean(values, batch) + balance / batch_entries(values)

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        """Keep s in [1, 64] and m in [0, pi/4]."""
        self.scale.clamp_(1.0, 64.0)
        self.margin.clamp_(0.0, torch.pi / 4)

    def translated(self, logits: np.ndarray, earlier: Method) -> np.ndarray:
        """Return the logits of the same angles at this run's scale and margin.

        More rows make more steps, by which both go further: by thresholds of logits the sets would grow with them.
        """
        assert isinstance(earlier, HypersphericalLearning)
        s, m = (float(value.detach()) for value in (earlier.scale, earlier.margin))
        theta = np.maximum(np.arccos(np.clip(logits.astype(float) / s, -1, 1)) - m, 0)
        here: np.ndarray = float(self.scale.detach()) * np.cos(theta + float(self.margin.detach()))
        return here

    def logits(self, outputs: Outputs) -> Tensor:
        """Return s cos(theta + m)."""
        return losses.hyperspherical_logits(outputs.scores, scale=self.scale, margin=self.margin)
