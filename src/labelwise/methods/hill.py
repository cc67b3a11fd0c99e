"""Hill loss: unknown entries that look relevant are let go (Zhang et al., 2021)."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import LONG_CYCLE, NegativeByAssumption
from labelwise.methods.spec import MEAN_OF_ENTRIES, SETTINGS, Departure, Hyperparameter, MethodSpec


class Hill(NegativeByAssumption):
    """Focal margin on relevant entries, and a hill on unknown ones.

    It is (1 - q)^gamma (-log q), q = sigmoid(x - margin), on relevant entries, (hill_lambda - p) p^2 on unknown ones,
    and cross-entropy on known negatives.

    At the default the slope of the hill, 3 p^2 (1 - p)^2, vanishes at both ends: an unknown entry that the model takes
    for relevant is no longer pushed down. The margin moves logits up, so that one half is no calibrated threshold.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    spec = MethodSpec(
        id="hill",
        title="Hill loss",
        paper="Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, 2021",
        assumption="nearly every unknown entry of a labelled row is irrelevant; one of high score may be relevant",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "margin": Hyperparameter(
                1.0,
                "taken off the logits of positives",
                low=0.0,
                high=10.0,
                source="released code: 1; paper: .5 to 1",
            ),
            "gamma": Hyperparameter(
                2.0, "focusing exponent of positives", low=0.0, high=10.0, source="paper: 2"
            ),
            "hill_lambda": Hyperparameter(
                1.5,
                "lambda of the hill; below 1.5 it falls again before p = 1",
                low=1.0,
                high=10.0,
                source="paper: 1.5",
            ),
            "negatives": Hyperparameter(
                "plain", "loss of known negatives: cross-entropy or the hill", choices=("plain", "hill")
            ),
        },
        departures=(
            MEAN_OF_ENTRIES,
            Departure(
                "A known negative has plain cross-entropy; the released code has no known negatives, and the hill "
                "for every entry that is not relevant.",
                "The hill doubts what nobody has looked at; a known negative leaves nothing to doubt.",
                option='negatives="hill"',
            ),
            LONG_CYCLE,
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.hill``."""
        return self.mean(losses.hill(batch.scores, batch.labels, **self.hyperparameters), batch)
