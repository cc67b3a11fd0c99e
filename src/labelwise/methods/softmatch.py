"""SoftMatch: pseudo-labels weighed by confidence (Chen et al., ICLR 2023).

The weight is a truncated Gaussian of the confidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from labelwise.methods.base import Batch, Trainer
from labelwise.methods.families.consistency import DEPARTURES, SHARED, Consistency
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_sum
from labelwise.methods.spec import Budget, Departure, Hyperparameter, MethodSpec

_LEAST = 1e-3


class SoftMatch(Consistency):
    """Strong views learn hard labels, weighed by the weak view's confidence.

    The weak view's hard label weighs the less, the further its confidence is below the mean.

    The original (one label an item, softmax): with confidence r, running mean mu and unbiased variance v of r (decay
    .999, from 1/C and 1), the weight is exp(-min(r - mu, 0)^2 n_sigma^2 / (2 v)), so 1 above the mean; r is of
    probabilities aligned to equal shares, the hard label of unaligned ones; lambda_u = 1.

    Ours: each label is a problem of C = 2 sides. The hard label is 1[p >= 1/2], and r is the aligned probability of
    that side, max(p, 1 - p) unless the alignment crosses one half; mu and v are kept for each label and side,
    since rare positives are less sure than negatives; the mean moves where a batch has an entry of that side, the
    variance where it has two. Probabilities are aligned to the labelled prior: the odds of p times those of the prior
    over those of the running mean of p. Short runs: see ``Consistency``.
    """

    spec = MethodSpec(
        id="softmatch",
        title="SoftMatch",
        paper="Chen et al., SoftMatch: Addressing the Quantity-Quality Tradeoff in Semi-supervised Learning, ICLR 2023",
        assumption="known negatives; classes are separated where items are sparse, and strong views keep the labels",
        settings=frozenset({"partial", "semi_supervised"}),
        passes=4,
        needs=frozenset({"prior"}),
        whole_batch=True,
        hyperparameters={
            **SHARED,
            "n_sigma": Hyperparameter(
                2.0,
                "steepness: a confidence d standard deviations below the mean weighs exp(-(n_sigma d)^2 / 2)",
                low=0.0,
                high=100.0,
                source="released code",
            ),
            "align": Hyperparameter(True, "align probabilities to the prior", source="released code"),
        },
        head_budget=Budget(20, 64, 1e-3),
        full_budget=Budget(40, 64, 1e-3),
        departures=(
            *DEPARTURES,
            Departure(
                "Probabilities are aligned to the labels' prior; the original aligns to equal shares.",
                "Labels are rare.",
                option="align=False",
            ),
            Departure(
                "Mean and variance of the confidence are kept for each label and side.",
                "Rare positives are less sure than negatives.",
            ),
        ),
    )

    mean_confidence: Tensor
    variance_confidence: Tensor
    mean_probability: Tensor
    prior: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        k = problem.n_labels
        share = torch.full((k,), 0.5)
        if len(problem.labels) and problem.prior is not None:
            share = torch.from_numpy(problem.unknown_prior(self.spec.id)).float()
        share = share.clamp(_LEAST, 1 - _LEAST)
        self.register_buffer("prior", share)
        self.register_buffer("mean_probability", share.clone())
        self.register_buffer("mean_confidence", torch.full((2, k), 0.5))
        self.register_buffer("variance_confidence", torch.ones(2, k))

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take one step on weak views of labelled rows and strong ones."""
        views = [view for view in batch.inputs if view == "strong"]
        part = self.labelled_part(batch, *views)
        trainer.forward(part)
        learnt = part.outputs["weak"].scores
        loss = self.known_loss(batch, learnt)
        if views:
            weak = self.weak_scores(batch, trainer, learnt)
            loss = loss + self.unknown_loss(batch, weak, part.outputs["strong"].scores)
        trainer.backward(loss)
        trainer.update()
        return loss.detach()

    @torch.no_grad()
    def pseudo(self, p: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Return hard labels 1[p >= 1/2] and their weights.

        The statistics move first, as in the original.
        """
        labels = (p >= 0.5).to(p.dtype)
        decay, mask = self.next_decay(), unknown.to(p.dtype)
        count = batch_sum(mask, 0)
        average = batch_sum(p * mask, 0) / count.clamp(min=1)
        self.mean_probability.lerp_(torch.where(count > 0, average, self.mean_probability), 1 - decay)
        aligned = self.align(p) if self.hp.align else p
        confidence = torch.where(labels == 1, aligned, 1 - aligned)
        # Each sign has its own mean: rare positives are less sure than negatives.
        for side in (0, 1):
            member = mask * (labels == side)
            n = batch_sum(member, 0)
            mean = batch_sum(confidence * member, 0) / n.clamp(min=1)
            variance = batch_sum((confidence - mean) ** 2 * member, 0) / (n - 1).clamp(min=1)
            mu, v = self.mean_confidence[side], self.variance_confidence[side]
            mu.lerp_(torch.where(n > 0, mean, mu), 1 - decay)
            # A single entry has no variance.
            v.lerp_(torch.where(n > 1, variance, v), 1 - decay)
        return labels, self.weight(confidence, labels)

    def align(self, p: Tensor) -> Tensor:
        """Return probabilities aligned to the prior, (b, K).

        Their odds are those of p times those of the prior over those of the mean probability.
        """
        mean = self.mean_probability.clamp(_LEAST, 1 - _LEAST)
        up = p * self.prior / mean
        down = (1 - p) * (1 - self.prior) / (1 - mean)
        return up / (up + down)

    def weight(self, confidence: Tensor, labels: Tensor) -> Tensor:
        """Return the weight of each entry's confidence, (b, K).

        It is exp(-min(r - mu, 0)^2 n_sigma^2 / (2 v)) with mu and v of each entry's side.
        """
        positive = labels == 1
        mu = torch.where(positive, self.mean_confidence[1], self.mean_confidence[0])
        v = torch.where(positive, self.variance_confidence[1], self.variance_confidence[0])
        below = (confidence - mu).clamp(max=0)
        return torch.exp(-(below**2) * self.hp.n_sigma**2 / (2 * v.clamp(min=1e-12)))
