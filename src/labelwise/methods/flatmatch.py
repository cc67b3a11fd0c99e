"""FlatMatch: a fit at perturbed weights (Huang et al., NeurIPS 2023).

Labels and pseudo-labels are fitted at weights moved against the labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from labelwise.methods.base import Batch, Trainer
from labelwise.methods.families.consistency import DEPARTURES, SHARED, Consistency
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_sum
from labelwise.methods.spec import Budget, Departure, Hyperparameter, MethodSpec


class FlatMatch(Consistency):
    """Consistency at the nearby weights of the worst labelled loss.

    Descend where the labelled loss is worst nearby, so that labelled and unlabelled data agree on flat ground.

    The original: g is the gradient of the labelled loss at theta. At theta + rho g / |g| (rho = .05), with the running
    statistics of batch normalisation left alone, the loss is the labelled one plus the masked cross-entropy of the
    strong views against the hard labels of the weak views at theta. Its gradient plus g moves theta. The mask
    is FreeMatch's: confidence of at least tau m_c / max m, with tau the running mean of the confidence and m_c
    that of class c's probability (decay .999, from 1/C).

    Ours: binary cross-entropy, each label a problem of C = 2 sides with its own tau and m. FreeMatch's fairness
    term (.05 there) is left out: it pulls each label to equal shares of both sides, and labels are rare. At
    theta only the labelled and the weak views are seen, since the strong ones change nothing there but
    batch-normalisation statistics: 4 passes an unlabelled item, 6 a labelled one. The optimiser is the library's AdamW
    (the original: SGD, .03). Short runs: see ``Consistency``.
    """

    spec = MethodSpec(
        id="flatmatch",
        title="FlatMatch",
        paper="Huang et al., FlatMatch: Bridging Labeled Data and Unlabeled Data with Cross-Sharpness, NeurIPS 2023",
        assumption="known negatives; classes are separated where items are sparse, and strong views keep the labels",
        settings=frozenset({"partial", "semi_supervised"}),
        passes=4,
        whole_batch=True,
        hyperparameters={
            **SHARED,
            "rho": Hyperparameter(
                0.05, "length of the perturbation of the weights", low=0.0, high=10.0, source="released code"
            ),
        },
        head_budget=Budget(20, 64, 1e-3),
        full_budget=Budget(40, 64, 1e-3),
        departures=(
            *DEPARTURES,
            Departure(
                "FreeMatch's fairness term is left out.",
                "It pulls each label to equal shares of both sides, and labels are rare.",
            ),
            Departure(
                "At the unmoved weights the strong views are not seen.",
                "They change nothing there but the statistics of batch norm.",
            ),
        ),
    )

    mean_confidence: Tensor
    mean_probability: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.register_buffer("mean_confidence", torch.full((problem.n_labels,), 0.5))
        self.register_buffer("mean_probability", torch.full((problem.n_labels,), 0.5))

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take one step along the gradients of two places.

        One gradient is taken at theta, the other at the perturbed weights.
        """
        parameters = [
            p for o in trainer.optimisers.values() for group in o.param_groups for p in group["params"]
        ]
        views = [view for view in batch.inputs if view == "strong"]
        first = self.labelled_part(batch)
        trainer.forward(first)
        trainer.backward(self.known_loss(batch, first.scores))
        g = [p.grad for p in parameters]
        weak = self.weak_scores(batch, trainer, first.scores) if views else None
        for p in parameters:
            p.grad = None
        second = self.labelled_part(batch, *views)
        # The second pass leaves no trace in the running statistics: theta is where the network is judged.
        with _moved(parameters, g, self.hp.rho), frozen_statistics(trainer.network):
            trainer.forward(second)
            loss = self.known_loss(batch, second.outputs["weak"].scores)
            if weak is not None:
                loss = loss + self.unknown_loss(batch, weak, second.outputs["strong"].scores)
            trainer.backward(loss)
        for p, direction in zip(parameters, g, strict=True):
            if direction is not None:
                p.grad = direction if p.grad is None else direction.add_(p.grad)
        trainer.update()
        return loss.detach()

    @torch.no_grad()
    def pseudo(self, p: Tensor, unknown: Tensor) -> tuple[Tensor, Tensor]:
        """Return hard labels 1[p >= 1/2] and their weights.

        The weight is 1 where the confidence reaches its side's threshold, else 0.
        """
        decay, mask = self.next_decay(), unknown.to(p.dtype)
        confidence = torch.maximum(p, 1 - p)
        n = batch_sum(mask, 0)
        for mean, values in ((self.mean_confidence, confidence), (self.mean_probability, p)):
            average = batch_sum(values * mask, 0) / n.clamp(min=1)
            mean.lerp_(torch.where(n > 0, average, mean), 1 - decay)
        labels = (p >= 0.5).to(p.dtype)
        negative, positive = self.thresholds()
        return labels, (confidence >= torch.where(labels == 1, positive, negative)).to(p.dtype)

    def thresholds(self) -> tuple[Tensor, Tensor]:
        """Return the thresholds tau m_c / max m of both sides.

        They are (K,) each: those of negatives, and those of positives.
        """
        m = self.mean_probability
        most = torch.maximum(m, 1 - m)
        return self.mean_confidence * (1 - m) / most, self.mean_confidence * m / most


@contextmanager
def frozen_statistics(network: nn.Module) -> Iterator[None]:
    """Leave the running statistics of batch normalisation alone.

    Batches are normalised by their own, as before.
    """
    moving = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for module in moving:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in moving:
            module.track_running_stats = True


@contextmanager
def _moved(
    parameters: Sequence[nn.Parameter], direction: Sequence[Tensor | None], length: float
) -> Iterator[None]:
    """Move the parameters by ``length`` along ``direction`` for a while.

    Afterwards they are what they were, to the bit.
    """
    norms = [d.norm() for d in direction if d is not None]
    scale = length / (torch.stack(norms).norm() + 1e-12) if norms else 0.0
    before = [p.data for p in parameters]
    try:
        for p, d in zip(parameters, direction, strict=True):
            if d is not None:
                # Other memory, not a sum taken back: that is not what it was, and copies take as long as to move.
                p.data = (d * scale).add_(p.data)
        yield
    finally:
        for p, value in zip(parameters, before, strict=True):
            p.data = value
