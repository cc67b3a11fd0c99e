"""Self-training: a warm-up on known entries, then pseudo-labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelwise import losses, targets
from labelwise.errors import UserError
from labelwise.methods.base import Batch, Method, Optimiser, Pool, Stage
from labelwise.methods.spec import MEAN_OF_ENTRIES, Departure, Hyperparameter

SHARED = {
    "warm_up": Hyperparameter(
        0.3,
        "share of the epochs spent on the known entries of fair rows alone",
        low=0.0,
        high=1.0,
        source="released code: 12 of 40 epochs",
    ),
    "positive_share": Hyperparameter(
        1.0, "share of a label's pseudo-positives that are used", low=0.0, high=1.0, source="released code"
    ),
    "negative_share": Hyperparameter(
        0.998,
        "share of a label's pseudo-negatives that are used, the least likely first",
        low=0.0,
        high=1.0,
        source="released code: 1, clipped to .998",
    ),
    "unlabelled_weight": Hyperparameter(
        1.0,
        "weight of the entries of incomplete rows beside those of complete ones",
        low=0.0,
        high=100.0,
        source="released code: 1 for every entry",
    ),
    "labelled_share": Hyperparameter(
        None,
        "share of a batch that fair rows take in the second stage; None: 1.25 times their share of all rows, at least "
        "1/16 and at most 1/2",
        low=0.0,
        high=1.0,
        optional=True,
        source="released codes: 1/16, 1/8, 3/16 and 1/4 at 5 to 20% labelled; BBAM 1/4 and 1/2 at 15 and 20%, and 1/4 "
        "on AwA2",
    ),
    "ema_decay": Hyperparameter(
        0.9997, "decay of the averaged weights", low=0.0, high=0.99999, source="released code"
    ),
    "cycle_epochs": Hyperparameter(
        None,
        "epochs that the one-cycle schedule of a whole network's second stage is made for; None: those of the stage. "
        "More leave it unfinished",
        low=1,
        high=100000,
        optional=True,
        source="released codes: 40, of which 28 run",
        later=True,
    ),
    "warm_up_batch": Hyperparameter(
        None,
        "items of a batch in the warm-up; None: those of other batches, at most 32",
        low=1,
        high=100000,
        optional=True,
        source="released codes: BBAM 16; CAP 16, 32, 48 and 64 at 5 to 20% labelled",
        later=True,
    ),
    "second_start": Hyperparameter(
        "raw",
        "weights that the second stage starts from: the warm-up's last ones, or their average",
        choices=("raw", "averaged"),
        source="released codes: averaged on AwA2 and NUS-WIDE",
        later=True,
    ),
}
"""The hyper-parameters of the family."""


SCHEDULE = (
    Departure(
        "A whole network's one-cycle schedule ends with its stage; the released codes make it "
        "for 40 epochs and run 28, so that it ends at 31% of its peak.",
        "A schedule should end where training ends.",
        option="cycle_epochs=40",
    ),
    Departure(
        "Biases and gains are not decayed; the released codes decay all parameters.",
        "Decay of a bias moves a boundary for no reason of the data.",
    ),
    Departure(
        "The decay of averaged weights rises with their updates: min(decay, (1 + t) / (10 + t)).",
        "With .9997 a run of some hundred steps would otherwise return its start.",
    ),
)
"""The departures of the schedule that the released codes share."""

EARLY_STOP = Departure(
    "All epochs are run; the released codes (BBAM's for pictures alone) stop once the best score is more than five "
    "epochs old.",
    "Without held-out rows there is nothing to stop by.",
    option="patience",
)
"""A departure of the released codes that stop early."""

DEPARTURES = (
    MEAN_OF_ENTRIES,
    *SCHEDULE,
    Departure(
        "The second stage starts from the raw weights; on AwA2 and NUS-WIDE the released "
        "codes start it from the averaged ones.",
        "One rule for all sets.",
        option='second_start="averaged"',
    ),
    Departure(
        "Pseudo-positives are counted as prior x rows - known positives where incomplete rows "
        "hold known positives.",
        "No positive is expected twice.",
    ),
    Departure(
        "A label for which no positive is expected gets none; the released codes' index wraps "
        "and makes all items positive.",
        "An oversight there.",
    ),
    Departure(
        "How many entries of a label are masked differs by at most one.",
        "Counts are rounded once.",
    ),
    Departure(
        "The warm-up's batches hold at most 32 items; CAP's 16, 32, 48 and 64 at 5 to 20% "
        "labelled, BBAM's 16.",
        "One default for all shares.",
        option="warm_up_batch=16",
    ),
    Departure(
        "Where no negative is known, the warm-up takes unknown entries of all rows for negatives; the papers' "
        "labelled rows are complete.",
        "Positives alone teach a network to say yes.",
    ),
    Departure(
        "Batches are drawn in a new order in every epoch; CAP's loaders keep one order.",
        "An order that never changes puts the same items together for ever.",
    ),
)
"""The departures of the family."""


class SelfTraining(Method):
    """Two stages: a warm-up, then class-aware pseudo-labels for all rows.

    These are renewed before every epoch.

    The warm-up trains on the known entries of the fair rows (with semi-supervised labels: the labelled rows), or on
    all rows where no negative is known (unknown then counts as negative). In the second stage fair rows take
    ``labelled_share`` of a batch. Views are strong, and the weights are averaged. A whole network is trained with
    weight decay 1e-4 and a one-cycle schedule.
    """

    def plan(self) -> list[Stage]:
        """Return the two stages, without those of no epochs."""
        problem, size = self.problem, self.budget.batch_size
        warm = round(self.hp.warm_up * self.budget.epochs)
        share = self.hp.labelled_share
        if share is None:
            share = min(0.5, max(1 / 16, 1.25 * len(problem.groups["fair"]) / max(problem.n_items, 1)))
        labelled = max(1, round(share * size))
        # The warm-up reads known entries alone, and so rows that show both signs where there are some.
        first = "fair" if self._has_judgeable_rows else problem.assumed_negative_group
        strong = ("strong",)
        from_average = self.hp.second_start == "averaged"
        stages = [
            self.stage(
                "warm-up",
                warm,
                mixture={first: int(self.hp.warm_up_batch or min(size, 32))},
                views={first: strong},
                ema=self.hp.ema_decay if from_average else None,
            ),
            self.stage(
                "pseudo-labels",
                self.budget.epochs - warm,
                mixture={"fair": labelled, "unfair": max(1, size - labelled)},
                views={"fair": strong, "unfair": strong},
                refresh=True,
                optimisers={"main": self.optimiser(cycle=self._cycle(self.budget.epochs - warm))},
                ema=self.hp.ema_decay,
                start="averaged" if from_average and warm else "raw",
                # The head of the warm-up goes on.
                **({"ridge_start": False} if warm else {}),
            ),
        ]
        return [stage for stage in stages if stage.epochs]

    def _cycle(self, epochs: int) -> int | None:
        cycle = self.hp.cycle_epochs
        if cycle is None:
            return None
        if cycle < epochs:
            raise UserError(
                f"cycle_epochs is {cycle:g}, and the second stage of method {self.spec.id!r} has {epochs} epochs: give "
                "as many or more, or None"
            )
        return int(cycle)

    def optimiser(self, **changes: Any) -> Optimiser:
        """Return AdamW.

        The rate is constant for a head, and one cycle, with weight decay, for a whole network.
        """
        if self.problem.tune == "head":
            return super().optimiser(**changes)
        return super().optimiser(**{"weight_decay": 1e-4, "schedule": "one_cycle", **changes})

    def start_labels(self) -> np.ndarray:
        """Return the labels of the warm-up's rows.

        Unknown counts as negative where no negative is known.
        """
        problem, judgeable = self.problem, self.problem.groups["fair"]
        if not self._has_judgeable_rows:
            return problem.assumed_negative
        labels = np.full_like(problem.labels, -1)
        labels[judgeable] = problem.labels[judgeable]
        # A closed form needs a positive, which these few rows may lack.
        return labels if (labels == 1).any() else problem.labels

    @property
    def _has_judgeable_rows(self) -> bool:
        return len(self.problem.groups["fair"]) > 0

    def target(self, batch: Batch) -> Tensor:
        """Return the targets of a batch, (B, K) in {1, 0, -1}.

        -1 is not used.
        """
        if batch.stage != "warm-up":
            return batch.state["target"]
        return batch.labels if self._has_judgeable_rows else batch.labels.clamp(min=0)

    def slots(self) -> dict[str, targets.Slot]:
        """Target of every entry: 1, 0, or -1 for one unused."""
        return {"target": targets.Slot("int8", fill=-1)}

    def pseudo_labels(self, pool: Pool) -> np.ndarray:
        """Return labels and pseudo-labels, (n, K) int8, -1 where masked.

        Unknown entries get class-aware pseudo-labels.
        """
        return targets.pseudo_labels_from_chunks(
            lambda: ((rows, self.pseudo_scores(rows, scores).numpy()) for rows, scores in pool.scores()),
            self.problem.n_items,
            self.problem.unknown_prior(self.spec.id),
            self.hp.positive_share,
            self.hp.negative_share,
            labels=self.problem.labels,
        )

    def pseudo_scores(self, rows: slice, scores: Tensor) -> Tensor:
        """Return the scores (b, K) that rank a label's unknown entries.

        By default they are the head's outputs.
        """
        return scores

    def masked_mean(self, values: Tensor, batch: Batch) -> Tensor:
        """Return the mean over entries, unused ones counted as 0.

        Entries of incomplete rows count by their weight.
        """
        weights = (self.target(batch) >= 0).to(values.dtype)
        if self.hp.unlabelled_weight != 1.0 and batch.stage != "warm-up":
            incomplete = (batch.labels == -1).any(1, keepdim=True)
            weights = torch.where(incomplete, weights * self.hp.unlabelled_weight, weights)
        return self.mean(values, batch, weights=weights)

    def asymmetric_loss(self, batch: Batch) -> Tensor:
        """Return the mean asymmetric loss of the targets, masked entries counted as 0.

        Of methods with ``gamma_negative``, ``gamma_positive`` and ``clip``.
        """
        values = losses.asymmetric(
            batch.scores,
            self.target(batch),
            gamma_negative=self.hp.gamma_negative,
            gamma_positive=self.hp.gamma_positive,
            clip=self.hp.clip,
        )
        return self.masked_mean(values, batch)
