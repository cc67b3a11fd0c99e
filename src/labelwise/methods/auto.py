"""Auto: several closed forms and trees, combined where rows left out say that it helps."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from labelwise.ensemble import EnsembleHead, Explanation
from labelwise.ensemble.explanation import size_in_words
from labelwise.ensemble.recipe import Ensemble
from labelwise.methods.base import Method, Pool, Stage
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec


class Auto(Method):
    """A stack of ridge regressions, kernels and trees, with the tuned ridge in reserve.

    Its members read the rows as they were given, smoothed over neighbours among all items, and every choice is made by
    exact leave-one-out or on rows left out, from known entries alone. Where those show no gain it is the tuned ridge
    solution.
    """

    spec = MethodSpec(
        id="auto",
        title="Stack of closed forms and trees, with ridge in reserve",
        paper="Wolpert, 1992, and Breiman, 1996 (stacking); ours",
        assumption="labels are near linear in the features, or like among neighbours, or found by trees: rows left "
        "out tell which",
        settings=frozenset(SETTINGS),
        passes=0,
        hyperparameters={
            "megabytes": Hyperparameter(
                200,
                "the most megabytes that the ensemble may take of a saved model; past it trees, then rows of the pool, "
                "are left out",
                low=1,
                high=100_000,
            ),
        },
        ridge_start=False,
        reads_rows=True,
        reads_names=True,
        departures=(
            Departure(
                "Labels of similar frequency share the statistics that their weights are fitted to; stacked "
                "regressions fit each output alone.",
                "A few positives do not tell twenty weights.",
            ),
            Departure(
                "A gate on rows left out takes the tuned ridge solution where the stack shows no gain; stacked "
                "regressions always take the stack.",
                "With few known entries a stack can lose to its best part.",
            ),
        ),
    )

    _bytes = 0
    _named = False

    def head(self, n_features: int) -> EnsembleHead:
        """Return a head of whatever arrays the ensemble has."""
        return EnsembleHead(n_features, self.problem.n_labels, Ensemble.from_state)

    def plan(self) -> list[Stage]:
        """A stage of zero epochs."""
        return [self.stage("closed form", 0)]

    def fit(self, pool: Pool) -> None:
        """Fit the ensemble to the pool's rows, with the tuned ridge solution beside it."""
        problem = self.problem
        ensemble = Ensemble.fit(
            pool.inputs,
            problem.labels,
            pool.ridge(),
            problem.seed,
            names=problem.names,
            budget=self.hp.megabytes * 1_000_000,
        )
        self._named = bool(ensemble.named.any())
        constants = np.where(ensemble.named, np.float32(np.nan), self._constants())
        head = cast(EnsembleHead, pool.network.head)
        head.take(ensemble, constants)
        self._bytes = head.n_bytes
        self.left_out = np.where(np.isnan(constants), ensemble.left_out, constants)
        self.explanation = Explanation.from_dict(ensemble.explanation)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the gates decided, what was assumed, and the size of it."""
        if self.explanation is None or not self._bytes:
            return ()
        gates = (f"the gate of the {gate.name} is {gate.words}" for gate in self.explanation.gates)
        size = f"the ensemble takes {size_in_words(self._bytes)} of the saved model"
        return (*gates, *self.explanation.notes, size)

    @property
    def unshown_labels(self) -> str:
        """In words, the scores of labels that no item is known to have."""
        if self._named:
            return "each is scored by its name alone"
        return "each has the logit of its expected share for every item"

    def _constants(self) -> NDArray[np.float32]:
        """Return the logits (K,) of labels without a known positive, NaN for all others.

        The share is the given prior, else that of half a positive among the rows that tell.
        """
        labels, prior = self.problem.labels, self.problem.prior
        shown = (labels == 1).any(axis=0)
        known = (self.problem.labels_of_both_signs != -1).sum(axis=0)
        share = 0.5 / (known + 1.0)
        if prior is not None:
            share = np.where(prior > 0, prior, share)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        return np.where(shown, np.nan, np.log(share / (1 - share))).astype(np.float32)
