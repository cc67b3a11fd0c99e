"""ASL: focal loss with easy negatives cut off (Ridnik et al., ICCV 2021)."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import NegativeByAssumption, constant_rate
from labelwise.methods.spec import MEAN_OF_ENTRIES, SETTINGS, Departure, Hyperparameter, MethodSpec


class Asymmetric(NegativeByAssumption):
    """Focal loss, an exponent for each sign, easy negatives cut off.

    It is -(1 - p)^gamma_positive log p on relevant entries, and -m^gamma_negative log(1 - m), m = max(p - clip, 0), on
    others.

    The released loss sums over batch and labels, with learning rates to match; here it is the mean over entries as
    in every method, which under Adam is the same. Its class has gamma_positive 1, the recipe that it is known for has
    0: that is the default. Focusing weights are constants for the gradient, as in that recipe.
    """

    spec = MethodSpec(
        id="asl",
        title="Asymmetric loss (ASL), unknown as negative",
        paper="Ridnik et al., Asymmetric Loss for Multi-Label Classification, ICCV 2021",
        assumption="nearly every unknown entry of a labelled row is irrelevant; the likeliest may be mislabelled",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "gamma_negative": Hyperparameter(
                4.0, "focusing of negatives", low=0.0, high=10.0, source="released code: 4"
            ),
            "gamma_positive": Hyperparameter(
                0.0,
                "focusing of positives",
                low=0.0,
                high=10.0,
                source="released code: 0 in the recipe, 1 in the class",
            ),
            "clip": Hyperparameter(
                0.05,
                "probability under which a negative costs nothing",
                low=0.0,
                high=0.5,
                source="released code: .05",
            ),
            "detach_focus": Hyperparameter(
                True, "take the focusing weights as constants for the gradient", source="released recipe"
            ),
        },
        departures=(
            MEAN_OF_ENTRIES,
            Departure(
                "The exponent of positives is 0, as in the released recipe; the released class has 1.",
                "The recipe is what the published figures are from.",
                option="gamma_positive=1.0",
            ),
            Departure(
                "Pictures are scaled as their backbone asks for; the recipe divides by 255 alone.",
                "Pretrained weights expect what they were trained on.",
            ),
            constant_rate(
                "one cycle of 80 epochs, stopped at 40, decay, averaged weights, RandAugment and cutout"
            ),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.asymmetric``."""
        return self.mean(losses.asymmetric(batch.scores, batch.labels, **self.hyperparameters), batch)
