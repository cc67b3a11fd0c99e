"""Linear initialisation: first the head alone, then the whole network."""

from __future__ import annotations

from dataclasses import replace

from labelwise.methods.base import Method, Stage
from labelwise.methods.spec import Departure, Hyperparameter

LINEAR_INIT = {
    "linear_share": Hyperparameter(
        5 / 7,
        "share of the epochs spent on the head alone",
        low=0.0,
        high=1.0,
        source="paper: 25 epochs, then 10",
    ),
    "second_rate": Hyperparameter(
        0.1,
        "learning rate of the second stage as a multiple of the first's",
        low=0.0,
        high=10.0,
        source="paper: searched apart",
    ),
}
"""The hyper-parameters of the family."""


DEPARTURES = (
    Departure(
        "The first stage hands its last head on; the paper's keeps that of the best validation score.",
        "A choice in the middle of a run would need held-out rows that a final run does not have.",
    ),
    Departure(
        "The rate of the second stage is a tenth of the first's; the paper searches it.",
        "A default that works.",
        option="second_rate",
    ),
    Departure(
        "Both stages take batches of one size; the paper's first stage has its own (16, on CUB 8).",
        "One budget a run.",
    ),
)
"""The departures of the family."""


class LinearInit(Method):
    """Mixin that trains the head first, then the whole network.

    It stands before a method of one stage, and takes that stage for the head alone, then again for the whole network.

    Item state lives on. The paper keeps the first stage's head of best validation score; here its last one goes on.
    Where only the head is tuned, the second stage trains the head at its own rate.
    """

    def plan(self) -> list[Stage]:
        """Return the two stages, without those of no epochs."""
        (stage,) = super().plan()
        first = round(self.hp.linear_share * self.budget.epochs)
        rate = self.hp.second_rate * self.budget.learning_rate
        linear = replace(
            stage, name="linear", epochs=first, optimisers={"main": self.optimiser(parameters=("head",))}
        )
        end_to_end = replace(
            stage,
            name="end to end",
            epochs=self.budget.epochs - first,
            optimisers={"main": self.optimiser(learning_rate=rate)},
            ridge_start=stage.ridge_start and not first,
            # The first stage has drawn what a first refresh draws (ROLE's estimates), and it lives on.
            refresh=stage.refresh and not first,
        )
        return [stage for stage in (linear, end_to_end) if stage.epochs]
