"""SPLC: unknown entries of high score turn positive (Zhang et al., 2021)."""

from __future__ import annotations

from torch import Tensor

from labelwise import losses
from labelwise.methods.base import Batch
from labelwise.methods.families.assumed_negative import LONG_CYCLE, NegativeByAssumption
from labelwise.methods.spec import MEAN_OF_ENTRIES, SETTINGS, Departure, Hyperparameter, MethodSpec


class SelfPacedCorrection(NegativeByAssumption):
    """A focal loss with a margin on relevant entries; unknown ones of high score turn relevant.

    From the epoch after ``warm_up_epochs`` on, an unknown entry whose probability is above ``threshold`` counts as
    relevant in that step, without a margin. Nothing is remembered.

    A label whose scores start high can turn positive everywhere; an epoch of few steps is no warm-up.

    For whole networks (``--tune all``): published gains are theirs; on fixed features none was found over ``ridge``.
    """

    spec = MethodSpec(
        id="splc",
        title="Self-paced loss correction (SPLC)",
        paper="Zhang et al., Simple and Robust Loss Design for Multi-Label Learning with Missing Labels, 2021",
        assumption="clean labels are learnt before wrong ones: after a warm-up, an unknown entry of high score is "
        "relevant",
        settings=frozenset(SETTINGS),
        passes=3,
        pointwise=True,
        hyperparameters={
            "threshold": Hyperparameter(
                0.6,
                "probability above which an unknown entry counts as relevant",
                low=0.0,
                high=1.0,
                source="released code: .6; .65 where 75% of the positives are left",
            ),
            "warm_up_epochs": Hyperparameter(
                1, "epochs before unknown entries may turn", low=0, high=100000, source="released code: 1"
            ),
            "margin": Hyperparameter(
                1.0, "taken off the logits of positives", low=0.0, high=10.0, source="released code: 1"
            ),
            "gamma": Hyperparameter(2.0, "focusing exponent", low=0.0, high=10.0, source="released code: 2"),
            "negatives": Hyperparameter(
                "plain", "loss of known negatives: cross-entropy or focal", choices=("plain", "focal")
            ),
        },
        departures=(
            MEAN_OF_ENTRIES,
            Departure(
                "Unknown entries alone turn, and a known negative has plain cross-entropy; the released code has no "
                "known negatives, and would turn them too.",
                "What is known needs no correction.",
                option='negatives="focal"',
            ),
            LONG_CYCLE,
        ),
    )

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean over entries of ``losses.self_paced_correction``."""
        values = losses.self_paced_correction(
            batch.scores,
            batch.labels,
            threshold=self.hp.threshold,
            margin=self.hp.margin,
            gamma=self.hp.gamma,
            correct=batch.epoch > self.hp.warm_up_epochs,
            negatives=self.hp.negatives,
        )
        return self.mean(values, batch)
