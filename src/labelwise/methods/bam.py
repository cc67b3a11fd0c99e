"""BAM: the binary angular margin on labelled items (Li et al., NeurIPS 2024)."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.spec import MEAN_OF_ENTRIES, SETTINGS, Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import Outputs

ANGULAR_SCALE = Hyperparameter(
    20.0, "scale s of the cosine", low=1.0, high=64.0, source="released code: images 20, text 10"
)
ANGULAR_MARGIN = Hyperparameter(
    0.4, "margin m subtracted from the cosine", low=0.0, high=1.0, source="released code: images .4, text .2"
)
MARGIN_ON = Hyperparameter(
    "positives",
    "which signs carry the margin: the released code has positives, the paper's slides both",
    choices=("none", "positives", "negatives", "both"),
    source="released code",
)


ANGULAR_DEPARTURES = (
    Departure(
        "The margin is subtracted for positives, as in the released code; the paper's slides "
        "have it for both signs.",
        "Published figures are the code's.",
        option='margin_on="both"',
    ),
    Departure(
        "Scores are sigmoid(s (cos - m/2)), whatever margin_on; the released code's are sigmoid(cos), without s and m.",
        "With the margin on one sign one half is then midway between the boundaries of both; a label's ranking is the "
        "same.",
    ),
)
"""Departures of every angular margin."""


class BinaryAngularMargin(NegativeByAssumption):
    """Binary cross-entropy of logits s (cos theta - m y).

    An unknown entry of a labelled row counts as negative.
    """

    spec = MethodSpec(
        id="bam",
        title="Binary angular margin (BAM)",
        paper="Li et al., S2ML2-BBAM, NeurIPS 2024: its warm-up, and its ablation without balancing",
        assumption="nearly every unknown entry of a labelled row is irrelevant",
        settings=frozenset(SETTINGS),
        passes=3,
        weighs_rows=True,
        head="cosine",
        head_budget=Budget(10, 64, 1e-5),
        projection=True,
        hyperparameters={"scale": ANGULAR_SCALE, "margin": ANGULAR_MARGIN, "margin_on": MARGIN_ON},
        departures=(
            MEAN_OF_ENTRIES,
            *ANGULAR_DEPARTURES,
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.binary_angular_margin``."""
        values = losses.binary_angular_margin(
            batch.scores,
            batch.labels,
            scale=self.hp.scale,
            margin=self.hp.margin,
            margin_on=self.hp.margin_on,
        )
        return self.mean(values, batch)

    def logits(self, outputs: Outputs) -> Tensor:
        """Return the logits s (cos theta - m/2).

        0 is midway between the negatives' boundary 0 and the positives' m; it is so with ``margin_on="none"`` and
        ``"both"`` too, where one boundary serves both signs, 0 and m.
        """
        logits: Tensor = self.hp.scale * (outputs.scores.float() - self.hp.margin / 2)
        return logits
