"""ROLE: estimated labels beside the classifier (Cole et al., CVPR 2021).

Labels are estimated online, so that both agree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labelwise import losses, targets
from labelwise._random import generator
from labelwise.methods.base import Batch, Pool, Trainer, head_rate
from labelwise.methods.families.expectation import DEPARTURES, ExpectedPositives
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import batch_mean
from labelwise.methods.spec import SETTINGS, Budget, Departure, Hyperparameter, MethodSpec

_BETAS, _EPS = (0.9, 0.999), 1e-8
"""Adam's, as released."""
CHUNK = 4096
"""Rows that are drawn by one generator; a part of what the first estimates are, and so never to change."""
_LONG = 1 << 15
"""Steps after which the bias corrections of Adam are 1 to 1e-14."""


class OnlineLabelEstimation(ExpectedPositives):
    """Classifier p and label estimates q, each the other's target.

    Every entry has an estimate, q = sigmoid(Theta).

    L = (l(p) + l(q) + CE(q -> p) + CE(p -> q) + R(p) + R(q)) / 2, with l the mean over entries of the known ones'
    cross-entropy, CE(t -> u) the mean cross-entropy of u against t as a constant, and R as in EPR. Theta starts at
    logit(.995) and logit(.005) where a label is known, elsewhere between -logit(.6) and logit(.6) at random; its
    rate is ``estimator_rate`` times the classifier's.

    Theta and its two Adam moments are item state, 12 bytes an entry. The released code steps dense Adam over all
    (n, K) entries in every batch. Here a step reads and writes the rows of its batch alone. ``dense``: the steps a row
    missed, in which its momentum alone moves it, are caught up in closed form when it is next read: dense Adam but for
    its epsilon. Otherwise a row moves in its own batches only, with its own count of steps: one step an epoch, some
    thirty times less far than with dense Adam, for which a larger ``estimator_rate`` makes up. Ours too: known
    negatives, and Theta's gradient times BK, which Adam does not see but for its epsilon.
    """

    spec = MethodSpec(
        id="role",
        title="Regularised online label estimation (ROLE)",
        paper="Cole et al., Multi-Label Learning from Single Positive Labels, CVPR 2021",
        assumption="the mean number of positives of an item is known",
        settings=frozenset(SETTINGS),
        passes=3,
        needs=frozenset({"prior"}),
        whole_batch=True,
        hyperparameters={
            "estimator_rate": Hyperparameter(
                10.0,
                "learning rate of the label estimator as a multiple of the classifier's",
                low=0.0,
                high=10000.0,
                source="released code: 10",
            ),
            "dense": Hyperparameter(
                True, "move a row between its batches too, as dense Adam does", source="released code"
            ),
            "spread": Hyperparameter(
                0.1,
                "estimates of unknown entries start within this distance of 1/2",
                low=0.0,
                high=0.49,
                source="released code: .1",
            ),
        },
        head_budget=Budget(25, 64, 1e-3),
        departures=(
            *DEPARTURES,
            Departure(
                "A row's steps between its batches are made up in closed form when it is read next: "
                "dense Adam but for its epsilon.",
                "A step then reads and writes its batch's rows alone, whatever the number of items.",
            ),
            Departure(
                "The estimates' gradient is taken times the number of a batch's entries.",
                "Adam does not see the factor but for its epsilon, beside which gradients of single "
                "entries are small.",
            ),
            Departure(
                "The estimates start from draws of our generator; the released code draws from torch's.",
                "An item's start then depends on the seed and its place alone.",
            ),
            Departure(
                "The last, smaller batch of an epoch is kept; the released loaders drop it.",
                "Every item is read in every epoch.",
            ),
        ),
    )

    updates: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def plan(self) -> list[Any]:
        """Return the one stage; its first refresh draws the estimates."""
        return [replace(stage, refresh=True) for stage in super().plan()]

    def slots(self) -> dict[str, targets.Slot]:
        """Logits, moments and last step of the label estimates.

        Two moments, and the step at which a row was last moved.
        """
        entries = {name: targets.Slot("float32") for name in ("theta", "first", "second")}
        return {**entries, "steps": targets.Slot("int32", per="item")}

    def refresh(self, pools: Callable[[str], Pool]) -> None:
        """Before the first epoch, draw the estimates."""
        pool = pools("raw")
        if pool.epoch > 1:
            return
        y, bound = self.problem.labels, float(torch.logit(torch.tensor(0.5 + self.hp.spread)))
        known = float(torch.logit(torch.tensor(0.995)))
        for start in range(0, len(y), CHUNK):
            rows = slice(start, min(start + CHUNK, len(y)))
            random = generator(self.problem.seed, "label estimates", start // CHUNK)
            drawn = random.uniform(-bound, bound, y[rows].shape)
            theta = np.where(y[rows] == -1, drawn, np.where(y[rows] == 1, known, -known))
            pool.state.write("theta", theta.astype(np.float32), rows)

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss L as a function of p alone.

        L = (l(p) + l(q) + CE(q -> p) + CE(p -> q) + R(p) + R(q)) / 2.

        Theta has no gradient here: ``move`` takes its step in closed form, on the rows of the batch.
        """
        theta, y = batch.state["theta"], batch.labels
        p, q = torch.sigmoid(batch.scores.float()), torch.sigmoid(theta)
        # A cross-entropy is linear in its target: l(p) + CE(q -> p) is one, against the mean of both targets.
        classifier = losses.soft_targets(batch.scores, targets_of(q, y))
        estimator = losses.soft_targets(theta, targets_of(p.detach(), y))
        weights = times(y).to(classifier.dtype)
        terms = self.mean(classifier, batch, weights=weights) + batch_mean(estimator * weights)
        return (terms + self.balance(batch.scores) + self.balance(theta)) / 2

    def step(self, batch: Batch, trainer: Trainer) -> Tensor:
        """Move the classifier, and the estimates of the batch's rows."""
        trainer.forward(batch)
        rate = float(self.hp.estimator_rate) * head_rate(trainer)
        self.updates += 1
        # First the steps that the rows missed: loss and gradients are of the estimates as dense Adam would have them.
        if self.hp.dense:
            catch_up_momentum(batch.state, int(self.updates), rate)
        loss = self.loss(batch)
        trainer.backward(loss)
        self.move(batch, rate)
        trainer.update()
        return loss.detach()

    @torch.no_grad()
    def move(self, batch: Batch, rate: float) -> None:
        """Take one Adam step on the estimates of the batch's rows.

        Then write them back.
        """
        state, y = batch.state, batch.labels
        p, q = torch.sigmoid(batch.scores.float()), torch.sigmoid(state["theta"])
        # B K dL/dTheta: of l(q) + CE(p -> q), each q minus its target, and of R(q) = (excess / K)^2.
        slope = (q - targets_of(p, y)) * times(y) / 2
        slope += self.excess(q) / y.shape[1] * q * (1 - q)
        state["steps"].copy_(self.updates if self.hp.dense else state["steps"] + 1)
        adam(state["theta"], state["first"], state["second"], state["steps"][:, None], slope, rate)
        assert batch.write is not None
        for name in self.slots():
            batch.write(name, state[name])


def times(labels: Tensor) -> Tensor:
    """Return the number of cross-entropies of each entry.

    2 where its label is known as well, otherwise 1.
    """
    return (labels >= 0) + 1


def targets_of(other: Tensor, labels: Tensor) -> Tensor:
    """Return the mean target of each entry's cross-entropies.

    Of ``other``, and of the label where it is known.

    The cross-entropy is linear in its target, so that two of them cost one.
    """
    return torch.where(labels >= 0, (other + labels) / 2, other)


def adam(theta: Tensor, first: Tensor, second: Tensor, step: Tensor, slope: Tensor, rate: float) -> None:
    """Take one Adam step on rows of ``theta``, in place.

    It is update number ``step`` (rows, 1); the moments move too.
    """
    one, two = _BETAS
    first.mul_(one).add_(slope, alpha=1 - one)
    second.mul_(two).addcmul_(slope, slope, value=1 - two)
    # In float64: 1 - b2^t of the first steps cancels to few digits in float32.
    t = step.double()
    size = rate / (1 - one**t)
    spread = (second * (1 / (1 - two**t)).float()).sqrt_().add_(_EPS)
    theta.sub_(first * size.float() / spread)


def catch_up_momentum(state: Mapping[str, Tensor], now: int, rate: float) -> None:
    """Move rows through the steps that they missed, by momentum alone.

    In place: the steps without a gradient since each was last moved, up to ``now`` - 1.

    With moments m, v after step t, the j-th such step moves by -rate m/sqrt(v) r^j c(t + j), r = b1/sqrt(b2) and
    c(u) = sqrt(1 - b2^u)/(1 - b1^u). A sum over j = 1..J is F(t) - r^J F(t + J), F the sum without end.
    """
    one, two = _BETAS
    last = state["steps"].double().cpu()
    # Step ``now`` itself has a gradient, and is taken by ``move``.
    missed = (now - 1 - last).clamp_(min=0)
    table = _sums()
    before, after = (table[u.clamp(max=_LONG).long()] for u in (last, last + missed))
    distance = before - (one / two**0.5) ** missed * after
    device = state["theta"].device
    scale = (rate * distance).float().to(device)[:, None]
    # Rows that never moved have no moments: 0 / 1e-30 leaves them where they are.
    state["theta"].sub_(state["first"] / (state["second"].sqrt() + 1e-30) * scale)
    state["first"].mul_((one**missed).float().to(device)[:, None])
    state["second"].mul_((two**missed).float().to(device)[:, None])


@cache
def _sums() -> Tensor:
    """Return the sums F(t) of the steps that follow step t.

    F(t) = sum over j >= 1 of r^j c(t + j) for t = 0.._LONG, float64, by F(t) = r (c(t + 1) + F(t + 1)).
    """
    one, two = _BETAS
    ratio = one / two**0.5
    u = np.arange(1, _LONG + 1)
    c = np.sqrt(1 - two**u) / (1 - one**u)
    sums = np.empty(_LONG + 1)
    # From there on c is 1, and the sum a geometric one.
    sums[_LONG] = ratio / (1 - ratio)
    for t in range(_LONG - 1, -1, -1):
        sums[t] = ratio * (c[t] + sums[t + 1])
    return torch.from_numpy(sums)
