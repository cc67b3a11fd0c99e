"""ROLE with linear initialisation: two stages with one label estimator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from labelwise.methods.base import Pool, Stage
from labelwise.methods.families.linear_init import DEPARTURES, LINEAR_INIT, LinearInit
from labelwise.methods.role import CHUNK, OnlineLabelEstimation, catch_up_momentum
from labelwise.methods.spec import Budget, Departure, Hyperparameter


class OnlineLabelEstimationLinearInit(LinearInit, OnlineLabelEstimation):
    """ROLE for the head first, then for the whole network.

    The network is frozen while the head trains alone; the second stage goes on with the first one's estimates.

    The paper's first stage has learning rate 1e-3, batches of 16 (CUB 8) and 25 epochs, its second 10 epochs.
    """

    spec = replace(
        OnlineLabelEstimation.spec,
        id="role_linear_init",
        title="ROLE with linear initialisation (ROLE + LI)",
        hyperparameters={
            **OnlineLabelEstimation.spec.hyperparameters,
            **LINEAR_INIT,
            "new_estimator": Hyperparameter(
                False,
                "begin the second stage with a new Adam of the label estimates, without their moments",
                source="released code: true",
                later=True,
            ),
        },
        full_budget=Budget(35, 64, 1e-3),
        departures=(
            *DEPARTURES,
            *(OnlineLabelEstimation.spec.departures or ()),
            Departure(
                "The estimator's moments live on in the second stage; the released code makes a new "
                "Adam for it.",
                "One item state for the whole run; a new start would forget how far each estimate is "
                "settled.",
                option="new_estimator=True",
            ),
        ),
    )

    def plan(self) -> list[Stage]:
        """Return the two stages; the second refreshes where its estimator is new."""
        stages = super().plan()
        return [replace(stage, refresh=stage.refresh or bool(self.hp.new_estimator)) for stage in stages]

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Draw the estimates before the first stage; before the second, forget their moments."""
        if not self.hp.new_estimator or not self.updates:
            return super().refresh(pools)
        pool = pools("raw")
        if pool.epoch == 1:
            self._forget_moments(pool)

    def _forget_moments(self, pool: Pool) -> None:
        # Rows owe the steps since they were last read, which the old moments tell.
        rate = float(self.hp.estimator_rate) * self.budget.learning_rate
        n_items = len(self.problem.labels)
        for start in range(0, n_items, CHUNK):
            rows = np.arange(start, min(start + CHUNK, n_items))
            state = pool.state.take(rows)
            if self.hp.dense:
                catch_up_momentum(state, int(self.updates) + 1, rate)
            pool.state.write("theta", state["theta"].numpy(), rows)
            for name in ("first", "second", "steps"):
                pool.state.write(name, torch.zeros_like(state[name]).numpy(), rows)
        self.updates.zero_()
