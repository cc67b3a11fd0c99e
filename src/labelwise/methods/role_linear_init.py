"""ROLE with linear initialisation: two stages with one label estimator."""

from __future__ import annotations

from dataclasses import replace

from labelwise.methods.families.linear_init import DEPARTURES, LINEAR_INIT, LinearInit
from labelwise.methods.role import OnlineLabelEstimation
from labelwise.methods.spec import Budget, Departure


class OnlineLabelEstimationLinearInit(LinearInit, OnlineLabelEstimation):
    """ROLE for the head first, then for the whole network.

    The network is frozen while the head trains alone; the second stage goes on with the first one's estimates.

    The paper's first stage has learning rate 1e-3, batches of 16 (CUB 8) and 25 epochs, its second 10 epochs.
    """

    spec = replace(
        OnlineLabelEstimation.spec,
        id="role_linear_init",
        title="ROLE with linear initialisation (ROLE + LI)",
        hyperparameters={**OnlineLabelEstimation.spec.hyperparameters, **LINEAR_INIT},
        full_budget=Budget(35, 64, 1e-3),
        departures=(
            *DEPARTURES,
            *(OnlineLabelEstimation.spec.departures or ()),
            Departure(
                "The estimator's moments live on in the second stage; the released code makes a new "
                "Adam for it.",
                "One item state for the whole run; a new start would forget how far each estimate is "
                "settled.",
            ),
        ),
    )
