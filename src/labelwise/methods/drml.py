"""DRML: two classifiers, and the relations between labels (Wang et al., 2020).

The classifiers disagree where they are unsure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from labelwise import targets
from labelwise.methods.base import Batch, Method, Optimiser, Pool, Stage, Trainer
from labelwise.methods.ranks import batch_sum
from labelwise.methods.spec import Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import DualRelation


class DualRelationLearning(Method):
    """Two adversarial classifiers and a relation network, in four steps a batch.

    The steps: fit all; part the classifiers; bring the features between them; fit the relations.

    The original: a projector P on fixed features, classifiers C1 and C2, a relation network C_R on vec(f1 f2^T) whose
    output is the score; squared errors, each with its own Adam. A: C1 + C2 + .2 C_R over P, C1, C2 (rate 1e-4).
    B: C1 + C2 + .2 C_R - DA over C1, C2 (1e-5), where DA = 1e-5 |f1 - f2|_1, summed over a batch's unlabelled items and
    their labels. C: DA over P (1e-5).
    D: C_R over C_R (1e-3). After a third of the rounds, in each the unlabelled items of least |f1 - f2|^2 join the
    labelled ones with C_R's output as soft labels.

    Ours: errors are means over the known entries, DA's sum is over the rows that lack an entry. The rates
    are multiples of the learning rate, which is higher, for fewer epochs of a head an eighth as wide; D has A's rate,
    since ten times it would leave the relation network without gradient. An item joins for good with the labels
    that it then gets, its known entries apart; half of the incomplete items have joined by the end, in equal parts
    before every epoch (the released code: 10 to 20 a round, or all below 1 on CUB). Above 100 labels the relation
    network reads 100 x 100 products of learnt mixtures of labels. On a whole network the backbone moves with P.
    The released demonstration also tests on the unlabelled items: nothing of that here.
    """

    spec = MethodSpec(
        id="drml",
        title="Dual relation semi-supervised learning (DRML)",
        paper="Wang et al., Dual Relation Semi-supervised Multi-label Learning, AAAI 2020",
        assumption="known negatives; where two classifiers agree on an unlabelled item they are right",
        settings=frozenset({"full", "partial", "semi_supervised"}),
        passes=13,
        ridge_start=False,
        hyperparameters={
            "relation_weight": Hyperparameter(
                0.2,
                "weight of the relations' error in step A",
                low=0.0,
                high=100.0,
                source="released code; paper .5",
            ),
            "discrepancy_weight": Hyperparameter(
                1e-5, "weight of the classifiers' distance", low=0.0, high=100.0, source="released code"
            ),
            "adversarial_rate": Hyperparameter(
                0.1,
                "learning rate of steps B and C as a multiple of step A's",
                low=0.0,
                high=100.0,
                source="released code: 1e-5 and 1e-4",
            ),
            "relation_rate": Hyperparameter(
                1.0,
                "learning rate of step D as a multiple of step A's",
                low=0.0,
                high=1000.0,
                source="released code: 1e-3 and 1e-4, that is 10",
            ),
            "warm_up": Hyperparameter(
                1 / 3,
                "share of the epochs before the first items join",
                low=0.0,
                high=1.0,
                source="released code: 50 of 150 rounds",
            ),
            "joining": Hyperparameter(
                0.5, "share of the incomplete items that have joined by the end", low=0.0, high=1.0
            ),
            "width": Hyperparameter(
                128,
                "numbers of the projector's layers; classifiers have .78 and relations .98 times as many",
                low=16,
                high=8192,
                source="released code: 1024",
            ),
        },
        head_budget=Budget(20, 64, 1e-2),
        full_budget=Budget(40, 64, 1e-3),
        departures=(
            Departure(
                "The projector's second layer has a leaky ReLU too, and the relation network's hidden "
                "one is leaky; the original's are linear and a ReLU.",
                "Fewer units die at the higher learning rates of few epochs.",
            ),
            Departure(
                "Errors are means over known entries and soft labels; the original has whole rows only.",
                "Rows may have gaps.",
            ),
            Departure(
                "Items that have joined stay among those on which the discrepancy is taken; the "
                "original moves them.",
                "A row that lacks an entry is still uncertain in it.",
            ),
            Departure(
                "Half of the incomplete items have joined by the end, in equal parts; the original "
                "takes 10 to 20 a round, or all below a distance.",
                "A rule that holds for any number of items.",
                option="joining",
            ),
            Departure(
                "A joined item keeps the soft labels that it then gets; known entries are kept apart.",
                "The original's are whole.",
            ),
            Departure(
                "The relations' weight is .2, as released; the paper's is .5.",
                "Published figures are the code's.",
                option="relation_weight=0.5",
            ),
            Departure(
                "The learning rate is higher, the head an eighth as wide, and step D has step A's "
                "rate; the original: 1e-4, 1,024 units, ten times A's.",
                "20 epochs instead of 15,000 batches.",
                option="width=1024, relation_rate=10.0",
            ),
            Departure(
                "Above 100 labels the relation network reads products of 100 learnt mixtures of labels.",
                "K x K products do not fit.",
            ),
            Departure(
                "On a whole network the backbone moves with the projector; the original's features are fixed.",
                "Both make the features that step C brings between the classifiers.",
            ),
            Departure(
                "A batch mixes complete and incomplete rows; the original draws 64 of each.",
                "One batch a step.",
            ),
        ),
    )

    def head(self, n_features: int) -> nn.Module:
        """Return the projector, both classifiers and the relation network."""
        width = int(self.hp.width)
        return DualRelation(
            n_features,
            self.problem.n_labels,
            width=width,
            hidden=round(width * 800 / 1024),
            relation_hidden=round(width * 1000 / 1024),
        )

    def plan(self) -> list[Stage]:
        """Return one stage with the four steps' optimisers."""
        groups, size = self.problem.groups, self.budget.batch_size
        share = len(groups["complete"]) / max(self.problem.n_items, 1)
        complete = max(1, round(max(share, 1 / 4) * size))
        body, classifiers = ("backbone", "neck", "head.projector"), ("head.first", "head.second")
        slow = self.budget.learning_rate * self.hp.adversarial_rate
        optimisers: dict[str, Optimiser] = {
            "fit": self.optimiser(name="adam", parameters=(*body, *classifiers)),
            "part": self.optimiser(name="adam", parameters=classifiers, learning_rate=slow),
            "join": self.optimiser(name="adam", parameters=body, learning_rate=slow),
            "relate": self.optimiser(
                name="adam",
                parameters=("head.relation",),
                learning_rate=self.budget.learning_rate * self.hp.relation_rate,
            ),
        }
        return [
            self.stage(
                "train",
                self.budget.epochs,
                mixture={"complete": complete, "incomplete": max(1, size - complete)},
                optimisers=optimisers,
                refresh=bool(len(groups["incomplete"])),
            )
        ]

    def slots(self) -> dict[str, targets.Slot]:
        """The soft labels of the items that have joined, NaN elsewhere."""
        return {"soft": targets.Slot("float16", fill=float("nan"))}

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Let the incomplete items join on which both classifiers agree best.

        As many join as the epoch's share.
        """
        pool, warm = pools("raw"), round(self.hp.warm_up * self.budget.epochs)
        candidates = self.problem.groups["incomplete"]
        rounds = self.budget.epochs - warm
        if pool.epoch <= max(warm, 1):
            return
        soft = pool.state["soft"].copy()
        waiting = candidates[np.isnan(soft[candidates]).any(1)]
        # In equal parts before every epoch, whatever joined before.
        due = round(float(self.hp.joining) * len(candidates) * (pool.epoch - warm) / rounds)
        many = due - (len(candidates) - len(waiting))
        if many <= 0:
            return
        distance = np.empty(len(soft), np.float32)
        scores = np.empty(soft.shape, np.float16)
        for rows, outputs in pool.outputs():
            first, second = outputs.parts
            distance[rows] = ((first - second) ** 2).sum(1).cpu().numpy()
            scores[rows] = torch.sigmoid(outputs.scores.float()).cpu().numpy()
        joined = waiting[np.argsort(distance[waiting], kind="stable")[:many]]
        soft[joined] = scores[joined]
        pool.state.write("soft", soft)

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Take the four steps; the loss is that of the first."""
        trainer.forward(batch)
        loss = self.whole_error(batch)
        trainer.backward(loss)
        trainer.update("fit")
        # Every batch holds an incomplete item where there is one, though not every process's part of it.
        if len(self.problem.groups["incomplete"]):
            trainer.forward(batch)
            trainer.backward(self.whole_error(batch) - self.discrepancy(batch))
            trainer.update("part")
            trainer.forward(batch)
            trainer.backward(self.discrepancy(batch))
            trainer.update("join")
        trainer.forward(batch)
        trainer.backward(self.relation_error(batch))
        trainer.update("relate")
        return loss.detach()

    def whole_error(self, batch: Batch) -> Tensor:
        """Return step A's error: both classifiers' and the relations'.

        It is the sum of the classifiers' squared errors and ``relation_weight`` times the relation network's.
        """
        first, second = self._outputs(batch)[1:]
        classifiers = self.squared_error(batch, first) + self.squared_error(batch, second)
        return classifiers + float(self.hp.relation_weight) * self.relation_error(batch)

    def relation_error(self, batch: Batch) -> Tensor:
        """Return the relation network's squared error."""
        return self.squared_error(batch, self._outputs(batch)[0])

    def squared_error(self, batch: Batch, p: Tensor) -> Tensor:
        """Return the mean of (p - y)^2.

        The mean is over the entries that are known or have a soft label.
        """
        soft = batch.state["soft"].to(p.dtype)
        target = torch.where(batch.labels >= 0, batch.labels.to(p.dtype), soft)
        used = ~torch.isnan(target)
        values = (p - torch.nan_to_num(target)) ** 2
        return self.mean(values, batch, weights=used.to(p.dtype), over="weights")

    def discrepancy(self, batch: Batch) -> Tensor:
        """Return the classifiers' distance on incomplete rows, weighted.

        It is ``discrepancy_weight`` times the sum of |f1 - f2| over their entries.
        """
        relation, first, second = self._outputs(batch)
        incomplete = (batch.labels == -1).any(1, keepdim=True).to(first.dtype)
        distance = batch_sum((first - second).abs() * incomplete)
        # Data-parallel training waits for a gradient of every parameter: the relation network's is zero.
        return float(self.hp.discrepancy_weight) * distance + 0.0 * relation.sum()

    @staticmethod
    def _outputs(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        (outputs,) = batch.outputs.values()
        first, second = outputs.parts
        return torch.sigmoid(outputs.scores.float()), first, second
