"""Auto: several closed forms and trees, combined where rows left out say that it helps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from labelwise import losses
from labelwise.ensemble import EnsembleHead, Explanation, SmallNetwork, SoftLabels
from labelwise.ensemble.explanation import size_in_words
from labelwise.ensemble.recipe import Ensemble, Solver
from labelwise.errors import UserError
from labelwise.methods.base import Batch, Method, Pool, Stage
from labelwise.methods.problem import Problem
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter, MethodSpec
from labelwise.models import needs_steadying, solve_ridge, solve_steady_ridge
from labelwise.targets import Slot


class Auto(Method):
    """A stack of ridge regressions, kernels and trees, with the tuned ridge in reserve.

    Its members read the rows as they were given, smoothed over neighbours among all items, and every choice is made by
    exact leave-one-out or on rows left out, from known entries alone. Where those show no gain it is the tuned ridge
    solution.

    A whole network starts as the tuned ridge solution on the features before training, of which the ensemble is made
    too. Unknown entries have its left-out scores, calibrated, as soft labels, weighted by what it knows of them.
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
            "network": Hyperparameter(
                -1,
                "hidden units of the small network that scores in the ensemble's place, as distil makes one of a fitted"
                " model; 0: a linear one, -1: the ensemble itself",
                low=-1,
                high=4096,
            ),
        },
        ridge_start=False,
        reads_rows=True,
        reads_names=True,
        teaches=True,
        reads_hints=True,
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
    _explanation: Explanation | None = None

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        if self._whole:
            self.findings = Findings()

    @property
    def _whole(self) -> bool:
        """Whether a whole network is trained, by this closed form as its teacher."""
        return self.problem.tune == "all"

    def head(self, n_features: int) -> nn.Module:
        """Return a head of whatever arrays the ensemble has, a small network, or of a whole one its linear head."""
        if self._whole:
            return super().head(n_features)
        if self.hp.network >= 0:
            return SmallNetwork(n_features, self.problem.n_labels, self.hp.network)
        return EnsembleHead(n_features, self.problem.n_labels, Ensemble.from_state)

    def plan(self) -> list[Stage]:
        """A stage of zero epochs, which a whole network's training on all items follows."""
        if not self._whole:
            return [self.stage("closed form", 0)]
        everything = {"all": self.budget.batch_size}
        return [
            self.stage("teacher", 0, ridge_start=False),
            self.stage("train", self.budget.epochs, mixture=everything),
        ]

    def slots(self) -> dict[str, Slot]:
        """Targets and weights of all entries, of a whole network."""
        return {"target": Slot("float32"), "weight": Slot("float32")} if self._whole else {}

    def fit(self, pool: Pool) -> None:
        """Fit the ensemble to the pool's rows, with the tuned ridge solution beside it.

        Raises:
            UserError: Where a small network is asked for, which learns from a fitted ensemble.
        """
        if self.hp.network >= 0:
            raise UserError(
                f"network={self.hp.network} of method {self.spec.id!r} is what a fitted model's distil(X) makes: fit"
                " without it, then call distil"
            )
        if self._whole:
            self._teach(pool)
            return
        ensemble = self._ensemble(pool.inputs, pool)
        self._named = bool(ensemble.named.any())
        constants = np.where(ensemble.named, np.float32(np.nan), self._constants())
        head = cast(EnsembleHead, pool.network.head)
        head.take(ensemble, constants)
        self._bytes = head.n_bytes
        self.left_out = np.where(np.isnan(constants), ensemble.left_out, constants)
        self.explanation = Explanation.from_dict(ensemble.explanation)

    def loss(self, batch: Batch) -> Tensor:
        """Return the mean cross-entropy w (-t log p - (1 - t) log(1 - p)), with w = 1 of a known label t."""
        values = losses.soft_targets(batch.scores, batch.state["target"])
        return self.mean(values, batch, batch.state["weight"])

    def _ensemble(self, rows: Any, pool: Pool) -> Ensemble:
        problem = self.problem
        # A head that starts at random has no solution that was tuned on these features.
        tuned = not self._whole or self.starts_from_ridge
        groups = problem.item_groups
        solution = pool.ridge() if tuned else solve_ridge(rows, self.start_labels(), groups=groups)
        solve: Solver = solve_ridge
        if needs_steadying(problem.labels):
            solve = solve_steady_ridge
            solution = solve_steady_ridge(rows, problem.labels, tuned=solution, groups=groups)
        budget = self.hp.megabytes * 1_000_000
        hints = None if problem.hints is None else problem.hints.scores
        return Ensemble.fit(
            *(rows, problem.labels, solution, problem.seed),
            names=problem.names,
            hints=hints,
            groups=groups,
            budget=budget,
            solve=solve,
        )

    def _teach(self, pool: Pool) -> None:
        """Give unknown entries the ensemble's left-out scores as soft labels."""
        problem, ensemble = self.problem, self._ensemble(pool.backbone_features, pool)
        constants = self._constants()
        left_out = np.where(np.isnan(constants), ensemble.left_out, constants)
        share = None if problem.prior is None else problem.unknown_prior(self.spec.id)
        soft = SoftLabels.of(left_out, problem.labels, share)
        pool.state.write("target", soft.target)
        pool.state.write("weight", soft.weight)
        self.findings.explanation = Explanation.from_dict(ensemble.explanation)

    @property
    def explanation(self) -> Explanation | None:
        """What the ensemble found, and what it chose by."""
        return self.findings.explanation if self._whole else self._explanation

    @explanation.setter
    def explanation(self, found: Explanation | None) -> None:
        if self._whole:
            self.findings.explanation = found
        else:
            self._explanation = found

    @property
    def notes(self) -> tuple[str, ...]:
        """What the gates decided, what was assumed, and the size of it."""
        if self.explanation is None or not (self._bytes or self._whole):
            return ()
        gates = (f"the gate of the {gate.name} is {gate.words}" for gate in self.explanation.gates)
        if self._whole:
            use = "unknown entries were trained on as soft labels, given by an ensemble on the features before training"
        else:
            use = f"the ensemble takes {size_in_words(self._bytes)} of the saved model"
        return (*gates, *self.explanation.notes, use)

    @property
    def unshown_labels(self) -> str:
        """In words, the scores of labels that no item is known to have."""
        if self._whole:
            return "each is taught to be as rare as its expected share"
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


class Findings(nn.Module):
    """An explanation that checkpoints hold: a run that goes on does not fit its teacher again."""

    explanation: Explanation | None = None

    def get_extra_state(self) -> Tensor:
        """Return the explanation as the bytes of JSON."""
        told = None if self.explanation is None else self.explanation.to_dict()
        return torch.tensor(list(json.dumps(told).encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Any) -> None:
        """Take the explanation of these bytes.

        Raises:
            RuntimeError: For bytes that are none.
        """
        try:
            told = json.loads(bytes(state.cpu().tolist()))
            self.explanation = None if told is None else Explanation.from_dict(told)
        except (ValueError, TypeError, AttributeError, LookupError) as error:
            raise RuntimeError(f"what the training found cannot be read: {error}") from None
