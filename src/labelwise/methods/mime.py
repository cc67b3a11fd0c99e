"""MIME: label queries, and sure unknowns as positives (Liu et al., ICML 2023).

Labels ask for what concerns them, and sure unknown entries become positive.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from labelwise import losses, targets
from labelwise.data import normal_numbers
from labelwise.methods.base import Batch, Method, Optimiser, Pool, Stage
from labelwise.methods.spec import SETTINGS, Budget, Departure, Hyperparameter, MethodSpec
from labelwise.models import LabelQueries


class MutualLabelEnhancement(Method):
    """Assumed negatives on random label embeddings; sure unknowns become positive.

    The embeddings are drawn from Gaussians; unknowns become positive from the warm-up on.

    The original: a transformer decoder with one query a label on a feature map, z ~ N(mu, sigma^2) of 256 numbers,
    10 samples averaged, one linear output a label; mean binary cross-entropy with unknown as negative + beta KL(z,
    standard normal), beta = 1e-4. After each epoch from ``warm_up`` on, every unknown entry with p > .95 is
    positive for good; nothing becomes negative. Adamax, backbone at a tenth of the rate.

    Ours: the output is linear in z, so that the mean of S samples is one normal number a label, of deviation
    sqrt(sum w^2 sigma^2 / S): that is drawn, as a function of (seed, epoch, item). Scores take the mean instead of
    samples. On feature vectors the decoder attends to a learnt split of the vector into 4 places;
    a head on fixed features is 32 wide (256 for a whole network). Where negatives are known, a wholly unknown
    row is an unlabelled item: it counts from the epoch in which it gets a positive on.
    """

    spec = MethodSpec(
        id="mime",
        title="Mutual label enhancement (MIME)",
        paper="Liu et al., Revisiting Pseudo-Label for Single-Positive Multi-Label Learning, ICML 2023",
        assumption="nearly every unknown entry is irrelevant, and the network is sure of those that are not",
        settings=frozenset(SETTINGS),
        passes=4,
        ridge_start=False,
        hyperparameters={
            "beta": Hyperparameter(
                1e-4, "weight of the divergence", low=0.0, high=1.0, source="released code"
            ),
            "samples": Hyperparameter(
                10, "samples of z whose outputs are averaged", low=1, high=1000, source="released code"
            ),
            "threshold": Hyperparameter(
                0.95,
                "probability above which an unknown entry becomes positive",
                low=0.5,
                high=1.0,
                source="released code",
            ),
            "warm_up": Hyperparameter(
                0.2,
                "share of the epochs before the first new positives",
                low=0.0,
                high=1.0,
                source="released code: 2 of 10 epochs, CUB 5",
            ),
            "width": Hyperparameter(
                None,
                "numbers a query and z have, from 32 in steps of 32; 256 for a whole network, 32 for a head",
                low=32,
                high=4096,
                source="released code: z has 256",
            ),
        },
        head_budget=Budget(20, 64, 1e-2),
        full_budget=Budget(20, 64, 1e-3),
        departures=(
            Departure(
                "One decoder layer, pre-norm, GELU, twice as wide inside, no dropout; the original "
                "has one encoder and two decoder layers of 2,048 units, post-norm, ReLU, dropout .1, "
                "without self-attention between labels.",
                "A tenth of the parameters; a head on features trains in seconds.",
            ),
            Departure(
                "One normal number a label, of the deviation of S samples' mean, is drawn; the "
                "original draws S samples of z.",
                "The output is linear in z: the distribution is the same.",
            ),
            Departure(
                "Scores take the mean; the original draws at evaluation too.",
                "A score should not change from call to call.",
            ),
            Departure(
                "On feature vectors the decoder attends to a learnt split of the vector in four, and "
                "is 32 wide.",
                "The original reads maps of pictures only.",
                option="width",
            ),
            Departure(
                "Where negatives are known, a wholly unknown row counts from the epoch in which it "
                "gets a positive.",
                "The original has single positives only.",
            ),
            Departure(
                "The last, smaller batch of an epoch is kept; the released loaders drop it.",
                "Every item is read in every epoch.",
            ),
        ),
    )

    def head(self, n_features: int) -> nn.Module:
        """Return the label-query decoder."""
        width = self.hp.width or (32 if self.problem.tune == "head" else 256)
        width = 32 * max(1, int(width) // 32)
        return LabelQueries(n_features, self.problem.n_labels, width=width, latent=width)

    def plan(self) -> list[Stage]:
        """Return one stage over all rows, with a refresh every epoch."""
        groups, size = self.problem.groups, self.budget.batch_size
        mixture = {"all": size}
        if self.problem.assumed_negative_group != "all":
            share = len(groups["labelled"]) / max(self.problem.n_items, 1)
            labelled = max(1, round(max(share, 1 / 8) * size))
            mixture = {"labelled": labelled, "unlabelled": max(1, size - labelled)}
        return [self.stage("train", self.budget.epochs, mixture=mixture, refresh=True)]

    def optimiser(self, **changes: Any) -> Optimiser:
        """Return Adamax, the backbone at a tenth of the rate."""
        rates = {"backbone": 0.1} if self.budget.backbone_rate == 1.0 else {}
        return super().optimiser(**{"name": "adamax", "rates": rates, **changes})

    def start_labels(self) -> np.ndarray:
        """Return the labels with assumed negatives."""
        return self.problem.assumed_negative

    def slots(self) -> dict[str, targets.Slot]:
        """Flag of every unknown entry that became positive."""
        return {"found": targets.Slot("int8")}

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Make the unknown entries above the threshold positive for good."""
        pool = pools("raw")
        if pool.epoch <= max(1, round(self.hp.warm_up * self.budget.epochs)):
            return
        positive = pool.state["found"].copy()
        for rows, scores in pool.scores():
            sure = (torch.sigmoid(scores) > self.hp.threshold).numpy()
            positive[rows] |= sure & (self.problem.labels[rows] == -1)
        pool.state.write("found", positive)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy at drawn outputs, plus beta KL.

        The mean is over the rows that train.
        """
        (outputs,) = batch.outputs.values()
        spread, divergence = outputs.parts
        # The output is linear in z: the mean of S samples of z is one normal number a label.
        drawn = outputs.scores + spread * self.noise(batch).to(spread)
        labels = torch.where(batch.state["found"] == 1, 1, batch.labels)
        values = losses.assume_negative(drawn, labels) + self.hp.beta * divergence
        if self.problem.assumed_negative_group == "all":
            return self.mean(values, batch)
        weights = (labels >= 0).any(1, keepdim=True).to(values.dtype).expand_as(values)
        return self.mean(values, batch, weights=weights, over="weights")

    def noise(self, batch: Batch) -> Tensor:
        """Return the mean of ``samples`` standard normal numbers an entry.

        They are (B, K) float32.
        """
        index, labels = batch.index.numpy(), batch.labels.shape[1]
        drawn = normal_numbers(index, labels, purpose="noise", seed=self.problem.seed, epoch=batch.epoch)
        return torch.from_numpy(drawn / np.float32(self.hp.samples) ** np.float32(0.5))
