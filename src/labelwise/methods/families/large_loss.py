"""Assumed negatives of large loss are mistrusted (Kim et al., CVPR 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from labelwise.methods.families.assumed_negative import NegativeByAssumption
from labelwise.methods.problem import Problem
from labelwise.methods.ranks import own_rows, whole_batch
from labelwise.methods.spec import SETTINGS, Departure, Hyperparameter

PAPER = "Kim et al., Large Loss Matters in Weakly Supervised Multi-Label Classification, CVPR 2022"
LARGE_LOSS = frozenset(SETTINGS) - {"full", "semi_supervised"}
RATE = Hyperparameter(
    0.002,
    "share of a batch's unknown entries that is added in every epoch after the first",
    low=0.0,
    high=0.5,
    source="released code: .1 to .5 per cent, searched",
)
COUNT = Hyperparameter(
    "share",
    "how many entries a batch's share is: that of its unknown entries, what is left of one carried on; or that of all "
    "entries, rounded up",
    choices=("share", "released"),
    source="released code: released",
    later=True,
)


DEPARTURES = (
    Departure(
        "The share is of a batch's unknown entries, and a remainder is carried on; the "
        "released code takes it of all entries and rounds up.",
        "Batches of any size lose the same share.",
        option='count="released"',
    ),
    Departure(
        "The head has the learning rate of everything; the released code gives it ten times the backbone's.",
        "One budget a run.",
        option="backbone_learning_rate",
    ),
)
"""The departures of the family."""


class LargeLoss(NegativeByAssumption):
    """Assumed negatives without those whose loss stays large.

    A network learns clean labels first, so that an assumed negative whose loss stays large is likely relevant.

    The share is of the batch's *unknown* entries, and what it leaves of an entry is carried to the next batch, so that
    batches of any size lose the same share. The released code takes it of all entries and rounds up, which in the
    smallest batches is another rule (``count="released"``); the published descriptions leave it open.
    """

    carried: Tensor

    def __init__(self, problem: Problem, hyperparameters: Mapping[str, Any] | None = None) -> None:
        super().__init__(problem, hyperparameters)
        self.register_buffer("carried", torch.zeros(()))

    def share(self, epoch: int) -> float:
        """Return the share of unknown entries mistrusted in an epoch.

        It is 0 in the first epoch, which is number 1, then ``rate`` more in each.
        """
        return min(1.0, float(self.hp.rate) * (epoch - 1))

    def largest(self, scores: Tensor, among: Tensor, share: float, fewer: int = 0) -> Tensor:
        """Return a mask (B, K) of the entries with the largest losses.

        They are the ``share`` of the entries ``among`` whose loss is the largest in the whole batch; with the released
        count as many as a share of all entries is, rounded up, less ``fewer``.

        The loss -log(1 - p) of an assumed negative rises with its score, so that scores rank as losses do.
        """
        if not share:
            return torch.zeros_like(among)
        scores, among = whole_batch(scores.detach()), whole_batch(among)
        ranked = scores.masked_fill(~among, -torch.inf).flatten()
        # Rounding may leave a product just above or below the whole number that it is.
        fixed = max(math.ceil(share * among.numel() - 1e-6) - fewer, 0) if self._as_released else None
        if ranked.device.type != "cpu":
            return own_rows(self._ranked_first(ranked, among.sum(), share, fixed).view_as(among))
        chosen = torch.zeros_like(among)
        present = int(torch.count_nonzero(among))
        if fixed is None:
            due = float(self.carried) + share * present
            count = min(int(due + 1e-6), present)
            # At most one entry is carried on: what a batch had no entries for must not pile up.
            self.carried.fill_(min(due - count, 1.0))
        else:
            count = min(fixed, present)
        if count:
            chosen.view(-1)[ranked.topk(count, sorted=False).indices] = True
        return own_rows(chosen)

    @property
    def _as_released(self) -> bool:
        return bool(self.hp.count == "released")

    def _ranked_first(self, ranked: Tensor, present: Tensor, share: float, fixed: int | None) -> Tensor:
        """Mark as many of the highest as are due, counted on the device, which nothing waits for."""
        exact = torch.float32 if ranked.device.type == "mps" else torch.float64
        if fixed is None:
            due = self.carried.to(exact) + share * present
            count = torch.minimum((due + 1e-6).floor(), present.to(exact))
            self.carried.copy_((due - count).clamp(max=1.0))
        else:
            count = present.to(exact).clamp(max=fixed)
        place = torch.arange(len(ranked), device=ranked.device)
        chosen = torch.zeros(len(ranked), dtype=torch.bool, device=ranked.device)
        return chosen.scatter_(0, ranked.argsort(descending=True, stable=True), place < count)
