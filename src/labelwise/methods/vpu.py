"""Variational positive-unlabelled learning of every label, without a prior."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from labelwise import losses
from labelwise._random import generator
from labelwise.errors import UserError
from labelwise.methods.base import Batch, Trainer
from labelwise.methods.families.assumed_negative import NegativeByAssumption, constant_rate
from labelwise.methods.ranks import joined_rows, ranks, whole_batch
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec

_EPSILON = 1e-10


class VariationalPositiveUnlabelled(NegativeByAssumption):
    """The known positives of a label are a sample of what should score high; the rest is a mixture.

    For each label over a batch it is log(m) m^gamma - g, with m the mean over all rows of sigmoid(x / d), g that over
    the known positives of log sigmoid(x / d), and d = min(scale std(x), 1), at least ``least_scale``. Known negatives
    have plain cross-entropy beside it. With ``mixup`` halves of the batch are mixed, and their log-probability is to be
    that of the mixed targets, 1 for known positives and the present probability for all else, without gradient.

    Positives are few in a small batch: large batches are better.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    spec = MethodSpec(
        id="vpu",
        title="Variational positive-unlabelled learning (VPU, PU-MLC)",
        paper="Yuan et al., Positive Label Is All You Need for Multi-Label Classification, 2023, after Chen et al., "
        "A Variational Approach for Learning from Positive and Unlabeled Data, NeurIPS 2020",
        assumption="the known positives of a label are a fair sample of all its positives",
        settings=frozenset(SETTINGS),
        passes=3,
        whole_batch=True,
        hyperparameters={
            "gamma": Hyperparameter(
                0.55,
                "power of the mean score",
                low=0.0,
                high=10.0,
                source="released recipe: COCO .55, VOC .85",
            ),
            "scale": Hyperparameter(
                1.0,
                "how many deviations of a label's logits are one",
                low=0.01,
                high=100.0,
                source="released recipe: COCO 1, VOC 2",
            ),
            "least_scale": Hyperparameter(0.1, "floor under the scaled deviation", low=0.001, high=1.0),
            "negatives": Hyperparameter(
                "plain",
                "what known negatives are: of plain cross-entropy, or unlabelled",
                choices=("plain", "unlabelled"),
            ),
            "mixup": Hyperparameter(
                False,
                "whether halves of a batch are mixed, at half a pass more",
                source="released recipe: true",
            ),
            "mixup_beta": Hyperparameter(
                0.3,
                "both parameters of the share's beta distribution",
                low=0.01,
                high=100.0,
                source="released code",
            ),
        },
        departures=(
            Departure(
                "The mean over labels; the released code sums over them.",
                "Under Adam the learning rate does not change with it.",
            ),
            Departure(
                "A known negative has plain cross-entropy beside the rest; the released code takes it for unlabelled.",
                "What is known is used.",
                option='negatives="unlabelled"',
            ),
            Departure(
                "The scaled deviation has a floor; the released code divides by what may be 0.",
                "A label whose scores are all alike would give no number.",
                option="least_scale",
            ),
            Departure(
                "No mixed halves by default, and their targets have no gradient; the released recipe mixes, and its "
                "gradient flows into both sides.",
                "Texts and sparse rows cannot be mixed; a target is what is learnt, not what learns.",
                option="mixup=True",
            ),
            Departure(
                "Where negatives are known, a row without any known entry is left out.",
                "Of the labelled rows it would draw the share of positives down.",
            ),
            constant_rate("Adam on one cycle, averaged weights, and batch norm that keeps its statistics"),
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over labels of ``losses.variational_pu``."""
        values = losses.variational_pu(
            joined_rows(batch.scores),
            whole_batch(batch.labels),
            gamma=self.hp.gamma,
            scale=self.hp.scale,
            least_scale=self.hp.least_scale,
            negatives=self.hp.negatives,
            weights=batch.label_weights,
        )
        return values.mean()

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take a step on the loss, and on the mixed halves where they are asked for."""
        if not self.hp.mixup:
            return super().step(batch, trainer)
        trainer.forward(batch)
        loss = self.loss(batch)
        half = len(batch.labels) // 2
        if half:
            loss = loss + self._mixed_loss(batch, trainer, half)
        trainer.backward(loss)
        trainer.update()
        return loss.detach()

    def _mixed_loss(self, batch: Batch, trainer: Trainer, half: int) -> Tensor:
        """Return the squared error of the log-probabilities of mixed halves."""
        ((view, inputs),) = batch.inputs.items()
        if ranks() > 1 or not torch.is_floating_point(inputs):
            why = "several processes share a batch" if ranks() > 1 else "texts cannot be mixed"
            raise UserError(f"hyperparameter mixup=True of method 'vpu': {why}; leave it False")
        # Of the batch's first item, so that a resumed run mixes what the whole one would have mixed.
        random = generator(self.problem.seed, "mixup", batch.epoch, int(batch.index[0]))
        share = float(random.beta(self.hp.mixup_beta, self.hp.mixup_beta))
        first = torch.from_numpy(random.permutation(half)).to(inputs.device)
        second = slice(half, 2 * half)
        scores = batch.scores.detach().float()
        target = torch.where(batch.labels == 1, torch.ones_like(scores), torch.sigmoid(scores))
        mixed = replace(
            batch, inputs={view: share * inputs[first] + (1 - share) * inputs[second]}, outputs={}
        )
        trainer.forward(mixed)
        found = logsigmoid(mixed.scores.float()).clamp(min=math.log(_EPSILON))
        wanted = (share * target[first] + (1 - share) * target[second]).clamp(min=_EPSILON).log()
        return (found - wanted).square().mean()
