"""GR loss: a soft belief in unknown entries (Chen et al., IJCAI 2024)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Stage
from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec

_HEAD_FIRST = "head first"


def _end(default: float, what: str, end: str, source: str, low: float = -100.0) -> Hyperparameter:
    return Hyperparameter(default, f"{what} {end}", low=low, high=100.0, source=source)


_BELIEF = "released code: 0, 2, -2, -2 on VOC; its successor's scripts: 0, 10, -2, -8 on COCO, NUS and CUB"
_WEIGHT = "released code: .5, .8, 2, .5"


class GeneralizedRobust(NegativeByAssumption):
    """Cross-entropy of known entries; unknown ones are relevant by a soft belief.

    With p the probability of an unknown entry it is v [k (1 - p^q2) / q2 + (1 - k) (1 - (1 - p)^q3) / q3], where k =
    sigmoid(w p + b) is the belief that it is relevant and v = exp(-((p - mu) / s)^2 / 2) its weight, both without
    gradient. The four numbers move in straight lines over the epochs e of the plan, counted after those of the head
    alone, of which there are T: w and b by (e - 1) / T, so that they never reach their ends, mu and s by e / T.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    spec = MethodSpec(
        id="gr",
        title="Generalized robust loss (GR)",
        paper="Chen et al., Boosting Single Positive Multi-label Classification with Generalized Robust Loss, "
        "IJCAI 2024",
        assumption="most unknown entries are irrelevant, and one of high score is likely relevant",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "slope_start": _end(0.0, "how fast the belief rises with the score,", "at first", _BELIEF),
            "slope_end": _end(2.0, "how fast the belief rises with the score,", "at the end", _BELIEF),
            "offset_start": _end(-2.0, "logit of the belief at score 0,", "at first", _BELIEF),
            "offset_end": _end(-2.0, "logit of the belief at score 0,", "at the end", _BELIEF),
            "center_start": _end(0.5, "probability of full weight,", "at first", _WEIGHT),
            "center_end": _end(0.8, "probability of full weight,", "at the end", _WEIGHT),
            "width_start": _end(2.0, "deviation of the weight,", "at first", _WEIGHT, 0.01),
            "width_end": _end(0.5, "deviation of the weight,", "at the end", _WEIGHT, 0.01),
            "positive_power": Hyperparameter(
                0.01,
                "q2, of the part that takes an unknown entry for relevant",
                low=0.0,
                high=10.0,
                source="released code",
            ),
            "negative_power": Hyperparameter(
                1.0,
                "q3, of the part that takes it for irrelevant",
                low=0.0,
                high=10.0,
                source="released code: 1, CUB 1.5",
            ),
            "head_share": Hyperparameter(
                0.0,
                "share of the epochs spent on the head alone, before the schedules begin",
                low=0.0,
                high=1.0,
                source="released code: 0",
            ),
        },
        departures=(
            Departure(
                "A known negative has plain cross-entropy; the released code has no known negatives.",
                "What is known leaves nothing to believe.",
            ),
            Departure(
                "Logarithms are exact; the released code has log(p + 1e-7).",
                "An entry that is wholly wrong keeps its gradient.",
            ),
            Departure(
                "One learning rate, and batches of 64; the released code gives the head ten times the backbone's 1e-5, "
                "in batches of 8 or 16, and stops when the validation score falls by 2 points.",
                "One budget for all methods; without held-out rows there is nothing to stop by.",
                option="backbone_learning_rate, batch_size, patience",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """Return the stage of the schedules, after one of the head alone where there is any."""
        first = round(self.hp.head_share * self.budget.epochs)
        stage = self.stage("train", self.budget.epochs - first)
        if not first:
            return [stage]
        head = self.stage(_HEAD_FIRST, first, optimisers={"main": self.optimiser(parameters=("head",))})
        return [one for one in (head, replace(stage, ridge_start=False)) if one.epochs]

    def schedule(self, stage: str, epoch: int) -> dict[str, float]:
        """Return the belief's slope and offset, and the weight's center and width, of an epoch.

        Epochs count from 1 inside a stage.
        """
        hp = self.hp
        total = self.budget.epochs - round(hp.head_share * self.budget.epochs)
        done = 0 if stage == _HEAD_FIRST else epoch
        late, early = (done / total, max(done - 1, 0) / total) if total else (0.0, 0.0)
        return {
            "slope": hp.slope_start + (hp.slope_end - hp.slope_start) * early,
            "offset": hp.offset_start + (hp.offset_end - hp.offset_start) * early,
            "center": hp.center_start + (hp.center_end - hp.center_start) * late,
            "width": hp.width_start + (hp.width_end - hp.width_start) * late,
        }

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.generalized_robust``."""
        values = losses.generalized_robust(
            batch.scores,
            batch.labels,
            **self.schedule(batch.stage, batch.epoch),
            positive_power=self.hp.positive_power,
            negative_power=self.hp.negative_power,
        )
        return self.mean(values, batch)
