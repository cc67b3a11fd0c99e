"""EM loss: unknown entries of maximal entropy (Zhou et al., ECCV 2022)."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec

ALPHA = Hyperparameter(
    0.1,
    "weight of the entropy of unknown entries",
    low=0.0,
    high=1.0,
    source="paper: VOC .2, COCO .1, NUS .1, CUB .01",
)


DEPARTURES = (
    Departure(
        "Training ends after the last epoch; the released code stops at the first epoch whose "
        "validation score is no better.",
        "Without held-out rows there is nothing to stop by.",
        option="patience=1",
    ),
    Departure(
        "Where negatives are known, a row without any known entry is left out; the released "
        "code trains on every row.",
        "It is an unlabelled item there, of which the loss would only say that nothing is known.",
    ),
)
"""The departures of the family."""


class EntropyMaximization(Method):
    """Cross-entropy of known entries, and -alpha H(p) of unknown ones.

    H is the entropy, which is raised: so nothing is claimed of unknown entries.
    """

    spec = MethodSpec(
        id="em",
        title="EM loss",
        paper="Zhou et al., Acknowledging the Unknown, ECCV 2022",
        assumption="positives observed at random given the label; nothing is said of unknown entries",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={"alpha": ALPHA},
        departures=DEPARTURES,
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean ``losses.entropy_maximization``; it may be negative."""
        return self.mean(losses.entropy_maximization(batch.scores, batch.labels, alpha=self.hp.alpha), batch)
