"""Hyperspherical loss: a margin added to the angle (Ke et al., ECCV 2022)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.spec import MEAN_OF_ENTRIES, SETTINGS, Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import Outputs

SCALE = Hyperparameter(20.0, "scale s of the cosine", low=1.0, high=64.0, source="paper, section 4")
MARGIN = Hyperparameter(0.3, "margin m added to the angle, in radians", low=0.0, high=0.7854, source="paper")

MEAN_OVER_LABELS = replace(
    MEAN_OF_ENTRIES, what="The mean over entries; the paper's loss is a sum over labels."
)


POOLED = Departure(
    "Cosines are of the pooled features themselves; the paper does not say what they are of.",
    "No code is published.",
)


class HypersphericalMargin(NegativeByAssumption):
    """Cross-entropy on the sphere, unknown as negative.

    p = sigmoid(s cos(theta + m)), theta the angle between feature and label weight.

    The margin is inside the angle, for positives and negatives, in training and at inference.
    """

    spec = MethodSpec(
        id="hml_fixed",
        title="Hyperspherical loss (HL), fixed scale and margin",
        paper="Ke et al., Hyperspherical Learning in Multi-Label Classification, ECCV 2022",
        assumption="nearly every unknown entry of a labelled row is irrelevant",
        settings=frozenset(SETTINGS),
        passes=3,
        weighs_rows=True,
        head="cosine",
        head_budget=Budget(10, 64, 1e-5),
        hyperparameters={
            "scale": SCALE,
            "margin": MARGIN,
            "margin_on": Hyperparameter(
                "both",
                "where the margin applies in training; it applies at inference for 'both' alone",
                choices=("none", "positives", "negatives", "both"),
                source="paper, table 5",
            ),
        },
        departures=(
            MEAN_OVER_LABELS,
            POOLED,
            Departure(
                "With the margin on negatives alone, scores are without it; the paper says so of positives alone.",
                "Where one sign carries a margin, an item without labels has none.",
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.hyperspherical``."""
        values = losses.hyperspherical(
            batch.scores,
            batch.labels,
            scale=self.hp.scale,
            margin=self.hp.margin,
            margin_on=self.hp.margin_on,
        )
        return self.mean(values, batch)

    def logits(self, outputs: Outputs) -> Tensor:
        """Return the logits s cos(theta + m).

        They are without m unless it applied to both signs.
        """
        margin = self.hp.margin if self.hp.margin_on == "both" else 0.0
        return losses.hyperspherical_logits(outputs.scores, scale=self.hp.scale, margin=margin)
