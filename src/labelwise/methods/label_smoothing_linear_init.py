"""Label smoothing with linear initialisation: two stages inside one run."""

from __future__ import annotations

from dataclasses import replace

from labelwise.methods.families.linear_init import DEPARTURES, LINEAR_INIT, LinearInit
from labelwise.methods.label_smoothing import LabelSmoothing
from labelwise.methods.spec import Budget


class LabelSmoothingLinearInit(LinearInit, LabelSmoothing):
    """Label smoothing for the head first, then for the whole network.

    Unknown entries count as negative; the network is frozen while the head trains alone.

    The paper's first stage has learning rate 1e-4, batches of 8 (NUS 16) and 25 epochs, its second 10 epochs.
    """

    spec = replace(
        LabelSmoothing.spec,
        id="label_smoothing_linear_init",
        title="Label smoothing with linear initialisation (AN-LS + LI)",
        hyperparameters={**LabelSmoothing.spec.hyperparameters, **LINEAR_INIT},
        full_budget=Budget(35, 64, 1e-3),
        departures=DEPARTURES,
    )
