"""Entropy minimisation: certainty about unknown entries, whichever way."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch, Method, Stage
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec


class EntropyMinimization(Method):
    """Cross-entropy of known entries, and +alpha H(p) of unknown ones.

    Unknown entries of unlabelled rows take part too.

    The original is semi-supervised and one label an item. With positives only nothing says "no" to an entry, so that
    all may end as relevant; the comparison that named it for single positives reports such a collapse. Its weight is
    not published: alpha is ours. Found on small problems: that collapse, and with both signs known no gain over leaving
    the unknown entries out.
    """

    spec = MethodSpec(
        id="entropy_minimization",
        title="Entropy minimisation (EntMin)",
        paper="Grandvalet and Bengio, NeurIPS 2004; baseline of Zhou et al., ECCV 2022",
        assumption="the classes are well separated, and the known entries show both signs",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "alpha": Hyperparameter(0.1, "weight of the entropy of unknown entries", low=0.0, high=10.0)
        },
        departures=(
            Departure(
                "Each label is a problem of two sides; the original has one label an item and a softmax.",
                "Several labels an item have an entropy each.",
            ),
            Departure(
                "The weight alpha is ours.",
                "The comparison that names it for single positives publishes none.",
                option="alpha",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """Return one stage over all items: entropy needs no label."""
        return [self.stage("train", self.budget.epochs, mixture={"all": self.budget.batch_size})]

    def start_labels(self) -> np.ndarray:
        """Return the labels for the closed-form start, of both signs.

        Unknown counts as negative where no negative is known: a start needs both signs.
        """
        return self.problem.labels_of_both_signs

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.entropy_minimization``."""
        return self.mean(losses.entropy_minimization(batch.scores, batch.labels, alpha=self.hp.alpha), batch)
