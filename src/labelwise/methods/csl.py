"""CSL: negatives but where a label or a score speaks against it (CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Pool, Stage
from labelwise.methods.families.assumed_negative import constant_rate
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import own_rows, whole_batch
from labelwise.methods.spec import MEAN_OF_ENTRIES, Departure, Hyperparameter, MethodSpec

_FIRST, _PRIOR = "known entries", "prior"
_MODES = ("selective", "negative", "ignore", "ignore_normalized")


class ClassAwareSelective(Method):
    """The partial asymmetric loss, with a choice of which unknown entries count.

    An unknown entry counts as negative, with a focusing exponent of its own (``negative``), or not at all (``ignore``;
    ``ignore_normalized`` weighs a row's known entries by 1 + 1 / (1 + their number)). Or (``selective``) those do not
    count whose label is likely everywhere, by its mean score over all training rows of a first stage that trained on
    known entries alone, and the ``likeliest`` a row of a batch whose scores are highest.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    prior: Tensor

    spec = MethodSpec(
        id="csl",
        title="Class-aware selective loss (CSL, P-ASL)",
        paper="Ben-Baruch et al., Multi-label Classification with Partial Annotations using Class-aware Selective "
        "Loss, CVPR 2022",
        assumption="known negatives, hidden without regard to their sign; most unknown entries of rare labels are "
        "irrelevant",
        settings=frozenset({"full", "partial", "semi_supervised"}),
        passes=3,
        weighs_rows=True,
        whole_batch=True,
        hyperparameters={
            "mode": Hyperparameter(
                "selective",
                "what unknown entries are: negative, ignored, ignored with rows weighed by their known entries, or "
                "negative but for those of likely labels and high scores",
                choices=_MODES,
                source="paper; the released code's default is negative",
            ),
            "gamma_positive": Hyperparameter(
                0.0, "focusing of positives", low=0.0, high=10.0, source="released code"
            ),
            "gamma_negative": Hyperparameter(
                1.0,
                "focusing of known negatives",
                low=0.0,
                high=10.0,
                source="released recipe: 1 where entries are hidden at random, 3 for a fixed number a label",
            ),
            "gamma_unknown": Hyperparameter(
                4.0, "focusing of unknown entries", low=0.0, high=10.0, source="released recipe"
            ),
            "clip": Hyperparameter(
                0.0,
                "probability under which a negative costs nothing",
                low=0.0,
                high=0.5,
                source="released code",
            ),
            "prior_threshold": Hyperparameter(
                0.5,
                "mean score above which a label's unknown entries do not count",
                low=0.0,
                high=1.0,
                source="released recipe: .5; the code's default is .05",
            ),
            "likeliest": Hyperparameter(
                None,
                "unknown entries of highest score that do not count, a row of a batch; None: 5, at most K / 16 rounded "
                "up",
                low=0.0,
                high=100000.0,
                optional=True,
                source="released code: 5, for 80 labels and more",
            ),
            "first_share": Hyperparameter(
                0.5,
                "share of the epochs spent on known entries alone before mode selective",
                low=0.0,
                high=1.0,
                source="released recipe: a whole run",
            ),
        },
        departures=(
            MEAN_OF_ENTRIES,
            Departure(
                "Where K is small fewer of the likeliest entries are left out; the released code leaves out 5 a row.",
                "Of six labels five would be nearly all.",
                option="likeliest=5.0",
            ),
            Departure(
                "Entries of likely labels are left out before the likeliest are counted; the released code counts them "
                "among these.",
                "Each is to leave out what it names.",
            ),
            Departure(
                "The network goes on from the first stage; the released recipe begins a second one anew.",
                "One run makes one network, and what was learnt from known entries is no worse a start.",
            ),
            constant_rate("Adam at 2e-4 on one cycle of 30 epochs, and averaged weights"),
        ),
    )

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.register_buffer("prior", torch.zeros(problem.n_labels))

    def plan(self) -> list[Stage]:
        """Return one stage, or that of known entries, its mean scores, and that of the selection."""
        epochs = self.budget.epochs
        if self.hp.mode != "selective" or epochs < 2:
            return [self.stage("train", epochs)]
        first = min(max(1, round(self.hp.first_share * epochs)), epochs - 1)
        return [
            self.stage(_FIRST, first),
            self.stage(_PRIOR, 0, ridge_start=False),
            self.stage("train", epochs - first, ridge_start=False),
        ]

    def start_labels(self) -> np.ndarray:
        """Return the labels with unknown as negative where the first stage takes it so."""
        return self.problem.assumed_negative if self.hp.mode == "negative" else self.problem.labels

    def fit(self, pool: Pool) -> None:
        """Take each label's mean score over all training rows."""
        total = torch.zeros(self.problem.n_labels, dtype=torch.float64)
        for _, scores in pool.scores():
            total += torch.sigmoid(scores.double()).sum(0)
        self.prior.copy_(total / max(self.problem.n_items, 1))

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.partial_asymmetric``, weighed by the mode."""
        values = losses.partial_asymmetric(
            batch.scores,
            batch.labels,
            gamma_negative=self.hp.gamma_negative,
            gamma_positive=self.hp.gamma_positive,
            gamma_unknown=self.hp.gamma_unknown,
            clip=self.hp.clip,
        )
        return self.mean(values, batch, weights=self.weights(batch).to(values.dtype))

    def weights(self, batch: Batch) -> Tensor:
        """Return what each entry weighs, (B, K)."""
        known = batch.labels >= 0
        if self.hp.mode == "negative":
            return torch.ones_like(known)
        if self.hp.mode == "selective" and batch.stage != _FIRST:
            most = min(5, -(-self.problem.n_labels // 16)) if self.hp.likeliest is None else self.hp.likeliest
            scores, labels = whole_batch(batch.scores), whole_batch(batch.labels)
            prior, at = self.prior.to(scores.device), self.hp.prior_threshold
            return own_rows(losses.selective_weights(scores, labels, prior, at, most))
        if self.hp.mode == "ignore_normalized":
            return known * (1 + 1 / (1 + known.sum(1, keepdim=True)))
        return known
