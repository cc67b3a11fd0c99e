"""Consistency methods: the strong view learns what the weak view says.

It does where the weak view is sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Stage, Trainer
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_mean, ranks
from labelwise.methods.spec import Departure, Hyperparameter

SHARED = {
    "unlabelled_weight": Hyperparameter(
        1.0, "weight of the pseudo-labelled entries' loss", low=0.0, high=100.0, source="released codes"
    ),
    "unlabelled_ratio": Hyperparameter(
        7.0,
        "unlabelled items for each labelled one in a batch, at most as many as there are",
        low=0.1,
        high=1000.0,
        source="released codes: 7 on pictures, 1 on text",
    ),
    "statistics_decay": Hyperparameter(
        0.999, "decay of the confidences' running statistics", low=0.0, high=0.99999, source="released codes"
    ),
    "ema_decay": Hyperparameter(
        0.999, "decay of the averaged weights", low=0.0, high=0.99999, source="released codes"
    ),
}
"""The hyper-parameters of the family."""


DEPARTURES = (
    Departure(
        "Each label is a problem of two sides with statistics of its own; the original has "
        "one label an item and a softmax.",
        "How the comparisons adapted it is not published.",
    ),
    Departure(
        "AdamW at a constant rate; the original: SGD with momentum and a cosine schedule.",
        "One optimiser for all methods.",
    ),
    Departure(
        "Running statistics and averaged weights have the decay min(decay, (1 + t) / (10 + t)).",
        "Short runs would keep their starting values.",
    ),
    Departure(
        "Batch norm sees each view by itself; the original joins all views in one pass.",
        "One forward pass a view, for batches of any mixture.",
    ),
)
"""The departures of the family."""


class Consistency(Method):
    """One stage over labelled rows and unlabelled ones, in two views.

    Labelled rows have weak views, unlabelled ones weak and strong views.

    The weak views of unlabelled rows are seen without gradient and give every unknown entry a pseudo-label and a
    weight (``pseudo``), for its strong view. Where labelled rows have unknown entries too, they get both views.
    Running statistics have the decay min(``statistics_decay``, (1 + t) / (10 + t)) at update t, as the averaged
    weights have, so that short runs leave their starting values.
    """

    updates: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.register_buffer("updates", torch.zeros(()))
        self._count: int | None = 0

    def plan(self) -> list[Stage]:
        """Return the one stage."""
        groups, size = self.problem.groups, self.budget.batch_size
        natural = len(groups["unlabelled"]) / max(len(groups["labelled"]), 1)
        labelled = max(1, round(size / (1 + min(self.hp.unlabelled_ratio, natural))))
        # Rows that are fully known have no unknown entry for a strong view to learn.
        all_complete = len(groups["labelled"]) == len(groups["complete"])
        both = ("weak", "strong")
        return [
            self.stage(
                "train",
                self.budget.epochs,
                mixture={"labelled": labelled, "unlabelled": max(1, size - labelled)},
                views={"labelled": ("weak",) if all_complete else both, "unlabelled": both},
                ema=self.hp.ema_decay,
            )
        ]

    def weak_scores(self, batch: Batch, trainer: Trainer, learnt: Tensor) -> Tensor:
        """Return the weak view's outputs of the whole batch.

        They are without gradient, given those of its labelled rows.

        Processes wait for each other in a forward pass, so that one without further rows makes it too.
        """
        rest = batch.inputs["weak"][len(learnt) :]
        if not len(rest) and ranks() == 1:
            return learnt.detach()
        with torch.no_grad():
            rest_batch = replace(batch, inputs={"weak": rest}, outputs={})
            trainer.forward(rest_batch)
        return torch.cat([learnt.detach(), rest_batch.scores.to(learnt.dtype)])

    def _load_from_state_dict(self, *args: Any) -> None:
        self._count = None
        super()._load_from_state_dict(*args)

    def labelled_part(self, batch: Batch, *views: str) -> Batch:
        """Return the batch with the weak view of its labelled rows alone.

        These stand first; ``views`` stay whole.
        """
        # Counted on the CPU: an accelerator would have to be waited for.
        labelled = int((self.problem.labels[batch.index.numpy()] >= 0).any(1).sum())
        inputs = {"weak": batch.inputs["weak"][:labelled]}
        return replace(batch, inputs=inputs | {v: batch.inputs[v] for v in views}, outputs={})

    def known_loss(self, batch: Batch, scores: Tensor) -> Tensor:
        """Return the mean binary cross-entropy over known entries.

        These are the known entries of the first ``len(scores)`` rows.
        """
        # The rows of the labelled part stand first in a batch.
        part = replace(batch, labels=batch.labels[: len(scores)])
        values = losses.ignore_unknown(scores, part.labels)
        return self.mean(values, part, weights=(part.labels >= 0).to(values.dtype), over="weights")

    def unknown_loss(self, batch: Batch, weak: Tensor, strong: Tensor) -> Tensor:
        """Return the weighted cross-entropy of pseudo-labels on strong views.

        It is ``unlabelled_weight`` times the mean.

        The mean is over all unknown entries of rows with a strong view; (B, K) ``weak`` and (b, K) ``strong``.
        """
        rows = batch.rows["strong"]
        unknown = batch.labels[rows] == -1
        labels, weights = self.pseudo(torch.sigmoid(weak[rows].float()), unknown)
        values = losses.soft_targets(strong, labels) * weights
        return float(self.hp.unlabelled_weight) * batch_mean(values, unknown)

    def pseudo(self, p: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Return pseudo-labels and weights (b, K) from the weak view's probabilities.

        The statistics move on ``unknown``.
        """
        raise NotImplementedError

    def next_decay(self) -> float:
        """Count an update of the running statistics and return its decay."""
        self.updates += 1
        # Counted on the CPU as well, so that no step waits for an accelerator to tell it.
        self._count = int(self.updates) if self._count is None else self._count + 1
        t = float(self._count)
        return min(float(self.hp.statistics_decay), (1 + t) / (10 + t))
